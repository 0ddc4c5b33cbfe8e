//! The pods of a host and their veths: both ends, the routes in the pod, the wanted MTUs, and why netkeel
//! skips a pod.

use serde::Serialize;

use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::pod::PodEnd;

/// A veth that leads into another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// The end on the host.
    pub link: LinkName,
    /// The path of the pod's namespace; `None` if no path was found.
    pub sandbox: Option<String>,
    /// `NAMESPACE/NAME`, if the CNI recorded it.
    pub name: Option<String>,
    /// The end in the pod.
    pub interface: LinkName,
    /// MTU of the host's end, bytes.
    pub mtu: u32,
    /// MTU of the pod's end, bytes.
    pub pod_mtu: u32,
    /// The largest MTU of the pod's routes, bytes; `None` if no route has its own MTU.
    pub route_mtu: Option<u32>,
    /// The smallest MTU of the pod's routes, bytes.
    pub smallest_route_mtu: Option<u32>,
    /// The wanted MTUs, bytes: of the host's end and of the pod's end. `None` if no document wants one.
    pub wanted: Option<(u32, u32)>,
    /// The MTUs differ from the wanted ones; without a document, the two ends do not fit each other.
    pub stale: bool,
    /// The reason why netkeel skips the pod.
    pub left_alone: Option<&'static str>,
}

/// All pods, in the order of the host's ends. `named` returns a pod's name for its sandbox.
pub fn pods(host: &Snapshot, wants: Option<&Wants>, named: impl Fn(&str) -> Option<String>) -> Vec<Pod> {
    let ends = host
        .links
        .iter()
        .filter_map(|(name, link)| Some((*name, link, link.pod.as_deref()?)));
    ends.map(|(name, link, end)| {
        let sandbox = end
            .sandbox
            .as_ref()
            .map(|sandbox| sandbox.path.display().to_string());
        Pod {
            link: name,
            name: sandbox.as_deref().and_then(&named),
            sandbox,
            interface: end.name,
            mtu: link.mtu,
            pod_mtu: end.mtu,
            route_mtu: end.largest_route(),
            smallest_route_mtu: end.smallest_route(),
            wanted: wants.and_then(|wants| wanted(name, link, end, host, wants)),
            stale: match wants {
                Some(wants) => is_stale(name, end, host, wants),
                // A netkit device compares no sizes (`netkit_xmit`, drivers/net/netkit.c).
                None => link.kind_name() != "netkit" && !end.goes_with(link.mtu.into()),
            },
            left_alone: end.left_alone().map(|(why, _)| why),
        }
    })
    .collect()
}

fn want(name: LinkName, field: Field, host: &Snapshot, wants: &Wants) -> Option<u32> {
    match wants.facts.get(&Fact::link(&host.netns, name, field))?.value {
        Value::Number(mtu) => u32::try_from(mtu).ok(),
        _ => None,
    }
}

/// The wanted MTUs of both ends. An end without a want keeps its MTU.
pub fn wanted(
    name: LinkName,
    link: &Link,
    end: &PodEnd,
    host: &Snapshot,
    wants: &Wants,
) -> Option<(u32, u32)> {
    let bytes = |mtu: i64| u32::try_from(mtu).ok();
    let mut here = want(name, Field::Mtu, host, wants);
    let mut there = want(name, Field::PodMtu, host, wants);
    if let Some(left) = wants.left_alone.get(&name) {
        there = bytes(left.pod_mtu);
        here = here.or(there.filter(|_| left.withheld.is_some()));
    } else if end.left_alone().is_some() {
        // The pod's end fits the wanted MTU of the host's end, so it needs no want of its own.
        there = there.or(here);
    }
    match (here, there) {
        (None, None) => None,
        _ => Some((here.unwrap_or(link.mtu), there.unwrap_or(end.mtu))),
    }
}

/// Whether a veth differs from the document's wants. Skipped pods count too.
fn is_stale(name: LinkName, end: &PodEnd, host: &Snapshot, wants: &Wants) -> bool {
    let routes = end.routes.keys().map(|to| Field::PodRouteMtu(*to));
    let mut fields = routes.chain([Field::Mtu, Field::PodMtu]);
    let drifts = |field| {
        let fact = Fact::link(&host.netns, name, field);
        let want = wants.facts.get(&fact);
        want.is_some_and(|want| host.get(&fact) != Lookup::Value(want.value.clone()))
    };
    wants.left_alone.contains_key(&name) || fields.any(drifts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_netkit_device_takes_ends_of_different_mtus() {
        let is_stale = |kind: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "lxc1":{{"index":3,"kind":"{kind}","mtu":1500,"lower":2,"peer_netns":1,"pod":{{"index":2,"name":"eth0","mtu":1400}}}}}}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            pods(&host, None, |_| None).iter().any(|pod| pod.stale)
        };
        assert!(is_stale("veth") && !is_stale("netkit"));
    }
}
