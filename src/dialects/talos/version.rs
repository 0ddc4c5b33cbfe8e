//! Versions of Talos Linux, as far as their configuration forms differ.

use std::fmt;
use std::str::FromStr;

use netkeel_core::error::{Error, ErrorKind};

/// A minor version of Talos Linux 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8);

/// The first and the last version that netkeel supports.
pub const KNOWN: (Version, Version) = (Version(7), Version(14));

/// Introduces `LinkConfig` and similar; removes `machine.network.interfaces` from the schema.
pub(crate) const LINKS: Version = Version(12);

/// Introduces `KubeSpanConfig`; removes `machine.network` from the schema.
pub(crate) const KUBESPAN: Version = Version(13);

/// Introduces `SysctlConfig` and `KubeNodeConfig`; removes `machine.sysctls` from the schema.
pub(crate) const SYSCTLS: Version = Version(14);

/// Documents about the network path, with the first version that supports them. An older version
/// refuses the whole configuration.
const SINCE: &[(&str, Version)] = &[
    ("ExtensionServiceConfig", Version(7)),
    ("EthernetConfig", Version(10)),
    ("LinkConfig", LINKS),
    ("LinkAliasConfig", LINKS),
    ("WireguardConfig", LINKS),
    ("VLANConfig", LINKS),
    ("BondConfig", LINKS),
    ("BridgeConfig", LINKS),
    ("DummyLinkConfig", LINKS),
    ("KubeSpanConfig", KUBESPAN),
    ("RoutingRuleConfig", KUBESPAN),
    ("VRFConfig", KUBESPAN),
    ("SysctlConfig", SYSCTLS),
    ("SysfsConfig", SYSCTLS),
    ("KernelModuleConfig", SYSCTLS),
    ("VethConfig", SYSCTLS),
    ("EtcFileConfig", SYSCTLS),
    ("KubeNodeConfig", SYSCTLS),
    ("KubeFlannelCNIConfig", SYSCTLS),
];

/// The first version that supports a document about the network path; none for other documents.
pub(crate) fn since(kind: &str) -> Option<Version> {
    let known = SINCE.iter().find(|(known, _)| *known == kind);
    known.map(|(_, since)| *since)
}

impl FromStr for Version {
    type Err = Error;

    /// Parses `1.12`, `v1.12.3` or `1.14.0-rc.1`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let mut numbers = numbers.split(['.', '-']);
        let minor = match (numbers.next(), numbers.next()) {
            (Some("1"), Some(minor)) => minor.parse().ok().map(Version),
            _ => None,
        };
        let known = minor.filter(|minor| (KNOWN.0..=KNOWN.1).contains(minor));
        known.ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                format!(
                    "`{text}` is no version of Talos Linux from {} to {}",
                    KNOWN.0, KNOWN.1
                ),
            )
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_all_spellings() {
        for (text, minor) in [("1.7", 7), ("v1.12.3", 12), ("1.14.0-rc.1", 14)] {
            assert_eq!(text.parse::<Version>().unwrap(), Version(minor));
        }
        for text in ["", "1", "1.6", "1.15", "2.9", "1.x", "12", "v"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
