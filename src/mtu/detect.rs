//! Detects the CNI of a host and its encapsulation from configuration and devices. Compares the MTU
//! that its convention allows with the MTUs in use.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::budget::{Budget, Derivation};
use crate::layer::{Family, Layer};
use crate::pods::veths;
use crate::underlay::Underlay;
use netkeel_core::error::Error;
use netkeel_core::fact::Value;
use netkeel_core::name::link::LinkName;
use netkeel_host::cni::state::StateFiles;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

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

/// Plugins, and the convention of their CNI.
const PLUGINS: &[(&str, &str)] = &[
    ("calico", "calico"),
    ("flannel", "flannel"),
    ("cilium-cni", "cilium"),
    ("kube-ovn", "kube-ovn"),
    ("ovn-k8s-cni-overlay", "openshift"),
    ("antrea", "antrea"),
    ("weave-net", "weave"),
    ("aws-cni", "eks"),
];

/// A device, the CNI that it indicates, and the parameter of the convention that it implies. Some
/// devices indicate only how another CNI encapsulates.
const DEVICES: &[(&str, &str, &str)] = &[
    ("vxlan.calico", "calico", "vxlan"),
    ("vxlan-v6.calico", "calico", "vxlan"),
    ("wireguard.cali", "calico", "wireguard"),
    ("wg-v6.cali", "calico", "wireguard"),
    ("tunl0", "", "ipip"),
    ("flannel.1", "flannel", "vxlan"),
    ("flannel-v6.1", "flannel", "vxlan"),
    ("flannel-wg", "flannel", "wireguard"),
    ("flannel.ipip", "flannel", "ipip"),
    ("flannel0", "flannel", "udp"),
    ("cilium_vxlan", "cilium", "vxlan"),
    ("cilium_geneve", "cilium", "geneve"),
    ("cilium_wg0", "cilium", "wireguard"),
    ("antrea-wg0", "antrea", "wireguard"),
    ("antrea-gw0", "antrea", ""),
    ("ovn0", "kube-ovn", ""),
    ("ovn-k8s-mp0", "openshift", ""),
    ("weave", "weave", ""),
    ("genev_sys_6081", "", "geneve"),
    ("vxlan_sys_4789", "", "vxlan"),
    ("gre_sys", "", "gre"),
];

/// The parameters that a device without its own CNI implies.
const SHARED: &[(&str, &[&str])] = &[
    ("calico", &["ipip"]),
    ("antrea", &["geneve", "vxlan", "gre"]),
    ("kube-ovn", &["geneve", "vxlan"]),
];

/// Detects the CNI; `None` when nothing indicates one.
pub fn detect(host: &Snapshot) -> Option<Detected> {
    let mut evidence = Vec::new();
    let loaded = loaded(host);
    let by_plugin = loaded.iter().find_map(|(path, kind, _)| {
        let (_, cni) = PLUGINS.iter().find(|(plugin, _)| plugin == kind)?;
        evidence.push(format!("{path} ({kind})"));
        Some(*cni)
    });
    let there = |name: &str| -> Option<&Link> {
        let link = host.links.get(&name.parse().ok()?)?;
        // The kernel makes tunl0 when the module is loaded; Calico sets it up.
        (link.up || name != "tunl0").then_some(link)
    };
    let seen = DEVICES.iter().filter(|(name, ..)| there(name).is_some());
    let seen: Vec<_> = seen.collect();
    let by_device = seen.iter().map(|(_, cni, _)| *cni).find(|cni| !cni.is_empty());
    let found = by_plugin.or(by_device)?;
    let with_flannel = seen.iter().any(|(_, cni, _)| *cni == "flannel");
    let cni = if found == "calico" && with_flannel {
        "canal"
    } else {
        found
    };
    let mut parameters: Vec<&str> = Vec::new();
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
        }
    }
    match cni {
        "flannel" if parameters.is_empty() => parameters.push("host-gw"),
        "antrea" if parameters.is_empty() => parameters.push("no-encap"),
        _ => {}
    }
    let mut layers = Vec::new();
    if there("kubespan").is_some() {
        evidence.push("kubespan".to_owned());
        layers.push("kubespan".to_owned());
    }
    let colon = if parameters.is_empty() { "" } else { ":" };
    layers.push(format!("{cni}{colon}{}", parameters.join(",")));
    Some(Detected {
        // A convention without bytes of its own leaves the device's MTU.
        found: in_use(host, cni, &loaded, cni == "cilium" && !parameters.is_empty()),
        cni,
        layers,
        evidence,
    })
}

/// The plugins of the configuration that the runtime loads: path, types, `mtu`.
fn loaded(host: &Snapshot) -> Vec<(String, &str, Option<i64>)> {
    let loaded = host.cni.as_ref().and_then(|cni| {
        let path = cni.runtime.as_ref()?.intends(&cni.files)?;
        Some((path, cni.file(path)??))
    });
    let Some((path, configuration)) = loaded else {
        return Vec::new();
    };
    let plugins = configuration.plugins().iter().map(|plugin| {
        let mtu = match plugin.mtu {
            Some(Value::Number(mtu)) if mtu > 0 => Some(mtu),
            _ => None,
        };
        (path.display().to_string(), &*plugin.kind, mtu)
    });
    plugins.collect()
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
        let link = name.parse().ok().and_then(|name| host.links.get(&name));
        if let Some(link) = link {
            add((*name).to_owned(), link.mtu.into(), "tunnel");
        }
    }
    let mut devices = BTreeMap::<i64, usize>::new();
    let mut routes = BTreeMap::<i64, usize>::new();
    // Pods whose routes have no MTU of their own: that of the device limits their packets.
    let mut unlimited = BTreeMap::<i64, usize>::new();
    for link in host.links.values().filter(|link| link.leads_into_a_pod()) {
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
    /// The MTU of the interface that carries the CNI's tunnel, and which one that is: the lower device of
    /// the tunnel, the interface in Cilium's state, or the default routes.
    ///
    /// # Errors
    /// As [`Underlay::on`].
    pub fn underlay(&self, host: &Snapshot) -> Result<(i64, String), Error> {
        let lower = self.tunnels(host).filter_map(|(name, link)| {
            let (lower, below) = host.by_index(link.lower.filter(|_| link.peer_netns.is_none())?)?;
            Some((
                i64::from(below.mtu),
                format!("{lower}, the lower device of {name}"),
            ))
        });
        // Pods use one tunnel or the other, by the family of the packet.
        if let Some(found) = lower.min() {
            return Ok(found);
        }
        if self.cni != "cilium" {
            return Underlay::DefaultRoute.on(host);
        }
        let device = host.cni.as_ref().and_then(|cni| cni.cilium_device);
        if let Some((name, link)) = device.and_then(|index| host.by_index(index)) {
            return Ok((
                link.mtu.into(),
                format!("{name}, which Cilium uses between nodes"),
            ));
        }
        let (mtu, from) = Underlay::DefaultRoute.on(host)?;
        Ok((mtu, format!("{from}; Cilium's state names no interface")))
    }

    /// The devices by which the CNI itself encapsulates packets.
    pub(crate) fn tunnels<'a>(&self, host: &'a Snapshot) -> impl Iterator<Item = (LinkName, &'a Link)> {
        let own = |of: &str| of == self.cni || (self.cni == "canal" && of == "flannel");
        let names = DEVICES
            .iter()
            .filter(move |(_, of, parameter)| own(of) && !parameter.is_empty());
        names.filter_map(|(name, ..)| {
            let name = name.parse().ok()?;
            Some((name, host.link(name)?))
        })
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
    pub fn layers(&self, family: Option<Family>) -> Result<Vec<Layer>, Error> {
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
            (_, "tunnel") => (i64::MAX, answer.mtu),
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
mod tests {
    use super::*;
    use std::sync::Arc;

    use netkeel_core::finding::Findings;
    use netkeel_core::name::netns::Netns;
    use netkeel_host::snapshot::default_route::DefaultRoute;

    fn host(devices: &[&str], configuration: &str) -> Snapshot {
        let mut host = Snapshot::empty(Netns::CURRENT);
        for (at, name) in devices.iter().enumerate() {
            let link = Link {
                index: at as u32 + 1,
                up: true,
                mtu: 1500,
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        if !configuration.is_empty() {
            let text = format!(
                r#"{{"runtime": {{"directory": "/d"}}, "files": {{"/d/10-x.conflist": {{"sha256": "", "plugins": [{configuration}]}}}}}}"#
            );
            host.cni = Some(serde_json::from_str(&text).unwrap());
        }
        host
    }

    fn layers(devices: &[&str], plugin: &str) -> String {
        let plugin = match plugin {
            "" => String::new(),
            plugin => format!(r#"{{"type": "{plugin}", "at": "plugins[0].mtu"}}"#),
        };
        detect(&host(devices, &plugin)).map_or("none".into(), |detected| detected.layers.join(" "))
    }

    #[test]
    fn a_cni_shows_itself_by_its_plugin_and_its_devices() {
        let shown = [
            (layers(&["eth0"], ""), "none"),
            (layers(&["eth0", "tunl0"], ""), "none"),
            (layers(&["eth0"], "bridge"), "none"),
            (layers(&["eth0"], "calico"), "calico"),
            (layers(&["tunl0"], "calico"), "calico:ipip"),
            (
                layers(&["tunl0", "wireguard.cali"], "calico"),
                "calico:wireguard,ipip",
            ),
            (layers(&["vxlan.calico", "kubespan"], ""), "kubespan calico:vxlan"),
            (layers(&["flannel.1"], "flannel"), "flannel:vxlan"),
            (layers(&["flannel.1"], "calico"), "canal"),
            (layers(&[], "flannel"), "flannel:host-gw"),
            (
                layers(&["cilium_vxlan", "cilium_wg0"], "cilium-cni"),
                "cilium:vxlan,wireguard",
            ),
            (layers(&["ovn0", "genev_sys_6081"], "kube-ovn"), "kube-ovn:geneve"),
            (layers(&["ovn-k8s-mp0", "genev_sys_6081"], ""), "openshift"),
            (layers(&["antrea-gw0"], "antrea"), "antrea:no-encap"),
            (
                layers(&["antrea-gw0", "genev_sys_6081", "antrea-wg0"], "antrea"),
                "antrea:wireguard,geneve",
            ),
            (layers(&["weave"], "weave-net"), "weave"),
        ];
        for (is, expected) in &shown {
            assert_eq!(is, expected);
            if is != "none" {
                for text in is.split(' ') {
                    Layer::parse(text, None).unwrap();
                }
            }
        }
    }

    #[test]
    fn the_underlay_of_cilium_is_the_interface_of_its_state() {
        let underlay = |device: Option<u32>| {
            let mut host = host(
                &["eth0", "eth1"],
                r#"{"type": "cilium-cni", "at": "plugins[0].mtu"}"#,
            );
            host.link_mut("eth1".parse().unwrap()).unwrap().mtu = 9000;
            host.cni.as_mut().unwrap().cilium_device = device;
            let link = "eth0".parse().unwrap();
            host.default_routes = Some([DefaultRoute { link, mtu: None }].into());
            detect(&host).unwrap().underlay(&host).unwrap()
        };
        let of_state = (9000, "eth1, which Cilium uses between nodes".to_owned());
        let of_route = "the default route's eth0; Cilium's state names no interface";
        assert_eq!(underlay(Some(2)), of_state);
        assert_eq!(underlay(None), (1500, of_route.to_owned()));
        // The interface is gone.
        assert_eq!(underlay(Some(7)), (1500, of_route.to_owned()));
    }

    #[test]
    fn the_underlay_is_the_lower_device_of_the_tunnel() {
        let underlay = |bond0: u32, bond1: u32| {
            let mut host = host(&["bond0", "bond1", "vxlan.calico"], "");
            for (name, mtu) in [("bond0", bond0), ("bond1", bond1)] {
                host.link_mut(name.parse().unwrap()).unwrap().mtu = mtu;
            }
            host.link_mut("vxlan.calico".parse().unwrap()).unwrap().lower = Some(1);
            host.default_routes = Some(
                [DefaultRoute {
                    link: "bond1".parse().unwrap(),
                    mtu: None,
                }]
                .into(),
            );
            detect(&host).unwrap().underlay(&host).unwrap()
        };
        let from = "bond0, the lower device of vxlan.calico".to_owned();
        assert_eq!(underlay(9000, 1500), (9000, from.clone()));
        assert_eq!(underlay(1500, 9000), (1500, from));
    }

    #[test]
    fn what_is_given_is_held_against_what_is_left() {
        let plugin = r#"{"type": "calico", "at": "plugins[0].mtu", "mtu": 1480}"#;
        let mut host = host(&["vxlan.calico"], plugin);
        for tunnel in host.links.values_mut().map(Arc::make_mut) {
            tunnel.mtu = 1400;
        }
        for (name, mtu) in [("cali1", 1480), ("cali2", 1450), ("cali3", 1450), ("cali4", 1400)] {
            let link = Link {
                kind: Some("veth".into()),
                peer_netns: Some(1),
                mtu,
                ..Link::default()
            };
            host.links.insert(name.parse().unwrap(), link.into());
        }
        let detected = detect(&host).unwrap();
        let answer = detected.answer(1500, "").unwrap();
        let verdicts: Vec<(i64, Verdict)> = detected
            .found
            .iter()
            .map(|found| (found.mtu, found.verdict(&answer)))
            .collect();
        assert_eq!(
            verdicts,
            [
                (1480, Verdict::Over(30)),
                (1400, Verdict::Less(50)),
                (1400, Verdict::Less(50)),
                (1450, Verdict::Fits),
                (1480, Verdict::Over(30)),
            ]
        );
        let mut findings = Findings::default();
        let too_large = detected.judge(&host, &answer, &mut findings);
        // The tunnel has less than what is left.
        assert!(too_large.is_reported && too_large.tunnels.is_empty());
        let told: Vec<_> = findings
            .into_sorted()
            .into_iter()
            .flat_map(|one| one.subjects)
            .collect();
        assert_eq!(told, ["/d/10-x.conflist", "1 veth into a pod"]);
    }
}
