//! Reads the files of `-f` into one document.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use crate::arguments::Documents;
use crate::load::directory::{directories, documents_in, is_default, listed};
use crate::load::file::{read_file, read_from, take_standard_input};
use crate::load::hierarchy;
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_dialects::dialect::{Dialect, Reading};
use netkeel_dialects::hiera::facts::Facts;
use netkeel_dialects::talos::configuration::Configuration;
use netkeel_document::document;
use netkeel_document::document::Document;
use netkeel_document::not_the_host::NotTheHost;
use netkeel_document::policy;
use netkeel_kernel::namespace::identity;
use netkeel_plan::goal::saved::SavedPlan;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;
use netkeel_source::text::format::{Format, by_extension};

/// A document and its source texts.
pub(crate) struct Loaded {
    pub document: Document,
    pub sources: Sources,
}

/// The texts of the files of `-f`.
#[derive(Default, Hash)]
struct Texts {
    /// The texts by the names of their files.
    files: Vec<(String, Vec<u8>)>,
    /// The number of files of each level of a Hiera hierarchy; empty if each file is a level.
    levels: Vec<usize>,
}

/// The errors of invalid documents, and their source texts.
pub(crate) struct Invalid {
    pub diagnostics: Diagnostics,
    pub sources: Sources,
}

/// A document, or its errors.
pub(crate) type Read = Result<Loaded, Box<Invalid>>;

/// The host that a document is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// The one on which netkeel runs. Its files are written only if netkeel is in its network namespace.
    Live,
    /// A host that netkeel does not ask now: of a saved snapshot, or any.
    Saved,
}

impl Host {
    /// The host of a verb that can also work on a saved snapshot.
    pub fn of<T>(saved: &Option<T>) -> Self {
        match saved {
            Some(_) => Host::Saved,
            None => Host::Live,
        }
    }
}

/// Reads all files. Prints diagnostics and returns `None` when the documents are invalid.
pub(crate) fn load(documents: &Documents, netns: Netns, host: Host) -> Result<Option<Loaded>, Error> {
    Ok(report(read(documents, netns, host)?))
}

/// Reads all files and prints nothing.
pub(crate) fn read(documents: &Documents, netns: Netns, host: Host) -> Result<Read, Error> {
    let facts = hierarchy::facts(&documents.origin)?;
    let texts = read_files(documents, &facts)?;
    Ok(parse(texts, documents.origin.dialect(), &facts, netns, host))
}

/// Checks netkeel documents that are not in files.
pub(crate) fn check_texts(files: Vec<(String, Vec<u8>)>, netns: Netns) -> Read {
    let texts = Texts {
        files,
        ..Texts::default()
    };
    parse(texts, Dialect::Native, &Facts::new(), netns, Host::Saved)
}

/// Reads documents that are not files on this host, for another host. Each level has one file or several.
pub(crate) fn parse_levels(levels: Vec<Vec<(String, Vec<u8>)>>, dialect: Dialect, facts: &Facts) -> Read {
    let texts = Texts {
        levels: levels.iter().map(Vec::len).collect(),
        files: levels.into_iter().flatten().collect(),
    };
    parse(texts, dialect, facts, Netns::CURRENT, Host::Saved)
}

/// Whether files of another program have anything for netkeel. A file with an error may have.
pub(crate) fn has_any(files: &[(String, Vec<u8>)], dialect: Dialect) -> bool {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let keys = document::keys();
    let reading = Reading {
        dialect,
        keys: &keys,
        facts: &Facts::new(),
        levels: &[],
    };
    let files = nodes(files.to_vec(), &reading, &mut sources, &mut diagnostics);
    !diagnostics.is_empty() || reading.has_any(&files)
}

/// The result of [`load_if_any`].
pub(crate) enum LoadOutcome {
    /// No file was named, and no default directory exists.
    Nothing,
    /// The document.
    Document(Box<Loaded>),
    /// The documents are invalid; the diagnostics were printed.
    Wrong,
}

/// Reads the documents of a verb that also works without any.
pub(crate) fn load_if_any(documents: &Documents, netns: Netns, host: Host) -> Result<LoadOutcome, Error> {
    let mut is_any = false;
    for file in &documents.files {
        is_any |= !is_default(file) || file.exists() || directories(file)?.is_some();
    }
    if !is_any {
        return Ok(LoadOutcome::Nothing);
    }
    Ok(match load(documents, netns, host)? {
        Some(loaded) => LoadOutcome::Document(Box::new(loaded)),
        None => LoadOutcome::Wrong,
    })
}

/// Reads the document in a saved plan.
pub(crate) fn read_saved(saved: &SavedPlan, name: &str) -> Read {
    let netns = saved.netns.as_deref().map_or(Netns::CURRENT, Netns::named);
    // A place in the plan is told by the name of its file, which may end as if it were no JSON.
    let name = match by_extension(name) {
        Some(Format::Yaml | Format::Toml) => format!("{name}.json"),
        Some(Format::Json) | None => name.to_owned(),
    };
    let text = (name, saved.document.to_string().into_bytes());
    let texts = Texts {
        files: vec![text],
        ..Texts::default()
    };
    parse(texts, Dialect::Native, &Facts::new(), netns, Host::Live)
}

/// Reads a document that was accepted before.
pub(crate) fn read_accepted(canonical: String, netns: Netns) -> Read {
    let texts = Texts {
        files: vec![("document.json".to_owned(), canonical.into_bytes())],
        ..Texts::default()
    };
    parse(texts, Dialect::Native, &Facts::new(), netns, Host::Live)
}

/// Reads all files, and `policies` over them; an error is text for people. Without `needs_files` there may be none.
pub(crate) fn load_quietly(
    documents: &Documents,
    policies: Vec<(String, Vec<u8>)>,
    needs_files: bool,
    netns: Netns,
) -> Result<Document, String> {
    let facts = hierarchy::facts(&documents.origin).map_err(|error| error.message)?;
    let mut texts = match !needs_files && !policies.is_empty() && is_empty(documents) {
        true => Texts::default(),
        false => read_files(documents, &facts).map_err(|error| error.message)?,
    };
    texts.files.extend(policies);
    match parse(texts, documents.origin.dialect(), &facts, netns, Host::Live) {
        Ok(loaded) => Ok(loaded.document),
        Err(invalid) => Err(render::render(&invalid.diagnostics, &invalid.sources, false)),
    }
}

/// A hash of the files' content, or of the error that prevents reading them.
pub(crate) fn digest(documents: &Documents) -> u64 {
    let mut hasher = DefaultHasher::new();
    let facts = hierarchy::facts(&documents.origin);
    let read = facts.and_then(|facts| Ok((read_files(documents, &facts)?, facts)));
    match read {
        Ok((texts, facts)) => (texts, format!("{facts:?}")).hash(&mut hasher),
        Err(error) => error.message.hash(&mut hasher),
    }
    hasher.finish()
}

/// Returns the parsed document, or prints the diagnostics.
fn report(read: Read) -> Option<Loaded> {
    read.inspect_err(|invalid| output::diagnostics(&invalid.diagnostics, &invalid.sources))
        .ok()
}

fn parse(texts: Texts, dialect: Dialect, facts: &Facts, netns: Netns, host: Host) -> Read {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let keys = document::keys();
    let reading = Reading {
        dialect,
        keys: &keys,
        facts,
        levels: &texts.levels,
    };
    let files = nodes(texts.files, &reading, &mut sources, &mut diagnostics);
    let mut layers = reading.layers(files, &mut sources, &mut diagnostics);
    if dialect == Dialect::Native {
        let documents = layers.into_iter();
        layers = documents
            .map(|layer| policy::document_of(layer, &mut diagnostics))
            .collect();
    }
    let mut document = Document::read(layers, netns, &mut diagnostics);
    if host == Host::Live
        && document.netns.is_current()
        && let Some(why) = NotTheHost::of(identity::is_of_a_host())
    {
        document.is_not_the_hosts(why, &mut diagnostics);
    }
    if diagnostics.is_empty() {
        return Ok(Loaded { document, sources });
    }
    Err(Box::new(Invalid { diagnostics, sources }))
}

/// Reads a document, and the Talos machine configuration that it came from, if any: the configuration holds more.
pub(crate) fn load_with_configuration(
    documents: &Documents,
    netns: Netns,
) -> Result<Option<(Document, Option<Configuration>)>, Error> {
    let facts = hierarchy::facts(&documents.origin)?;
    let texts = read_files(documents, &facts)?;
    let dialect = documents.origin.dialect();
    let of_talos = (dialect == Dialect::Talos).then(|| texts.files.clone());
    let Some(Loaded { document, .. }) = report(parse(texts, dialect, &facts, netns, Host::Saved)) else {
        return Ok(None);
    };
    let configuration = of_talos.and_then(configuration);
    Ok(Some((document, configuration.map(|loaded| loaded.configuration))))
}

/// The texts of native documents that are valid together. Prints diagnostics and returns `None` if they are not.
pub(crate) fn load_texts(files: &[PathBuf], netns: Netns) -> Result<Option<Vec<String>>, Error> {
    let files = read_all(files)?;
    if report(check_texts(files.clone(), netns)).is_none() {
        return Ok(None);
    }
    let unreadable = |_| Error::new(ErrorKind::Input, "a document is not UTF-8 text");
    let texts = files
        .into_iter()
        .map(|(_, bytes)| String::from_utf8(bytes).map_err(unreadable));
    texts.collect::<Result<_, Error>>().map(Some)
}

/// A Talos machine configuration and its source texts.
pub(crate) struct LoadedConfiguration {
    pub configuration: Configuration,
    pub sources: Sources,
}

/// Reads and merges Talos machine configurations. Prints diagnostics and returns `None` when they are
/// invalid.
pub(crate) fn load_configuration(files: &[PathBuf]) -> Result<Option<LoadedConfiguration>, Error> {
    Ok(configuration(read_all(files)?))
}

pub(crate) fn configuration(texts: Vec<(String, Vec<u8>)>) -> Option<LoadedConfiguration> {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let reading = Reading {
        dialect: Dialect::Talos,
        keys: &[],
        facts: &Facts::new(),
        levels: &[],
    };
    let nodes = nodes(texts, &reading, &mut sources, &mut diagnostics);
    let configuration = Configuration::merged(nodes, &mut diagnostics);
    if diagnostics.is_empty() {
        return Some(LoadedConfiguration {
            configuration,
            sources,
        });
    }
    output::diagnostics(&diagnostics, &sources);
    None
}

fn nodes(
    texts: Vec<(String, Vec<u8>)>,
    reading: &Reading<'_>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (name, bytes) in texts {
        nodes.extend(reading.load(sources, &name, bytes, diagnostics));
    }
    nodes
}

/// Reads the files of `-f`. With Hiera, also reads the files that a hiera.yaml names.
fn read_files(documents: &Documents, facts: &Facts) -> Result<Texts, Error> {
    if documents.origin.dialect() != Dialect::Hiera {
        return Ok(Texts {
            files: read_all(&documents.files)?,
            ..Texts::default()
        });
    }
    let (mut files, mut levels) = (Vec::new(), Vec::new());
    for file in &documents.files {
        if file.file_name().is_some_and(|name| name == "hiera.yaml") {
            for level in hierarchy::files(file, facts)? {
                levels.push(level.len());
                files.extend(level);
            }
        } else {
            let count = match directories(file)? {
                Some(directories) => documents_in(&directories)?.len(),
                None => 1,
            };
            levels.extend(vec![1; count]);
            files.push(file.clone());
        }
    }
    Ok(Texts {
        files: read_all(&files)?,
        levels,
    })
}

/// The names and the bytes of the files of `-f`.
pub(crate) fn read_all(files: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut texts = Vec::new();
    for path in files {
        if path.as_os_str() == "-" {
            take_standard_input()?;
            texts.push((
                "<stdin>".to_owned(),
                read_from(&mut io::stdin().lock(), Path::new("<stdin>"))?,
            ));
        } else if let Some(directories) = directories(path)? {
            for path in documents_in(&directories)? {
                texts.push((path.display().to_string(), read_file(&path)?));
            }
        } else {
            texts.push((path.display().to_string(), read_file(path)?));
        }
    }
    Ok(texts)
}

/// Whether there is no document at all: the default directories do not exist, or the given directories are
/// empty. A file that was named and does not exist is an error instead.
pub(crate) fn is_empty(documents: &Documents) -> bool {
    documents.files.iter().all(|path| match directories(path) {
        Ok(Some(directories)) => listed(&directories).is_ok_and(|found| found.is_empty()),
        Ok(None) => is_default(path) && path.symlink_metadata().is_err_and(is_missing),
        Err(_) => false,
    })
}

fn is_missing(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
