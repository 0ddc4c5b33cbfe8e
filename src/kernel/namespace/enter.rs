//! Going into a network namespace: always in a thread of its own, so that no other thread ever
//! finds itself elsewhere.

use std::fs::File;
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, thread};

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use crate::files::read;
use crate::files::read::Symlinks;
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;

/// Where `ip netns add` binds namespaces.
const NAMED: &str = "/run/netns";

/// Runs `work` in a namespace. For the one in which netkeel was started that is the calling
/// thread; for another it is a new thread that ends with the call.
///
/// In such a thread /proc/sys/net is that of the namespace, and so is /proc/thread-self/net;
/// /proc/net is that of the main thread, and /sys/class/net that of whoever mounted it.
///
/// # Errors
/// [`ErrorKind::Missing`] when there is no namespace of that name, with those there are;
/// [`ErrorKind::Permission`] without CAP_SYS_ADMIN.
pub fn inside<T: Send>(netns: &Netns, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let Some(name) = netns.name() else {
        return Ok(work());
    };
    let namespace = open(name)?;
    thread::scope(|scope| {
        let inside = thread::Builder::new()
            .name(format!("netns {name}"))
            .spawn_scoped(scope, || {
                setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| not_entered(name, errno))?;
                Ok(work())
            })
            .map_err(error)?;
        inside.join().unwrap_or_else(|_| {
            let message = "the thread in the network namespace panicked";
            Err(Error::new(ErrorKind::Refused, message))
        })
    })
}

/// The namespace that a name means to this process from [`hold`] on.
static HELD: OnceLock<(String, File)> = OnceLock::new();

/// From here on the name of this namespace means the one that bears it now, also when the name was removed or given to
/// another one: as long as this process lives, the namespace does. Later calls hold nothing.
///
/// # Errors
/// When there is no such namespace.
pub fn hold(netns: &Netns) -> Result<(), Error> {
    if let Some(name) = netns.name() {
        let namespace = open(name)?;
        let _ = HELD.set((name.to_owned(), namespace));
    }
    Ok(())
}

fn open(name: &str) -> Result<File, Error> {
    if let Some((held, namespace)) = HELD.get()
        && held == name
    {
        return namespace.try_clone().map_err(error);
    }
    let path = Path::new(NAMED).join(name);
    if path.parent() != Some(Path::new(NAMED)) || matches!(name, "." | "..") {
        return Err(Error::new(
            ErrorKind::Input,
            format!("`{name}` is not the name of a network namespace"),
        )
        .hint(format!("a namespace is named as in {NAMED}, without slashes")));
    }
    read::open(&path, Symlinks::Follow).map_err(|cause| match cause.is_missing() {
        true => not_there(name, &names(Path::new(NAMED))),
        false => Error::from(cause).context(path.display()),
    })
}

fn not_there(name: &str, there: &[String]) -> Error {
    let error = Error::new(
        ErrorKind::Missing,
        format!("there is no network namespace `{name}`"),
    );
    if there.is_empty() {
        return error.hint(format!("{NAMED} is empty; create one with `ip netns add {name}`"));
    }
    error.hint(format!("{NAMED} has {}", there.join(", ")))
}

fn not_entered(name: &str, errno: Errno) -> Error {
    let failed = error(errno).context(format_args!("entering the network namespace `{name}`"));
    match errno {
        // A file that was left behind when its namespace ended.
        Errno::EINVAL => Error::new(
            ErrorKind::Missing,
            format!("{NAMED}/{name} is not a network namespace any more"),
        )
        .hint(format!("`ip netns delete {name}` removes what is left of it")),
        Errno::EPERM => failed.hint("entering a namespace needs CAP_SYS_ADMIN"),
        _ => failed,
    }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Whether this process may enter other network namespaces: setns needs CAP_SYS_ADMIN. Without an answer
/// of the kernel it may not.
pub fn may_enter() -> bool {
    /// Its number in linux/capability.h.
    const CAP_SYS_ADMIN: u32 = 21;
    read::system("/proc/thread-self/status").is_ok_and(|status| has_capability(&status, CAP_SYS_ADMIN))
}

/// Whether a capability is effective, by a /proc/PID/status.
fn has_capability(status: &str, number: u32) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> number & 1 == 1)
}

/// Whether the calling thread is in the network namespace of process 1; none when that cannot be
/// told.
pub(crate) fn is_initial() -> Option<bool> {
    // Process 1 stays where it is, and who may not look at it now may not later.
    static INITIAL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let initial = INITIAL.get_or_init(|| fs::read_link("/proc/1/ns/net").ok());
    let initial = initial.as_ref()?;
    let mine = fs::read_link("/proc/thread-self/ns/net").ok()?;
    Some(mine == *initial)
}

/// Whether `ip netns` names the namespace of the calling thread here. One whose names cannot be read may be named.
pub(crate) fn is_named() -> bool {
    let id = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let Ok(mine) = id(Path::new("/proc/thread-self/ns/net")) else {
        return true;
    };
    match fs::read_dir(NAMED) {
        Ok(names) => names
            .flatten()
            .any(|name| id(&name.path()).is_ok_and(|its| its == mine)),
        Err(error) => error.kind() != IoErrorKind::NotFound,
    }
}

/// Whether the calling thread is in the first network namespace of the machine; none when that cannot be told.
/// Process 1 of another PID namespace may be anywhere.
pub(crate) fn is_first_of_the_machine() -> Option<bool> {
    // NET_NS_INIT_INO since Linux 6.18; before it the number was none of the reserved ones, which end at 0xefffffff.
    const NETWORK: &str = "net:[4026531833]";
    // PID_NS_INIT_INO (include/uapi/linux/nsfs.h).
    const PROCESSES: &str = "pid:[4026531836]";
    let is = |link: &str, first: &str| fs::read_link(link).is_ok_and(|found| found.as_os_str() == first);
    if is("/proc/thread-self/ns/net", NETWORK) {
        return Some(true);
    }
    is("/proc/self/ns/pid", PROCESSES).then(is_initial)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_which_namespaces_there_are() {
        let none = not_there("pod", &[]);
        assert_eq!(none.message, "there is no network namespace `pod`");
        assert_eq!(
            none.hints,
            ["/run/netns is empty; create one with `ip netns add pod`"]
        );
        let others = not_there("pod", &["blue".into(), "red".into()]);
        assert_eq!(others.hints, ["/run/netns has blue, red"]);
        assert_eq!(not_entered("pod", Errno::EINVAL).kind, ErrorKind::Missing);
    }

    #[test]
    fn an_unknown_capability_is_not_there() {
        let status = "Name:\tnetkeel\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000203000\n";
        assert!(has_capability(status, 21));
        assert!(!has_capability(status, 20));
        assert!(!has_capability("Name:\tnetkeel\n", 21));
    }

    #[test]
    fn a_name_is_no_path() {
        for name in ["../../proc/1/ns/net", "/proc/1/ns/net", "", "..", "."] {
            let error = inside(&Netns::named(name), || ()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Input, "{name}");
        }
    }
}
