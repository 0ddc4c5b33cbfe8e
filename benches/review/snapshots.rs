//! The snapshots that are reviewed: nodes with 50 to 300 interfaces of pods, and three kinds of hosts.

use std::fs;
use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Value, json};

use netkeel_core::error::{Error, ErrorKind};

/// The old document.
pub const OLD: &str = "\
version: 1
persist: false
allow: { NK005: only load balancers have eth1 }
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.core.rmem_max: 212992
link:
  eth1: { mtu: 9000 }
  pods: { match: { name: \"cali*\", kind: veth }, mtu: 1460, rp_filter: strict }
";

/// The new one changes a sysctl, one interface and all pods.
pub const NEW: &str = "\
version: 1
persist: false
allow: { NK005: only load balancers have eth1 }
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.core.rmem_max: 26214400
link:
  eth1: { mtu: 1500 }
  pods: { match: { name: \"cali*\", kind: veth }, mtu: 1440, rp_filter: strict }
";

/// Writes the snapshots of these hosts; returns their bytes.
pub fn generate(directory: &Path, hosts: Range<usize>) -> Result<usize, Error> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Refused, error.to_string());
    fs::create_dir(directory).map_err(failed)?;
    let mut bytes = 0;
    for host in hosts {
        let text = snapshot(host).to_string();
        bytes += text.len();
        fs::write(directory.join(format!("k8s{host:05}.json")), text).map_err(failed)?;
    }
    Ok(bytes)
}

fn snapshot(host: usize) -> Value {
    // A multiple of a prime: neighbours differ.
    let pods = 48 + host * 101 % 251;
    let mut links = Map::new();
    links.insert("lo".to_owned(), link(1, None, 65536));
    links.insert("eth0".to_owned(), link(2, None, 1500));
    // One in 500 is a load balancer.
    if host % 500 == 3 {
        links.insert("eth1".to_owned(), link(3, None, 9000));
    }
    for pod in 0..pods {
        let mut veth = link(pod + 10, Some("veth"), 1460);
        veth["lower"] = json!(3);
        veth["peer_netns"] = json!(pod);
        veth["pod"] = json!({
            "sandbox": { "path": format!("/run/netns/cni-{host:05}-{pod:04}"), "inode": 4_026_532_000_usize + pod },
            "index": 3,
            "name": "eth0",
            "mtu": 1460,
            "routes": {},
        });
        links.insert(format!("cali{host:05x}{pod:06x}"), veth);
    }
    let sysctl = |value: &str| json!({ "value": value, "writable": true });
    json!({
        "format": 1,
        "netns": null,
        "kernel": "6.1.0-49-amd64",
        "families": { "ipv4": true, "ipv6": true },
        "links": links,
        "sysctls": {
            "net/core/rmem_max": sysctl("212992"),
            "net/ipv4/conf/all/rp_filter": sysctl("0"),
            "net/ipv4/conf/default/rp_filter": sysctl("0"),
        },
    })
}

fn link(index: usize, kind: Option<&str>, mtu: u32) -> Value {
    json!({
        "index": index,
        "kind": kind,
        "mtu": mtu,
        "min_mtu": 68,
        "max_mtu": 65535,
        "up": true,
        "txqueuelen": 1000,
        "rp_filter": 1,
        "forwarding": 1,
        "forwarding6": 0,
        "disable_ipv6": 0,
        "addresses": [format!("fe80::{index:x}/64")],
    })
}
