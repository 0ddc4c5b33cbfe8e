//! Detects the CNI of a host and its encapsulation from configuration and devices. Compares the MTU
//! that its convention allows with the MTUs in use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::budget::{Budget, Derivation};
use crate::cni::{
    DEVICES, PLUGINS, SHARED, TUNL0, device_up, device_used, leads_to_nodes, loaded, loads_generic,
    named_pods, unplaced,
};
use crate::layer::{self, Layer};
use crate::nodes;
use crate::pods::{of_cni, veths};
use crate::underlay::preferred_beside;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_host::cni::state::StateFiles;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::routes::{mtu_for, mtu_to_peer};

/// The CNI detected on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detected {
    /// The CNI, by the name of its convention.
    pub cni: &'static str,
    /// The layers, outer to inner, as `netkeel mtu` accepts them.
    pub layers: Vec<String>,
    /// The files and devices that indicate this CNI.
    pub evidence: Vec<String>,
    /// The MTUs in use.
    pub found: Vec<MtuInUse>,
    /// The IP version of the outer headers of its tunnels, where it is known and all have the same.
    #[serde(skip)]
    pub outer: Option<Family>,
}

/// An MTU in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MtuInUse {
    /// The place of the MTU.
    pub what: String,
    /// Bytes.
    pub mtu: i64,
    /// The object that it limits: the pods' devices, their routes, or the tunnel for their packets.
    pub on: &'static str,
}

/// The comparison of an MTU with the size that the encapsulation allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It equals the convention's, or is larger and fits.
    Fits,
    /// This many bytes less than possible.
    Less(i64),
    /// Full packets are this many bytes too large.
    Over(i64),
}

/// Detects the CNI; `None` when nothing indicates one, or when the runtime loads one that has no convention.
pub fn detect(host: &Snapshot) -> Option<Detected> {
    let mut evidence = Vec::new();
    let loaded = loaded(host);
    let by_plugin = loaded.iter().find_map(|(path, kind, _)| {
        let (_, cni) = PLUGINS.iter().find(|(plugin, _)| plugin == kind)?;
        evidence.push(format!("{path} ({kind})"));
        Some(*cni)
    });
    let generic = loads_generic(host);
    let seen = DEVICES
        .iter()
        .filter(|(name, ..)| device_used(host, name).is_some());
    let seen: Vec<_> = seen.collect();
    let found = match by_plugin {
        // A device that another CNI left behind says nothing against the loaded plugin.
        Some(cni) => cni?,
        None if generic => return None,
        None => {
            let by_device = seen.iter().find(|(_, cni, _)| !cni.is_empty());
            let by_device = by_device.map(|(_, cni, _)| *cni);
            by_device.or_else(|| {
                let named = named_pods(host)?;
                evidence.push(format!("the names of veths into pods ({named})"));
                Some(named)
            })?
        }
    };
    let cni = match found == "calico" && is_canal(host, &seen, &loaded) {
        true => "canal",
        false => found,
    };
    let mut parameters: Vec<&str> = Vec::new();
    let mut families = BTreeSet::new();
    for (name, of, parameter) in &seen {
        let shared = SHARED
            .iter()
            .any(|(shared, which)| *shared == cni && which.contains(parameter));
        let own = *of == cni || (cni == "canal" && *of == "flannel");
        if own || (of.is_empty() && shared) {
            evidence.push((*name).to_owned());
            if !parameter.is_empty() && !parameters.contains(parameter) && cni != "canal" {
                parameters.push(parameter);
            }
            if !parameter.is_empty() {
                families.extend(name.parse().ok().map(|name| host.outer_family(name)));
            }
        }
    }
    match cni {
        "flannel" if parameters.is_empty() => parameters.push("host-gw"),
        "antrea" if parameters.is_empty() => parameters.push("no-encap"),
        _ => {}
    }
    // A convention without bytes of its own leaves the device's MTU.
    let found = in_use(host, cni, &loaded, cni == "cilium" && !parameters.is_empty());
    // The headers of IPv6 are larger. Pods have room for them where one of the tunnels has them.
    if families.contains(&Some(Family::Ipv6)) {
        parameters.push("ipv6");
    }
    let mut layers = Vec::new();
    if device_up(host, KUBESPAN).is_some() {
        evidence.push(KUBESPAN.to_owned());
        layers.push(KUBESPAN.to_owned());
    }
    let colon = if parameters.is_empty() { "" } else { ":" };
    layers.push(format!("{cni}{colon}{}", parameters.join(",")));
    let outer = match families.len() {
        1 => families.into_iter().next().flatten(),
        _ => None,
    };
    Some(Detected {
        cni,
        layers,
        evidence,
        found,
        outer,
    })
}

/// The WireGuard device of Talos' KubeSpan.
const KUBESPAN: &str = "kubespan";

/// Whether flannel carries the packets of Calico's pods: a device of flannel is in use, and none of Calico's. The manifests
/// of the two give their configurations names of their own. Under another name, a route must lead to another node by
/// the device, where the routes were read.
fn is_canal(host: &Snapshot, seen: &[&(&str, &str, &str)], loaded: &[(String, &str, Option<i64>)]) -> bool {
    let calicos = loaded.iter().filter(|(_, kind, _)| *kind == "calico");
    let file = calicos
        .filter_map(|(path, ..)| Path::new(path).file_name()?.to_str())
        .next();
    let carries = |name: &str| match file {
        Some("10-canal.conflist") => true,
        Some("10-calico.conflist") => false,
        _ => leads_to_nodes(host, name) != Some(false),
    };
    let calico = seen
        .iter()
        .any(|(_, of, parameter)| *of == "calico" || (of.is_empty() && *parameter == "ipip"));
    !calico && seen.iter().any(|(name, of, _)| *of == "flannel" && carries(name))
}

/// The plugins that the runtime loads, each with its file, as text. Further plugins of a file only change what the first
/// made.
pub fn loaded_plugins(host: &Snapshot) -> Vec<String> {
    let mut loaded = loaded(host);
    loaded.dedup_by(|next, first| next.0 == first.0);
    let loaded = loaded.into_iter();
    loaded.map(|(path, kind, _)| format!("{kind} ({path})")).collect()
}

/// The MTUs in use; `by_routes` where the CNI gives pods their MTU by their routes.
fn in_use(
    host: &Snapshot,
    cni: &str,
    loaded: &[(String, &str, Option<i64>)],
    by_routes: bool,
) -> Vec<MtuInUse> {
    let mut found = Vec::new();
    let mut add = |what: String, mtu: i64, on: &'static str| found.push(MtuInUse { what, mtu, on });
    let plugin = loaded
        .iter()
        .find(|(_, kind, _)| PLUGINS.iter().any(|(plugin, _)| plugin == kind));
    let set = plugin.and_then(|(path, _, mtu)| Some((path, (*mtu)?)));
    if let Some((path, mtu)) = set {
        add(path.clone(), mtu, "device");
    }
    // The plugin's default when its configuration has no MTU.
    let state = host.cni.as_ref().and_then(|host| {
        let files = StateFiles::of(host.runtime.as_ref());
        match cni {
            "calico" if set.is_none() => Some((files.calico, host.calico_mtu?)),
            "flannel" | "canal" if set.is_none() => Some((files.flannel, host.flannel_mtu?)),
            "cilium" => Some((files.cilium, host.cilium_mtu?)),
            _ => None,
        }
    });
    if let Some((file, mtu)) = state {
        add(file.to_owned(), mtu, "device");
    }
    let tunnels = DEVICES.iter().filter(|(_, of, _)| {
        *of == cni && matches!(cni, "calico" | "flannel") || (*of == "flannel" && cni == "canal")
    });
    for (name, ..) in tunnels {
        if let Some(link) = device_used(host, name) {
            add((*name).to_owned(), link.mtu.into(), "tunnel");
        }
    }
    let mut devices = BTreeMap::<i64, usize>::new();
    let mut routes = BTreeMap::<i64, usize>::new();
    // Pods whose routes have no MTU of their own: that of the device limits their packets.
    let mut unlimited = BTreeMap::<i64, usize>::new();
    for link in of_cni(host, cni) {
        *devices.entry(link.mtu.into()).or_default() += 1;
        let route = link.pod.as_ref().and_then(|pod| pod.largest_route());
        if let Some(mtu) = route {
            *routes.entry(mtu.into()).or_default() += 1;
        } else if let Some(pod) = &link.pod {
            *unlimited.entry(pod.mtu.into()).or_default() += 1;
        }
    }
    for (mtu, number) in devices {
        add(veths(number), mtu, "device");
    }
    for (mtu, number) in routes {
        add(format!("routes of {}", veths(number)), mtu, "route");
    }
    if by_routes {
        for (mtu, number) in unlimited {
            add(
                format!("routes without an MTU of {}", veths(number)),
                mtu,
                "route",
            );
        }
    }
    found
}

impl Detected {
    /// The MTU of the interface that carries the CNI's packets, and which one that is: the lower device of
    /// the tunnel, the routes to the peers of a WireGuard device, the interface in Cilium's state, the routes to other
    /// nodes where nothing is encapsulated, or the default route. KubeSpan's device has an MTU of its own, which may be smaller than what its headers leave.
    ///
    /// # Errors
    /// As [`preferred`](crate::underlay::preferred).
    pub fn underlay(&self, host: &Snapshot) -> Result<(i64, String), Error> {
        let below = self.below(host)?;
        let Some(link) = device_up(host, KUBESPAN) else {
            return Ok(below);
        };
        let own = i64::from(link.mtu);
        let headers = Layer::parse(KUBESPAN, None)?.bytes();
        Ok(match own + headers < below.0 {
            true => (
                own + headers,
                format!("{KUBESPAN}, whose own MTU is {own}, and its headers"),
            ),
            false => below,
        })
    }

    fn below(&self, host: &Snapshot) -> Result<(i64, String), Error> {
        let lower = self.tunnels(host).filter_map(|(name, link)| {
            let found = host.by_index(link.lower.filter(|_| link.peer_netns.is_none())?)?;
            // One on the device of the node's address goes by routes where that is lo.
            let (lower, below) = Some(found).filter(|(lower, below)| !nodes::is_local(*lower, below))?;
            let mtu = mtu_for(host, lower, below, host.outer_family(name));
            Some((i64::from(mtu), format!("{lower}, the lower device of {name}")))
        });
        let to_peers = self.tunnels(host).flat_map(|(name, link)| {
            let routes = link.peer_routes.iter().flatten();
            routes.filter_map(move |route| {
                let (mtu, _) = mtu_to_peer(host, route)?;
                let from = format!("{}, over which a peer of {name} is reached", route.link);
                Some((i64::from(mtu), from))
            })
        });
        // Pods use one tunnel or the other, by the family of the packet.
        if let Some(found) = lower.chain(to_peers).min() {
            return Ok(found);
        }
        // Talos marks packets to peers, and sends them by a table with a default route over its device.
        let preferred =
            |family| preferred_beside(host, family, &|name| name.as_bytes() == KUBESPAN.as_bytes());
        let to_nodes = || nodes::by_routes(host, self.cni).filter(|_| self.is_native());
        // The same number is told by the route that everybody knows.
        let or_default = |found: Option<(i64, String)>| match (found, preferred(self.outer)) {
            (Some(found), Ok(default)) if found.0 == default.0 => Ok(default),
            (Some(found), _) => Ok(found),
            (None, default) => default,
        };
        if self.cni != "cilium" {
            let by_tunnel = || nodes::behind_tunnel(host, TUNL0).filter(|_| self.uses_tunl0(host));
            return or_default(to_nodes().or_else(by_tunnel));
        }
        let device = host.cni.as_ref().and_then(|cni| cni.cilium_device);
        if let Some((name, link)) = device.and_then(|index| host.by_index(index)) {
            return Ok((
                link.mtu.into(),
                format!("{name}, which Cilium uses between nodes"),
            ));
        }
        let addresses = host.cni.as_ref().map(|cni| &cni.cilium_addresses);
        if let Some(found) = addresses.and_then(|addresses| nodes::with_address(host, addresses)) {
            return Ok(found);
        }
        if let Some(found) = to_nodes() {
            return or_default(Some(found));
        }
        let (mtu, from) = nodes::unless_another(host, preferred(self.outer)?)?;
        Ok((mtu, format!("{from}; Cilium's state names no interface")))
    }

    /// Whether it encapsulates nothing, so that routes of the host lead to the pods of other nodes.
    fn is_native(&self) -> bool {
        let own = self.layers.last().map(String::as_str);
        matches!(
            own,
            Some("calico" | "cilium" | "flannel:host-gw" | "antrea:no-encap")
        )
    }

    fn uses_tunl0(&self, host: &Snapshot) -> bool {
        self.cni == "calico" && device_used(host, TUNL0).is_some()
    }

    /// The devices by which the CNI itself encapsulates packets.
    pub(crate) fn tunnels<'a>(&self, host: &'a Snapshot) -> impl Iterator<Item = (LinkName, &'a Link)> {
        let cni = self.cni;
        let own = move |of: &str| of == cni || (cni == "canal" && of == "flannel");
        let names = DEVICES
            .iter()
            .filter(move |(_, of, parameter)| own(of) && !parameter.is_empty());
        names.filter_map(|(name, ..)| Some((name.parse().ok()?, device_used(host, name)?)))
    }

    /// Why it is not known of some pods whether they are of the CNI's overlay. A snapshot with `forwarding` has what tells it.
    pub fn unplaced(&self, host: &Snapshot) -> Option<Error> {
        let ports = unplaced(host, self.cni);
        let first = ports.first()?;
        let more = match ports.len() {
            1 => String::new(),
            number => format!(" and {} more", number - 1),
        };
        let message = format!(
            "{first}{more}: the routes that tell whether it is a pod of {} or of another network were not read",
            self.cni
        );
        Some(Error::new(ErrorKind::Unreadable, message))
    }

    /// The MTU that its convention leaves of an underlay.
    ///
    /// # Errors
    /// As [`Budget::derive`].
    pub fn answer(&self, underlay: i64, from: &str) -> Result<Derivation, Error> {
        let budget = Budget {
            layers: self.layers(None)?,
            ..Budget::default()
        };
        budget.derive(underlay, from)
    }

    /// Its layers; `family` is the family of outer headers that do not name one.
    ///
    /// # Errors
    /// As [`Layer::parse`].
    pub fn layers(&self, family: Option<layer::Family>) -> Result<Vec<Layer>, Error> {
        self.layers
            .iter()
            .map(|text| Layer::parse(text, family))
            .collect()
    }
}

impl MtuInUse {
    /// Compares this MTU with the derived one. Where routes carry the MTU, the device keeps the
    /// underlay's.
    pub fn verdict(&self, answer: &Derivation) -> Verdict {
        let (exact, wanted) = match (answer.carried_by, self.on) {
            // Each of several tunnels has its own limit. NK016 reports a tunnel that does not fit its
            // lower device.
            (_, "tunnel") => (i64::MAX, answer.mtu.min(answer.exact_mtu)),
            ("route", "device") => (answer.underlay, answer.underlay),
            _ => (answer.exact_mtu.max(answer.mtu), answer.mtu),
        };
        match self.mtu {
            mtu if mtu > exact => Verdict::Over(mtu - exact),
            mtu if mtu < wanted => Verdict::Less(wanted - mtu),
            _ => Verdict::Fits,
        }
    }
}

#[cfg(test)]
mod tests;
