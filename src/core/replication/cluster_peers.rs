//! Peers that a Kubernetes cluster names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// The objects of a cluster whose addresses are the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPeers {
    /// The kind of object.
    pub objects: PeerObjects,
    /// The families of the addresses that count.
    pub families: BTreeSet<PeerFamily>,
}

impl ClusterPeers {
    /// Whether an address is of a family that counts.
    pub fn accepts(&self, address: IpAddr) -> bool {
        self.families.contains(&match address {
            IpAddr::V4(_) => PeerFamily::Ipv4,
            IpAddr::V6(_) => PeerFamily::Ipv6,
        })
    }
}

/// The kind of object whose addresses are the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerObjects {
    /// The EndpointSlices of a Service.
    Endpoints {
        /// The namespace of the Service.
        namespace: String,
        /// The name of the Service.
        service: String,
    },
    /// The Nodes of the cluster.
    Nodes {
        /// The labels that a Node has; empty means any Node.
        selector: BTreeMap<String, String>,
        /// Whether a Node that is not ready counts.
        not_ready: NotReady,
    },
}

impl fmt::Display for ClusterPeers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.objects {
            PeerObjects::Endpoints { namespace, service } => {
                write!(formatter, "endpoints of {namespace}/{service}")?;
            }
            PeerObjects::Nodes { selector, not_ready } => {
                write!(formatter, "nodes")?;
                for (key, value) in selector {
                    write!(formatter, " {key}={value}")?;
                }
                if *not_ready == NotReady::Drop {
                    write!(formatter, " ready")?;
                }
            }
        }
        for family in &self.families {
            write!(formatter, " {}", family.word())?;
        }
        Ok(())
    }
}

/// What was learned of the peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerNews {
    /// The complete list.
    Peers {
        /// The addresses.
        addresses: BTreeSet<IpAddr>,
        /// The number of objects that name them.
        objects: usize,
    },
    /// The list could not be brought up to date, for this reason of one line. The last list holds.
    Trouble(String),
}

/// What becomes of the addresses of a Node that is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NotReady {
    /// They stay: a kubelet that does not report may run on a node whose pods still answer.
    #[default]
    Keep,
    /// They leave the list.
    Drop,
}

impl NotReady {
    /// The names in documents.
    pub const WORDS: &[&str] = &["keep", "drop"];

    /// The value of a name.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "keep" => Some(NotReady::Keep),
            "drop" => Some(NotReady::Drop),
            _ => None,
        }
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl PeerFamily {
    /// The names in documents.
    pub const WORDS: &[&str] = &["ipv4", "ipv6"];

    /// Both families.
    pub fn all() -> BTreeSet<Self> {
        BTreeSet::from([PeerFamily::Ipv4, PeerFamily::Ipv6])
    }

    /// The family of a name.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ipv4" => Some(PeerFamily::Ipv4),
            "ipv6" => Some(PeerFamily::Ipv6),
            _ => None,
        }
    }

    /// The name of the family.
    pub fn word(self) -> &'static str {
        match self {
            PeerFamily::Ipv4 => "ipv4",
            PeerFamily::Ipv6 => "ipv6",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_followed_has_a_name_of_its_own() {
        let endpoints = ClusterPeers {
            objects: PeerObjects::Endpoints {
                namespace: "netkeel".to_owned(),
                service: "agents".to_owned(),
            },
            families: PeerFamily::all(),
        };
        assert_eq!(endpoints.to_string(), "endpoints of netkeel/agents ipv4 ipv6");
        let nodes = ClusterPeers {
            objects: PeerObjects::Nodes {
                selector: BTreeMap::from([("role".to_owned(), "lvs".to_owned())]),
                not_ready: NotReady::Drop,
            },
            families: BTreeSet::from([PeerFamily::Ipv6]),
        };
        assert_eq!(nodes.to_string(), "nodes role=lvs ready ipv6");
        assert!(nodes.accepts("2001:db8::1".parse().unwrap()));
        assert!(!nodes.accepts("192.0.2.1".parse().unwrap()));
    }
}
