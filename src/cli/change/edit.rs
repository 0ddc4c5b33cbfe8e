//! `netkeel edit`: changes values of a document.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::unistd::{Gid, Uid, fchown};

use crate::arguments::{DEFAULT_DOCUMENTS, Place};
use crate::load::documents::{check_texts, read_all};
use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_render::plan::diff::unified::unified;
use netkeel_source::edit::{Set, edited, missing};

/// Change values of a document, keeping comments and layout
///
/// netkeel changes the last file that has the value, and no other byte of it. It prints the change as a
/// unified diff. Nothing is written if the documents would be invalid, or if a new value would be read
/// as something else. It changes no host: `netkeel plan` shows the effect.
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
    /// Repeat the option for layers of documents. A document from standard input is printed with the change.
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

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
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
    let texts = files
        .iter()
        .map(|file| (file.name.clone(), file.after.clone().into_bytes()));
    if let Err(invalid) = check_texts(texts.collect(), arguments.place.netns()) {
        output::diagnostics(&invalid.diagnostics, &invalid.sources);
        output::say("the documents would be invalid; nothing was written\n");
        return Ok(exit::ERROR);
    }
    for file in files.iter().filter(|file| file.before != file.after) {
        if file.name == "<stdin>" {
            output::print(&file.after)?;
            continue;
        }
        if !arguments.dry_run {
            replace(Path::new(&file.name), &file.after)
                .map_err(|error| Error::new(ErrorKind::Refused, format!("{}: {error}", file.name)))?;
        }
        output::print(&unified(
            Some(&file.before),
            Some(&file.after),
            &file.name,
            &file.name,
        ))?;
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

/// Puts the new text in place whole, with the mode and the owner of the file before. A link is not followed: the
/// file that it leads to may belong to another program.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
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
    file.persist(path).map_err(|error| error.error)?;
    fs::File::open(directory)?.sync_all()
}
