//! The plan for a worker with 1,003 pods can be read, and shows what is rare.

use std::path::Path;

use crate::json;
use crate::plan::tests::{STYLE, document, formats};
use crate::plan::text::Style;
use crate::plan::{markdown, text};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sandbox::Sandbox;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_diagnose::lint::plan;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Families, Link};
use netkeel_host::snapshot::pod::PodEnd;
use netkeel_host::snapshot::reading::{Support, SysctlReading};
use netkeel_plan::goal::{Declared, Goal};
use netkeel_plan::ledger::{Head, Ledger, OwnershipRecord, commit};
use netkeel_plan::ownership::Ownership;
use netkeel_plan::plan::Plan;

const PODS: u32 = 1003;

/// The pod whose MTU is another one.
const OUTLIER: u32 = 611;

const DOCUMENT: &str = "\
version: 1
persist: false
sysctl: { net.ipv4.conf.all.rp_filter: 0 }
link:
  eth0: { mtu: 1400 }
  pods: { match: { name: \"cali*\", kind: veth }, mtu: 1380, rp_filter: strict }
tunnel:
  ipip0: { mode: ipip, rp_filter: off, addresses: [192.0.2.100/32] }
";

/// A name as Calico makes it: `cali` and 11 hexadecimal digits without an order.
fn name(pod: u32) -> LinkName {
    let digits = u64::from(pod + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    format!("cali{digits:011x}").parse().unwrap()
}

fn sysctl(value: &str) -> SysctlReading {
    SysctlReading::Value {
        value: value.into(),
        writable: true,
    }
}

fn worker(mtu: impl Fn(u32) -> u32) -> Snapshot {
    let mut host = Snapshot::empty(Netns::CURRENT);
    host.families = Families {
        ipv4: true,
        ipv6: true,
    };
    host.tunnels.insert(TunnelKind::Ipip, Support::Yes);
    let link = Link {
        mtu: 1500,
        min_mtu: 68,
        max_mtu: 65_535,
        up: true,
        txqueuelen: 1000,
        rp_filter: Some(0),
        forwarding: Some(1),
        forwarding6: Some(0),
        disable_ipv6: Some(0),
        ..Link::default()
    };
    let eth0 = Link {
        index: 2,
        addresses: ["192.0.2.1/24".parse().unwrap()].into(),
        ..link.clone()
    };
    host.links.insert("eth0".parse().unwrap(), eth0.into());
    for pod in 0..PODS {
        let end = PodEnd {
            sandbox: Some(Sandbox {
                path: Path::new(&format!("/run/netns/cni-{pod}")).into(),
                inode: u64::from(pod) + 4_026_532_000,
            }),
            index: 2,
            name: "eth0".parse().unwrap(),
            mtu: mtu(pod),
            leads_out: None,
            routes: Default::default(),
            ipv6: Default::default(),
            excess: None,
            mtu6: None,
            kept_by: None,
        };
        let link = Link {
            index: pod + 10,
            kind: Some("veth".into()),
            mtu: mtu(pod),
            lower: Some(2),
            peer_netns: Some(i32::try_from(pod).unwrap()),
            pod: Some(Box::new(end)),
            ..link.clone()
        };
        host.links.insert(name(pod), link.into());
    }
    for (key, value) in [
        ("net.ipv4.conf.all.rp_filter", "1"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv4.conf.default.forwarding", "0"),
        ("net.ipv6.conf.default.forwarding", "0"),
        ("net.ipv6.conf.default.disable_ipv6", "0"),
    ] {
        host.sysctls.insert(key.parse().unwrap(), sysctl(value));
    }
    host
}

fn usual(pod: u32) -> u32 {
    match pod {
        OUTLIER => 9000,
        _ => 1500,
    }
}

#[test]
fn the_plan_fits_a_screen_and_shows_what_is_rare() {
    let (document, sources) = document(DOCUMENT);
    let plan = plan::plan(&document, &worker(usual)).unwrap();
    let text = text::plan(&plan, &sources, STYLE);
    assert!(text.lines().count() <= 40, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let markdown = markdown::plan(&plan, &sources, STYLE.of);
    assert!(markdown.len() <= 8 * 1024, "{}", markdown.len());
    let outlier = name(OUTLIER).to_string();
    for shown in [&text, &markdown] {
        for rare in [
            "link eth0",
            "link ipip0",
            &outlier,
            "1,002 links cali",
            "is 9000, not 1500",
        ] {
            assert!(shown.contains(rare), "{rare}: {shown}");
        }
    }
    insta::assert_snapshot!(text, @r#"
            Drift: 3,015 of 3,015 declared facts, on 1,006 objects (this host).

              ~ sysctl net.ipv4.conf.all.rp_filter  1 (strict) -> 0 (off)           a.yaml:3
              ~ link eth0             mtu 1500 -> 1400                              a.yaml:5
              + link ipip0                                                          a.yaml:8
                  kind                    ipip external
                  address 192.0.2.100/32  present
                  rp_filter               0 (off)
                  state                   up
              ~ link cali3c9eff744e1                                                a.yaml:6
                  rp_filter  0 (off) -> 1 (strict)
                  mtu        9000 -> 1380
                  pod mtu    9000 -> 1380
                  differs from its group: mtu is 9000, not 1500; pod mtu is 9000, not 1500

              ~ 1,002 links cali*                                                   a.yaml:6
                  rp_filter  0 (off) -> 1 (strict)
                  mtu        1500 -> 1380
                  pod mtu    1500 -> 1380
                  cali00300c014f7 ... califfe24e2dc42 (--full lists them)

            3,015 writes, all with exact undo.
            Plan: 4 to create, 3,011 to change, 0 to destroy (1,006 objects).
            "#);
    // Every object is there on request.
    let full = text::plan(&plan, &sources, Style { full: true, ..STYLE });
    for pod in 0..PODS {
        assert!(full.contains(&format!("link {} ", name(pod))), "{}", name(pod));
    }
}

#[test]
fn the_groups_hold_each_object_once() {
    let (document, sources) = document(DOCUMENT);
    let plan = plan::plan(&document, &worker(usual)).unwrap();
    let json = json::plan(&plan, &sources);
    let groups = json["groups"].as_array().unwrap();
    let names = groups.iter().flat_map(|group| group["names"].as_array().unwrap());
    let mut names: Vec<&str> = names.map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    let mut objects: Vec<&str> = json["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| drift["fact"]["name"].as_str().unwrap())
        .collect();
    objects.sort_unstable();
    objects.dedup();
    assert_eq!(names, objects);
    let last = groups.last().unwrap();
    assert_eq!(
        (&last["pattern"], last["names"].as_array().unwrap().len()),
        (&"cali*".into(), 1002)
    );
    assert_eq!(json["counts"]["objects"], 1006);
}

#[test]
fn many_old_values_are_one_group() {
    let (document, sources) = document(DOCUMENT);
    let plan = plan::plan(&document, &worker(|pod| 1500 + pod)).unwrap();
    let [text, diff, markdown, _] = formats(&plan, &sources);
    for shown in [&text, &markdown] {
        assert!(shown.contains("1,003 links cali"), "{shown}");
        assert!(shown.contains("1500..2502 -> 1380"), "{shown}");
    }
    assert!(diff.contains("-mtu: 1500..2502\n"), "{diff}");
    let json = json::plan(&plan, &sources);
    let group = json["groups"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&group["varies"], &group["names"].as_array().unwrap().len()),
        (&true.into(), &1003)
    );
    assert!(group["changes"][1]["observed"].is_null(), "{group}");
}

/// More objects of their own than a comment has room for are counted by kind.
#[test]
fn a_comment_has_a_limited_length() {
    let numbers = 0..2000;
    let key = |number| format!("net.ipv4.neigh.eth{number}.gc_stale_time");
    let sysctls = numbers
        .clone()
        .map(|number| format!("  {}: {}\n", key(number), number + 100));
    let text = format!(
        "version: 1\npersist: false\nlink: {{ eth0: {{ mtu: 1400 }} }}\nsysctl:\n{}",
        sysctls.collect::<String>()
    );
    let (document, sources) = document(&text);
    let mut host = worker(usual);
    let eth0: LinkName = "eth0".parse().unwrap();
    let link = host.links[&eth0].clone();
    for number in numbers {
        host.links
            .insert(format!("eth{number}").parse().unwrap(), link.clone());
        host.sysctls.insert(key(number).parse().unwrap(), sysctl("60"));
    }
    let plan = plan::plan(&document, &host).unwrap();
    let markdown = markdown::plan(&plan, &sources, STYLE.of);
    assert!(markdown.len() <= 60 * 1024, "{}", markdown.len());
    assert!(markdown.contains("link eth0"), "{markdown}");
    let last = markdown.lines().last().unwrap();
    let left = "Left out, because a comment has a limited length: 1,";
    assert!(last.starts_with(left) && last.contains(" sysctls, "), "{last}");
}

/// The plan of a document on a host where netkeel wrote some facts before.
fn plan_with(text: &str, host: &Snapshot, wrote: &[(u64, Field, LinkName, i64)]) -> (Plan, [String; 4]) {
    let (document, sources) = document(text);
    let mut log = serde_json::to_string(&Head::new("1".into())).unwrap() + "\n";
    for (at, field, name, value) in wrote {
        let record = OwnershipRecord {
            device: None,
            fact: Fact::link(&Netns::CURRENT, *name, *field),
            owner: "default".into(),
            found: Some(Value::Number(1)),
            wrote: Some(Value::Number(*value)),
            caused_by: None,
        };
        for line in commit(None, Some(*at), [record], []) {
            log += &serde_json::to_string(&line).unwrap();
            log += "\n";
        }
    }
    let ledger = Ledger::read(&log).unwrap();
    let goal = Declared {
        document: &document,
        holdings: Ownership {
            ledger: Some(&ledger),
            prune: false,
            defers_prune: false,
            force_ownership: false,
        },
    };
    let plan = goal.plan(host).unwrap().plan;
    let formats = formats(&plan, &sources);
    (plan, formats)
}

#[test]
fn a_change_of_the_document_and_one_on_the_host_are_told_apart() {
    let text = "version: 1\npersist: false\nlink:\n  eth0: { mtu: 1400, txqueuelen: 500 }\n  pods: { match: { name: \"cali*\" }, rp_filter: strict }\n";
    let eth0: LinkName = "eth0".parse().unwrap();
    let mut wrote = vec![
        (1_795_197_000, Field::Mtu, eth0, 1500),
        (1_795_197_000, Field::TxQueueLength, eth0, 500),
    ];
    // One by one, as the pods came.
    let pods = (0..PODS).map(|pod| (1_795_197_349 + u64::from(pod), Field::RpFilter, name(pod), 1));
    wrote.extend(pods);
    let (plan, [shown, diff, markdown, _]) = plan_with(text, &worker(usual), &wrote);
    assert_eq!(plan.counts().objects, 1004);
    insta::assert_snapshot!(shown.split("\nCommands").next().unwrap(), @r#"
            Drift: 1,005 of 1,005 declared facts, on 1,004 objects (this host).

              ~ link eth0                                                           a.yaml:4
                  mtu         1500 -> 1400
                              document changed
                  txqueuelen  1000 -> 500
                              changed on the host since 2026-11-20 17:50:00 UTC

              ~ 1,003 links cali*  rp_filter 0 (off) -> 1 (strict)                  a.yaml:5
                  changed on the host since 2026-11-20 17:55:49 UTC
                  cali00300c014f7 ... califfe24e2dc42 (--full lists them)
            "#);
    for shown in [diff, markdown] {
        assert!(shown.contains("mtu: document changed"), "{shown}");
        assert!(
            shown.contains("changed on the host since 2026-11-20 17:55:49 UTC"),
            "{shown}"
        );
    }
}
