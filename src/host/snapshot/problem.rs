//! What could not be read: a fact that was not read is found by what a problem is about.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;

/// Something that could not be read: one fact or a whole class of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What was to be read.
    pub what: Subject,
    /// Why it could not be.
    pub why: String,
}

/// What was to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ProblemSubject")]
pub enum Subject {
    /// One fact.
    Fact(Fact),
    /// The IPv4 addresses of all interfaces.
    Ipv4Addresses,
    /// The IPv6 addresses of all interfaces.
    Ipv6Addresses,
    /// The routes that a scope names.
    Routes,
    /// All rules that hand packets to NFLOG groups.
    Nflog,
    /// A CNI configuration.
    CniConfiguration(PathBuf),
    /// The other end of a veth.
    PodEnd(LinkName),
    /// Something that no fact is read from, in words.
    Other(String),
}

impl Subject {
    /// A sysctl as a key, whatever fact it is.
    pub fn sysctl(netns: &Netns, key: &SysctlKey) -> Self {
        Subject::Fact(Fact {
            netns: netns.clone(),
            object: Object::Sysctl(key.clone()),
            field: Field::Value,
        })
    }

    /// It is a fact of an interface.
    pub fn is_of_link(&self) -> bool {
        match self {
            Subject::Fact(fact) => matches!(fact.object, Object::Link(_)),
            Subject::Ipv4Addresses
            | Subject::Ipv6Addresses
            | Subject::Routes
            | Subject::Nflog
            | Subject::CniConfiguration(_)
            | Subject::PodEnd(_)
            | Subject::Other(_) => false,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Fact(fact) => fact.fmt(f),
            Subject::Ipv4Addresses => f.write_str("the IPv4 addresses"),
            Subject::Ipv6Addresses => f.write_str("the IPv6 addresses"),
            Subject::Routes => f.write_str("the routes"),
            Subject::Nflog => f.write_str("what is handed to NFLOG groups"),
            Subject::CniConfiguration(file) => write!(f, "the CNI configuration {}", file.display()),
            Subject::PodEnd(name) => write!(f, "the pod's end of {name}"),
            Subject::Other(what) => f.write_str(what),
        }
    }
}

/// What was to be read, and why it could not be.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
