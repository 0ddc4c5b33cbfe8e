//! Reads what no veth of a namespace leads into: other namespaces, looked at by a thread that goes
//! in, and pods whose processes are in this very one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::files::read;
use crate::files::read::Symlinks;
use crate::namespace::enter::{inside, is_initial};
use crate::netlink::refusal::error;
use crate::netlink::socket::Socket;
use crate::pod::cgroup::pod_uid;
use crate::pod::ends::enter;
use crate::pod::sandbox;
use crate::rtnetlink::link;
use crate::rtnetlink::link::Row;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_host::pods::{Apart, HostPod, Namespace};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::pod::MOST_INTERFACES;

/// Where the kubelet keeps logs, each pod's in NAMESPACE_NAME_UID (pkg/kubelet/kuberuntime).
const LOGS: &str = "/var/log/pods";

/// The namespace of the calling thread.
const HERE: &str = "/proc/thread-self/ns/net";

/// The namespaces without a veth from this one, and the pods on the host's network; `names` has the pods' names by
/// their sandboxes. A namespace that is deleted meanwhile is skipped.
///
/// # Errors
/// When there is no such namespace, or it cannot be looked at.
pub fn apart(netns: &Netns, host: &Snapshot, names: &BTreeMap<String, String>) -> Result<Apart, Error> {
    inside(netns, || {
        let mut apart = read(netns, host)?;
        for namespace in &mut apart.namespaces {
            namespace.name = names.get(&namespace.sandbox).cloned();
        }
        Ok(apart)
    })?
}

fn read(netns: &Netns, host: &Snapshot) -> Result<Apart, Error> {
    let here =
        read::open(Path::new(HERE), Symlinks::Follow).map_err(|cause| Error::from(cause).context(HERE))?;
    let this = here.metadata().map_err(error)?;
    // In a named namespace all of the host's sandboxes are to be seen, and most are not its own.
    let of_the_host = netns.is_current() && is_initial() == Some(true);
    let mut socket = Socket::open()?;
    let led_into: BTreeSet<i32> = host
        .links
        .values()
        .filter(|link| link.leads_elsewhere())
        .filter_map(|link| link.peer_netns)
        .collect();
    let hosts = ["/proc/self/ns/net", "/proc/1/ns/net"].map(inode);
    let mut apart = Apart::default();
    let sandboxes = sandbox::all();
    // A user who may not see process 1 does not know whether this namespace is the host's.
    if netns.is_current() && is_initial() != Some(false) {
        apart.hidden_processes = sandboxes.hidden;
    }
    for (inode, found) in sandboxes.by_inode {
        let path = &found.sandbox.path;
        let Ok(file) = read::open(path, Symlinks::Follow) else {
            continue;
        };
        // A file below /run/netns may have been left behind, and is of another file system then.
        let is_one = file.metadata().is_ok_and(|file| file.dev() == this.dev());
        let mut of_a_veth = || sandbox::id(&mut socket, &file).is_some_and(|id| led_into.contains(&id));
        if !is_one || inode == this.ino() || hosts.contains(&Some(inode)) || of_a_veth() {
            continue;
        }
        let name = path.display().to_string();
        match look(&found.sandbox, &here) {
            Ok((links, id)) => {
                let namespace = Namespace::of(name, &links, id, host, of_the_host);
                apart.namespaces.extend(namespace);
            }
            Err(error) if error.kind == ErrorKind::Missing => {}
            Err(error) if of_the_host => apart.namespaces.push(Namespace::unread(name, &error.message)),
            Err(_) => {}
        }
    }
    apart.namespaces.sort_by(|a, b| a.sandbox.cmp(&b.sandbox));
    if of_the_host {
        apart.on_the_host = on_the_host(this.ino());
    }
    Ok(apart)
}

/// The interfaces of a sandbox, and the id by which it knows the namespace `here`.
fn look(sandbox: &Sandbox, here: &File) -> Result<(Vec<Row>, Option<i32>), Error> {
    enter(sandbox, || {
        let mut socket = Socket::open()?;
        // The dump assigns ids to the namespaces of lower devices.
        let links = link::dump_at_most(&mut socket, MOST_INTERFACES)?.ok_or_else(|| {
            let message = format!("it has more than {MOST_INTERFACES} interfaces");
            Error::new(ErrorKind::Refused, message)
        })?;
        Ok((links, sandbox::id(&mut socket, here)))
    })
}

/// The pods that have a process in the namespace of this inode.
fn on_the_host(this: u64) -> Vec<HostPod> {
    let of_pod = |process: &Path| pod_uid(&read::system(process.join("cgroup")).ok()?);
    let uids: BTreeSet<String> = sandbox::processes()
        .filter(|process| inode(process.join("ns/net")) == Some(this))
        .filter_map(|process| of_pod(&process))
        .collect();
    let names = if uids.is_empty() {
        BTreeMap::new()
    } else {
        logged()
    };
    let pod = |uid: String| HostPod {
        name: names.get(&uid).cloned(),
        uid,
    };
    uids.into_iter().map(pod).collect()
}

/// `NAMESPACE/NAME` of each pod of which there are logs, by its UID.
fn logged() -> BTreeMap<String, String> {
    let directories = fs::read_dir(LOGS).into_iter().flatten().flatten();
    let named = directories.filter_map(|entry| {
        let directory = entry.file_name().into_string().ok()?;
        let (pod, uid) = directory.rsplit_once('_')?;
        let (namespace, name) = pod.split_once('_')?;
        Some((uid.to_owned(), format!("{namespace}/{name}")))
    });
    named.collect()
}

fn inode(namespace: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(namespace).map(|file| file.ino()).ok()
}
