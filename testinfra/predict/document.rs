//! Documents of all kinds for the host of [`World`], with values that the kernel takes and values that it refuses.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::random::Random;
use crate::world::World;

/// Numbers at the ends of types and of ranges, and words.
const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "5",
    "64",
    "100",
    "255",
    "256",
    "1000",
    "1280",
    "1500",
    "4096",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "0x10",
    "010",
    "abc",
    "1 2",
    "1 2 3",
    "4096 131072 6291456",
    "10050,10051,11211",
    "1024 60999",
    "cubic",
    "reno",
    "fq",
    "ff",
    "0-3",
    "::1",
    "nfnetlink_log",
    "NONE",
];

/// Sysctls that documents name most.
const USUAL: &[(&str, &[&str])] = &[
    ("net/ipv4/ip_forward", &["0", "1"]),
    ("net/ipv4/conf/all/rp_filter", &["0", "1", "2", "3"]),
    ("net/ipv4/conf/default/rp_filter", &["0", "1", "2"]),
    ("net/ipv4/conf/eth0/rp_filter", &["0", "1", "2"]),
    ("net/ipv4/conf/all/forwarding", &["0", "1"]),
    ("net/ipv4/conf/default/forwarding", &["0", "1"]),
    ("net/ipv4/conf/eth1/forwarding", &["0", "1"]),
    ("net/ipv4/conf/all/accept_redirects", &["0", "1"]),
    ("net/ipv4/conf/eth1/accept_redirects", &["0", "1"]),
    ("net/ipv6/conf/all/forwarding", &["0", "1"]),
    ("net/ipv6/conf/default/forwarding", &["0", "1"]),
    ("net/ipv6/conf/eth1/forwarding", &["0", "1"]),
    ("net/ipv6/conf/all/disable_ipv6", &["0", "1"]),
    ("net/ipv6/conf/eth1/disable_ipv6", &["0", "1"]),
    (
        "net/ipv6/conf/eth1/mtu",
        &["1279", "1280", "1400", "9000", "9001"],
    ),
    ("net/ipv6/conf/eth0/mtu", &["1280", "1500", "1650"]),
    ("net/ipv6/conf/eth0/accept_ra", &["0", "1", "2"]),
    ("net/ipv4/tcp_rmem", &["4096 131072 33554432", "4096 131072"]),
    ("net/ipv4/tcp_congestion_control", &["cubic", "reno", "bbrr"]),
    (
        "net/ipv4/ip_local_reserved_ports",
        &["10050,10051,11211", "1-3", "70000", ""],
    ),
    (
        "net/ipv4/ip_local_port_range",
        &["1024 60999", "60999 1024", "32768 60999", "0 10"],
    ),
    ("net/ipv4/ip_unprivileged_port_start", &["0", "1024", "40000"]),
    (
        "net/ipv4/ping_group_range",
        &["0 2147483647", "1 0", "5 1", "0 4294967295"],
    ),
    ("net/ipv4/ipfrag_high_thresh", &["4194304", "4294967296", "100"]),
    ("net/ipv4/ipfrag_low_thresh", &["3145728", "99999999999", "100"]),
    ("net/ipv4/neigh/default/gc_thresh3", &["1024", "80000"]),
    ("net/ipv4/neigh/eth0/retrans_time_ms", &["5", "1000", "1001"]),
    ("net/ipv4/neigh/eth0/locktime", &["7", "100"]),
    ("net/ipv4/tcp_mtu_probing", &["0", "1", "2", "3", "abc"]),
    ("net/ipv4/route/min_pmtu", &["552", "600", "10"]),
    ("net/ipv4/icmp_ratelimit", &["1000", "3"]),
    ("net/core/somaxconn", &["4096", "-1"]),
    ("net/core/rmem_max", &["212992", "16777216"]),
];

/// MTUs around every limit.
const MTUS: &[i64] = &[
    50, 68, 1200, 1279, 1280, 1400, 1450, 1460, 1500, 8950, 8951, 9000, 9001, 65_535, 65_536,
];

/// A generator of documents.
pub struct Documents {
    /// The sysctls of the host.
    sysctls: Vec<String>,
}

impl Documents {
    /// Documents for a host.
    pub fn of(_: &World) -> Self {
        let mut sysctls = Vec::new();
        walk(Path::new("/proc/sys/net"), &mut sysctls);
        sysctls.sort();
        Documents { sysctls }
    }

    /// A document: one to three kinds, each with a few entries.
    pub fn make(&self, random: &mut Random) -> Value {
        let mut document = Map::new();
        document.insert("version".into(), json!(1));
        if random.once_in(2) {
            document.insert("persist".into(), json!(false));
        }
        for _ in 0..=random.below(3) {
            let (kind, entries) = match random.below(12) {
                0..=4 => ("sysctl", self.sysctl(random)),
                5..=7 => ("link", links(random)),
                8 => ("route", routes(random)),
                9 => ("nflog", nflog(random)),
                10 => ("cni", cni(random)),
                _ if random.once_in(2) => ("tunnel", tunnel(random)),
                _ => ("wireguard", wireguard(random)),
            };
            if !entries.is_empty() {
                document.insert(kind.into(), entries.into());
            }
        }
        Value::Object(document)
    }

    fn sysctl(&self, random: &mut Random) -> Map<String, Value> {
        let mut entries = Map::new();
        for _ in 0..=random.below(4) {
            if random.once_in(2) {
                let (key, values) = random.of(USUAL);
                entries.insert((*key).to_owned(), json!(random.of(values)));
            } else {
                let key = random.of(&self.sysctls).clone();
                let value = self.value(&key, random);
                entries.insert(key, json!(value));
            }
        }
        entries
    }

    /// A value like the present one twice as often as any of the others.
    fn value(&self, key: &str, random: &mut Random) -> String {
        let now = fs::read_to_string(format!("/proc/sys/{key}")).unwrap_or_default();
        let now = now.trim().replace('\t', " ");
        let numbers: Option<Vec<i64>> = now.split(' ').map(|word| word.parse().ok()).collect();
        match numbers.filter(|_| !random.once_in(3)) {
            Some(numbers) if !numbers.is_empty() => {
                let near = |number: i64, random: &mut Random| match random.below(5) {
                    0 => number,
                    1 => number.saturating_add(1),
                    2 => number.saturating_mul(2),
                    3 => number / 2,
                    _ => i64::from(number == 0),
                };
                let near: Vec<String> = numbers
                    .iter()
                    .map(|number| near(*number, random).to_string())
                    .collect();
                near.join(" ")
            }
            _ => (*random.of(VALUES)).to_owned(),
        }
    }
}

/// Switches of the whole machine that each network namespace has too. The kernel never switches this one off again
/// (`nf_hooks_lwtunnel_set`, net/netfilter/nf_hooks_lwtunnel.c), so a test must not write it.
const STAYS_ON: &[&str] = &["net/netfilter/nf_hooks_lwtunnel"];

/// The sysctls that can be read and written, by path below /proc/sys. Those of the whole machine cannot be
/// written in a network namespace.
fn walk(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, found);
        } else if fs::read_to_string(&path).is_ok() {
            let key = path.strip_prefix("/proc/sys").unwrap().to_str().unwrap();
            if !STAYS_ON.contains(&key) {
                found.push(key.to_owned());
            }
        }
    }
}

fn mtu(random: &mut Random) -> Value {
    if random.once_in(4) {
        let underlay = *random.of(&["default-route", "eth0", "eth1", "br0", "vx0", "eth7"]);
        const LAYERS: &[&[&str]] = &[&["vxlan"], &["wireguard"], &["wireguard:ipv4", "vxlan"], &[]];
        let layers = random.of(LAYERS);
        return json!({ "underlay": underlay, "layers": layers });
    }
    json!(random.of(MTUS))
}

fn links(random: &mut Random) -> Map<String, Value> {
    const NAMES: &[&str] = &[
        "eth0", "eth1", "br0", "port0", "port1", "cali1", "cali2", "mv0", "vx0", "eth7", "lo",
    ];
    let mut entries = Map::new();
    for number in 0..=random.below(3) {
        let mut fields = Map::new();
        for _ in 0..=random.below(3) {
            let (field, value) = match random.below(9) {
                0..=3 => ("mtu", mtu(random)),
                4 => ("rp_filter", json!(random.of(&["off", "strict", "loose"]))),
                5 => ("up", json!(random.once_in(2))),
                6 => ("txqueuelen", json!(random.of(&[0, 500, 1000]))),
                7 => ("alias", json!(random.of(&["", "uplink"]))),
                _ => (
                    "pod_mtu",
                    random.of(&[json!("same"), json!("leave"), json!(1400)]).clone(),
                ),
            };
            fields.insert(field.into(), value);
        }
        if random.once_in(5) {
            fields.insert("allow_ipv6_loss".into(), json!(true));
        }
        if random.once_in(3) {
            let pattern = *random.of(&["cali*", "port*", "eth*", "*"]);
            fields.insert("match".into(), json!({ "name": pattern, "kind": "veth" }));
            entries.insert(format!("rule{number}"), fields.into());
        } else {
            entries.insert((*random.of(NAMES)).to_owned(), fields.into());
        }
    }
    entries
}

fn routes(random: &mut Random) -> Map<String, Value> {
    let mut entries = Map::new();
    for _ in 0..=random.below(2) {
        let mut fields = Map::new();
        for _ in 0..=random.below(2) {
            let (field, value) = match random.below(4) {
                0 | 1 => ("mtu", *random.of(&[1000, 1280, 1400, 1500, 9000])),
                2 => ("advmss", *random.of(&[536, 1220, 1460])),
                _ => ("window", *random.of(&[65_535, 1 << 20])),
            };
            fields.insert(field.into(), json!(value));
        }
        let route = *random.of(&[
            "0.0.0.0/0",
            "10.9.0.0/16",
            "10.8.0.0/16",
            "fd09::/32",
            "172.16.0.0/12",
        ]);
        entries.insert(route.into(), fields.into());
    }
    entries
}

fn nflog(random: &mut Random) -> Map<String, Value> {
    let mut entries = Map::new();
    for (name, group) in [("packet-too-big", 33), ("other", 34)] {
        if random.once_in(2) {
            const INTERFACES: &[&[&str]] = &[&["eth0"], &["eth0", "eth1"], &["eth7"], &["br0"]];
            let interfaces = random.of(INTERFACES);
            let mut entry = json!({ "interfaces": interfaces, "group": group });
            if random.once_in(2) {
                entry["ignore_sources"] = json!(["10.0.0.0/24"]);
            }
            if random.once_in(3) {
                entry["prefilter"] = json!({ "max_mtu": 1499, "rate": 10 });
            }
            entries.insert(name.into(), entry);
        }
    }
    entries
}

fn cni(random: &mut Random) -> Map<String, Value> {
    let (plugin, file) = *random.of(&[
        ("calico", "/var/lib/cni/10-calico.conflist"),
        ("aws-cni", "/var/lib/cni/20-aws.conf"),
        ("portmap", "/var/lib/cni/10-calico.conflist"),
        ("bridge", "/var/lib/cni/10-calico.conflist"),
        ("calico", "/var/lib/cni/30-none.conflist"),
        ("calico", ""),
    ]);
    let mut entry = json!({ "plugin": plugin, "mtu": mtu(random) });
    if !file.is_empty() {
        entry["file"] = json!(file);
    }
    [("pods".to_owned(), entry)].into_iter().collect()
}

fn tunnel(random: &mut Random) -> Map<String, Value> {
    let (name, mode) = *random.of(&[("ipip0", "ipip"), ("ipip60", "ip6tnl")]);
    let entry = json!({ "mode": mode, "addresses": ["127.0.0.43/32"], "rp_filter": "off" });
    [(name.to_owned(), entry)].into_iter().collect()
}

fn wireguard(random: &mut Random) -> Map<String, Value> {
    let source = *random.of(&["/var/lib/wireguard/wg0.conf", "/var/lib/wireguard/none/wg0.conf"]);
    let target = *random.of(&["/run/netkeel/wireguard/wg0.conf", "/run/other/wg0.conf"]);
    let entry = json!({ "source": source, "target": target, "mtu": mtu(random) });
    [("wg0".to_owned(), entry)].into_iter().collect()
}
