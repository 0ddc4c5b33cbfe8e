//! `netkeel edit`: changes values of a document.

mod in_turn;

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::{Gid, Uid, fchown};

use crate::arguments::{DEFAULT_DOCUMENTS, Place};
use crate::change::edit::in_turn::in_turn;
use crate::change::watcher::interruptions;
use crate::load::documents::{check_texts, read_all};
use crate::load::file::read_file;
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::files::read;
use netkeel_render::plan::diff::unified::unified_masked;
use netkeel_source::edit::{Set, edited, missing};
use netkeel_source::sources::Sources;
use netkeel_source::span::FileId;

/// Change values of a document, keeping comments and layout
///
/// netkeel changes the last file that has the value, and no other byte of it. It prints the change as a
/// unified diff. Nothing is written if the documents would be invalid, or if a new value would be read
/// as something else. Several files are changed all or none. The diff hides the values of secret sysctls.
/// It changes no host: `netkeel plan` shows the effect.
///
/// Exit status: 0 success; 1 error, nothing was written.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  netkeel edit -f site.toml link.pods.mtu=1440
  netkeel edit -f site.yaml sysctl.net.ipv4.tcp_mtu_probing=2 link.eth0.up=yes")]
pub(crate) struct Arguments {
    /// Path of a value and the new value, in one line of YAML
    #[arg(value_name = "PATH=VALUE", required = true)]
    sets: Vec<Set>,
    /// Document, directory of documents, or - for standard input
    ///
    /// Repeat the option for layers of documents. A document from standard input is printed whole with the
    /// change, secrets too.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", default_value = DEFAULT_DOCUMENTS)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Show the change; write nothing
    #[arg(long)]
    dry_run: bool,
}

/// A file before and after the edit.
struct File {
    name: String,
    before: String,
    after: String,
}

impl File {
    fn is_changed(&self) -> bool {
        self.before != self.after
    }

    /// Whether no program has changed it since. An editor takes no lock.
    fn is_as_read(&self) -> bool {
        read_file(Path::new(&self.name)).is_ok_and(|now| now == self.before.as_bytes())
    }

    fn is_input(&self) -> bool {
        self.name == "<stdin>"
    }
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let _turn = match arguments.dry_run {
        true => Vec::new(),
        false => in_turn(&arguments.files)?,
    };
    let mut files = Vec::new();
    for (name, bytes) in read_all(&arguments.files)? {
        let before = String::from_utf8(bytes).map_err(|_| {
            Error::new(ErrorKind::Input, format!("{name} is not UTF-8 text")).hint("change it with an editor")
        })?;
        files.push(File {
            name,
            after: before.clone(),
            before,
        });
    }
    for set in &arguments.sets {
        change(&mut files, set)?;
    }
    let netns = arguments.place.netns();
    let texts = |of: fn(&File) -> &String| -> Vec<(String, Vec<u8>)> {
        let text = |file: &File| (file.name.clone(), of(file).clone().into_bytes());
        files.iter().map(text).collect()
    };
    let after = match check_texts(texts(|file| &file.after), netns.clone()) {
        Ok(loaded) => loaded.sources,
        Err(invalid) => {
            output::diagnostics(&invalid.diagnostics, &invalid.sources);
            output::say("the documents would be invalid; nothing was written\n");
            return Ok(exit::ERROR);
        }
    };
    // They may be invalid before.
    let before = match check_texts(texts(|file| &file.before), netns) {
        Ok(loaded) => loaded.sources,
        Err(invalid) => invalid.sources,
    };
    if !arguments.dry_run {
        let changed = |file: &&File| file.is_changed() && !file.is_input();
        // From here on no signal leaves some files changed.
        interruptions()?;
        replace_all(&files.iter().filter(changed).collect::<Vec<_>>())?;
    }
    for (number, file) in (0..).zip(&files).filter(|(_, file)| file.is_changed()) {
        if file.is_input() {
            output::print(&file.after)?;
            continue;
        }
        let shown = |sources: &Sources| sources.masked(FileId(number));
        let change = unified_masked(
            &file.name,
            &file.before,
            &shown(&before),
            &file.after,
            &shown(&after),
        );
        match arguments.dry_run {
            true => output::print(&change)?,
            false => output::print_done(&change),
        }
    }
    Ok(exit::OK)
}

/// Changes the last file that has the value: it is the layer that counts.
fn change(files: &mut [File], set: &Set) -> Result<(), Error> {
    for file in files.iter_mut().rev() {
        if let Some(after) = edited(&file.name, &file.after, set)? {
            file.after = after;
            return Ok(());
        }
    }
    let all: Vec<(&str, &str)> = files
        .iter()
        .map(|file| (file.name.as_str(), file.after.as_str()))
        .collect();
    Err(missing(&all, set))
}

/// Puts the new texts in place, all or none.
fn replace_all(files: &[&File]) -> Result<(), Error> {
    let failed = |file: &File, error: &std::io::Error| {
        Error::new(ErrorKind::Refused, format!("{}: {error}", file.name))
    };
    // What fails usually fails here, before the first file is replaced.
    let ready = files.iter().map(|file| {
        Replacement::new(Path::new(&file.name), &file.after).map_err(|error| failed(file, &error))
    });
    let ready = ready.collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = files.iter().find(|file| !file.is_as_read()) {
        let message = format!("{} has changed since it was read; nothing was written", file.name);
        return Err(Error::new(ErrorKind::Refused, message).hint("run the command again"));
    }
    for (number, (file, replacement)) in files.iter().zip(ready).enumerate() {
        let Err(error) = replacement.place() else { continue };
        let error = failed(file, &error);
        // The one that failed may be in its place, too.
        let replaced = files.iter().take(number + 1).rev();
        let remains: Vec<String> = replaced
            .filter_map(|file| {
                let back = Replacement::new(Path::new(&file.name), &file.before);
                back.and_then(Replacement::place)
                    .err()
                    .map(|error| failed(file, &error).message)
            })
            .collect();
        return Err(match remains.is_empty() {
            true => error.hint("the files are as before"),
            false => error.hint(format!("some files are changed: {}", remains.join("; "))),
        });
    }
    Ok(())
}

/// A new text of a file that only needs to be put in its place.
struct Replacement {
    file: tempfile::NamedTempFile,
    directory: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Writes the text beside the file, with the mode and the owner of the file. A link is not followed: the file that
    /// it leads to may belong to another program.
    fn new(path: &Path, text: &str) -> std::io::Result<Self> {
        let before = fs::symlink_metadata(path)?;
        if !before.is_file() {
            return Err(std::io::Error::other(
                "it is not a regular file, and netkeel follows no link",
            ));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(text.as_bytes())?;
        let now = file.as_file().metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
            let owner = (Uid::from_raw(before.uid()), Gid::from_raw(before.gid()));
            fchown(file.as_file().as_fd(), Some(owner.0), Some(owner.1))?;
        }
        file.as_file().set_permissions(before.permissions())?;
        file.as_file().sync_all()?;
        Ok(Replacement {
            file,
            directory: directory.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Puts it in place whole.
    fn place(self) -> std::io::Result<()> {
        self.file.persist(&self.path).map_err(|error| error.error)?;
        read::directory(&self.directory)?.sync_all()
    }
}
