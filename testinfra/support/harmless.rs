//! Changes of a healthy host that make no fault.

use serde_json::{Map, Value, json};

/// A change of a snapshot.
type Change = fn(&mut Value);

/// Each change, by name.
pub const HARMLESS: &[(&str, Change)] = &[
    ("a container of Docker", container),
    ("a container of LXD", lxd_container),
    ("a bridge of Docker without containers", |host| {
        add(
            host,
            "docker0",
            json!({"kind": "bridge", "mtu": 9000, "addresses": ["172.17.0.1/16"]}),
        );
    }),
    ("a device of flannel that is down", |host| {
        add(
            host,
            "flannel.1",
            json!({"kind": "vxlan", "mtu": 1450, "up": false}),
        );
    }),
    ("a device of flannel that lost its address", |host| {
        let lower = index(host, &default_route(host));
        let mtu = link(host, &default_route(host))["mtu"].as_u64().unwrap() - 50;
        add(
            host,
            "flannel.1",
            json!({"kind": "vxlan", "mtu": mtu, "lower": lower}),
        );
    }),
    ("containers on a bridge of the storage network", storage_bridge),
    ("the only IPv6 route by a tunnel", |host| {
        for route in host["default_routes"].as_array_mut().unwrap() {
            route["family"] = json!("ipv4");
        }
        add(host, "he-ipv6", json!({"kind": "sit", "mtu": 1280}));
        let route = json!({"link": "he-ipv6", "metric": 1024, "family": "ipv6"});
        host["default_routes"].as_array_mut().unwrap().push(route);
        container(host);
    }),
    ("a former backend of flannel", |host| {
        let lower = index(host, &default_route(host));
        let link = json!({"kind": "vxlan", "mtu": 1270, "lower": lower, "addresses": ["10.244.0.0/32"], "outer": "ipv4"});
        let names = map(&mut host["links"]);
        // Not where it is the CNI's, or would make Canal of a Calico with another file name.
        if !names.keys().any(|name| name.starts_with("flannel")) {
            add(host, "flannel.1", link);
            if host["next_hops"].is_null() {
                host["next_hops"] = json!([]);
            }
        }
    }),
    ("tunl0 of the module alone", |host| {
        add(host, "tunl0", json!({"kind": "ipip", "mtu": 1480, "up": false}));
    }),
    ("tunl0 that is up without a route to a node", |host| {
        let has_it = host["links"].get("tunl0").is_some();
        if !has_it {
            add(
                host,
                "tunl0",
                json!({"kind": "ipip", "mtu": 1480, "addresses": ["203.0.113.80/32"]}),
            );
            if host["next_hops"].is_null() {
                host["next_hops"] = json!([]);
            }
        }
    }),
    ("a veth to a router of its own", |host| {
        let end = json!({"sandbox": {"path": "/run/netns/vnf", "inode": 7}, "index": 2, "name": "vnf1", "mtu": 9000, "leads_out": false});
        let link = json!({"kind": "veth", "mtu": 9000, "lower": 2, "peer_netns": 80, "addresses": ["10.60.0.1/30"], "pod": end});
        add(host, "vnf0", link);
    }),
    ("a container on a bridge of Open vSwitch with a NIC", open_vswitch),
    ("a backup default route", backup_default_route),
    ("no CNI configuration read", |host| drop(map(host).remove("cni"))),
    ("no sysctl.d read", |host| drop(map(host).remove("sysctl_d"))),
    ("no sysctls read", |host| host["sysctls"] = json!({})),
    ("no addresses read", |host| {
        for link in map(&mut host["links"]).values_mut() {
            map(link).remove("addresses");
        }
        host["families"] = json!({"ipv4": false, "ipv6": false});
    }),
    ("no ends of pods read", without_the_ends_of_pods),
];

pub fn without_the_ends_of_pods(host: &mut Value) {
    for link in map(&mut host["links"]).values_mut() {
        map(link).remove("pod");
    }
}

pub fn without_default_routes(host: &mut Value) {
    map(host).remove("default_routes");
}

/// A container on Docker's bridge: its packets are masqueraded, and no tunnel of the CNI carries them.
fn container(host: &mut Value) {
    let mtu = link(host, &default_route(host))["mtu"].clone();
    add(
        host,
        "docker0",
        json!({"kind": "bridge", "mtu": mtu, "addresses": ["172.17.0.1/16"]}),
    );
    let master = index(host, "docker0");
    let veth = json!({"kind": "veth", "mtu": mtu, "master": master, "lower": 2, "peer_netns": 77});
    add(host, "veth77", veth);
}

/// LXD on a bridge whose uplink is another NIC: no packet leaves by the default route.
fn storage_bridge(host: &mut Value) {
    add(host, "br-storage", json!({"kind": "bridge", "mtu": 9000}));
    let master = index(host, "br-storage");
    add(host, "stor0", json!({"mtu": 9000, "master": master}));
    let veth = json!({"kind": "veth", "mtu": 9000, "master": master, "lower": 2, "peer_netns": 79});
    add(host, "vethstor", veth);
}

/// Open vSwitch with a NIC of a storage network. Where a CNI has the switch, that is a network of the underlay.
fn open_vswitch(host: &mut Value) {
    if host["links"].get("ovs-system").is_none() {
        add(host, "ovs-system", json!({"kind": "openvswitch", "up": false}));
    }
    let master = index(host, "ovs-system");
    add(host, "stor1", json!({"mtu": 9000, "master": master}));
    let veth = json!({"kind": "veth", "mtu": 9000, "master": master, "lower": 2, "peer_netns": 81});
    add(host, "vethovs", veth);
}

fn lxd_container(host: &mut Value) {
    add(
        host,
        "lxdbr0",
        json!({"kind": "bridge", "mtu": 1400, "addresses": ["10.99.0.1/24"]}),
    );
    let master = index(host, "lxdbr0");
    let veth = json!({"kind": "veth", "mtu": 1400, "master": master, "lower": 2, "peer_netns": 78});
    add(host, "vethab12", veth);
}

/// A modem as the second way out, with a larger metric: no packet leaves by it.
fn backup_default_route(host: &mut Value) {
    for route in host["default_routes"].as_array_mut().unwrap() {
        route["metric"] = json!(0);
        route["family"] = json!("ipv4");
    }
    add(host, "usb0", json!({"mtu": 1280, "addresses": ["10.77.0.2/24"]}));
    let route = json!({"link": "usb0", "metric": 500, "family": "ipv4"});
    host["default_routes"].as_array_mut().unwrap().push(route);
}

fn map(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

fn link<'a>(host: &'a Value, name: &str) -> &'a Value {
    &host["links"][name]
}

fn index(host: &Value, name: &str) -> Value {
    link(host, name)["index"].clone()
}

fn default_route(host: &Value) -> String {
    host["default_routes"][0]["link"].as_str().unwrap().to_owned()
}

/// Adds an interface to what the host has.
fn add(host: &mut Value, name: &str, values: Value) {
    let links = host["links"].as_object().unwrap();
    let last = links.values().map(|link| link["index"].as_u64().unwrap()).max();
    let mut link = json!({
        "index": last.unwrap() + 1,
        "mtu": 1500,
        "min_mtu": 68,
        "max_mtu": 65535,
        "up": true,
        "txqueuelen": 1000,
        "rp_filter": 0,
        "forwarding": 1,
        "forwarding6": 0,
        "disable_ipv6": 0,
    });
    map(&mut link).extend(values.as_object().unwrap().clone());
    host["links"][name] = link;
}
