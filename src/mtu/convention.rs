//! The bytes that CNIs and platforms subtract for their encapsulation. They may differ from the exact
//! size of the headers. The constants and rules come from their sources and documentation.

use crate::encapsulation::{Encapsulation, Given};
use crate::header::Wire;
use crate::layer::{Carrier, Family, Layer};
use netkeel_core::error::Error;

/// The conventions, in the order of the documentation.
pub const CONVENTIONS: &[Encapsulation] = &[
    Encapsulation::new(
        "calico",
        "the smallest MTU that the enabled encapsulations leave",
        &["ipip", "vxlan", "wireguard", "aks", "ipv4", "ipv6"],
        calico,
    ),
    Encapsulation::new(
        "canal",
        "flannel's VXLAN under Calico's policies: 50",
        FAMILY,
        |given| Ok(by(50, given.over_ip(VXLAN))),
    ),
    Encapsulation::new(
        "cilium",
        "the sum of the tunnel and the encryption, on the pods' routes: the device keeps the rest",
        &["vxlan", "geneve", "wireguard", "padded", "ipsec", "ipv4", "ipv6"],
        cilium,
    ),
    Encapsulation::new(
        "flannel",
        "a constant for each backend, vxlan unless another is named; the same over IPv6",
        &[
            "vxlan",
            "wireguard",
            "ipsec",
            "ipip",
            "udp",
            "host-gw",
            "ipv4",
            "ipv6",
        ],
        flannel,
    ),
    Encapsulation::new(
        "antrea",
        "the tunnel, geneve unless another is named, and 38 for IPsec; WireGuard replaces the tunnel",
        &[
            "geneve",
            "vxlan",
            "gre",
            "no-encap",
            "wireguard",
            "ipsec",
            "ipv4",
            "ipv6",
        ],
        antrea,
    ),
    Encapsulation::new(
        "kube-ovn",
        "100 for Geneve and vlan networks, 50 for vxlan, 72 for stt; 20 more over IPv6",
        &["geneve", "vlan", "vxlan", "stt", "ipv4", "ipv6"],
        kube_ovn,
    ),
    Encapsulation::new("openshift", "OVN-Kubernetes in OpenShift: 100", FAMILY, |given| {
        Ok(by(100, given.over_ip(OVN)))
    }),
    Encapsulation::new(
        "weave",
        "84: fast datapath with encryption; with `plain`, 50",
        &["plain", "ipv4", "ipv6"],
        weave,
    ),
    Encapsulation::new(
        "aks",
        "100 for the platform: Azure fragments what is larger than 1400 (Calico's rule)",
        &[],
        |_| Ok(flat(100)),
    ),
    Encapsulation::new(
        "gke",
        "nothing: pods have the MTU of the node, 1460 by default",
        &[],
        |_| Ok(by(0, Wire::default())),
    ),
    Encapsulation::new(
        "eks",
        "nothing: pods have the MTU of the node, 9001; beyond the VPC 1500",
        &[],
        |_| Ok(by(0, Wire::default())),
    ),
];

/// The settings for comparisons.
pub const COMPARED: &[&str] = &[
    "calico:ipip",
    "calico:vxlan",
    "calico:wireguard",
    "calico:ipip,wireguard",
    "canal",
    "cilium:vxlan",
    "cilium:wireguard",
    "cilium:vxlan,wireguard",
    "cilium:vxlan,ipsec",
    "flannel:vxlan",
    "flannel:wireguard",
    "flannel:host-gw",
    "antrea:geneve",
    "antrea:geneve,ipsec",
    "antrea:wireguard",
    "kube-ovn:geneve",
    "kube-ovn:stt",
    "openshift",
    "weave",
    "gke",
    "eks",
];

const FAMILY: &[&str] = &["ipv4", "ipv6"];

const VXLAN: &[&str] = &["udp", "vxlan", "eth"];

const GENEVE: &[&str] = &["udp", "geneve", "eth"];

const OVN: &[&str] = &["udp", "geneve", "ovnopt", "eth"];

const WIREGUARD: &[&str] = &["udp", "wg"];

/// The convention with this name; `ovn-kubernetes` is another name of OpenShift's.
pub(crate) fn find(name: &str) -> Option<&'static Encapsulation> {
    let name = if name == "ovn-kubernetes" {
        "openshift"
    } else {
        name
    };
    CONVENTIONS.iter().find(|known| known.name == name)
}

/// All names of conventions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CONVENTIONS.iter().map(|known| known.name)
}

/// A constant, and the headers on the wire.
fn by(flat: i64, wire: Wire) -> Layer {
    Layer {
        flat: Some(flat),
        ..Layer::exact(wire)
    }
}

/// A constant whose headers depend on facts that are not known here.
fn flat(flat: i64) -> Layer {
    Layer {
        wire: None,
        ..by(flat, Wire::default())
    }
}

fn both(mut first: Wire, second: &Wire) -> Wire {
    first.headers.extend(second.headers.iter().cloned());
    first
}

fn more(given: &Given<'_>) -> i64 {
    match given.family() {
        Family::Ipv4 => 0,
        Family::Ipv6 => 20,
    }
}

/// WireGuard over the given family; over IPv6 if none is given.
fn wireguard(given: &Given<'_>) -> Wire {
    let family = given.said_family().unwrap_or(Family::Ipv6);
    Wire::of(&[family.word(), "udp", "wg"])
}

/// `determinePodMTU` and its constants: felix/dataplane/linux/int_dataplane.go. A packet has one of the
/// encapsulations, so the largest counts, not the sum.
fn calico(given: &Given<'_>) -> Result<Layer, Error> {
    let mut enabled = Vec::new();
    if given.has("ipip") {
        enabled.push((20, Wire::of(&["ipv4"])));
    }
    if given.has("vxlan") {
        enabled.push((50 + more(given), given.over_ip(VXLAN)));
    }
    if given.has("wireguard") {
        // On AKS, host encryption includes the platform's part.
        let platform = if given.has("aks") { 100 } else { 0 };
        enabled.push((60 + more(given) + platform, given.over_ip(WIREGUARD)));
    }
    let largest = enabled.into_iter().max_by_key(|(bytes, _)| *bytes);
    Ok(match largest {
        Some((bytes, wire)) => by(bytes, wire),
        None => by(0, Wire::default()),
    })
}

/// `getRouteMTU` and its constants: pkg/mtu/mtu.go. WireGuard took 80 bytes up to 1.19.4. Since 1.19.5
/// it takes 95, which includes the maximum padding.
fn cilium(given: &Given<'_>) -> Result<Layer, Error> {
    given.one_of(&["vxlan", "geneve"])?;
    given.one_of(&["wireguard", "ipsec"])?;
    let (mut bytes, mut wire) = (0, Wire::default());
    for (word, headers) in [("vxlan", VXLAN), ("geneve", GENEVE)] {
        if given.has(word) {
            bytes += 50 + more(given);
            wire = given.over_ip(headers);
        }
    }
    if given.has("wireguard") {
        bytes += if given.has("padded") { 95 } else { 80 };
        wire = both(wireguard(given), &wire);
    }
    if given.has("ipsec") {
        bytes += 77;
    }
    let known = (!given.has("ipsec")).then_some(wire);
    Ok(Layer {
        wire: known,
        place: Carrier::Route,
        ..flat(bytes)
    })
}

/// The constants of each backend: pkg/backend/*/*_network.go. VXLAN takes 50 over IPv6 too, which is 20
/// too few.
fn flannel(given: &Given<'_>) -> Result<Layer, Error> {
    const BACKENDS: &[&str] = &["vxlan", "wireguard", "ipsec", "ipip", "udp", "host-gw"];
    given.one_of(BACKENDS)?;
    let backend = BACKENDS.iter().copied().find(|word| given.has(word));
    Ok(match backend.unwrap_or("vxlan") {
        "wireguard" => by(80, wireguard(given)),
        "ipsec" => flat(77),
        "ipip" => by(20, Wire::of(&["ipv4"])),
        "udp" => by(28, Wire::of(&["ipv4", "udp"])),
        "host-gw" => by(0, Wire::default()),
        _ => by(50, given.over_ip(VXLAN)),
    })
}

/// The constants of pkg/agent/config/node_config.go.
fn antrea(given: &Given<'_>) -> Result<Layer, Error> {
    given.one_of(&["geneve", "vxlan", "gre", "no-encap"])?;
    given.one_of(&["wireguard", "ipsec"])?;
    if given.has("wireguard") {
        return Ok(by(60 + more(given), given.over_ip(WIREGUARD)));
    }
    let (bytes, wire) = if given.has("no-encap") {
        (0, Wire::default())
    } else if given.has("gre") {
        (42 + more(given), given.over_ip(&["gre", "grekey", "eth"]))
    } else if given.has("vxlan") {
        (50 + more(given), given.over_ip(VXLAN))
    } else {
        (50 + more(given), given.over_ip(GENEVE))
    };
    Ok(if given.has("ipsec") {
        flat(bytes + 38)
    } else {
        by(bytes, wire)
    })
}

/// The constants of pkg/util/const.go and the rule of pkg/daemon/config.go.
fn kube_ovn(given: &Given<'_>) -> Result<Layer, Error> {
    given.one_of(&["geneve", "vlan", "vxlan", "stt"])?;
    let over = |words: &[&str]| both(Wire::of(&[given.family().word()]), &Wire::of(words));
    let (bytes, wire) = if given.has("vxlan") {
        (50, over(VXLAN))
    } else if given.has("stt") {
        (72, over(&["tcp", "stt", "eth"]))
    } else if given.has("vlan") {
        (100, Wire::default())
    } else {
        (100, over(OVN))
    };
    Ok(by(bytes + more(given), wire))
}

/// 84 in net/bridge.go: VXLAN and 34 for ESP.
fn weave(given: &Given<'_>) -> Result<Layer, Error> {
    Ok(if given.has("plain") {
        by(50, given.over_ip(VXLAN))
    } else {
        flat(84)
    })
}
