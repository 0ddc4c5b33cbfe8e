//! What the real kernel tells and refuses, one thing at a time.

use std::io::Write;

use super::namespace::Namespace;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::{Op, Target};
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Families, Link};
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::namespace::enter::inside;

const VETH: &str = "link add va type veth peer name vb\n";

fn all() -> Scope {
    Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        drivers: true,
        ..Scope::default()
    }
}

fn look(namespace: &Namespace) -> Snapshot {
    let seen = Live::with(&namespace.netns(), |kernel| kernel.snapshot(&all()));
    seen.unwrap().unwrap()
}

fn link(namespace: &Namespace, name: &str) -> Link {
    look(namespace).links[&name.parse().unwrap()].as_ref().clone()
}

fn target(namespace: &Namespace, name: &str) -> Target {
    Target {
        netns: namespace.netns(),
        index: link(namespace, name).index,
        name: name.parse().unwrap(),
    }
}

fn execute(namespace: &Namespace, op: &Op) -> Result<(), Error> {
    Live::with(&namespace.netns(), |kernel| kernel.execute(op)).unwrap()
}

#[test]
fn the_settings_in_a_dump_are_those_in_proc() {
    let namespace = Namespace::make();
    namespace.ip(VETH);
    type Of = fn(&Link) -> Option<i32>;
    let settings: [(&str, Of); 4] = [
        ("ipv4/conf/va/rp_filter", |link| link.rp_filter),
        ("ipv4/conf/va/forwarding", |link| link.forwarding),
        ("ipv6/conf/va/forwarding", |link| link.forwarding6),
        ("ipv6/conf/va/disable_ipv6", |link| link.disable_ipv6),
    ];
    for (written, _) in &settings {
        for value in ["1", "0"] {
            namespace.sysctl(&format!("net/{written}"), value);
            let link = link(&namespace, "va");
            for (path, of) in &settings {
                let expected = namespace.read(&format!("net/{path}"));
                let read = of(&link).map(|value| value.to_string());
                assert_eq!(
                    read.as_deref(),
                    Some(&*expected),
                    "{path} after {written}={value}"
                );
            }
        }
    }
    namespace.sysctl("net/ipv4/conf/va/rp_filter", "2");
    assert_eq!(link(&namespace, "va").rp_filter, Some(2));
}

#[test]
fn a_dump_tells_what_stands_on_what() {
    let namespace = Namespace::make();
    namespace.ip(VETH);
    namespace.ip("link add br0 type bridge\nlink set vb master br0\nlink add mv0 link va type macvlan\n");
    namespace.ip(
        "link add vx0 type vxlan id 7 dev va dstport 4789\nlink set va alias uplink mtu 1400 txqueuelen 7\n",
    );
    namespace.ip("addr add 10.0.0.1/24 dev va\naddr add 10.0.0.2/24 dev va\naddr add fd00::1/64 dev va\n");
    let seen = look(&namespace);
    let by = |name: &str| &seen.links[&name.parse().unwrap()];
    let va = by("va");
    assert_eq!(
        (va.kind_name(), va.driver.as_deref(), va.alias.as_deref()),
        ("veth", Some("veth"), Some("uplink"))
    );
    assert_eq!(
        (va.mtu, va.min_mtu, va.max_mtu, va.txqueuelen, va.up),
        (1400, 68, 65535, 7, false)
    );
    assert_eq!(va.lower, Some(by("vb").index));
    assert_eq!(by("vb").master, Some(by("br0").index));
    assert_eq!(by("mv0").lower, Some(va.index));
    assert_eq!(by("vx0").lower, Some(va.index));
    let addresses: Vec<String> = va.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.1/24", "10.0.0.2/24", "fd00::1/64"]);
    let secondary: Vec<String> = va.secondary.iter().map(ToString::to_string).collect();
    assert_eq!(secondary, ["10.0.0.2/24"]);
    assert_eq!(seen.problems, []);
}

#[test]
fn the_other_end_in_another_namespace_is_told() {
    let (host, pod) = (Namespace::make(), Namespace::make());
    host.ip(&format!(
        "link add cali1 type veth peer name eth0 netns {}\n",
        pod.name
    ));
    let cali1 = link(&host, "cali1");
    assert_eq!(cali1.lower, Some(link(&pod, "eth0").index));
    assert!(cali1.peer_netns.is_some());
}

#[test]
fn an_op_is_for_one_interface_and_no_other() {
    let namespace = Namespace::make();
    namespace.ip(VETH);
    let va = target(&namespace, "va");
    namespace.ip("link set va name vc\n");
    namespace.ip("link add va type veth peer name vd\n");
    let before = look(&namespace);
    let ops = [
        Op::SetMtu {
            target: va.clone(),
            mtu: 1400,
        },
        Op::DeleteLink {
            target: va.clone(),
            made: None,
        },
        Op::AddAddress {
            target: va.clone(),
            address: "10.0.0.1/24".parse().unwrap(),
        },
        Op::WriteSysctl {
            netns: namespace.netns(),
            key: "net.ipv4.conf.va.rp_filter".parse().unwrap(),
            value: "2".into(),
            link: Some(va.clone()),
        },
    ];
    for op in &ops {
        let error = execute(&namespace, op).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing, "{op}: {error}");
        assert!(error.message.ends_with("is named vc now"), "{error}");
    }
    namespace.ip("link del vc\n");
    let error = execute(&namespace, &ops[0]).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert!(error.message.ends_with("is gone"), "{error}");
    assert_eq!(look(&namespace).links.get(&va.name), before.links.get(&va.name));
}

#[test]
fn a_refusal_has_the_kernels_words() {
    let namespace = Namespace::make();
    namespace.ip(VETH);
    let op = Op::SetMtu {
        target: target(&namespace, "va"),
        mtu: 65536,
    };
    assert_eq!(
        execute(&namespace, &op).unwrap_err().message,
        "Invalid argument (EINVAL): mtu greater than device maximum"
    );
}

#[test]
fn an_address_that_is_there_is_fine_and_another_prefix_is_not() {
    let namespace = Namespace::make();
    namespace.ip(VETH);
    let add = |address: &str| {
        let op = Op::AddAddress {
            target: target(&namespace, "va"),
            address: address.parse().unwrap(),
        };
        execute(&namespace, &op)
    };
    for address in ["127.0.0.42/32", "fd00::1/64"] {
        add(address).unwrap();
        add(address).unwrap();
    }
    let error = add("fd00::1/48").unwrap_err();
    assert_eq!(error.message, "va has that address already, as fd00::1/64");
    assert_eq!(link(&namespace, "va").addresses.len(), 2);
}

#[test]
fn a_sysctl_of_the_whole_machine_is_read_only_in_a_namespace() {
    let namespace = Namespace::make();
    let key = || "net.core.rmem_max".parse().unwrap();
    let scope = Scope {
        sysctls: [key(), "net.ipv4.no_such_key".parse().unwrap()].into(),
        ..Scope::default()
    };
    let seen = Live::with(&namespace.netns(), |kernel| kernel.snapshot(&scope)).unwrap();
    let readings: Vec<SysctlReading> = seen.unwrap().sysctls.into_values().collect();
    assert!(matches!(
        readings.as_slice(),
        [
            SysctlReading::Value { writable: false, .. },
            SysctlReading::Absent
        ]
    ));
    let op = Op::WriteSysctl {
        netns: namespace.netns(),
        key: key(),
        value: "4096".into(),
        link: None,
    };
    let error = execute(&namespace, &op).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Permission);
    assert_eq!(
        error.hints,
        ["net.core.rmem_max can only be read in this namespace"]
    );
}

#[test]
fn an_op_is_done_in_the_namespace_that_it_names() {
    let namespace = Namespace::make();
    let op = Op::WriteSysctl {
        netns: namespace.netns(),
        key: "net.ipv4.conf.default.rp_filter".parse().unwrap(),
        value: "2".into(),
        link: None,
    };
    Live::with(&Netns::CURRENT, |kernel| kernel.execute(&op))
        .unwrap()
        .unwrap();
    assert_eq!(namespace.read("net/ipv4/conf/default/rp_filter"), "2");
}

#[test]
fn a_namespace_that_is_not_there_is_named_with_those_that_are() {
    let namespace = Namespace::make();
    let error = inside(&Netns::named("netkeel-no-such"), || ()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Missing);
    assert_eq!(error.message, "there is no network namespace `netkeel-no-such`");
    assert!(error.hints[0].contains(&namespace.name), "{:?}", error.hints);
}

/// On a kernel without ipip the module is named; on one with it the tunnel comes up as asked for.
#[test]
fn a_tunnel_is_made_or_its_module_named() {
    for mode in TunnelKind::ALL {
        let namespace = Namespace::make();
        let tunnel = Target {
            netns: namespace.netns(),
            index: 0,
            name: "tunnel".parse().unwrap(),
        };
        let create = Op::CreateTunnel {
            target: tunnel.clone(),
            mode: *mode,
        };
        match execute(&namespace, &create) {
            Ok(()) => {
                let made = link(&namespace, "tunnel");
                assert_eq!((made.kind_name(), made.external), (mode.kind(), true));
                assert_eq!((made.mtu, made.up), (mode.default_mtu(), false));
                let again = execute(&namespace, &create).unwrap_err();
                assert_eq!(again.message, "there is an interface tunnel already");
                let other = Op::CreateTunnel {
                    target: Target {
                        name: "other".parse().unwrap(),
                        ..tunnel
                    },
                    mode: *mode,
                };
                let error = execute(&namespace, &other).unwrap_err();
                assert_eq!(error.hints, ["it is tunnel: use that name, or delete it first"]);
            }
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unsupported);
                let text = format!("{error} {:?}", error.hints);
                assert!(
                    text.contains(mode.module()) && text.contains(mode.config()),
                    "{text}"
                );
                let kind = mode.kind();
                let skipped =
                    format!("SKIPPED conformance, a tunnel of {kind}: this kernel cannot make one\n");
                // Past the harness, for testinfra/tally.
                std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            }
        }
    }
}
