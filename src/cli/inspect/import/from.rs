//! `netkeel import --from`: the configurations of other programs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::load::file::{io_error, read_file, read_from, take_standard_input};
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::import::selection::Selection;
use netkeel_diagnose::import::sysctl_d;
use netkeel_dialects::import::{Format, import};
use netkeel_document::draft::Draft;
use netkeel_host::cni::state::Cni;
use netkeel_host::sysctl_d::file::{Content, File, Files};
use netkeel_kernel::files::root::Root;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A configuration of another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// State of nmstate
    Nmstate,
    /// Netplan files
    Netplan,
    /// /etc/network/interfaces
    Ifupdown,
    /// Files of systemd-networkd
    Networkd,
    /// Files of sysctl.d
    #[value(name = "sysctl.d")]
    SysctlD,
    /// Hiera data of Wikimedia's Puppet tree
    PuppetWmfHiera,
}

impl From {
    /// The format of the files; `None` for sysctl.d.
    fn format(self) -> Option<Format> {
        match self {
            From::Nmstate => Some(Format::Nmstate),
            From::Netplan => Some(Format::Netplan),
            From::Ifupdown => Some(Format::Ifupdown),
            From::Networkd => Some(Format::Networkd),
            From::PuppetWmfHiera => Some(Format::WikimediaHiera),
            From::SysctlD => None,
        }
    }

    /// Where the files are, if the program has a place for them.
    fn directory(self) -> Option<&'static str> {
        match self {
            From::Netplan => Some("etc/netplan"),
            From::Ifupdown => Some("etc/network"),
            From::Networkd => Some("etc/systemd/network"),
            From::Nmstate | From::SysctlD | From::PuppetWmfHiera => None,
        }
    }

    /// Whether the program reads a file of a directory.
    fn reads(self, name: &str) -> bool {
        let ends: &[&str] = match self {
            From::Nmstate => &[".yml", ".yaml", ".json"],
            From::Netplan => &[".yaml"],
            From::Networkd => &[".network", ".netdev", ".link"],
            From::SysctlD => &[".conf"],
            From::PuppetWmfHiera => &[".yaml", ".yml"],
            // interfaces(5): letters, digits, dashes and underscores.
            From::Ifupdown => {
                return name
                    .chars()
                    .all(|char| char.is_ascii_alphanumeric() || "_-".contains(char));
            }
        };
        ends.iter().any(|end| name.ends_with(end))
    }
}

/// Prints the document for the files.
pub(crate) fn run(
    from: From,
    files: &[PathBuf],
    root: Option<&Path>,
    selection: &Selection,
) -> Result<u8, Error> {
    let root = root.unwrap_or(Path::new("/"));
    let Some(format) = from.format() else {
        return from_sysctl_d(files, root, selection);
    };
    let files = match (files, from.directory()) {
        ([], Some(directory)) => vec![root.join(directory)],
        ([], None) => {
            return Err(Error::new(ErrorKind::Input, "no file to import").hint("name the files with -f"));
        }
        (files, _) => files.to_vec(),
    };
    let mut notes = Vec::new();
    let texts = read_all(from, &files, &mut notes)?;
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let mut draft = import(format, texts, &mut sources, &mut diagnostics);
    if !diagnostics.is_empty() {
        output::diagnostics(&diagnostics, &sources);
        return Ok(exit::ERROR);
    }
    notes.into_iter().for_each(|note| draft.note(note));
    selection.require_entries(&draft, &BTreeSet::new(), &Cni::empty())?;
    selection.retain(&mut draft);
    output::print(&draft.finish()?)?;
    Ok(exit::OK)
}

fn from_sysctl_d(files: &[PathBuf], root: &Path, selection: &Selection) -> Result<u8, Error> {
    let (mut read, mut problems, mut notes) = (Files::default(), Vec::new(), Vec::new());
    let mut heading = "Imported from the sysctl.d files of this root by `netkeel import`.".to_owned();
    if files.is_empty() {
        let mut root = Root::open(root)?;
        read = root.sysctl_d();
        problems = root.problems;
    } else {
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        heading = format!("Imported from {} by `netkeel import`.", names.join(", "));
        for (name, bytes) in read_all(From::SysctlD, files, &mut notes)? {
            let text = String::from_utf8(bytes)
                .map_err(|_| Error::new(ErrorKind::Input, format!("{name}: it is not UTF-8 text")))?;
            // In the order of the arguments, whatever the names are.
            let order = format!("{:06}.conf", read.dropins.len());
            read.dropins.push(File {
                directory: 0,
                name: order,
                target: name,
                content: Content::Text(text),
            });
        }
    }
    let mut draft = Draft::new(&[&heading, "The values are those that systemd-sysctl sets at boot."]);
    let sysctls = sysctl_d::add(&read, selection, &mut draft);
    selection.require_entries(&draft, &sysctls, &Cni::empty())?;
    notes.into_iter().for_each(|note| draft.note(note));
    output::print(&draft.finish()?)?;
    output::problems(&problems);
    Ok(if problems.is_empty() {
        exit::OK
    } else {
        exit::ERROR
    })
}

/// The names and the bytes of the files, those of a directory in the order of their names.
fn read_all(from: From, paths: &[PathBuf], notes: &mut Vec<String>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            take_standard_input()?;
            let bytes = read_from(&mut io::stdin().lock(), Path::new("<stdin>"))?;
            texts.push(("<stdin>".to_owned(), bytes));
        } else if path.is_dir() {
            for file in files_in(from, path, notes)? {
                texts.push((file.display().to_string(), read_file(&file)?));
            }
        } else {
            texts.push((path.display().to_string(), read_file(path)?));
        }
    }
    match texts.is_empty() {
        false => Ok(texts),
        true => {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            let message = format!("{} has no file to import", names.join(", "));
            Err(Error::new(ErrorKind::Missing, message))
        }
    }
}

fn files_in(from: From, directory: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    let refused = |cause: io::Error| io_error(&cause).context(directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(refused)? {
        paths.push(entry.map_err(refused)?.path());
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match (from, path.is_dir()) {
            // The interfaces of a stanza, and those that it usually sources.
            (From::Ifupdown, true) if name == "interfaces.d" => {
                files.extend(files_in(from, &path, notes)?);
            }
            // Scripts, which ifupdown runs for each interface.
            (From::Ifupdown, true) if name.starts_with("if-") => {
                notes.push(format!("{}: its scripts are not read", path.display()));
            }
            (From::Networkd, true) if name.ends_with(".d") => {
                notes.push(format!("{}: drop-ins are not read", path.display()));
            }
            (_, true) => notes.push(format!("{}: the directory is not read", path.display())),
            (_, false) if from.reads(&name) => files.push(path),
            (_, false) => notes.push(format!("{}: the file is not read", path.display())),
        }
    }
    Ok(files)
}
