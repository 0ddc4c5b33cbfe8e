//! Which namespaces there are: those with a name, and those of processes, each with the id by which
//! this namespace's kernel speaks of it.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};

use crate::files::read;
use crate::files::read::Symlinks;
use crate::netlink::message::Request;
use crate::netlink::socket::Socket;
use netkeel_core::name::sandbox::Sandbox;

/// Where CNI runtimes and `ip netns` bind namespaces, one of the two mostly a link to the other.
const NAMED: &[&str] = &["/run/netns", "/var/run/netns"];

/// A namespace that was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundSandbox {
    pub sandbox: Sandbox,
    /// gVisor's kernel runs in it.
    pub(crate) gvisor: bool,
}

/// The namespaces that have an id here. Namespaces that cannot be opened are skipped.
pub(crate) fn find(socket: &mut Socket) -> BTreeMap<i32, FoundSandbox> {
    all()
        .by_inode
        .into_values()
        .filter_map(|found| {
            Some((
                id(socket, &read::open(&found.sandbox.path, Symlinks::Follow).ok()?)?,
                found,
            ))
        })
        .collect()
}

/// The namespaces that this user can see.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    /// By their inodes.
    pub(crate) by_inode: BTreeMap<u64, FoundSandbox>,
    /// How many processes do not show this user in which namespace they are.
    pub(crate) hidden: usize,
}

/// All namespaces. Files that are gone or cannot be read are skipped.
pub(crate) fn all() -> Sandboxes {
    let mut found = Sandboxes::default();
    let names = NAMED.iter().flat_map(|directory| entries(Path::new(directory)));
    for path in names {
        found.add(path, false);
    }
    for process in processes() {
        found.add(process.join("ns/net"), is_gvisor(&process));
    }
    found
}

/// The directories of processes.
pub(crate) fn processes() -> impl Iterator<Item = PathBuf> {
    let is_number = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit))
    };
    entries(Path::new("/proc")).into_iter().filter(is_number)
}

impl Sandboxes {
    fn add(&mut self, path: PathBuf, gvisor: bool) {
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => {
                // The link of a process that has ended since is denied too (`proc_ns_get_link`, fs/proc/namespaces.c).
                let denied =
                    error.kind() == ErrorKind::PermissionDenied && fs::symlink_metadata(&path).is_ok();
                self.hidden += usize::from(denied);
                return;
            }
        };
        let inode = metadata.ino();
        let found = self.by_inode.entry(inode).or_insert_with(|| FoundSandbox {
            sandbox: Sandbox::new(path, inode),
            gvisor: false,
        });
        found.gvisor |= gvisor;
    }
}

/// runsc runs the sandbox's kernel under this name, in the pod's namespace (runsc/sandbox).
fn is_gvisor(process: &Path) -> bool {
    read::bytes(&process.join("cmdline"), Symlinks::Follow, read::LONGEST)
        .is_ok_and(|line| line.starts_with(b"runsc-sandbox\0"))
}

/// The id of a namespace; `None` if no interface leads there.
pub(crate) fn id(socket: &mut Socket, file: &File) -> Option<i32> {
    let mut message = NsidMessage::default();
    message.attributes = vec![NsidAttribute::Fd(file.as_raw_fd().cast_unsigned())];
    let request = Request::of(libc::RTM_GETNSID, libc::NLM_F_ACK, &message);
    let mut id = None;
    socket
        .exchange(request, |message| {
            if message.kind == libc::RTM_NEWNSID {
                for attribute in message.parse::<NsidMessage>()?.attributes {
                    if let NsidAttribute::Id(found) = attribute {
                        id = Some(found);
                    }
                }
            }
            Ok(())
        })
        .ok()?;
    id.filter(|id| *id >= 0)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}
