//! Tests of the detection of CNIs.

use super::*;
use std::sync::Arc;

use netkeel_core::error::ErrorKind;
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
        (layers(&["flannel.1"], "bridge"), "none"),
        (layers(&["ens4"], "gke"), "gke"),
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
    let underlay = |device: Option<u32>, eth1: u32| {
        let mut host = host(
            &["eth0", "eth1"],
            r#"{"type": "cilium-cni", "at": "plugins[0].mtu"}"#,
        );
        host.link_mut("eth1".parse().unwrap()).unwrap().mtu = eth1;
        host.cni.as_mut().unwrap().cilium_device = device;
        let link = "eth0".parse().unwrap();
        host.default_routes = Some([DefaultRoute::by(link)].into());
        detect(&host).unwrap().underlay(&host)
    };
    let of_state = (9000, "eth1, which Cilium uses between nodes".to_owned());
    let of_route = "the default route's eth0; Cilium's state names no interface";
    assert_eq!(underlay(Some(2), 9000).unwrap(), of_state);
    // The interface is gone, or the state has none: each of the two may be it.
    for device in [None, Some(7)] {
        assert_eq!(underlay(device, 1500).unwrap(), (1500, of_route.to_owned()));
        assert_eq!(underlay(device, 9000).unwrap_err().kind, ErrorKind::Unreadable);
    }
}

#[test]
fn the_underlay_is_the_lower_device_of_the_tunnel() {
    let underlay = |bond0: u32, bond1: u32| {
        let mut host = host(&["bond0", "bond1", "vxlan.calico"], "");
        for (name, mtu) in [("bond0", bond0), ("bond1", bond1)] {
            host.link_mut(name.parse().unwrap()).unwrap().mtu = mtu;
        }
        host.link_mut("vxlan.calico".parse().unwrap()).unwrap().lower = Some(1);
        host.default_routes = Some([DefaultRoute::by("bond1".parse().unwrap())].into());
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

#[test]
fn a_device_that_another_cni_left_behind_decides_nothing() {
    // The loaded plugin has no convention, so that no encapsulation is known.
    assert_eq!(layers(&["flannel.1"], "azure-vnet"), "none");
    assert_eq!(layers(&["flannel.1", "tunl0"], "calico"), "calico:ipip");
    assert_eq!(layers(&["flannel.1", "vxlan.calico"], "calico"), "calico:vxlan");
    let with = |change: &dyn Fn(&mut Link), hops: &[&str]| {
        let plugin = r#"{"type": "calico", "at": "plugins[0].mtu"}"#;
        let mut host = host(&["flannel.1"], plugin);
        host.families.ipv4 = true;
        host.families.ipv6 = true;
        let link = host.link_mut("flannel.1".parse().unwrap()).unwrap();
        link.addresses = ["10.244.1.0/32".parse().unwrap()].into();
        change(link);
        let hop = |name: &&str| format!(r#"{{"link":"{name}","router":"10.244.2.0"}}"#);
        let hops: Vec<String> = hops.iter().map(hop).collect();
        host.next_hops = Some(serde_json::from_str(&format!("[{}]", hops.join(","))).unwrap());
        detect(&host).unwrap().layers.join(" ")
    };
    assert_eq!(with(&|_| {}, &["flannel.1"]), "canal");
    assert_eq!(with(&|_| {}, &["eth0"]), "calico");
    assert_eq!(with(&|link| link.up = false, &["flannel.1"]), "calico");
    assert_eq!(with(&|link| link.addresses.clear(), &["flannel.1"]), "calico");
    let link_local = |link: &mut Link| link.addresses = ["fe80::1/64".parse().unwrap()].into();
    assert_eq!(with(&link_local, &["flannel.1"]), "calico");
}

#[test]
fn the_name_of_the_configuration_tells_canal_from_calico() {
    let shown = |file: &str, hops: Option<&str>| {
        let mut host = host(&["flannel.1"], "");
        let text = format!(
            r#"{{"runtime": {{"directory": "/d"}}, "files": {{"/d/{file}": {{"sha256": "", "plugins": [
                {{"type": "calico", "at": "plugins[0].mtu"}}]}}}}}}"#
        );
        host.cni = Some(serde_json::from_str(&text).unwrap());
        host.next_hops = hops.map(|hops| serde_json::from_str(hops).unwrap());
        detect(&host).unwrap().layers.join(" ")
    };
    // The device that flannel left behind keeps its routes.
    let led = Some(r#"[{"link":"flannel.1","router":"10.244.2.0"}]"#);
    assert_eq!(shown("10-calico.conflist", led), "calico");
    assert_eq!(shown("10-other.conflist", led), "canal");
    // The only node of a cluster.
    assert_eq!(shown("10-canal.conflist", Some("[]")), "canal");
    assert_eq!(shown("10-other.conflist", Some("[]")), "calico");
}

#[test]
fn a_former_backend_of_flannel_decides_nothing() {
    let shown = |devices: &[(&str, u32)], hops: &[&str], written: i64| {
        let names: Vec<&str> = devices.iter().map(|(name, _)| *name).collect();
        let mut host = host(&names, r#"{"type": "flannel", "at": "plugins[0].mtu"}"#);
        for (name, mtu) in devices {
            host.link_mut(name.parse().unwrap()).unwrap().mtu = *mtu;
        }
        host.cni.as_mut().unwrap().flannel_mtu = Some(written).filter(|mtu| *mtu > 0);
        let hop = |name: &&str| format!(r#"{{"link":"{name}","router":"10.244.2.0"}}"#);
        let hops: Vec<String> = hops.iter().map(hop).collect();
        host.next_hops = Some(serde_json::from_str(&format!("[{}]", hops.join(","))).unwrap());
        detect(&host).unwrap().layers.join(" ")
    };
    let (vxlan, wireguard) = (("flannel.1", 1450), ("flannel-wg", 1420));
    assert_eq!(shown(&[vxlan], &["flannel.1"], 1450), "flannel:vxlan");
    // The only node.
    assert_eq!(shown(&[vxlan], &[], 1450), "flannel:vxlan");
    // host-gw
    assert_eq!(shown(&[vxlan], &["eth0"], 1500), "flannel:host-gw");
    assert_eq!(shown(&[vxlan, wireguard], &["eth0"], 1420), "flannel:wireguard");
    assert_eq!(shown(&[vxlan, wireguard], &["flannel.1"], 1450), "flannel:vxlan");
    assert_eq!(shown(&[wireguard], &[], 1400), "flannel:wireguard");
    // A tunnel whose MTU another program changed is still in use.
    assert_eq!(
        shown(&[("flannel.1", 1500)], &["flannel.1"], 1450),
        "flannel:vxlan"
    );
}

#[test]
fn the_headers_count_where_the_convention_subtracts_less() {
    let plugin = r#"{"type": "flannel", "at": "plugins[0].mtu", "mtu": 1450}"#;
    let mut host = host(&["flannel-v6.1"], plugin);
    host.link_mut("flannel-v6.1".parse().unwrap()).unwrap().mtu = 1430;
    let detected = detect(&host).unwrap();
    let answer = detected.answer(1500, "").unwrap();
    let tunnel = detected.found.iter().find(|found| found.on == "tunnel").unwrap();
    assert_eq!(tunnel.verdict(&answer), Verdict::Fits);
    let answer = detected.answer(1480, "").unwrap();
    let mut findings = Findings::default();
    detected.judge(&host, &answer, &mut findings);
    let remedies = findings.into_sorted().into_iter().map(|one| one.remedy);
    assert_eq!(
        remedies.collect::<String>(),
        "give pods 1410: the headers leave no more"
    );
}

#[test]
fn the_cni_that_multus_calls_counts() {
    let mut host = host(&["flannel.1"], "");
    let text = r#"{"runtime": {"directory": "/d"}, "files": {
        "/d/00-multus.conf": {"sha256": "", "plugins": [{"type": "multus-shim", "at": "mtu", "cluster_network": "/host/d/10-azure.conflist"}]},
        "/d/10-azure.conflist": {"sha256": "", "plugins": [{"type": "azure-vnet", "at": "plugins[0].mtu"}]}}}"#;
    host.cni = Some(serde_json::from_str(text).unwrap());
    assert_eq!(detect(&host), None);
}

#[test]
fn a_tunnel_over_ipv6_leaves_less() {
    let v6 = "calico:vxlan,ipv6";
    assert_eq!(layers(&["vxlan-v6.calico"], "calico"), v6);
    assert_eq!(layers(&["vxlan.calico", "vxlan-v6.calico"], "calico"), v6);
    assert_eq!(layers(&["wg-v6.cali"], "calico"), "calico:wireguard,ipv6");
    assert_eq!(layers(&["flannel-v6.1"], "flannel"), "flannel:vxlan,ipv6");
    let mut host = host(&["vxlan.calico", "vxlan-v6.calico"], "");
    for (name, mtu) in [("vxlan.calico", 1450), ("vxlan-v6.calico", 1430)] {
        host.link_mut(name.parse().unwrap()).unwrap().mtu = mtu;
    }
    let detected = detect(&host).unwrap();
    let answer = detected.answer(1500, "").unwrap();
    assert_eq!((answer.mtu, detected.outer), (1430, None));
    let fits = |found: &MtuInUse| found.verdict(&answer) == Verdict::Fits;
    assert!(detected.found.len() == 2 && detected.found.iter().all(fits));
}

#[test]
fn the_mtu_of_kubespan_counts_where_it_is_smaller() {
    let left = |kubespan: u32| {
        let plugin = r#"{"type": "flannel", "at": "plugins[0].mtu"}"#;
        let mut host = host(&["eth0", "kubespan", "flannel.1"], plugin);
        host.link_mut("kubespan".parse().unwrap()).unwrap().mtu = kubespan;
        host.link_mut("flannel.1".parse().unwrap()).unwrap().lower = Some(1);
        let detected = detect(&host).unwrap();
        let (underlay, from) = detected.underlay(&host).unwrap();
        (detected.answer(underlay, &from).unwrap().mtu, from)
    };
    assert_eq!(
        left(1300),
        (
            1250,
            "kubespan, whose own MTU is 1300, and its headers".to_owned()
        )
    );
    assert_eq!(
        left(1420),
        (1370, "eth0, the lower device of flannel.1".to_owned())
    );
    // It does not fit eth0, and is reported by itself.
    assert_eq!(left(1440).0, 1370);
}

/// A host of these interfaces and routes: what `detect` says of its underlay.
fn underlay_of(links: &str, more: &str) -> Result<(i64, String), Error> {
    let host = snapshot(links, more);
    detect(&host).unwrap().underlay(&host)
}

fn snapshot(links: &str, more: &str) -> Snapshot {
    let text = format!(
        r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{{{links}}}{more}}}"#
    );
    Snapshot::from_json(&text).unwrap()
}

fn plugin(kind: &str, state: &str) -> String {
    format!(
        r#","cni":{{"runtime":{{"directory":"/d"}}{state},"files":{{"/d/10-x.conflist":{{"sha256":"","plugins":[{{"type":"{kind}","at":"plugins[0].mtu"}}]}}}}}}"#
    )
}

#[test]
fn native_routes_to_nodes_are_the_underlay() {
    let links = r#""eth0":{"index":2,"mtu":1500,"up":true},"eth0.4000":{"index":3,"kind":"vlan","mtu":1400,"lower":2,"up":true},
        "wg0":{"index":4,"kind":"wireguard","mtu":1280,"up":true}"#;
    let routes = |hops: &str| {
        format!(r#","default_routes":[{{"link":"eth0","metric":0,"family":"ipv4"}}],"next_hops":[{hops}]"#)
    };
    let by_vlan = r#"{"link":"eth0.4000","router":"10.0.0.6"},{"link":"wg0","router":"10.9.0.1"}"#;
    let to_node = (1400, "eth0.4000, by which a route leads to 10.0.0.6".to_owned());
    let default = (1500, "the default route's eth0".to_owned());
    for kind in ["calico", "flannel", "antrea"] {
        let found = |hops| underlay_of(links, &format!("{}{}", routes(hops), plugin(kind, ""))).unwrap();
        assert_eq!(found(by_vlan), to_node, "{kind}");
        // A way out by a tunnel is no network between nodes.
        assert_eq!(found(r#"{"link":"wg0","router":"10.9.0.1"}"#), default, "{kind}");
        assert_eq!(
            found(r#"{"link":"eth0","router":"192.0.2.1","default":true}"#),
            default,
            "{kind}"
        );
    }
    // The packets of a tunnel leave by another route than those of pods.
    let tunl0 = format!(r#"{links},"tunl0":{{"index":5,"kind":"ipip","mtu":1480,"up":true}}"#);
    let hops = routes(r#"{"link":"eth0.4000","router":"10.0.0.6"},{"link":"tunl0","router":"192.0.2.7"}"#);
    let on_eth0 = tunl0.replace(r#""mtu":1500"#, r#""mtu":1500,"addresses":["192.0.2.10/24"]"#);
    let found = underlay_of(&on_eth0, &format!("{hops}{}", plugin("calico", "")));
    assert_eq!(found.unwrap(), default);
}

#[test]
fn tunl0_counts_where_a_route_leads_to_a_node_by_it() {
    let shown = |hops: &str, written: &str| {
        let links = r#""tunl0":{"index":5,"kind":"ipip","mtu":1480,"up":true}"#;
        let host = snapshot(links, &format!("{hops}{}", plugin("calico", written)));
        detect(&host).unwrap().layers.join(" ")
    };
    let none = r#","next_hops":[{"link":"eth0","router":"192.0.2.1","default":true}]"#;
    let by_it = r#","next_hops":[{"link":"tunl0","router":"192.0.2.7"}]"#;
    assert_eq!(shown(by_it, ""), "calico:ipip");
    assert_eq!(shown("", ""), "calico:ipip");
    // Left up by Calico, or of an LVS real server.
    assert_eq!(shown(none, ""), "calico");
    assert_eq!(shown(none, r#","calico_mtu":1500"#), "calico");
    // The only node of a cluster.
    assert_eq!(shown(none, r#","calico_mtu":1480"#), "calico:ipip");
}

#[test]
fn the_underlay_of_cilium_has_the_address_of_the_node() {
    let links = r#""bond0.100":{"index":2,"kind":"vlan","mtu":9000,"up":true,"addresses":["10.20.0.5/24"]},
        "bond0.200":{"index":3,"kind":"vlan","mtu":1500,"up":true,"addresses":["192.0.2.5/24"]}"#;
    let routes = r#","default_routes":[{"link":"bond0.200","metric":0,"family":"ipv4"}],"next_hops":["#;
    let found = |hops: &str, state: &str| {
        underlay_of(links, &format!("{routes}{hops}]{}", plugin("cilium-cni", state)))
            .map_err(|error| error.message)
    };
    let address = r#","cilium_addresses":["10.20.0.5"]"#;
    let by_address = "bond0.100, which has the node's address in Cilium's state";
    assert_eq!(found("", address), Ok((9000, by_address.to_owned())));
    let by_route = "bond0.100, by which a route leads to 10.20.0.6";
    let hop = r#"{"link":"bond0.100","router":"10.20.0.6"}"#;
    assert_eq!(found(hop, ""), Ok((9000, by_route.to_owned())));
    // Neither the state nor a route says which of the two it is.
    let unknown = "Cilium's state does not name the interface between nodes: it may be the default route's bond0.200 with 1500, or bond0.100 with 9000";
    assert_eq!(found("", ""), Err(unknown.to_owned()));
}

#[test]
fn a_port_of_open_vswitch_may_be_of_the_underlay() {
    let mtus = |physical: &str| {
        let port = |name: &str, index: u32, mtu: u32| {
            format!(
                r#""{name}":{{"index":{index},"kind":"veth","mtu":{mtu},"lower":9,"peer_netns":{index},"master":25,"up":true}}"#
            )
        };
        let links = format!(
            r#""eth0":{{"index":2,"mtu":1500,"up":true}},"ovs-system":{{"index":25,"kind":"openvswitch"}},
            "ovn0":{{"index":26,"kind":"openvswitch","mtu":1400,"up":true}},
            "genev_sys_6081":{{"index":27,"kind":"geneve","mtu":65000,"master":25,"up":true}},{physical}{},{}"#,
            port("a_h", 30, 1400),
            port("b_h", 31, 1500)
        );
        let routes = r#","default_routes":[{"link":"eth0","metric":0,"family":"ipv4"}]"#;
        let host = snapshot(&links, &format!("{routes}{}", plugin("kube-ovn", "")));
        let own = of_cni(&host, "kube-ovn")
            .iter()
            .map(|link| link.mtu)
            .collect::<Vec<_>>();
        (
            own,
            crate::pods::containers(&host, "kube-ovn").len(),
            crate::pods::pods(&host).len(),
        )
    };
    // A VLAN network of kube-ovn, or a localnet of OVN-Kubernetes.
    let physical = r#""eth1":{"index":28,"mtu":9000,"master":25,"up":true},"#;
    assert_eq!(mtus(physical), (vec![1400], 0, 0));
    // Without a way out as it is, a larger port is an overlay pod with too large an MTU.
    assert_eq!(mtus(""), (vec![1400, 1500], 0, 0));
    let localnet = |end: &str| {
        let links = format!(
            r#""ovs-system":{{"index":25,"kind":"openvswitch"}},"ovn-k8s-mp0":{{"index":26,"kind":"openvswitch","mtu":1400,"up":true}},
            "eth0":{{"index":2,"mtu":9000,"master":25,"up":true}},
            "a_1":{{"index":30,"kind":"veth","mtu":9000,"lower":3,"peer_netns":1,"master":25,"pod":{{"index":3,"name":"{end}","mtu":9000}}}}"#
        );
        of_cni(&snapshot(&links, ""), "openshift").len()
    };
    // The first interface of a pod is of the overlay.
    assert_eq!((localnet("net1"), localnet("eth0")), (0, 1));
}
