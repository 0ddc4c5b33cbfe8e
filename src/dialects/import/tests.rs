//! Each format: what is taken over, and what is named instead.

use crate::import::{Format, import};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render::render;
use netkeel_source::sources::Sources;

/// The document without its heading and its version, or the errors.
fn imported(format: Format, files: &[(&str, &str)]) -> String {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    let draft = import(format, files.collect(), &mut sources, &mut diagnostics);
    if !diagnostics.is_empty() {
        return render(&diagnostics, &sources, false);
    }
    let text = draft.finish().unwrap();
    text.split_once("version: 1\n").unwrap().1.to_owned()
}

#[test]
fn nmstate() {
    let text = "---\n\
        dns-resolver: { config: {} }\n\
        interfaces:\n\
        - name: eth1\n  type: ethernet\n  state: up\n  mtu: 9000\n  ipv4: { enabled: false }\n\
        - name: by-mac\n  type: ethernet\n  identifier: mac-address\n  mac-address: 02:00:5E:00:00:01\n  mtu: 1400\n\
        - name: old0\n  state: absent\n  mtu: 1500\n\
        routes:\n\
        \x20 config:\n\
        \x20 - { destination: 192.0.2.0/24, next-hop-address: 192.0.2.1, next-hop-interface: eth1, mtu: 1400, advmss: 1300, metric: -1, table-id: 100 }\n\
        \x20 - { destination: 0.0.0.0/0, next-hop-interface: eth1 }\n";
    insta::assert_snapshot!(imported(Format::Nmstate, &[("state.yml", text)]));
    let broken = imported(Format::Nmstate, &[("state.yml", "interfaces:\n- mtu: 1500\n")]);
    assert!(
        broken.contains("this interface has no `name`") && broken.contains("state.yml:2:3"),
        "{broken}"
    );
    let broken = imported(Format::Nmstate, &[("state.yml", "interfaces: [\n")]);
    assert!(
        broken.contains("error") && broken.contains("state.yml:"),
        "{broken}"
    );
}

#[test]
fn netplan() {
    let base = "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    eth0:\n      dhcp4: true\n      mtu: 1500\n    nics:\n      match: { name: \"enp*\", driver: [ixgbe] }\n      mtu: 9000\n    lan:\n      match: { macaddress: \"02:00:5E:00:00:02\" }\n      set-name: lan0\n      mtu: 1492\n      ipv6-mtu: 1480\n  tunnels:\n    tun1: { mode: ipip, local: 192.0.2.1, remote: 192.0.2.2, mtu: 1480 }\n";
    let site = "network:\n  ethernets:\n    eth0:\n      mtu: 1400\n      routes:\n      - { to: default, via: 192.0.2.254, mtu: 1300, table: 7 }\n      - { to: default, via: 192.0.2.253, mtu: 1200 }\n    odd: { mtu: \"a: }\", match: { path: x } }\n    bad: { mtu: 12 }\n";
    insta::assert_snapshot!(imported(Format::Netplan, &[("01.yaml", base), ("60.yaml", site)]));
    let broken = imported(Format::Netplan, &[("a.yaml", "ethernets: {}\n")]);
    assert!(
        broken.contains("it has no `network`") && broken.contains("a.yaml:1:1"),
        "{broken}"
    );
}

#[test]
fn networkd() {
    let files = [
        (
            "10-ipip0.netdev",
            "[NetDev]\nName=ipip0\nKind=ipip\nMTUBytes=1480\n[Tunnel]\nExternal=yes\n",
        ),
        (
            "11-gre.netdev",
            "[NetDev]\nName=tun1\nKind=ipip\n[Tunnel]\nLocal=192.0.2.1\nRemote=192.0.2.2\n",
        ),
        (
            "20-ipip0.network",
            "[Match]\nName=ipip0\n[Network]\nAddress=127.0.0.42/32\nIPv4ReversePathFilter=no\n",
        ),
        (
            "30-nics.network",
            "# uplinks\n[Match]\nName=enp* \\\n  eth0\n\n[Link]\nMTUBytes=9K\n[Network]\nDHCP=yes\nIPv4ReversePathFilter=loose\n[Route]\nGateway=192.0.2.254\nMTUBytes=1400\nTCPAdvertisedMaximumSegmentSize=1300\n",
        ),
        ("40-not.network", "[Match]\nName=!eth0\n[Link]\nMTUBytes=1500\n"),
        (
            "50-fast.link",
            "[Match]\nDriver=mlx5_core\n[Link]\nMTUBytes=9000\nTransmitQueueLength=10000\nWakeOnLan=off\n",
        ),
    ];
    insta::assert_snapshot!(imported(Format::Networkd, &files));
    let broken = imported(
        Format::Networkd,
        &[("a.network", "[Match]\nName=eth0\n[Link]\n  MTUBytes 1500\n")],
    );
    assert!(
        broken.contains("this is neither a section nor a setting") && broken.contains("a.network:4:3"),
        "{broken}"
    );
    let broken = imported(Format::Networkd, &[("a.link", "MTUBytes=1500\n")]);
    assert!(
        broken.contains("in no section") && broken.contains("a.link:1:1"),
        "{broken}"
    );
}

#[test]
fn ifupdown() {
    let main = "# lo\nauto lo eth0\niface lo inet loopback\nsource /etc/network/interfaces.d/*\nsource /elsewhere/*\n\niface eth0 inet static\n    address 192.0.2.1/24\n    mtu 9000\n    up ip link set $IFACE txqueuelen 5000 && ethtool -K $IFACE lro off\n    post-up sysctl -q -w net.ipv4.conf.eth0.rp_filter=2\n    down ip route flush table 7\n";
    let tunnel = "auto ipip0\niface ipip0 inet manual\n    up ip link add name ipip0 type ipip external\n    up ip link set up dev ipip0\n    up ip link set ipip0 up\n    up ip addr add 127.0.0.42/32 dev ipip0\n    up echo 0 > /proc/sys/net/ipv4/conf/ipip0/rp_filter\n";
    let files = [
        ("/etc/network/interfaces", main),
        ("/etc/network/interfaces.d/ipip", tunnel),
    ];
    insta::assert_snapshot!(imported(Format::Ifupdown, &files));
    let broken = imported(Format::Ifupdown, &[("interfaces", "auto eth0\n  mtu 9000\n")]);
    assert!(
        broken.contains("`mtu` is in no stanza") && broken.contains("interfaces:2:3"),
        "{broken}"
    );
    let broken = imported(Format::Ifupdown, &[("interfaces", "iface eth0 inet\n")]);
    assert!(
        broken.contains("incomplete") && broken.contains("interfaces:1:1"),
        "{broken}"
    );
}

#[test]
fn wikimedia() {
    let common = "kubernetes::clusters:\n  main:\n    eqiad:\n      cni_config: { plugins: [{ type: calico, mtu: 1460 }, { type: istio-cni }] }\n    codfw:\n      cni_config: { plugins: [{ type: calico, mtu: 1480 }] }\nprofile::base::enable_rp_filter: true\n";
    let role = "profile::kubernetes::cluster_name: eqiad\nprofile::lvs::realserver::ipip::enabled: true\nprofile::lvs::realserver::ipip::ipv4_mss: 1440\nprofile::base::enable_rp_filter: { all_rp_filter: 0, default_rp_filter: 1 }\nprofile::lvs::interface_tweaks:\n  eth0: { txqlen: 20000, rss_pattern: x }\nprofile::ssh::port: 22\n";
    insta::assert_snapshot!(imported(
        Format::WikimediaHiera,
        &[("common.yaml", common), ("role.yaml", role)]
    ));
    let broken = imported(
        Format::WikimediaHiera,
        &[("a.yaml", "profile::base::enable_rp_filter: maybe\n")],
    );
    assert!(
        broken.contains("expected a boolean or a map") && broken.contains("a.yaml:1:34"),
        "{broken}"
    );
}
