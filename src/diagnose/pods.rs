//! The pods of a host as their veths show them: both ends, the routes in the pod, what they should
//! be, and why one is left alone; and the sandboxes that have none.

use serde::Serialize;

use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::snapshot::pod::PodEnd;

/// One veth that leads into another namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pod {
    /// The end on the host.
    pub link: LinkName,
    /// The file that leads into the pod's namespace; none where none is seen.
    pub sandbox: Option<String>,
    /// `NAMESPACE/NAME`, where the CNI has noted it.
    pub name: Option<String>,
    /// The end in the pod.
    pub interface: LinkName,
    /// MTU of the host's end, bytes.
    pub mtu: u32,
    /// MTU of the pod's end, bytes.
    pub pod_mtu: u32,
    /// The largest MTU that a route of the pod has, bytes; none where none has one of its own.
    pub route_mtu: Option<u32>,
    /// The smallest.
    pub smallest_route_mtu: Option<u32>,
    /// What both should be, bytes: the host's end, the pod's end. None where no document says.
    pub wanted: Option<(u32, u32)>,
    /// It is not as it should be; without a document, its ends do not go together.
    pub stale: bool,
    /// Why netkeel leaves it alone.
    pub left_alone: Option<&'static str>,
}

/// All of them, in the order of the host's ends. `named` gives a pod's name by its sandbox.
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
                None => !end.goes_with(link.mtu.into()),
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

/// What the ends should be; what is not wanted stays.
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
        // Nothing is wanted of it, since it goes with this end as that is wanted.
        there = there.or(here);
    }
    match (here, there) {
        (None, None) => None,
        _ => Some((here.unwrap_or(link.mtu), there.unwrap_or(end.mtu))),
    }
}

/// Whether a veth is not as the document wants it, be it that netkeel may mend it or not.
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
