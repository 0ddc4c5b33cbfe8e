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

#[test]
fn netplan_merges_files_by_the_ids_of_devices() {
    let base = "network:\n  ethernets:\n    eth0: { match: { macaddress: \"02:00:5e:00:00:01\" }, mtu: 9000 }\n    lan: { match: { name: \"enp*\" }, set-name: lan0 }\n";
    let site = "network:\n  ethernets:\n    eth0: { mtu: 1400 }\n    lan: { mtu: 1300 }\n";
    let text = imported(Format::Netplan, &[("01.yaml", base), ("60.yaml", site)]);
    for line in [
        "  eth0: { match: { mac: \"02:00:5e:00:00:01\" }, mtu: 1400 }  # 60.yaml:3\n",
        "  lan0: { mtu: 1300 }  # 60.yaml:4\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("  lan:"), "{text}");
}

#[test]
fn the_default_route_of_netplan_has_the_family_of_its_gateway() {
    let of = |route: &str| {
        let text = format!("network: {{ ethernets: {{ eth0: {{ routes: [{route}] }} }} }}\n");
        imported(Format::Netplan, &[("a.yaml", &text)])
    };
    let text = of("{ to: default, via: \"2001:db8::1\", mtu: 1400 }");
    assert!(
        text.contains("  \"::/0\": { mtu: 1400 }") && !text.contains("  default:"),
        "{text}"
    );
    let text = of("{ to: default, via: 192.0.2.1, mtu: 1400 }");
    assert!(text.contains("  default: { mtu: 1400 }"), "{text}");
    let text = of("{ to: default, mtu: 1400 }");
    assert!(
        text.contains("its family is not known") && !text.contains("route:"),
        "{text}"
    );
}

#[test]
fn a_wrong_shape_of_netplan_is_an_error() {
    for (text, message) in [
        ("network: 7\n", "`network` is not a map"),
        ("network: { bridges: foo }\n", "`bridges` is not a map"),
        (
            "network: { ethernets: { eth0: 7 } }\n",
            "`ethernets.eth0` is not a map",
        ),
        (
            "network: { ethernets: { eth0: { routes: { to: default } } } }\n",
            "`routes` is not a list",
        ),
        (
            "network: { ethernets: { eth0: { routes: [default] } } }\n",
            "this route is not a map",
        ),
        (
            "network: { ethernets: { eth0: { mtu: [1400] } } }\n",
            "`mtu` is not a number",
        ),
        (
            "network: { ethernets: { eth0: { match: eth0 } } }\n",
            "`ethernets.eth0.match` is not a map",
        ),
    ] {
        let broken = imported(Format::Netplan, &[("a.yaml", text)]);
        assert!(
            broken.contains(message) && broken.contains("a.yaml:1:"),
            "{text}: {broken}"
        );
    }
}

#[test]
fn the_first_file_of_networkd_wins() {
    let sized = |name: &str, mtu: u32| format!("[Match]\nName={name}\n[Link]\nMTUBytes={mtu}\n");
    let (first, second, third) = (sized("eth0", 9000), sized("eth0 eth1", 1400), sized("eth*", 1300));
    let text = imported(
        Format::Networkd,
        &[
            ("/usr/lib/systemd/network/20-b.network", &sized("eth1", 1280)),
            ("/etc/systemd/network/20-b.network", &second),
            ("/etc/systemd/network/30-c.network", &third),
            ("/etc/systemd/network/10-a.network", &first),
        ],
    );
    for line in [
        "  eth0: { mtu: 9000 }  # /etc/systemd/network/10-a.network:4\n",
        "  eth1: { mtu: 1400 }  # /etc/systemd/network/20-b.network:4\n",
        "  all-eth: { match: { name: \"eth*\" }, mtu: 1300 }",
        "/usr/lib/systemd/network/20-b.network:1: systemd reads /etc/systemd/network/20-b.network instead",
        "20-b.network:1: eth0: /etc/systemd/network/10-a.network matches it first",
        "30-c.network:1: eth*: /etc/systemd/network/10-a.network comes first and can match the same interfaces",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let link = |queue: u32| format!("[Match]\nDriver=virtio_net\n[Link]\nTransmitQueueLength={queue}\n");
    let text = imported(Format::Networkd, &[("1.link", &link(7)), ("2.link", &link(8))]);
    assert!(
        text.contains("txqueuelen: 7") && !text.contains("txqueuelen: 8"),
        "{text}"
    );
}

#[test]
fn every_setting_of_networkd_is_declared_or_named() {
    let of = |text: &str| imported(Format::Networkd, &[("a.network", text)]);
    let text = of("[Match]\nDriver=virtio_net\n[Network]\nIPv6MTUBytes=1400\n");
    assert!(text.contains("IPv6MTUBytes= of a rule"), "{text}");
    let text = of("[Match]\nName=eth0\n[Network]\nIPv6MTUBytes=2K\n");
    assert!(text.contains("  net.ipv6.conf.eth0.mtu: 2048  "), "{text}");
    let text = of(
        "[Match]\nName=eth0\n[Network]\nIPv6MTUBytes=many\n[Route]\nDestination=192.0.2.0/24\nMTUBytes=x\n",
    );
    assert!(
        text.contains("IPv6MTUBytes: `many` is no number of bytes")
            && text.contains("MTUBytes: `x` is no number of bytes"),
        "{text}"
    );
}

#[test]
fn labels_of_rules_are_words_and_unique() {
    let sized = |name: &str, mtu: u32| format!("[Match]\nName={name}\n[Link]\nMTUBytes={mtu}\n");
    let text = imported(
        Format::Networkd,
        &[
            ("1.network", &sized("en*", 1400)),
            ("2.network", &sized("en?", 1300)),
            ("3.network", "[Match]\nDriver=virtio_net\n[Link]\nMTUBytes=1200\n"),
            ("4.network", &sized("all-en", 1280)),
        ],
    );
    for line in [
        "  all-en-3: { match: { name: \"en*\" }, mtu: 1400 }",
        "  all-en-2: { match: { name: \"en?\" }, mtu: 1300 }",
        "  all-driver-virtio-net: { match: { driver: \"virtio_net\" }, mtu: 1200 }",
        "  all-en: { mtu: 1280 }",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn only_commands_that_run_in_any_case_are_declared() {
    let of = |command: &str| {
        let text = format!("iface eth0 inet manual\n    up {command}\n");
        imported(Format::Ifupdown, &[("interfaces", &text)])
    };
    let text = of("ip link set eth0 mtu 9000 || ip link set eth0 mtu 1400");
    assert!(
        text.contains("  eth0: { mtu: 9000 }")
            && text.contains("does not manage `up ip link set eth0 mtu 1400`"),
        "{text}"
    );
    let text = of("ip link set eth0 mtu 9000 || true");
    assert!(
        text.contains("mtu: 9000") && !text.contains("Not declared"),
        "{text}"
    );
    for command in [
        "[ -e /etc/x ] && sysctl -w net.core.rmem_max=1",
        "test -e /etc/x || sysctl -w net.core.rmem_max=1",
        "if test -e /etc/x; then date; sysctl -w net.core.rmem_max=1; fi",
        "sysctl -w net.core.rmem_max=$SIZE",
        "exit 0; sysctl -w net.core.rmem_max=1",
    ] {
        let text = of(command);
        assert!(
            !text.contains("sysctl:") && text.contains("does not manage `up sysctl -w"),
            "{command}: {text}"
        );
    }
    assert!(of("date; sysctl -w net.core.rmem_max=1").contains("  net.core.rmem_max: 1  "));
}

#[test]
fn the_last_value_of_a_key_of_hiera_counts() {
    let on = "profile::lvs::realserver::ipip::enabled: true\n";
    let of = |last: &str| {
        imported(
            Format::WikimediaHiera,
            &[("common.yaml", on), ("host.yaml", last)],
        )
    };
    let text = of("profile::lvs::realserver::ipip::enabled: false\n");
    assert!(
        !text.contains("tunnel:")
            && text.contains("IPIP is disabled")
            && text.contains("a later file replaces"),
        "{text}"
    );
    let text = of("profile::lvs::realserver::ipip::enabled: \"%{lookup('ipip')}\"\n");
    assert!(
        text.contains("enabled is no boolean") && !text.contains("disabled"),
        "{text}"
    );
}
