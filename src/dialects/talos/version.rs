//! Versions of Talos Linux, as far as their configuration forms differ.

use std::fmt;
use std::str::FromStr;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::suggest::nearest;

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

/// All kinds of documents, with the first version that supports each: what Talos registers below
/// `pkg/machinery/config/types`, release by release. An older version refuses the whole configuration.
/// Kinds of earlier versions are listed with 1.7.
const SINCE: &[(&str, Version)] = &[
    ("EventSinkConfig", Version(7)),
    ("ExtensionServiceConfig", Version(7)),
    ("KmsgLogConfig", Version(7)),
    ("NetworkDefaultActionConfig", Version(7)),
    ("NetworkRuleConfig", Version(7)),
    ("SideroLinkConfig", Version(7)),
    ("WatchdogTimerConfig", Version(7)),
    ("KubeSpanEndpointsConfig", Version(8)),
    ("TrustedRootsConfig", Version(8)),
    ("VolumeConfig", Version(8)),
    ("EthernetConfig", Version(10)),
    ("PCIDriverRebindConfig", Version(10)),
    ("UserVolumeConfig", Version(10)),
    ("ExistingVolumeConfig", Version(11)),
    ("RawVolumeConfig", Version(11)),
    ("SwapVolumeConfig", Version(11)),
    ("ZswapConfig", Version(11)),
    ("BondConfig", LINKS),
    ("BridgeConfig", LINKS),
    ("DHCPv4Config", LINKS),
    ("DHCPv6Config", LINKS),
    ("DummyLinkConfig", LINKS),
    ("HCloudVIPConfig", LINKS),
    ("HostnameConfig", LINKS),
    ("Layer2VIPConfig", LINKS),
    ("LinkAliasConfig", LINKS),
    ("LinkConfig", LINKS),
    ("OOMConfig", LINKS),
    ("RegistryAuthConfig", LINKS),
    ("RegistryMirrorConfig", LINKS),
    ("RegistryTLSConfig", LINKS),
    ("ResolverConfig", LINKS),
    ("StaticHostConfig", LINKS),
    ("TimeSyncConfig", LINKS),
    ("VLANConfig", LINKS),
    ("WireguardConfig", LINKS),
    ("BlackholeRouteConfig", KUBESPAN),
    ("EnvironmentConfig", KUBESPAN),
    ("ExternalVolumeConfig", KUBESPAN),
    ("ImageVerificationConfig", KUBESPAN),
    ("KubeSpanConfig", KUBESPAN),
    ("RoutingRuleConfig", KUBESPAN),
    ("TCPProbeConfig", KUBESPAN),
    ("VRFConfig", KUBESPAN),
    ("BGPInstanceConfig", SYSCTLS),
    ("CRIBaseRuntimeSpecConfig", SYSCTLS),
    ("CRICustomizationConfig", SYSCTLS),
    ("ContainerConfig", SYSCTLS),
    ("DiscoveryIdentityConfig", SYSCTLS),
    ("DiscoveryServiceConfig", SYSCTLS),
    ("EtcFileConfig", SYSCTLS),
    ("FilesystemScrubConfig", SYSCTLS),
    ("FilesystemTrimConfig", SYSCTLS),
    ("HTTPProbeConfig", SYSCTLS),
    ("ImageCacheConfig", SYSCTLS),
    ("KernelModuleConfig", SYSCTLS),
    ("KubeAPIServerCAConfig", SYSCTLS),
    ("KubeAPIServerConfig", SYSCTLS),
    ("KubeAdmissionControlConfig", SYSCTLS),
    ("KubeAggregatorCAConfig", SYSCTLS),
    ("KubeAuditPolicyConfig", SYSCTLS),
    ("KubeAuthenticationConfig", SYSCTLS),
    ("KubeAuthorizerConfig", SYSCTLS),
    ("KubeClusterConfig", SYSCTLS),
    ("KubeControllerManagerConfig", SYSCTLS),
    ("KubeCoreDNSConfig", SYSCTLS),
    ("KubeCredentialProviderConfig", SYSCTLS),
    ("KubeEtcdEncryptionConfig", SYSCTLS),
    ("KubeExternalManifestConfig", SYSCTLS),
    ("KubeFlannelCNIConfig", SYSCTLS),
    ("KubeInlineManifestConfig", SYSCTLS),
    ("KubeNetworkConfig", SYSCTLS),
    ("KubeNodeConfig", SYSCTLS),
    ("KubePrismConfig", SYSCTLS),
    ("KubeProxyConfig", SYSCTLS),
    ("KubeSchedulerConfig", SYSCTLS),
    ("KubeServiceAccountConfig", SYSCTLS),
    ("KubeStaticPodConfig", SYSCTLS),
    ("KubeTalosAPIAccessConfig", SYSCTLS),
    ("KubeletConfig", SYSCTLS),
    ("LVMLogicalVolumeConfig", SYSCTLS),
    ("LVMVolumeGroupConfig", SYSCTLS),
    ("RAIDArrayConfig", SYSCTLS),
    ("SecurityProfileConfig", SYSCTLS),
    ("SysctlConfig", SYSCTLS),
    ("SysfsConfig", SYSCTLS),
    ("UdevRulesConfig", SYSCTLS),
    ("UnattendedInstallConfig", SYSCTLS),
    ("VethConfig", SYSCTLS),
];

/// The first version that supports a kind of document; none for a kind that no known version supports.
pub(crate) fn since(kind: &str) -> Option<Version> {
    let known = SINCE.iter().find(|(known, _)| *known == kind);
    known.map(|(_, since)| *since)
}

/// The known kind that resembles a text most.
pub(crate) fn nearest_kind(text: &str) -> Option<&'static str> {
    nearest(text, SINCE.iter().map(|(kind, _)| *kind))
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
