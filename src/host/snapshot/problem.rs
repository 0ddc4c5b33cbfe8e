//! A part of the host that could not be read. The subject of a problem leads to the facts that are unknown.

use std::collections::BTreeMap;
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
    /// The part that could not be read.
    pub what: Subject,
    /// Why it could not be.
    pub why: String,
}

/// A part of the host.
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
    /// A part that yields no fact, as text for people.
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

/// One line for each problem. Pods' ends that could not be read for the same reason share a line.
pub fn summarize(problems: &[Problem]) -> Vec<String> {
    let mut ends: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut lines = Vec::new();
    for problem in problems {
        match problem.what {
            Subject::PodEnd(name) => ends.entry(&problem.why).or_default().push(name.to_string()),
            Subject::Fact(_)
            | Subject::Ipv4Addresses
            | Subject::Ipv6Addresses
            | Subject::Nflog
            | Subject::Routes
            | Subject::CniConfiguration(_)
            | Subject::Other(_) => lines.push(problem.to_string()),
        }
    }
    for (why, names) in ends {
        let what = match names.as_slice() {
            [name] => format!("the pod's end of {name}"),
            [first, .., last] if names.len() > 3 => {
                format!("the pods' ends of {} veths ({first} to {last})", names.len())
            }
            names => format!("the pods' ends of {}", names.join(", ")),
        };
        lines.push(format!("{what}: {why}"));
    }
    lines
}

/// The part and the reason.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_cannot_be_read_for_one_reason_share_a_line() {
        let end = |number: u32, why: &str| Problem {
            what: Subject::PodEnd(format!("cali{number}").parse().unwrap()),
            why: why.to_owned(),
        };
        let other = Problem {
            what: Subject::Ipv4Addresses,
            why: "EIO".to_owned(),
        };
        let mut problems: Vec<Problem> = (1..=4).map(|number| end(number, "EACCES")).collect();
        problems.extend([end(9, "EIO"), other]);
        assert_eq!(
            summarize(&problems),
            [
                "the IPv4 addresses: EIO",
                "the pods' ends of 4 veths (cali1 to cali4): EACCES",
                "the pod's end of cali9: EIO",
            ]
        );
        assert_eq!(
            summarize(&problems[..2]),
            ["the pods' ends of cali1, cali2: EACCES"]
        );
    }
}
