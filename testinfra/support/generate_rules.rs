//! What hosts could have of NFLOG rules and of CNI configurations, and what documents could want of
//! them.

use proptest::prelude::*;

use proptest::collection::vec;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// The entries of `nflog`; each logs to a group of its own, since two cannot share an interface.
pub const ENTRIES: [(&str, u16); 2] = [("packet-too-big", 33), ("other", 34)];

/// The CNI configurations, the first of which is loaded.
pub const CONFIGURATIONS: [&str; 2] = [
    "/etc/cni/net.d/10-calico.conflist",
    "/etc/cni/net.d/20-bridge.conf",
];

/// The types of plugins that documents name.
pub const PLUGINS: [&str; 2] = ["calico", "bridge"];

/// Rules of iptables that log, in their order.
fn others() -> impl Strategy<Value = Vec<Value>> {
    let rule = (
        select(vec!["iptables-nft", "iptables-legacy"]),
        any::<bool>(),
        select(vec!["eth0", "eth1"]),
        select(vec![33, 34]),
        prop::bool::weighted(0.8),
    );
    vec(rule, 0..4).prop_map(|rules| {
        let mut seen: Vec<Value> = Vec::new();
        for (writer, ipv6, interface, group, whole) in rules {
            let family = if ipv6 { "ip6" } else { "ip" };
            let beside = |other: &&Value| other["writer"] == writer && other["family"] == family;
            let position = seen.iter().filter(beside).count() + 1;
            let mut rule = json!({
                "writer": writer, "family": family, "table": "raw", "chain": "PREROUTING",
                "position": position, "group": group, "interfaces": { "named": interface },
                "ipv4": !ipv6, "ipv6": ipv6, "whole": whole,
                "text": format!("-i {interface} {position} -j NFLOG --nflog-group {group}"),
            });
            if writer == "iptables-nft" {
                rule["content"] = json!({ "expressions": format!("{position:02}") });
            }
            seen.push(rule);
        }
        seen
    })
}

/// What is handed to NFLOG groups, as a snapshot has it.
pub fn logged() -> impl Strategy<Value = Value> {
    let own = select(vec![
        None,
        Some(json!({ "rules": {
            "group": 33, "snaplen": 1500, "queue_threshold": 64,
            "ipv4": { "interfaces": ["eth0"] }, "ipv6": { "interfaces": ["eth0"] },
        } })),
        Some(json!({ "rules": {
            "group": 34, "snaplen": 200, "queue_threshold": 1, "ipv4": { "interfaces": ["br0"] },
        } })),
        Some(json!("changed")),
    ]);
    (vec(own, ENTRIES.len()), others()).prop_map(|(own, others)| {
        let entries = ENTRIES.iter().zip(own);
        let entries: Map<String, Value> = entries
            .filter_map(|((name, _), own)| Some(((*name).to_owned(), json!(own?))))
            .collect();
        json!({ "support": "yes", "entries": entries, "others": others })
    })
}

/// The section `nflog`.
pub fn nflog() -> impl Strategy<Value = Map<String, Value>> {
    let entry = (
        subsequence(vec!["eth0", "eth1", "br0", "eth7"], 1..4),
        any::<bool>(),
        subsequence(vec!["192.168.100.0/24", "2001:db8::/64"], 0..3),
        select(vec![None, Some(json!({ "max_mtu": 1499, "rate": 10 }))]),
    )
        .prop_map(|(interfaces, adopt, ignored, prefilter)| {
            let mut entry = json!({ "interfaces": interfaces, "adopt": adopt, "ignore_sources": ignored });
            if let Some(prefilter) = prefilter {
                entry["prefilter"] = prefilter;
            }
            entry
        });
    vec((prop::bool::weighted(0.4), entry), ENTRIES.len()).prop_map(|entries| {
        let all = ENTRIES.iter().zip(entries).filter(|(_, (wanted, _))| *wanted);
        all.map(|((name, group), (_, mut entry))| {
            entry["group"] = json!(group);
            ((*name).to_owned(), entry)
        })
        .collect()
    })
}

/// The CNI configurations, as a snapshot of the host has them.
pub fn configured() -> impl Strategy<Value = Value> {
    let mtu = select(vec![
        Value::Null,
        json!(0),
        json!(1450),
        json!(1460),
        json!("\"1460\""),
    ]);
    (vec(mtu, 2), any::<bool>()).prop_map(|(mtus, both)| {
        let plugin = |kind: &str, at: &str, mtu: &Value| match mtu {
            Value::Null => json!({ "type": kind, "at": at }),
            mtu => json!({ "type": kind, "at": at, "mtu": mtu }),
        };
        let chained = plugin("bridge", "plugins[1].mtu", &mtus[1]);
        let mut plugins = vec![plugin("calico", "plugins[0].mtu", &mtus[0])];
        plugins.extend(both.then_some(chained));
        let second = json!([plugin("bridge", "mtu", &mtus[1])]);
        json!({
            "runtime": { "name": "containerd", "directory": "/etc/cni/net.d" },
            "files": {
                CONFIGURATIONS[0]: { "sha256": "00", "plugins": plugins },
                CONFIGURATIONS[1]: { "sha256": "01", "plugins": second },
            }
        })
    })
}

/// The section `cni`.
pub fn cni() -> impl Strategy<Value = Map<String, Value>> {
    let entry = (prop::bool::weighted(0.3), select(vec![1400, 1460]), any::<bool>());
    vec(entry, PLUGINS.len()).prop_map(|entries| {
        let all = PLUGINS.iter().zip(CONFIGURATIONS).zip(entries);
        all.filter(|(_, (wanted, ..))| *wanted)
            .map(|((plugin, file), (_, mtu, named))| {
                let mut entry = json!({ "plugin": plugin, "mtu": mtu });
                // What is not in the configuration that is loaded has to be named.
                if named || *plugin == "bridge" {
                    entry["file"] = json!(file);
                }
                ((*plugin).to_owned(), entry)
            })
            .collect()
    })
}
