//! The keys in a directory of /proc/sys.

use std::fs;
use std::path::Path;

use netkeel_core::name::sysctl::SysctlKey;

/// Most keys that are listed: those of 1,000 interfaces.
const MOST: usize = 200_000;

/// The keys below a directory of /proc/sys (`net/core`) in the calling thread's namespace, in the order of their
/// names. A directory that does not exist has no keys.
pub fn below(directory: &str) -> Vec<SysctlKey> {
    let mut keys = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        let Ok(entries) = fs::read_dir(Path::new("/proc/sys").join(&directory)) else {
            continue;
        };
        for entry in entries.flatten() {
            // A name that is not text is that of an interface, which no pattern of a selector finds.
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                continue;
            };
            let path = format!("{directory}/{name}");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => left.push(path),
                Ok(_) if keys.len() < MOST => keys.extend(path.parse::<SysctlKey>().ok()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    keys.sort();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_all_directories_below_are_listed() {
        let keys = below("net/ipv4");
        for key in ["net.ipv4.ip_forward", "net/ipv4/conf/lo/rp_filter"] {
            assert!(keys.contains(&key.parse().unwrap()), "{key}");
        }
        assert_eq!(below("net/none"), []);
    }
}
