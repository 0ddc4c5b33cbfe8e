//! The names in the place of a missing key, for a suggestion.

use std::fs;
use std::path::Path;

use netkeel_core::name::sysctl::SysctlKey;

/// The first component of a key that does not exist, and what exists in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingKey {
    /// The components before it.
    pub parent: String,
    /// It.
    pub missing: String,
    /// Those after it.
    pub rest: String,
    /// The other names in the parent, sorted.
    pub names: Vec<String>,
}

/// Looks where a key leaves what exists in the calling thread's namespace; none when it exists.
pub fn beside(key: &SysctlKey) -> Option<MissingKey> {
    let parts: Vec<&str> = key.path().split('/').collect();
    let mut parent = Path::new("/proc/sys").to_path_buf();
    for (at, part) in parts.iter().enumerate() {
        if parent.join(part).exists() {
            parent.push(part);
            continue;
        }
        let entries = fs::read_dir(&parent).ok()?.flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        return Some(MissingKey {
            parent: parts.get(..at)?.join("/"),
            missing: (*part).to_owned(),
            rest: parts.get(at + 1..)?.join("/"),
            names,
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_there_instead() {
        let beside = beside(&"kernel.ostyp".parse().unwrap()).unwrap();
        assert_eq!(
            (&*beside.parent, &*beside.missing, &*beside.rest),
            ("kernel", "ostyp", "")
        );
        assert!(beside.names.iter().any(|name| name == "ostype"));
        assert_eq!(super::beside(&"kernel.ostype".parse().unwrap()), None);
    }
}
