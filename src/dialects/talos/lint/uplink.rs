//! The interfaces by which a machine's packets to others leave, as far as its files show them.

use crate::talos::configuration::Configuration;
use crate::talos::lint::pod_mtu::{ETHERNET, Underlay, set};
use netkeel_source::node::Node;

/// The kinds of documents of which an interface may be an uplink.
const UPLINKS: [&str; 4] = ["LinkConfig", "BondConfig", "BridgeConfig", "VLANConfig"];

/// The uplinks of a machine.
pub(crate) struct Uplinks {
    /// The interfaces with a default route; if the files show none, all that they configure. One with 1500 if they
    /// configure none.
    pub all: Vec<Underlay>,
    /// Packets leave by the only one. The files do not say which of several counts, and patches alone do not say
    /// what else a machine has.
    pub is_certain: bool,
}

impl Configuration {
    pub(crate) fn uplinks(&self) -> Uplinks {
        let mut found: Vec<(Underlay, bool)> = Vec::new();
        let interfaces = self.legacy_at(&["machine", "network", "interfaces"]);
        for interface in interfaces.map(Node::items).unwrap_or_default() {
            let name = interface.get("interface").and_then(Node::text);
            let is_switch = |key: &str| interface.get(key).and_then(Node::switch) == Some(true);
            if name == Some("lo") || is_switch("ignore") || is_switch("dummy") {
                continue;
            }
            if interface.get("wireguard").is_some() {
                continue;
            }
            let name = name.unwrap_or("the selected interface");
            let mtu = set(interface).unwrap_or(ETHERNET);
            found.push((of(name, mtu), leads_away(interface, "network")));
            for vlan in interface.get("vlans").map(Node::items).unwrap_or_default() {
                let id = vlan.get("vlanId").and_then(Node::integer).unwrap_or_default();
                // A VLAN takes the MTU of its interface.
                let of_vlan = of(&format!("{name}.{id}"), set(vlan).unwrap_or(mtu));
                let away = leads_away(vlan, "network");
                found.extend(away.then_some((of_vlan, away)));
            }
        }
        let documents = self.links();
        for link in documents.iter().filter(|link| UPLINKS.contains(&link.kind)) {
            let uplink = of(link.name, set(link.settings).unwrap_or(ETHERNET));
            found.push((uplink, leads_away(link.settings, "destination")));
        }
        let any = found.iter().any(|(_, away)| *away);
        let found = found.into_iter().filter(|(_, away)| *away || !any);
        let mut all: Vec<Underlay> = found.map(|(uplink, _)| uplink).collect();
        let is_whole = self.legacy_at(&["machine", "type"]).is_some();
        let is_certain = all.is_empty() || (all.len() == 1 && (any || is_whole));
        if all.is_empty() {
            all.push(of("an interface", ETHERNET));
        }
        Uplinks { all, is_certain }
    }
}

fn of(name: &str, mtu: i64) -> Underlay {
    Underlay {
        name: name.to_owned(),
        mtu,
    }
}

/// Whether an interface has a default route: one with a gateway and no destination.
fn leads_away(interface: &Node, destination: &str) -> bool {
    let routes = interface.get("routes").map(Node::items).unwrap_or_default();
    routes.iter().any(|route| {
        let to = route.get(destination).and_then(Node::text).unwrap_or_default();
        route.get("gateway").is_some() && matches!(to, "" | "0.0.0.0/0" | "::/0")
    })
}
