//! A host to do ops on: veths, a bridge with ports, a macvlan on a veth and one on the bridge, a
//! vxlan, addresses and routes of both families. Their first values are chosen at random.

use std::fmt::Write;

use tempfile::TempDir;

use super::namespace::Namespace;
use super::random::Random;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::scope::Scope;

/// The leaves of `net.ipv4.conf` that ops write.
pub const LEAVES: &[&str] = &[
    "rp_filter",
    "arp_ignore",
    "accept_redirects",
    "promote_secondaries",
    "route_localnet",
    "forwarding",
];

/// Those of them whose `default` the kernel copies to interfaces (`devinet_conf_proc`).
const FOLLOWED: &[&str] = &["rp_filter", "arp_ignore", "accept_redirects"];

pub const LEAVES6: &[&str] = &[
    "forwarding",
    "disable_ipv6",
    "keep_addr_on_down",
    "accept_ra",
    "ignore_routes_with_linkdown",
    "addr_gen_mode",
];

const LINKS: &[&str] = &[
    "lo", "va0", "vb0", "va1", "vb1", "va2", "vb2", "br0", "mv0", "mv1", "mvbr", "vx0",
];

pub struct Host {
    /// The `ip` commands that made it.
    pub script: String,
    /// All that is compared.
    pub scope: Scope,
    /// Where its files lie, while it is there.
    _files: TempDir,
}

impl Host {
    pub fn build(namespace: &Namespace, random: &mut Random) -> Self {
        let mut script = String::new();
        let mut line = |text: String| writeln!(script, "{text}").unwrap();
        for pair in 0..3 {
            line(format!("link add va{pair} type veth peer name vb{pair}"));
            for end in ["va", "vb"] {
                // A vxlan takes 50 off, and needs 1280 for its IPv6 address.
                let mtu = 1330 + random.below(750);
                line(format!("link set {end}{pair} mtu {mtu}"));
            }
        }
        line("link add br0 type bridge".into());
        for port in ["vb0", "vb1", "vb2"] {
            if !random.once_in(3) {
                line(format!("link set {port} master br0"));
            }
        }
        line("link add mv0 link va0 type macvlan mode bridge".into());
        line("link add mv1 link va0 type macvlan mode bridge".into());
        line("link add mvbr link br0 type macvlan mode bridge".into());
        line("link add vx0 type vxlan id 7 dev va1 dstport 4789".into());
        for (number, name) in LINKS.iter().enumerate() {
            let up = random.once_in(2);
            if up {
                line(format!("link set {name} up"));
            }
            // At most two of a subnet, so that it is certain which of them is promoted.
            for host in 1..=random.below(3) {
                line(format!("addr add 10.{number}.0.{host}/24 dev {name}"));
            }
            if random.once_in(2) {
                line(format!("addr add fd00:{number:x}::1/64 dev {name}"));
            }
            if up && *name != "lo" {
                for route in routes(number) {
                    let metrics = random.of(&METRICS);
                    line(format!("route add {} dev {name}{metrics}", route.destination));
                }
            }
        }
        line("addr add 127.0.0.42/32 dev va2".into());
        namespace.ip(&script);
        let files = tempfile::tempdir().unwrap();
        let mut scope = scope();
        scope.files = ["a.conf", "b.conf"].map(|name| files.path().join(name)).into();
        Host {
            script,
            scope,
            _files: files,
        }
    }
}

/// The metrics that a route starts with.
const METRICS: [&str; 4] = [
    "",
    " mtu 1300",
    " mtu lock 1400",
    " mtu 1500 initcwnd 20 advmss 1200",
];

/// The routes over the interface with a number, one of each family.
fn routes(number: usize) -> [RouteKey; 2] {
    let ipv4 = format!("172.20.{number}.0/24");
    let ipv6 = format!("fd01:{number:x}::/64");
    [ipv4, ipv6].map(|destination| RouteKey::new(destination.parse().unwrap()))
}

fn scope() -> Scope {
    let mut keys = vec![
        "net/ipv4/ip_forward".to_owned(),
        "net/core/rmem_max".into(),
        "net/core/somaxconn".into(),
        "net/ipv4/tcp_rmem".into(),
    ];
    for slot in LINKS.iter().chain(&["all", "default"]) {
        for leaf in LEAVES {
            keys.push(format!("net/ipv4/conf/{slot}/{leaf}"));
        }
        for leaf in LEAVES6.iter().chain(&["mtu"]) {
            keys.push(format!("net/ipv6/conf/{slot}/{leaf}"));
        }
    }
    for name in LINKS {
        keys.push(format!("net/ipv4/neigh/{name}/mcast_solicit"));
        keys.push(format!("net/ipv6/neigh/{name}/mcast_solicit"));
    }
    Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        sysctls: keys.iter().map(|key| key.parse().unwrap()).collect(),
        nflog: true,
        routes: (0..LINKS.len()).flat_map(routes).collect(),
        ..Scope::default()
    }
}

/// The leaves whose `default` no new interface follows here. A namespace starts with a copy of the
/// initial one's `default`, and with it of the knowledge of what was ever written there
/// (`devinet_init_net`): on a host where systemd wrote `default.rp_filter`, nothing follows it in
/// any namespace that is made later.
pub fn leaves_that_nothing_follows() -> Vec<String> {
    let namespace = Namespace::make();
    namespace.ip("link add va type veth peer name vb\n");
    let follows = |leaf: &str| {
        let default = format!("net/ipv4/conf/default/{leaf}");
        let other = if namespace.read(&default) == "0" { "1" } else { "0" };
        namespace.sysctl(&default, other);
        namespace.read(&format!("net/ipv4/conf/va/{leaf}")) == other
    };
    let written_once = FOLLOWED.iter().filter(|leaf| !follows(leaf));
    written_once.map(|leaf| (*leaf).to_owned()).collect()
}

/// A key that ops write.
pub fn key(path: &str) -> SysctlKey {
    path.parse().unwrap()
}

/// Where the ops of a model go.
pub fn netns(model: &netkeel_host::model::Model) -> Netns {
    model.host.netns.clone()
}
