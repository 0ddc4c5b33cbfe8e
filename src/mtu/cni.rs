//! How CNIs show themselves on a host: their plugins, their devices, and the veths of their pods.

use netkeel_core::fact::Value;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// Plugins, and the convention of their CNI; none for a CNI that adds nothing to packets, or whose rule netkeel does
/// not know.
pub(crate) const PLUGINS: &[(&str, Option<&str>)] = &[
    ("calico", Some("calico")),
    ("flannel", Some("flannel")),
    ("cilium-cni", Some("cilium")),
    ("kube-ovn", Some("kube-ovn")),
    ("ovn-k8s-cni-overlay", Some("openshift")),
    ("antrea", Some("antrea")),
    ("weave-net", Some("weave")),
    ("aws-cni", Some("eks")),
    ("azure-vnet", None),
    ("galaxy-k8s-sriov", None),
    ("galaxy-k8s-vlan", None),
    ("galaxy-veth", None),
    ("gke", Some("gke")),
    ("terway", None),
    ("tke-route-eni", None),
];

/// Plugins of no CNI's own. They decide where the runtime loads no other: pods then go through no tunnel that netkeel
/// knows. With another in the same file, they make the device, and the other sets its MTU.
pub(crate) const GENERIC: &[&str] = &["bridge", "ptp", "macvlan", "ipvlan"];

/// The device by which Calico encapsulates in IPv4.
pub(crate) const TUNL0: &str = "tunl0";

/// A device, the CNI that it indicates, and the parameter of the convention that it implies. Some
/// devices indicate only how another CNI encapsulates.
pub(crate) const DEVICES: &[(&str, &str, &str)] = &[
    ("vxlan.calico", "calico", "vxlan"),
    ("vxlan-v6.calico", "calico", "vxlan"),
    ("wireguard.cali", "calico", "wireguard"),
    ("wg-v6.cali", "calico", "wireguard"),
    (TUNL0, "", "ipip"),
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
pub(crate) const SHARED: &[(&str, &[&str])] = &[
    ("calico", &["ipip"]),
    ("antrea", &["geneve", "vxlan", "gre"]),
    ("kube-ovn", &["geneve", "vxlan"]),
];

/// What the veths of a CNI's pods have in common, unless the CNI was configured otherwise.
#[derive(Clone, Copy)]
enum Mark {
    /// Their names begin with one of these, and a route leads to each: none is a port.
    Prefix(&'static [&'static str]),
    /// They are ports of this bridge.
    Bridge(&'static str),
    /// They are ports of Open vSwitch.
    OpenVSwitch,
}

/// The bridge of flannel's plugin.
const CNI0: &str = "cni0";

const MARKS: &[(&str, Mark)] = &[
    ("antrea", Mark::OpenVSwitch),
    ("calico", Mark::Prefix(&["cali"])),
    ("canal", Mark::Prefix(&["cali"])),
    ("cilium", Mark::Prefix(&["lxc"])),
    // Pods with security groups of their own have a VLAN.
    ("eks", Mark::Prefix(&["eni", "vlan"])),
    ("flannel", Mark::Bridge(CNI0)),
    ("gke", Mark::Prefix(&["gke", "veth"])),
    ("kube-ovn", Mark::OpenVSwitch),
    ("openshift", Mark::OpenVSwitch),
    ("weave", Mark::Bridge("weave")),
];

/// The bridges of programs that run containers by themselves: Docker, Podman, nerdctl, LXD, Incus, LXC, libvirt. A
/// name ends after the word, or in what is no letter.
const BRIDGES_OF_OTHERS: &[&str] = &[
    "docker",
    "br-",
    "podman",
    "cni-podman",
    "nerdctl",
    "lxdbr",
    "incusbr",
    "lxcbr",
    "virbr",
];

/// The device of a CNI if it is up. The kernel makes some when a module is loaded (tunl0).
pub(crate) fn device_up<'a>(host: &'a Snapshot, name: &str) -> Option<&'a Link> {
    host.link(name.parse().ok()?).filter(|link| link.up)
}

/// The device of a CNI if it is up and the CNI uses it. A device of flannel is not used if flannel left it behind when
/// its backend was changed: where the routes were read, none leads to another node by it, and flannel wrote another
/// MTU than the device's, or a device of another backend is there instead. On the only node of a cluster, no route
/// leads by a device that is used. tunl0 of the kernel's module may serve another program, or be left up by Calico: where no
/// route leads to another node by it, it counts if Felix wrote its MTU.
pub(crate) fn device_used<'a>(host: &'a Snapshot, name: &str) -> Option<&'a Link> {
    let link = device_up(host, name)?;
    if is_left_behind(host, name) {
        return None;
    }
    if name == TUNL0 && leads_to_nodes(host, name) == Some(false) {
        let written = host.cni.as_ref().and_then(|cni| cni.calico_mtu);
        return (written == Some(link.mtu.into())).then_some(link);
    }
    let Some((_, cni, backend)) = DEVICES.iter().find(|(device, ..)| *device == name) else {
        return Some(link);
    };
    if *cni != "flannel" || leads_to_nodes(host, name) != Some(false) {
        return Some(link);
    }
    let written = host.cni.as_ref().and_then(|cni| cni.flannel_mtu);
    let is_of_written = written.is_none_or(|mtu| mtu == i64::from(link.mtu));
    let routed = has_routers(name);
    let replaced = DEVICES.iter().any(|(other, of, by)| {
        *of == "flannel"
            && by != backend
            && device_up(host, other).is_some()
            && !is_left_behind(host, other)
            // No router is known by the devices of the other backends, whether they are used or not.
            && (leads_to_nodes(host, other) == Some(true) || (routed && !has_routers(other)))
    });
    ((is_of_written || !routed) && !replaced).then_some(link)
}

/// Whether the routes by a device lead to routers, as next hops show them. Those by the devices of WireGuard and of the
/// backend `udp` have none.
fn has_routers(name: &str) -> bool {
    !matches!(name, "flannel-wg" | "flannel0")
}

/// Whether a route leads to another node by a device; `None` where the next hops were not read.
pub(crate) fn leads_to_nodes(host: &Snapshot, name: &str) -> Option<bool> {
    let mut hops = host.next_hops.as_ref()?.iter();
    Some(hops.any(|hop| hop.link.as_bytes() == name.as_bytes()))
}

/// Whether a device was left behind by a CNI that is gone: flannel gives each of its devices an address, and addresses
/// were read.
fn is_left_behind(host: &Snapshot, name: &str) -> bool {
    let read = host.families.ipv4 && host.families.ipv6;
    let link = device_up(host, name);
    // The kernel adds link-local addresses by itself.
    let has_own = |link: &Link| link.has_ipv4() || link.lasting_ipv6().next().is_some();
    name.starts_with("flannel") && read && link.is_some_and(|link| !has_own(link))
}

/// The plugins of the configuration that the runtime loads, and of the one that Multus calls from it: path, types,
/// `mtu`.
pub(crate) fn loaded(host: &Snapshot) -> Vec<(String, &str, Option<i64>)> {
    let paths = host.cni.as_ref().and_then(|cni| {
        let path = cni.runtime.as_ref()?.intends(&cni.files)?;
        Some((cni, [Some(path), cni.called_by(path)]))
    });
    let Some((cni, paths)) = paths else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in paths.into_iter().flatten() {
        let configuration = cni.file(path).flatten();
        for plugin in configuration.iter().flat_map(|read| read.plugins()) {
            let mtu = match plugin.mtu {
                Some(Value::Number(mtu)) if mtu > 0 => Some(mtu),
                _ => None,
            };
            found.push((path.display().to_string(), &*plugin.kind, mtu));
        }
    }
    found
}

/// Whether the runtime loads a plugin of no CNI's own.
pub(crate) fn loads_generic(host: &Snapshot) -> bool {
    loaded(host).iter().any(|(_, kind, _)| GENERIC.contains(kind))
}

/// The CNI that alone gives the veths of pods such names, where there are some. Other programs give names as those of
/// Cilium's and AWS's too.
pub(crate) fn named_pods(host: &Snapshot) -> Option<&'static str> {
    let mut veths = host.links.iter().filter(|(_, link)| link.leads_into_a_pod());
    veths
        .any(|(name, _)| name.as_bytes().starts_with(b"cali"))
        .then_some("calico")
}

/// Whether the packets of a veth need not leave by a route of the host: it is a port of a bridge with an uplink or a tunnel,
/// or of a VRF with routes of its own. What limits them is not known here.
pub(crate) fn leaves_otherwise(host: &Snapshot, link: &Link) -> bool {
    let Some(index) = link.master else {
        return false;
    };
    let Some((_, master)) = host.by_index(index) else {
        return false;
    };
    match master.kind_name() {
        "vrf" => true,
        // All ports of Open vSwitch have one master, whatever their bridge.
        "bridge" | "openvswitch" => {
            let mut ports = host.links.values().filter(|port| port.master == Some(index));
            ports.any(|port| {
                let inner = ["veth", "netkit", "tun", "dummy", "ifb", "openvswitch"];
                !inner.contains(&port.kind_name())
            })
        }
        _ => false,
    }
}

/// Whether a port of Open vSwitch is of the overlay of the CNI. It may be of another network, such as a VLAN of the underlay,
/// where the switch has a port by which packets leave as they are, the port is larger than the CNI's gateway device, and no
/// route leads to the pod by that device. In OVN-Kubernetes only further interfaces of a pod are of such a network
/// (`localnet`), and br-ex has a NIC on every node. `None` where the routes were not read.
fn is_of_overlay(host: &Snapshot, cni: &str, name: LinkName, port: &Link) -> Option<bool> {
    let is_physical = |name: LinkName, other: &Link| {
        let kinds = ["bond", "team", "vlan", "macvlan"];
        other.is_hardware(name) || kinds.contains(&other.kind_name())
    };
    let mut ports = host.links.iter().filter(|(_, other)| other.master == port.master);
    let mut gateways = DEVICES
        .iter()
        .filter(|(_, of, parameter)| *of == cni && parameter.is_empty());
    let gateway = gateways.find_map(|(name, ..)| Some((name.parse().ok()?, device_up(host, name)?)));
    let first = port.pod.as_ref().map(|end| end.name.as_bytes() == b"eth0");
    let may_be_further = cni != "openshift" || first != Some(true);
    if !may_be_further || !ports.any(|(name, other)| is_physical(*name, other)) {
        return Some(true);
    }
    match gateway {
        None => Some(false),
        Some((_, gateway)) if port.mtu <= gateway.mtu => Some(true),
        Some((by, _)) => is_reached_by(host, name, by),
    }
}

/// Whether a route leads to an address of the pod at a port by a device; `None` where that was not read.
fn is_reached_by(host: &Snapshot, port: LinkName, device: LinkName) -> Option<bool> {
    let ways = host.forwarding.as_deref()?;
    let (routes, pod) = (ways.routes.as_ref()?, ways.pods.get(&port)?);
    let mut is_known = true;
    for address in &pod.addresses {
        match routes.to(address.addr()) {
            Ok(Some(route)) if route.hops().iter().any(|hop| hop.link == device) => return Some(true),
            Ok(_) => {}
            Err(_) => is_known = false,
        }
    }
    is_known.then_some(false)
}

/// The ports of pods at Open vSwitch that may be of the CNI's overlay or of another network: the routes that tell it were not
/// read.
pub(crate) fn unplaced(host: &Snapshot, cni: &str) -> Vec<LinkName> {
    let links = host.links.iter().map(|(name, link)| (*name, link.as_ref()));
    let is_port = |name: LinkName, link: &Link| {
        let of_cni = MARKS
            .iter()
            .any(|(of, mark)| *of == cni && matches!(mark, Mark::OpenVSwitch));
        of_cni && link.leads_into_a_pod() && Mark::OpenVSwitch.is_on(host, name, link)
    };
    let ports = links.filter(|(name, link)| is_port(*name, link));
    let unplaced = ports.filter(|(name, link)| is_of_overlay(host, cni, *name, link).is_none());
    unplaced.map(|(name, _)| name).collect()
}

/// Splits the veths into other namespaces: those of the pods of a CNI, and others, as those of Docker's containers. The
/// packets of others do not go through the tunnel of the CNI. Others whose packets need not leave by a route are left out.
pub(crate) fn split<'a>(host: &'a Snapshot, cni: &str) -> (Vec<&'a Link>, Vec<&'a Link>) {
    let veths = || {
        let links = host.links.iter().map(|(name, link)| (*name, link.as_ref()));
        links.filter(|(_, link)| link.leads_into_a_pod())
    };
    let Some((_, mark)) = MARKS.iter().find(|(of, _)| *of == cni) else {
        return (veths().map(|(_, link)| link).collect(), Vec::new());
    };
    // With another name of its own, a CNI's veths are still no ports of another program's bridge.
    let by_mark = veths().any(|(name, link)| mark.is_on(host, name, link));
    let belongs = |(name, link): &(LinkName, &Link)| match by_mark {
        true => mark.is_on(host, *name, link),
        false => mark.may_be_on(host, link),
    };
    let (mut own, others): (Vec<_>, Vec<_>) = veths().partition(belongs);
    // A pod may have further veths: the egress of AWS' pods has one.
    let of_own: Vec<_> = own.iter().filter_map(|(_, link)| link.peer_netns).collect();
    let is_further =
        |(_, link): &(LinkName, &Link)| link.peer_netns.is_some_and(|netns| of_own.contains(&netns));
    let (further, mut others): (Vec<_>, Vec<_>) = others.into_iter().partition(|veth| {
        by_mark && matches!(mark, Mark::Prefix(_)) && veth.1.master.is_none() && is_further(veth)
    });
    own.extend(further);
    if matches!(mark, Mark::OpenVSwitch) {
        own.retain(|(name, link)| is_of_overlay(host, cni, *name, link) == Some(true));
    }
    others.retain(|(_, link)| !leaves_otherwise(host, link));
    let links = |veths: Vec<(LinkName, &'a Link)>| veths.into_iter().map(|(_, link)| link).collect();
    (links(own), links(others))
}

impl Mark {
    fn is_on(self, host: &Snapshot, name: LinkName, link: &Link) -> bool {
        match self {
            Mark::Prefix(prefixes) => {
                let mut prefixes = prefixes.iter();
                let named = prefixes.any(|prefix| name.as_bytes().starts_with(prefix.as_bytes()));
                named && link.master.is_none()
            }
            Mark::Bridge(bridge) => {
                let is_it = |(name, link): (LinkName, &Link)| {
                    name.as_bytes() == bridge.as_bytes()
                        || (bridge == CNI0 && has_subnet_of_flannel(host, link))
                };
                master(host, link).is_some_and(is_it)
            }
            Mark::OpenVSwitch => {
                master(host, link).is_some_and(|(_, master)| master.kind_name() == "openvswitch")
            }
        }
    }

    /// Whether it may be a pod of a CNI that was configured otherwise.
    fn may_be_on(self, host: &Snapshot, link: &Link) -> bool {
        match self {
            Mark::Prefix(_) | Mark::OpenVSwitch => link.master.is_none(),
            Mark::Bridge(_) => match (link.master, master(host, link)) {
                (None, _) => true,
                (Some(_), Some((name, master))) => {
                    master.kind_name() == "bridge" && !is_of_others(name) && !leaves_otherwise(host, link)
                }
                (Some(_), None) => false,
            },
        }
    }
}

fn master<'a>(host: &'a Snapshot, link: &Link) -> Option<(LinkName, &'a Link)> {
    host.by_index(link.master?)
}

/// Whether a bridge has flannel's subnet of the host: Docker may run over flannel without a CNI. The device of flannel has
/// the first address of that subnet.
fn has_subnet_of_flannel(host: &Snapshot, bridge: &Link) -> bool {
    let devices = DEVICES.iter().filter(|(_, cni, _)| *cni == "flannel");
    let own = devices.filter_map(|(name, ..)| device_used(host, name));
    let mut own = own.flat_map(|link| &link.addresses);
    own.any(|address| {
        let mut subnets = bridge.addresses.iter();
        subnets.any(|subnet| subnet.prefix_len() < address.prefix_len() && subnet.contains(&address.addr()))
    })
}

fn is_of_others(bridge: LinkName) -> bool {
    let name = bridge.as_text();
    BRIDGES_OF_OTHERS.iter().any(|word| {
        let rest = name.strip_prefix(word);
        rest.is_some_and(|rest| {
            word.ends_with('-') || !rest.starts_with(|letter: char| letter.is_alphabetic())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The MTUs of the pods of a CNI, and those of other veths.
    fn mtus(cni: &str, links: &str) -> (Vec<u32>, Vec<u32>) {
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                "docker0":{{"index":20,"kind":"bridge"}},"br-5f3c9a1b2d4e":{{"index":21,"kind":"bridge"}},
                "lxdbr0":{{"index":22,"kind":"bridge"}},"brpods":{{"index":23,"kind":"bridge"}},
                "br-storage":{{"index":26,"kind":"bridge"}},"eth1":{{"index":27,"master":26}},"vrf1":{{"index":28,"kind":"vrf"}},
                "cni0":{{"index":24,"kind":"bridge"}},"ovs-system":{{"index":25,"kind":"openvswitch"}},{links}}}}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let (own, others) = split(&host, cni);
        let mtus = |links: Vec<&Link>| links.iter().map(|link| link.mtu).collect();
        (mtus(own), mtus(others))
    }

    fn veth(name: &str, mtu: u32, master: u32) -> String {
        let master = match master {
            0 => String::new(),
            index => format!(r#","master":{index}"#),
        };
        format!(r#""{name}":{{"kind":"veth","mtu":{mtu},"lower":2,"peer_netns":1{master}}}"#)
    }

    #[test]
    fn a_container_of_another_program_is_no_pod_of_the_cni() {
        let containers = [
            veth("veth1", 1, 20),
            veth("veth2", 2, 21),
            veth("veth3", 3, 22),
            veth("veth4", 4, 99),
        ]
        .join(",");
        for (cni, pod) in [
            ("calico", veth("cali1", 9, 0)),
            // FELIX_INTERFACEPREFIX
            ("calico", veth("mine1", 9, 0)),
            ("eks", veth("eni1", 9, 0)),
            ("eks", veth("vlan1", 9, 0)),
            ("flannel", veth("vetha", 9, 24)),
            ("flannel", veth("vetha", 9, 23)),
            ("kube-ovn", veth("1_h", 9, 25)),
        ] {
            let found = mtus(cni, &format!("{pod},{containers}"));
            assert_eq!(found, (vec![9], vec![1, 2, 3, 4]), "{cni} {pod}");
        }
        // No pod runs.
        assert_eq!(mtus("flannel", &containers), (vec![], vec![1, 2, 3, 4]));
        // Pods have the CNI's own mark, and this veth has not.
        let vpn = veth("vpn", 8, 0).replace(r#""peer_netns":1"#, r#""peer_netns":2"#);
        let both = [veth("cali1", 9, 0), vpn].join(",");
        assert_eq!(mtus("calico", &both), (vec![9], vec![8]));
        // Their packets need not leave by the default route.
        let elsewhere = [veth("veth5", 5, 26), veth("veth6", 6, 28)].join(",");
        for cni in ["calico", "flannel"] {
            assert_eq!(mtus(cni, &elsewhere), (vec![], vec![]), "{cni}");
        }
    }

    #[test]
    fn the_bridge_of_docker_may_be_that_of_flannel() {
        let docker = |subnet: &str| {
            let links = [
                r#""flannel.1":{"index":30,"kind":"vxlan","mtu":1450,"up":true,"addresses":["10.244.1.0/32"]}"#.to_owned(),
                format!(r#""docker1":{{"index":31,"kind":"bridge","addresses":["{subnet}"]}}"#),
                veth("veth1", 9, 31),
            ];
            mtus("flannel", &links.join(","))
        };
        assert_eq!(docker("10.244.1.1/24"), (vec![9], vec![]));
        assert_eq!(docker("172.17.0.1/16"), (vec![], vec![9]));
    }

    #[test]
    fn a_large_port_of_open_vswitch_with_a_route_by_the_gateway_is_of_the_overlay() {
        let pods = |forwarding: &str| {
            let text = format!(
                r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{
                    "ovs-system":{{"index":25,"kind":"openvswitch"}},"ovn0":{{"index":26,"kind":"openvswitch","mtu":1400,"up":true}},
                    "eth1":{{"index":28,"mtu":1500,"master":25,"up":true}},"a_h":{{"index":30,"kind":"veth","mtu":1500,"lower":9,"peer_netns":1,"master":25}}}}{forwarding}}}"#
            );
            let host = Snapshot::from_json(&text).unwrap();
            (
                split(&host, "kube-ovn").0.len(),
                unplaced(&host, "kube-ovn").len(),
            )
        };
        let read = |more: &str, pods: &str| {
            format!(
                r#","forwarding":{{"routes":{{"routes":[{{"destination":"10.16.0.0/16","to":{{"hops":[{{"link":"ovn0","via":"100.64.0.1"}}]}}}}]{more}}},
                    "pods":{{{pods}}}}}"#
            )
        };
        let at = |address: &str| {
            format!(r#""a_h":{{"addresses":["{address}"],"routes":{{"routes":[]}},"neighbours":[]}}"#)
        };
        assert_eq!(pods(&read("", &at("10.16.0.7/16"))), (1, 0));
        assert_eq!(pods(&read("", &at("192.0.2.7/24"))), (0, 0));
        // Without the routes, those of the pod, or all of them nobody knows.
        for unread in ["", &read("", ""), &read(r#","more":true"#, &at("192.0.2.7/24"))] {
            assert_eq!(pods(unread), (0, 1), "{unread}");
        }
    }

    #[test]
    fn a_further_veth_of_a_pod_is_no_container() {
        let of = |name: &str, mtu: u32, netns: u32| {
            veth(name, mtu, 0).replace(r#""peer_netns":1"#, &format!(r#""peer_netns":{netns}"#))
        };
        let links = [of("eni1", 9, 1), of("veth1", 8, 1), of("veth2", 7, 2)].join(",");
        assert_eq!(mtus("eks", &links), (vec![9, 8], vec![7]));
    }
}
