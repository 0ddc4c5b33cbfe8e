//! Sandboxes without a veth into this namespace, where netkeel sets nothing: namespaces with other
//! interfaces or none, and pods on the host's network.

use std::sync::Arc;

use serde::Serialize;

use crate::device_owner;
use crate::snapshot::Snapshot;
use crate::snapshot::link::Link;
use crate::snapshot::problem::{Problem, Subject};
use netkeel_core::name::link::LinkName;

/// How many interfaces a reason lists.
const NAMED: usize = 3;

/// The namespaces and pods that netkeel lists but never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Namespaces, in the order of their files.
    pub namespaces: Vec<Namespace>,
    /// Pods on the host's network, in the order of their UIDs.
    pub on_the_host: Vec<HostPod>,
    /// How many processes do not show this user in which namespace they are.
    pub hidden_processes: usize,
}

impl Apart {
    /// Why nothing was found, where that is because nothing could be looked at.
    pub fn problem(&self) -> Option<Problem> {
        let is_blind = self.hidden_processes > 0 && self.namespaces.is_empty();
        is_blind.then(|| Problem {
            what: Subject::Other(match self.hidden_processes {
                1 => "the network namespace of 1 process".to_owned(),
                more => format!("the network namespaces of {more} processes"),
            }),
            why: "this user may not look".to_owned(),
        })
    }
}

/// A network namespace without a veth to this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// The file that refers to it.
    pub sandbox: String,
    /// `NAMESPACE/NAME` of the pod, if the CNI recorded it.
    pub name: Option<String>,
    /// Its interfaces; none when they could not be read.
    pub interfaces: Option<Vec<Interface>>,
    /// Why netkeel never changes it.
    pub left_alone: String,
}

/// An interface in such a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// Its name there.
    pub name: LinkName,
    /// The rtnetlink kind (`macvlan`); none for hardware and for lo.
    pub kind: Option<Arc<str>>,
    /// Bytes.
    pub mtu: u32,
}

/// A pod on the host's network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HostPod {
    /// Its UID, as Kubernetes writes it: that of a static pod has no dashes.
    pub uid: String,
    /// `NAMESPACE/NAME`, if the kubelet keeps logs of the pod.
    pub name: Option<String>,
}

impl Namespace {
    /// Describes a namespace by its interfaces; `here` is the id by which it refers to this
    /// namespace. None when a veth connects the two. Also none when none of its interfaces depend
    /// on this namespace, unless this is the host's (`of_the_host`): then its owner is unknown.
    pub fn of(
        sandbox: String,
        links: &[(LinkName, Arc<Link>)],
        here: Option<i32>,
        host: &Snapshot,
        of_the_host: bool,
    ) -> Option<Self> {
        let is_here = |link: &Link| here.is_some() && link.peer_netns == here;
        let by_veth = |link: &Link| link.leads_elsewhere() && is_here(link);
        if links.iter().any(|(_, link)| by_veth(link)) {
            return None;
        }
        if !of_the_host && !links.iter().any(|(_, link)| is_here(link)) {
            return None;
        }
        let shown: Vec<String> = links
            .iter()
            .filter(|(name, link)| !is_always_there(*name, link))
            .map(|(name, link)| described(*name, link, links, here, host))
            .collect();
        let what = match shown.get(NAMED..) {
            _ if shown.is_empty() => "it has only lo".to_owned(),
            Some(more) if !more.is_empty() => {
                let named: Vec<&str> = shown.iter().take(NAMED).map(String::as_str).collect();
                format!("{} and {} more", named.join(", "), more.len())
            }
            _ => shown.join(", "),
        };
        Some(Namespace {
            sandbox,
            name: None,
            interfaces: Some(links.iter().map(Interface::of).collect()),
            left_alone: format!("it has no veth from here: {what}"),
        })
    }

    /// A namespace whose interfaces could not be read.
    pub fn unread(sandbox: String, why: &str) -> Self {
        Namespace {
            sandbox,
            name: None,
            interfaces: None,
            left_alone: format!("no known veth connects it, and its interfaces could not be read: {why}"),
        }
    }
}

impl Interface {
    fn of((name, link): &(LinkName, Arc<Link>)) -> Self {
        Interface {
            name: *name,
            kind: link.kind.clone(),
            mtu: link.mtu,
        }
    }
}

/// Whether it is lo, or an unused fallback device of a tunnel.
fn is_always_there(name: LinkName, link: &Link) -> bool {
    let name = name.as_text();
    name == "lo" || !link.up && device_owner::fallback(&name).is_some()
}

/// Formats an interface: `macvlan eth0 over the host's eth1`.
fn described(
    name: LinkName,
    link: &Link,
    links: &[(LinkName, Arc<Link>)],
    here: Option<i32>,
    host: &Snapshot,
) -> String {
    let kind = link.kind.as_deref().unwrap_or("hardware");
    // Paired devices lead `to` their peer; all others run `over` their lower device.
    let to = match kind {
        "veth" | "netkit" | "vxcan" => "to",
        _ => "over",
    };
    let below = match (link.peer_netns, link.lower) {
        (None, lower) => links
            .iter()
            .find(|(_, below)| Some(below.index) == lower && lower != Some(link.index))
            .map(|(below, _)| format!(" {to} {below}")),
        (netns, lower) if netns == here => {
            let below = host.links.iter().find(|(_, below)| Some(below.index) == lower);
            Some(match below {
                Some((below, _)) => format!(" {to} the host's {below}"),
                None => format!(" {to} the host's network"),
            })
        }
        (Some(_), _) => Some(format!(" {to} another namespace")),
    };
    format!("{kind} {name}{}", below.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;

    fn link(name: &str, index: u32, kind: &str, below: (Option<u32>, Option<i32>)) -> (LinkName, Arc<Link>) {
        let link = Link {
            index,
            kind: (!kind.is_empty()).then(|| kind.into()),
            mtu: 1500,
            lower: below.0,
            peer_netns: below.1,
            ..Link::default()
        };
        (name.parse().unwrap(), link.into())
    }

    fn reason(links: &[(LinkName, Arc<Link>)], of_the_host: bool) -> Option<String> {
        let mut host = Snapshot::empty(Netns::CURRENT);
        host.links.extend([
            link("eth1", 2, "", (None, None)),
            link("lxc1", 3, "netkit", (None, None)),
        ]);
        let of = Namespace::of("/run/netns/a".into(), links, Some(0), &host, of_the_host)?;
        Some(of.left_alone)
    }

    #[test]
    fn says_what_a_namespace_has_instead_of_a_veth_from_here() {
        let lo = || link("lo", 1, "", (None, None));
        let why = |link| reason(&[lo(), link], true).unwrap();
        let prefix = |what: &str| format!("it has no veth from here: {what}");
        let macvlan = || link("eth0", 2, "macvlan", (Some(2), Some(0)));
        assert_eq!(why(macvlan()), prefix("macvlan eth0 over the host's eth1"));
        // A netkit device is to a pod what a veth is.
        assert_eq!(
            reason(&[lo(), link("eth0", 2, "netkit", (Some(3), Some(0)))], true),
            None
        );
        assert_eq!(
            why(link("eth0", 2, "netkit", (Some(3), Some(1)))),
            prefix("netkit eth0 to another namespace")
        );
        assert_eq!(
            why(link("eth0", 2, "ipvlan", (Some(9), Some(0)))),
            prefix("ipvlan eth0 over the host's network")
        );
        assert_eq!(
            why(link("eth0", 2, "veth", (Some(3), Some(1)))),
            prefix("veth eth0 to another namespace")
        );
        assert_eq!(why(link("eth0", 2, "", (None, None))), prefix("hardware eth0"));
        assert_eq!(
            why(link("tunl0", 2, "ipip", (None, None))),
            prefix("it has only lo")
        );
        let many: Vec<_> = (2..7)
            .map(|at| link(&format!("d{at}"), at, "dummy", (None, None)))
            .collect();
        assert_eq!(
            reason(&many, true).unwrap(),
            prefix("dummy d2, dummy d3, dummy d4 and 2 more")
        );
        // A veth to this namespace: listed as such, or created since.
        assert_eq!(
            reason(&[lo(), link("eth0", 2, "veth", (Some(3), Some(0)))], true),
            None
        );
        // The owner is unknown.
        assert_eq!(reason(&[lo()], false), None);
        assert!(reason(&[lo(), macvlan()], false).is_some());
    }
}
