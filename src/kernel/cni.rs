//! CNI configurations on disk: which runtime is here, what its directory holds, and the edit of one
//! file.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::file;
use super::refusal::error;
use crate::cni::conflist::{self, MAX_BYTES};
use crate::cni::runtime::{self, Name, Settings};
use crate::cni::{Cni, Configuration, Reading, Runtime};
use crate::error::{Error, ErrorKind};
use crate::fact::Value;
use crate::selector::Glob;
use crate::snapshot::{CniScope, Problem, problem};

/// Where containerd is configured: its own place first, then those of distributions that bring it
/// along.
const CONTAINERD: &[&str] = &[
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
];

/// Where CRI-O is configured; its drop-ins are beside it.
const CRI_O: &str = "/etc/crio/crio.conf";
const CRI_O_DROP_INS: &str = "/etc/crio/crio.conf.d";

/// Where Felix writes the MTU that Calico's plugin takes when its configuration has none.
const CALICO_MTU: &str = "/var/lib/calico/mtu";

/// Where flannel and Cilium's agent write theirs, and what stands before it in the line.
const FLANNEL_MTU: (&str, &str) = ("/run/flannel/subnet.env", "FLANNEL_MTU=");
const CILIUM_MTU: (&str, &str) = ("/run/cilium/state/globals/node_config.h", "#define MTU ");

/// Longest runtime configuration that is read, bytes.
const LONGEST: u64 = 1 << 20;

/// Reads what a scope names. A file that is not there is not there; one that cannot be read is a
/// problem.
pub(super) fn read(scope: &CniScope, problems: &mut Vec<Problem>) -> Cni {
    let mut cni = Cni::empty();
    let mut paths: BTreeSet<PathBuf> = scope.files.clone();
    if scope.directory {
        let runtime = find_runtime(problems);
        match entries(&runtime.directory) {
            Ok(found) => paths.extend(found.into_iter().filter(|path| runtime::is_configuration(path))),
            Err(cause) => problems.push(Problem {
                what: format!("the directory {}", runtime.directory.display()),
                why: error(cause).message,
            }),
        }
        cni.runtime = Some(runtime);
        cni.calico_mtu = text(Path::new(CALICO_MTU), 64)
            .ok()
            .flatten()
            .and_then(|text| text.trim().parse().ok());
        cni.flannel_mtu = line(FLANNEL_MTU);
        cni.cilium_mtu = line(CILIUM_MTU);
    }
    for path in paths {
        match configuration(&path) {
            Ok(found) => {
                cni.files.insert(path, found);
            }
            Err(error) => problems.push(Problem {
                what: problem::configuration(&path),
                why: error.message,
            }),
        }
    }
    cni
}

/// The number in the line of a file that begins so.
fn line((path, start): (&str, &str)) -> Option<i64> {
    let text = text(Path::new(path), LONGEST).ok()??;
    text.lines()
        .find_map(|line| line.strip_prefix(start)?.trim().parse().ok())
}

fn configuration(path: &Path) -> Result<Option<Configuration>, Error> {
    let Some(text) = text(path, MAX_BYTES as u64 + 1)? else {
        return Ok(None);
    };
    let mut read = conflist::read(&text);
    read.symlink = fs::read_link(path).ok();
    Ok(Some(read))
}

/// Sets the `mtu` of a plugin type in a file.
pub(super) fn set_mtu(
    path: &Path,
    plugin: &str,
    was: Option<&Value>,
    mtu: Option<&Value>,
) -> Result<(), Error> {
    let there = file::read(path)?.ok_or_else(|| Error::new(ErrorKind::Missing, "the file is gone"))?;
    let configuration = conflist::read(&there.content);
    if let Reading::Invalid(why) = &configuration.reading {
        return Err(Error::new(ErrorKind::Unreadable, why.clone()));
    }
    let is = configuration.mtu(plugin);
    if is.as_ref() == mtu {
        // A write that was killed may have left something beside it.
        return file::tidy(path);
    }
    if is.as_ref() != was {
        let show = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
        let message = format!(
            "somebody else has written it since it was read: the mtu of {plugin} was {} and is {}",
            show(was),
            show(is.as_ref())
        );
        return Err(Error::new(ErrorKind::Refused, message).hint("look again"));
    }
    let edited = conflist::edit(&there.content, plugin, mtu)?;
    file::write(path, &edited, there.mode)
}

/// The runtime that is here: whose socket is there, else whose configuration.
fn find_runtime(problems: &mut Vec<Problem>) -> Runtime {
    let there = |path: &&str| Path::new(path).exists();
    let containerd = CONTAINERD.iter().copied().find(there);
    let cri_o = there(&CRI_O) || there(&CRI_O_DROP_INS);
    let runs = |socket: &str| Path::new(socket).exists();
    let cri_o = match (
        runs("/run/containerd/containerd.sock"),
        runs("/run/crio/crio.sock"),
    ) {
        (false, true) => true,
        (true, false) => false,
        _ => containerd.is_none() && cri_o,
    };
    if cri_o {
        let mut runtime = Runtime::new(Some(Name::CriO));
        let mut files = vec![PathBuf::from(CRI_O)];
        files.extend(entries(Path::new(CRI_O_DROP_INS)).unwrap_or_default());
        for path in files {
            take(&mut runtime, &path, runtime::cri_o, problems);
        }
        return runtime;
    }
    let Some(path) = containerd.map(Path::new) else {
        return Runtime::new(None);
    };
    let mut runtime = Runtime::new(Some(Name::Containerd));
    for pattern in take(&mut runtime, path, runtime::containerd, problems) {
        for import in matching(path, &pattern) {
            take(&mut runtime, &import, runtime::containerd, problems);
        }
    }
    runtime
}

/// Reads one file of a runtime's configuration and returns what it imports.
fn take(
    runtime: &mut Runtime,
    path: &Path,
    read: fn(&str) -> Result<Settings, Error>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let settings = match text(path, LONGEST) {
        Ok(None) => return Vec::new(),
        Ok(Some(text)) => read(&text),
        Err(error) => Err(error),
    };
    match settings {
        Ok(settings) => {
            let imports = settings.imports.clone();
            runtime.take(path, settings);
            imports
        }
        Err(error) => {
            problems.push(Problem {
                what: format!("the configuration {}", path.display()),
                why: error.message,
            });
            Vec::new()
        }
    }
}

/// The files that an import names: relative to the file that has it, patterns in the last component
/// only (filepath.Glob would take them anywhere; nobody writes that).
fn matching(importer: &Path, pattern: &str) -> Vec<PathBuf> {
    let path = importer.parent().unwrap_or(importer).join(pattern);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Ok(glob) = Glob::new(name) else {
        return vec![path];
    };
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes().to_vec());
        name.is_some_and(|name| glob.matches(&name))
    };
    entries(directory)
        .unwrap_or_default()
        .into_iter()
        .filter(named)
        .collect()
}

/// The entries of a directory, sorted; none of one that is not there.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut paths = listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    paths.retain(|path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_dir()));
    paths.sort();
    Ok(paths)
}

/// A file as text, at most so many bytes of it; none when it is not there. Symbolic links are
/// followed, as the runtimes do.
fn text(path: &Path, longest: u64) -> Result<Option<String>, Error> {
    let flags = libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(error)?,
    };
    if !file.metadata().map_err(error)?.is_file() {
        return Err(Error::new(ErrorKind::Unreadable, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes).map_err(error)?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Error::new(ErrorKind::Unreadable, "it is not UTF-8 text"))
}
