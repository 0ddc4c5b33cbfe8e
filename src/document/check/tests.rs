//! The check as users meet it: errors in a document, and the reports.

use crate::check::required::check_required;
use crate::check::{check, check_layer};
use crate::sample::{DOCUMENT, checked};
use crate::shape::Shape;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::merge::{merge, withdraw};
use netkeel_source::node::path::KeyPath;
use netkeel_source::testing::yaml;

#[test]
fn all_spellings_that_are_right() {
    let (node, report) = checked(
        "version: '1'
owner: ~
link:
  a: { mtu: \"1460\", rp_filter: off, up: yes, kind: veth, addresses: [127.0.0.42/32] }
  b: { mtu: 1460, rp_filter: false, up: 'OFF' }
  c: { mtu: { underlay: default-route, layers: [ipip] }, rp_filter: true, up: true }
  d: { mtu: { underlay: '1500' }, rp_filter: loose, up: False }
  e: { rp_filter: 2, addresses: [] }
  f: { rp_filter: '1' }
  g: { rp_filter: on }
  h:
sysctl:
  net.ipv4.tcp_rmem: [4096, '131072', 6291456]
  net.ipv4.tcp_wmem: \"4096\\t131072  6291456\"
  net.ipv4.ip_forward: true
  net.ipv4.conf.all.forwarding: [false]
  net.ipv4.tcp_congestion_control: bbr
  net.core.flow_limit_cpu_bitmap: '00ff'
  net.ipv4.ping_group_range: 0 2147483647
  net.x: 18446744073709551615
",
    );
    assert_eq!(report, "");
    let node = node.unwrap();
    let link = |name: &str, key: &str| {
        node.get("link")
            .and_then(|link| link.get(name)?.get(key).cloned())
    };
    let words = [("off", 0), ("strict", 1), ("loose", 2)];
    let filter = |name: &str| link(name, "rp_filter").and_then(|node| node.choice(&words));
    assert_eq!(
        ["a", "b", "c", "d", "e", "f", "g"].map(filter),
        [0, 0, 1, 2, 2, 1, 1].map(Some)
    );
    let up = |name: &str| link(name, "up").and_then(|node| node.switch());
    assert_eq!(
        ["a", "b", "c", "d", "e"].map(up),
        [Some(true), Some(false), Some(true), Some(false), None]
    );
    assert_eq!(link("a", "mtu").and_then(|node| node.integer()), Some(1460));
    assert_eq!(
        link("a", "addresses").unwrap().items()[0].text(),
        Some("127.0.0.42/32")
    );
    assert_eq!(node.get("owner"), None);
    let vectors: Vec<String> = node
        .get("sysctl")
        .unwrap()
        .entries()
        .iter()
        .filter_map(|entry| entry.value.vector())
        .collect();
    assert_eq!(
        vectors.join("|"),
        "4096 131072 6291456|4096 131072 6291456|1|0|bbr|00ff|0 2147483647|18446744073709551615"
    );
}

#[test]
fn all_that_is_wrong_at_once() {
    let (_, report) = checked(
        "owner: 42
lnk: {}
link:
  eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
  eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
  eth2: { mtu: 1e3, rp_filter: [off], up: ja, wumm: 1 }
  eth3: { mtu: default-route, kind: true }
  eth4: { mtu: { layers: [gre] } }
  eth5: { mtu: { underlay: 1:30 } }
  eth6: { mtu: 99999999999999999999, rp_filter: '' }
  eth7: { mtu: { underlay: route } }
  eth8: 1500
  interface-too-long: {}
sysctl:
  a: 0x10
  b: [1, 1_000, [2]]
  c: {}
  d: []
  e: [~]
  f: \"1\\n2\"
  g: 4096 0x10 '8'
  h: '0x10'
",
    );
    insta::assert_snapshot!(report, @r#"
    error: the key `version` is missing
     --> desired.yaml:1:1
      |
    1 | owner: 42
      | ^^^^^^^^^ version
      |
      = help: begin the file with: version: 1

    error: expected a name, found the number 42
     --> desired.yaml:1:8
      |
    1 | owner: 42
      |        ^^ owner
      |
      = help: write "42" if text is meant

    error: unknown key `lnk`
     --> desired.yaml:2:1
      |
    2 | lnk: {}
      | ^^^ lnk
      |
      = help: did you mean `link`?

    error: unknown key `mut`
     --> desired.yaml:4:11
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |           ^^^ link.eth0.mut
      |
      = help: did you mean `mtu`?

    error: 67 is out of range: 68 to 65535 bytes
     --> desired.yaml:4:27
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |                           ^^ link.eth0.mtu

    error: `strikt` is not one of `off`, `strict`, `loose`
     --> desired.yaml:4:42
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |                                          ^^^^^^ link.eth0.rp_filter
      |
      = help: did you mean `strict`?

    error: expected `true` or `false`, found the number 1
     --> desired.yaml:4:54
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |                                                      ^ link.eth0.up
      |
      = help: write `true`

    error: `VETH` is not one of `veth`, `bridge`
     --> desired.yaml:4:63
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |                                                               ^^^^ link.eth0.kind
      |
      = help: did you mean `veth`?

    error: expected a list, found the text `127.0.0.42/32`
     --> desired.yaml:4:80
      |
    4 |   eth0: { mut: 1500, mtu: 67, rp_filter: strikt, up: 1, kind: VETH, addresses: 127.0.0.42/32 }
      |                                                                                ^^^^^^^^^^^^^ link.eth0.addresses
      |
      = help: a list of one is [127.0.0.42/32]

    error: `017` is a number with a leading zero; only decimal integers are taken
     --> desired.yaml:5:16
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                ^^^ link.eth1.mtu
      |
      = help: write 15 or 17, whichever is meant

    error: expected one of `off`, `strict`, `loose`, found the number 3
     --> desired.yaml:5:32
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                                ^ link.eth1.rp_filter

    error: expected `true` or `false`, found a map
     --> desired.yaml:5:39
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                                       ^^^^^^^^ link.eth1.up

    error: `127.0.0.42` is not an address with a prefix length
     --> desired.yaml:5:61
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                                                             ^^^^^^^^^^ link.eth1.addresses[0]
      |
      = help: write it as 127.0.0.42/32

    error: expected an address with a prefix length, found the number 5
     --> desired.yaml:5:73
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                                                                         ^ link.eth1.addresses[1]

    error: expected an address with a prefix length, found nothing
     --> desired.yaml:5:76
      |
    5 |   eth1: { mtu: 017, rp_filter: 3, up: { a: b }, addresses: [127.0.0.42, 5, ~] }
      |                                                                            ^ link.eth1.addresses[2]

    error: `1e3` is a number with an exponent; only decimal integers are taken
     --> desired.yaml:6:16
      |
    6 |   eth2: { mtu: 1e3, rp_filter: [off], up: ja, wumm: 1 }
      |                ^^^ link.eth2.mtu
      |
      = help: write 1000

    error: expected one of `off`, `strict`, `loose`, found a list
     --> desired.yaml:6:32
      |
    6 |   eth2: { mtu: 1e3, rp_filter: [off], up: ja, wumm: 1 }
      |                                ^^^^^ link.eth2.rp_filter

    error: expected `true` or `false`, found the text `ja`
     --> desired.yaml:6:43
      |
    6 |   eth2: { mtu: 1e3, rp_filter: [off], up: ja, wumm: 1 }
      |                                           ^^ link.eth2.up

    error: unknown key `wumm`
     --> desired.yaml:6:47
      |
    6 |   eth2: { mtu: 1e3, rp_filter: [off], up: ja, wumm: 1 }
      |                                               ^^^^ link.eth2.wumm
      |
      = help: known here: `mtu`, `rp_filter`, `up`, `kind`, `addresses`

    error: expected an integer from 68 to 65535, found the text `default-route`
     --> desired.yaml:7:16
      |
    7 |   eth3: { mtu: default-route, kind: true }
      |                ^^^^^^^^^^^^^ link.eth3.mtu

    error: expected one of `veth`, `bridge`, found the boolean `true`
     --> desired.yaml:7:37
      |
    7 |   eth3: { mtu: default-route, kind: true }
      |                                     ^^^^ link.eth3.kind

    error: the key `underlay` is missing
     --> desired.yaml:8:16
      |
    8 |   eth4: { mtu: { layers: [gre] } }
      |                ^^^^^^^^^^^^^^^^^^ link.eth4.mtu.underlay
      |
      = help: What the layers go over.

    error: `gre` is not one of `ipip`, `wireguard`
     --> desired.yaml:8:27
      |
    8 |   eth4: { mtu: { layers: [gre] } }
      |                           ^^^ link.eth4.mtu.layers[0]

    error: `1:30` is a sexagesimal number; only decimal integers are taken
     --> desired.yaml:9:28
      |
    9 |   eth5: { mtu: { underlay: 1:30 } }
      |                            ^^^^ link.eth5.mtu.underlay
      |
      = help: write 90

    error: the number 99999999999999999999 is too large
      --> desired.yaml:10:16
       |
    10 |   eth6: { mtu: 99999999999999999999, rp_filter: '' }
       |                ^^^^^^^^^^^^^^^^^^^^ link.eth6.mtu

    error: expected one of `off`, `strict`, `loose`, found an empty text
      --> desired.yaml:10:49
       |
    10 |   eth6: { mtu: 99999999999999999999, rp_filter: '' }
       |                                                 ^^^ link.eth6.rp_filter

    error: expected an integer from 68 to 65535, or one of `default-route`, found the text `route`
      --> desired.yaml:11:28
       |
    11 |   eth7: { mtu: { underlay: route } }
       |                            ^^^^^ link.eth7.mtu.underlay

    error: expected a map, found the number 1500
      --> desired.yaml:12:9
       |
    12 |   eth8: 1500
       |         ^^^^ link.eth8
       |
       = help: write { mtu: 1500 } if its MTU is meant

    error: `interface-too-long` has 18 bytes; an interface name has at most 15
      --> desired.yaml:13:3
       |
    13 |   interface-too-long: {}
       |   ^^^^^^^^^^^^^^^^^^ link.interface-too-long

    error: `0x10` is a hexadecimal number; only decimal integers are taken
      --> desired.yaml:15:6
       |
    15 |   a: 0x10
       |      ^^^^ sysctl.a
       |
       = help: write 16

    error: `1_000` is a number with underscores; only decimal integers are taken
      --> desired.yaml:16:10
       |
    16 |   b: [1, 1_000, [2]]
       |          ^^^^^ sysctl.b[1]
       |
       = help: write 1000

    error: expected a number or text, found a list
      --> desired.yaml:16:17
       |
    16 |   b: [1, 1_000, [2]]
       |                 ^^^ sysctl.b[2]

    error: expected a number, text, or a list of them, found a map
      --> desired.yaml:17:6
       |
    17 |   c: {}
       |      ^^ sysctl.c

    error: expected a number, text, or a list of them, found an empty list
      --> desired.yaml:18:6
       |
    18 |   d: []
       |      ^^ sysctl.d

    error: expected a number or text, found nothing
      --> desired.yaml:19:7
       |
    19 |   e: [~]
       |       ^ sysctl.e[0]

    error: a kernel setting is one line
      --> desired.yaml:20:6
       |
    20 |   f: "1\n2"
       |      ^^^^^^ sysctl.f

    error: `0x10` is a hexadecimal number; only decimal integers are taken
      --> desired.yaml:21:6
       |
    21 |   g: 4096 0x10 '8'
       |      ^^^^^^^^^^^^^ sysctl.g
       |
       = help: write 16

    error: `0x10` is a hexadecimal number; only decimal integers are taken
      --> desired.yaml:22:6
       |
    22 |   h: '0x10'
       |      ^^^^^^ sysctl.h
       |
       = help: write 16

    38 errors in desired.yaml
    "#);
}

#[test]
fn the_root_is_a_map() {
    for (text, message) in [
        ("- a", "expected a map, found a list"),
        ("version:1", "expected a map, found the text `version:1`"),
        ("5", "expected a map, found the number 5"),
        ("", "the key `version` is missing"),
        ("version: ~", "the key `version` is missing"),
    ] {
        let (_, report) = checked(text);
        assert!(report.contains(message), "{report}");
    }
}

#[test]
fn layers_may_leave_to_each_other_what_is_required() {
    let told = |node: &Node, check: fn(&Node, &Shape, &KeyPath<'_>, &mut Diagnostics)| {
        let mut diagnostics = Diagnostics::default();
        check(node, &DOCUMENT, &KeyPath::ROOT, &mut diagnostics);
        let line = |diagnostic: &netkeel_source::diagnostic::Diagnostic| {
            format!("{}: {}", diagnostic.path, diagnostic.message)
        };
        diagnostics.list.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let base = yaml("version: 1\nlink: {a: {mtu: {layers: [ipip]}}, b: {mtu: {layers: [x]}}}");
    let over = yaml("link: {a: {mtu: {underlay: 1500}}, c: {mtu: {layers: []}}, b: ~}");
    assert_eq!(
        told(&base, check_layer),
        "link.b.mtu.layers[0]: `x` is not one of `ipip`, `wireguard`"
    );
    assert_eq!(told(&over, check_layer), "");
    let merged = withdraw(merge(base, over));
    assert_eq!(
        told(&merged, check_required),
        "link.c.mtu.underlay: the key `underlay` is missing"
    );
    assert_eq!(told(&merged, check), told(&merged, check_required));
}
