//! Incidents that this kernel can rebuild: the fault is made in network namespaces, packets are lost, and the
//! program names the cause. After the fix it names it no more. Needs root, iproute2 and python3.

use serde_json::Value;

use super::net::{Net, PEER, POD, causes, signs, sole};

#[test]
fn a_host_that_loses_nothing_has_no_cause() {
    let net = Net::routed();
    assert_eq!(net.causes(Some((&net.pod, POD, PEER, 1500))), []);
    // An idle host has no sign either.
    let report = net.report(None);
    assert_eq!(
        (signs(&report), causes(&report)),
        (Vec::new(), Vec::new()),
        "{report}"
    );
}

#[test]
fn a_namespace_without_a_way_out_needs_no_forwarding() {
    let net = Net::routed();
    net.pod
        .sh("ip route flush table main; ip addr add 10.65.1.2/24 dev eth0");
    net.host
        .sh("sysctl -qw net.ipv4.ip_forward=0; ip addr add 10.65.1.1/24 dev cali1");
    assert_eq!(net.causes(Some((&net.host, "10.65.1.1", "10.65.1.2", 200))), []);
}

#[test]
fn the_first_packets_of_a_vxlan_are_no_loss() {
    let net = Net::routed();
    net.host
        .sh("ip link add vx0 type vxlan id 7 dstport 4789 dev up0");
    let script = "import subprocess, time
time.sleep(0.4)
subprocess.run(['ip', 'link', 'set', 'vx0', 'up'], check=True)
";
    let report = net.report(Some((&net.host, script)));
    assert_eq!(report["causes"], serde_json::json!([]));
    let also = report["also"].to_string();
    assert!(!also.contains("vx0"), "{also}");
}

#[test]
fn a_veth_whose_ends_differ() {
    let net = Net::routed();
    net.pod.sh("ip link set eth0 mtu 1400");
    let send = || Some((&net.host, "192.0.2.1", POD, 1480));
    // The sender is the host itself, which counts the same packets.
    let report = net.alone(
        send(),
        ("veth-ends", "configured-and-counted"),
        &["out-discards", "sndbuf-errors"],
    );
    let signs = report["signs"].as_array().unwrap();
    let names_the_device = |sign: &Value| sign["means"].as_str().unwrap().contains("the device");
    assert!(signs.iter().all(names_the_device), "{report}");
    net.host.sh("ip link set cali1 mtu 1400");
    assert_eq!(net.causes(None), []);
}

#[test]
fn a_gateway_that_nobody_answers_for() {
    let net = Net::routed();
    net.host.sh("ip route del default");
    // Pods lose everything, and so does the host itself.
    let everything = |kind: &str| (kind.to_owned(), "loses-everything".to_owned());
    assert_eq!(net.causes(None), ["gateway-silent", "no-route"].map(everything));
    net.host.sh(&format!("ip route add default via {PEER}"));
    assert_eq!(net.causes(None), []);
}

#[test]
fn rp_filter_that_drops_what_comes_by_another_way() {
    let net = Net::routed();
    net.host
        .sh("sysctl -qw net.ipv4.conf.up0.rp_filter=1; ip route add 10.99.0.0/24 dev cali1");
    // The host's ARP checks the sender's address by the same rule.
    net.peer
        .sh("sysctl -qw net.ipv4.conf.x0.arp_announce=2; ip addr add 10.99.0.1/32 dev lo");
    let send = || Some((&net.peer, "10.99.0.1", "192.0.2.1", 200));
    net.alone(send(), ("rp-filter", "counted"), &[]);
    net.host.sh("sysctl -qw net.ipv4.conf.up0.rp_filter=2");
    assert_eq!(net.causes(send()), []);
}

#[test]
fn a_port_of_a_bridge_that_is_smaller() {
    let net = Net::switched();
    sole(&net.causes(None), "bridge-port", "loses-large");
    net.host.sh("ip link set up0 mtu 1500");
    net.peer.sh("ip link set x0 mtu 1500");
    assert_eq!(net.causes(None), []);
}

#[test]
fn a_vxlan_that_does_not_fit_its_underlay() {
    let net = Net::routed();
    for (place, own, other, device, inner) in [
        (&net.host, "192.0.2.1", PEER, "up0", "10.70.0.1"),
        (&net.peer, PEER, "192.0.2.1", "x0", "10.70.0.2"),
    ] {
        place.sh(&format!(
            "ip link add vx0 type vxlan id 7 local {own} remote {other} dstport 4789 dev {device}
             ip link set vx0 mtu 1450 up; ip addr add {inner}/24 dev vx0; ip link set {device} mtu 1400"
        ));
    }
    let send = || Some((&net.host, "10.70.0.1", "10.70.0.2", 1440));
    // The sender learns the MTU from its first packets, so hardly any are lost.
    net.alone(send(), ("too-large", "possible"), &[]);
    let fix = &net.report(None)["causes"][0]["fix"][0];
    // One fragment, with the pods behind the device.
    let document = fix["document"].as_str().unwrap();
    assert!(document.starts_with("link: { vx0: { mtu: 1350 }"), "{fix}");
    for (place, device) in [(&net.host, "up0"), (&net.peer, "x0")] {
        place.sh(&format!("ip link set {device} mtu 1500"));
    }
    // The pod has 1500 and the vxlan 1450: a packet-too-big answers, so that is possible only.
    let after = net.causes(send());
    assert_eq!(after, [("too-large".to_owned(), "possible".to_owned())]);
}

#[test]
fn packets_that_are_not_forwarded() {
    let net = Net::switched();
    // The host has an address in the subnet of the pod, and is its gateway by mistake.
    net.host.sh(
        "ip link set up0 mtu 1500; ip link set up0 nomaster; ip addr add 192.0.2.1/24 dev br0; ip addr add 198.51.100.1/24 dev up0",
    );
    net.peer.sh("ip link set x0 mtu 1500");
    net.pod.sh("ip route replace default via 192.0.2.1");
    let send = || Some((&net.pod, "192.0.2.9", "198.51.100.2", 200));
    let found = net.causes(send());
    sole(&found, "forwarding-off", "configured-and-counted");
    net.host.sh("sysctl -qw net.ipv4.ip_forward=1");
    assert!(net.causes(None).iter().all(|(kind, _)| kind != "forwarding-off"));
}

#[test]
fn a_send_queue_that_is_too_short() {
    let net = Net::routed();
    net.host
        .sh("tc qdisc add dev up0 root tbf rate 8kbit burst 2000 limit 2000");
    let send = || Some((&net.host, "192.0.2.1", PEER, 1400));
    net.alone(
        send(),
        ("qdisc-full", "counted"),
        &["out-discards", "sndbuf-errors"],
    );
    net.host.sh("tc qdisc del dev up0 root");
    assert_eq!(net.causes(send()), []);
}

#[test]
fn frames_for_the_mac_address_of_another_host() {
    let net = Net::routed();
    // The peer kept the address of an interface that was replaced.
    net.peer
        .sh("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:99 dev x0 nud permanent");
    let send = || Some((&net.peer, PEER, "192.0.2.1", 200));
    sole(&net.causes(send()), "other-host", "possible");
    net.peer.sh("ip neigh del 192.0.2.1 dev x0");
    assert_eq!(net.causes(send()), []);
}
