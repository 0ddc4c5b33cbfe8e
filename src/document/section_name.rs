//! The sections of a document, by which a want knows its kind.

/// A section, as a document spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionName {
    /// `sysctl`.
    Sysctl,
    /// `persist`.
    Persist,
    /// `link`.
    Link,
    /// `tunnel`.
    Tunnel,
    /// `route`.
    Route,
    /// `nflog`.
    Nflog,
    /// `cni`.
    Cni,
    /// `wireguard`.
    Wireguard,
}

impl SectionName {
    /// The key of a document.
    pub fn as_str(self) -> &'static str {
        match self {
            SectionName::Sysctl => "sysctl",
            SectionName::Persist => "persist",
            SectionName::Link => "link",
            SectionName::Tunnel => "tunnel",
            SectionName::Route => "route",
            SectionName::Nflog => "nflog",
            SectionName::Cni => "cni",
            SectionName::Wireguard => "wireguard",
        }
    }

    /// Its entries have the key `allow_ipv6_loss`.
    pub fn may_allow_ipv6_loss(self) -> bool {
        match self {
            SectionName::Link => true,
            SectionName::Sysctl
            | SectionName::Persist
            | SectionName::Tunnel
            | SectionName::Route
            | SectionName::Nflog
            | SectionName::Cni
            | SectionName::Wireguard => false,
        }
    }
}
