//! A private copy of a WireGuard configuration with its own MTU. The text of copy and source holds
//! keys, so it never enters a snapshot, a plan or a journal.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wireguard::conf::{mtu_of, set_mtu};
use netkeel_core::fact::Value;
use netkeel_core::wireguard::CopyState;

/// Permission bits of a copy: only its owner can read it.
pub const MODE: u32 = 0o600;

/// The observed state of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Copied {
    /// The source of the copy.
    pub source: PathBuf,
    /// The source exists.
    pub source_there: bool,
    /// The copy, by [`judge`]; none when it does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<Value>,
}

/// Compares a copy with its source: its MTU in bytes if it is private and differs from the source only in the MTU;
/// otherwise its state.
pub fn judge(source: Option<&str>, copy: &str, mode: u32) -> Value {
    let mtu = mtu_of(copy);
    let as_source = source.is_some_and(|source| write(source, mtu).as_deref() == Ok(copy));
    Value::Copy(match mtu {
        _ if !as_source => CopyState::Differs { mtu },
        _ if mode != MODE => CopyState::Exposed { mtu, mode },
        Some(mtu) => return Value::Number(mtu),
        None => CopyState::WithoutMtu,
    })
}

/// The text of a copy; without an MTU it is the source as it is.
///
/// # Errors
/// As [`set_mtu`].
pub fn write(source: &str, mtu: Option<i64>) -> Result<String, netkeel_core::error::Error> {
    match mtu {
        None => Ok(source.to_owned()),
        Some(mtu) => set_mtu(source, mtu),
    }
}

/// Why a copy cannot be written there; none when it can.
///
/// wg-quick takes the interface's name from the file name, and a mounted Secret can be neither
/// written nor replaced.
pub fn refuses(interface: &str, source: &Path, target: &Path) -> Option<(String, &'static str)> {
    let name = format!("{interface}.conf");
    let named = |path: &Path| path.file_name().is_some_and(|found| found == name.as_str());
    if source == target {
        let message = format!(
            "the copy would take the place of {}, which is only read",
            source.display()
        );
        return Some((
            message,
            "name a file in another directory: a mounted Secret cannot be written",
        ));
    }
    if !named(target) {
        let message = format!("{} is not named {name}", target.display());
        return Some((
            message,
            "name the file after the interface: wg-quick takes the interface's name from the file name",
        ));
    }
    if !named(source) {
        let message = format!("{} is not named {name}", source.display());
        return Some((
            message,
            "name source and copy after the interface: wg-quick and health checks use the file name",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "[Interface]\nPrivateKey = secret=\n[Peer]\nPublicKey = other=\n";

    #[test]
    fn a_copy_is_its_mtu_and_anything_else_is_words_without_keys() {
        let copy = write(SOURCE, Some(1370)).unwrap();
        assert_eq!(judge(Some(SOURCE), &copy, MODE), Value::Number(1370));
        assert_eq!(
            judge(Some(SOURCE), SOURCE, MODE),
            Value::Copy(CopyState::WithoutMtu)
        );
        let with = "[Interface]\nMTU = 1420 # why\nPrivateKey = secret=\n";
        assert_eq!(judge(Some(with), with, MODE), Value::Number(1420));
        let amiss = [
            (judge(Some(SOURCE), &copy, 0o644), "MTU 1370, mode 644"),
            (judge(None, &copy, MODE), "MTU 1370, and not a copy of the source"),
            (
                judge(Some(SOURCE), "[Interface]\nPrivateKey = older=\n", MODE),
                "no MTU, and not a copy of the source",
            ),
            (
                judge(Some(SOURCE), "junk", MODE),
                "no MTU, and not a copy of the source",
            ),
        ];
        for (is, said) in amiss {
            assert!(matches!(is, Value::Copy(_)), "{is:?}");
            assert_eq!(is.to_string(), said);
        }
    }

    #[test]
    fn a_copy_bears_the_name_of_its_interface_and_never_takes_the_place_of_its_source() {
        let mounted = Path::new("/etc/wireguard/wg0.conf");
        let refused = |target: &str| refuses("wg0", mounted, Path::new(target)).map(|(message, _)| message);
        assert_eq!(refused("/run/wireguard/wg0.conf"), None);
        assert!(refused("/etc/wireguard/wg0.conf").unwrap().contains("only read"));
        assert!(
            refused("/run/wireguard/wg0-dynamic.conf")
                .unwrap()
                .contains("wg0.conf")
        );
        let other = refuses("wg1", mounted, Path::new("/run/wg1.conf"));
        assert!(other.unwrap().0.starts_with("/etc/wireguard/wg0.conf is not"));
    }
}
