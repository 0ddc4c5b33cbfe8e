//! Which facts to read. A snapshot reads what its scope names and never walks /proc/sys.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::snapshot::link;
use crate::snapshot::link::{Families, Link};
use crate::sysctl_d::drop_in;
use crate::sysctl_form::handler::Handler;
use crate::sysctl_form::{mask, range};
use netkeel_core::fact::Field;
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sysctl::{Slot, SysctlKey};
use netkeel_core::name::tunnel::TunnelKind;

/// Which facts to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Which interfaces.
    pub links: Links,
    /// The address families to read.
    pub families: Families,
    /// IPv4 addresses of interfaces with loose rp_filter: without an address it drops everything.
    pub ipv4_where_loose: bool,
    /// The driver and the bus of each interface (one ioctl per interface).
    pub drivers: bool,
    /// The Ethernet addresses of each interface (a second dump of all interfaces).
    pub macs: bool,
    /// The routes to the endpoints of WireGuard peers.
    pub peer_routes: bool,
    /// These sysctls.
    pub sysctls: BTreeSet<SysctlKey>,
    /// Per-interface settings to read for every interface, each given by its key of `default`.
    pub of_every_link: BTreeSet<SysctlKey>,
    /// Initial IPv6 settings of interfaces below 1280 bytes: IPv6 is enabled when the MTU rises.
    pub ipv6_where_it_may_come: bool,
    /// These files.
    pub files: BTreeSet<PathBuf>,
    /// The default routes.
    pub default_routes: bool,
    /// The next hops of all routes, and whether rules choose between tables.
    pub next_hops: bool,
    /// The default routes that routers announced: switching IPv6 forwarding on removes them.
    pub announced_routes: bool,
    /// The routes to these prefixes in these tables, with any metric.
    pub routes: BTreeSet<RouteKey>,
    /// The MTUs of routes that have one of their own: one above that of its interface loses packets.
    pub route_mtus: bool,
    /// State that decides the way of packets: routes, neighbours, ends of tunnels.
    pub forwarding: bool,
    /// The rules of the firewall that can drop packets.
    pub firewall: bool,
    /// The hosts whose path MTU to measure.
    pub paths: BTreeSet<IpAddr>,
    /// The other ends of veths, in other namespaces.
    pub pods: bool,
    /// These CNI configurations, and the directory of the container runtime.
    pub cni: CniScope,
    /// These copies of WireGuard configurations, each with its source.
    pub wireguard: BTreeMap<PathBuf, PathBuf>,
    /// The tunnel kinds whose support to check.
    pub tunnels: BTreeSet<TunnelKind>,
    /// The kernel modules whose presence to check.
    pub modules: BTreeSet<String>,
    /// The files of sysctl.d.
    pub sysctl_d: bool,
    /// Rules and listeners of NFLOG groups.
    pub nflog: bool,
}

/// Which CNI configurations to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniScope {
    /// All files in the directory of the container runtime.
    pub directory: bool,
    /// These files.
    pub files: BTreeSet<PathBuf>,
}

impl CniScope {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        !self.directory && self.files.is_empty()
    }
}

/// Which interfaces to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// All of them.
    #[default]
    All,
    /// The interfaces with these indices that exist.
    These(BTreeSet<u32>),
}

/// The sysctls that affect a network path, for a snapshot without a document.
const OF_A_PATH: &[&str] = &[
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
    "net/core/default_qdisc",
    "net/core/devconf_inherit_init_net",
    "net/core/fb_tunnels_only_for_init_net",
    "net/core/netdev_budget",
    "net/core/netdev_budget_usecs",
    "net/core/netdev_max_backlog",
    "net/core/optmem_max",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/core/somaxconn",
    "net/core/wmem_default",
    "net/core/wmem_max",
    "net/ipv4/conf/all/accept_redirects",
    "net/ipv4/conf/all/accept_local",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/conf/all/log_martians",
    "net/ipv4/conf/all/proxy_arp",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/src_valid_mark",
    "net/ipv4/conf/default/accept_redirects",
    "net/ipv4/conf/default/forwarding",
    "net/ipv4/conf/default/rp_filter",
    "net/ipv4/icmp_msgs_burst",
    "net/ipv4/icmp_msgs_per_sec",
    "net/ipv4/icmp_ratelimit",
    "net/ipv4/icmp_ratemask",
    "net/ipv4/ip_forward",
    "net/ipv4/ip_forward_use_pmtu",
    "net/ipv4/ip_no_pmtu_disc",
    "net/ipv4/route/min_adv_mss",
    "net/ipv4/route/min_pmtu",
    "net/ipv4/route/mtu_expires",
    "net/ipv4/tcp_base_mss",
    "net/ipv4/tcp_mtu_probing",
    "net/ipv4/tcp_rmem",
    "net/ipv4/tcp_wmem",
    "net/ipv4/udp_mem",
    "net/ipv6/conf/all/disable_ipv6",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/disable_ipv6",
    "net/ipv6/conf/default/forwarding",
    "net/ipv6/route/min_adv_mss",
    "net/ipv6/route/mtu_expires",
];

/// The sysctls whose `default` value IPv6 starts with on an interface.
const IPV6_STARTS_WITH: [&str; 2] = [
    "net/ipv6/conf/default/disable_ipv6",
    "net/ipv6/conf/default/forwarding",
];

impl Scope {
    /// The facts to read when no document is given.
    pub fn wide() -> Self {
        Scope {
            links: Links::All,
            families: Families {
                ipv4: true,
                ipv6: true,
            },
            ipv4_where_loose: false,
            drivers: true,
            macs: true,
            peer_routes: true,
            sysctls: OF_A_PATH.iter().map(|path| SysctlKey::known(path)).collect(),
            of_every_link: BTreeSet::new(),
            ipv6_where_it_may_come: true,
            files: [drop_in::path("default")].into(),
            default_routes: true,
            next_hops: true,
            announced_routes: true,
            routes: BTreeSet::new(),
            route_mtus: true,
            // Only paths need it, and reading it enters every pod.
            forwarding: false,
            // Only the explanation of a probe needs it, and reading it takes privileges.
            firewall: false,
            paths: BTreeSet::new(),
            pods: true,
            cni: CniScope {
                directory: true,
                ..CniScope::default()
            },
            wireguard: BTreeMap::new(),
            tunnels: TunnelKind::ALL.iter().copied().collect(),
            modules: BTreeSet::new(),
            sysctl_d: true,
            // Reading nftables rules needs privileges, and few documents contain NFLOG rules.
            nflog: false,
        }
    }

    /// Adds the side effects of an MTU change. Below 1280 bytes IPv6 leaves the interface with its
    /// addresses, and undo restores it. From 1280 on IPv6 is enabled with the values of `default`.
    pub fn of_mtu(&mut self, mtu: i64) {
        if mtu < IPV6_MIN_MTU.into() {
            self.families.ipv6 = true;
            self.of_default_ipv6();
        }
        self.ipv6_where_it_may_come = true;
        self.peer_routes = true;
        self.route_mtus = true;
    }

    /// Adds the initial IPv6 settings of an interface.
    pub fn of_default_ipv6(&mut self) {
        self.sysctls.extend(IPV6_STARTS_WITH.map(SysctlKey::known));
    }

    /// Narrows the scope to interfaces that can be judged without the rest of the host: their own
    /// sysctls, and those that determine new interfaces and effective values. IPv4 addresses are
    /// left out: they only matter for findings about the whole host.
    #[must_use]
    pub fn of_links(mut self, links: BTreeSet<u32>) -> Self {
        self.sysctls.retain(|key| {
            let slot = key.per_interface().map(|parts| parts.slot);
            slot.is_some_and(|slot| slot != Slot::All || key.path() == "net/ipv4/conf/all/rp_filter")
        });
        self.links = Links::These(links);
        self.families.ipv4 = false;
        self.ipv4_where_loose = false;
        // Only findings need them.
        self.peer_routes = false;
        self.route_mtus = false;
        self.files.clear();
        self.default_routes = false;
        self.next_hops = false;
        // All interfaces decide which route an entry of a document means.
        self.routes.clear();
        self.forwarding = false;
        self.firewall = false;
        self.paths.clear();
        self.tunnels.clear();
        self.modules.clear();
        self.cni = CniScope::default();
        self.wireguard.clear();
        self.sysctl_d = false;
        self.nflog = false;
        // Other ends are read with the whole host only: finding them means a search of every
        // sandbox.
        self.pods = false;
        self
    }

    /// Adds the copies of a key of `all` or `default`: `default`, and the same setting of every
    /// interface.
    pub fn of_copies(&mut self, key: &SysctlKey) {
        self.announced_routes |=
            key.removes_announced_routes() || key.forwards_ipv6_of_one() || key.accept_ra_of().is_some();
        self.sysctls.extend(key.written_beside());
        let copied = key.copied_to_links() && Field::of_key(key).is_none();
        self.of_every_link
            .extend(key.in_slot("default").filter(|_| copied));
        if key.resets_force_forwarding() {
            self.of_every_link
                .insert(SysctlKey::known("net/ipv6/conf/default/force_forwarding"));
        }
    }

    /// Adds the facts that determine the effect of a wanted rp_filter; none when it is not known
    /// yet.
    pub fn of_rp_filter(&mut self, wanted: Option<i64>) {
        self.sysctls
            .insert(SysctlKey::known("net/ipv4/conf/all/rp_filter"));
        match wanted {
            Some(0 | 1) => self.ipv4_where_loose = true,
            _ => self.families.ipv4 = true,
        }
    }

    /// The address families to read on a host with these interfaces; `all` is `all.rp_filter`.
    pub fn families_of<'a>(
        &self,
        mut links: impl Iterator<Item = &'a Link>,
        all: impl FnOnce() -> Option<i64>,
    ) -> Families {
        const LOOSE: i32 = 2;
        let asked = self.ipv4_where_loose && !self.families.ipv4;
        // A value that cannot be read may be loose.
        let loose =
            asked && (links.any(|link| link.rp_filter == Some(LOOSE)) || !matches!(all(), Some(0 | 1)));
        Families {
            ipv4: self.families.ipv4 || loose,
            ipv6: self.families.ipv6,
        }
    }

    /// Whether the kernel rounds the value of one of its sysctls to ticks, or bounds it by them.
    pub fn needs_ticks(&self) -> bool {
        let rounds = |key: &SysctlKey| {
            matches!(Handler::of(key), Handler::Milliseconds | Handler::Hundredths)
                || range::depends_on_ticks(key)
        };
        self.sysctls.iter().any(rounds)
    }

    /// Whether one of its sysctls names CPUs.
    pub fn needs_cpus(&self) -> bool {
        self.sysctls.iter().any(mask::names_cpus)
    }

    /// The sysctls to read on a host with these interfaces.
    pub fn sysctls_of(&self, links: &BTreeMap<LinkName, Arc<Link>>) -> BTreeSet<SysctlKey> {
        let mut keys = self.sysctls.clone();
        // /proc/sys has no further names of interfaces.
        keys.extend(self.sysctls.iter().filter_map(|key| on_host(key, links)));
        for key in &self.of_every_link {
            let Some(parts) = key.per_interface() else {
                continue;
            };
            let of = |name| SysctlKey::of_interface(parts.family, parts.table, name, parts.leaf);
            keys.extend(links.keys().map(|name| of(*name)));
        }
        if self.ipv6_where_it_may_come && links.values().any(|link| link.mtu < IPV6_MIN_MTU) {
            keys.extend(IPV6_STARTS_WITH.map(SysctlKey::known));
        }
        keys
    }

    /// Adds the facts of another scope.
    pub fn extend(&mut self, other: Scope) {
        let Scope {
            links,
            families,
            ipv4_where_loose,
            drivers,
            macs,
            peer_routes,
            sysctls,
            of_every_link,
            ipv6_where_it_may_come,
            files,
            default_routes,
            next_hops,
            announced_routes,
            routes,
            route_mtus,
            forwarding,
            firewall,
            paths,
            pods,
            cni,
            wireguard,
            tunnels,
            modules,
            sysctl_d,
            nflog,
        } = other;
        match (&mut self.links, links) {
            (Links::These(own), Links::These(others)) => own.extend(others),
            (own, Links::All) => *own = Links::All,
            (Links::All, Links::These(_)) => {}
        }
        self.families.ipv4 |= families.ipv4;
        self.families.ipv6 |= families.ipv6;
        self.ipv4_where_loose |= ipv4_where_loose;
        self.drivers |= drivers;
        self.macs |= macs;
        self.peer_routes |= peer_routes;
        self.sysctls.extend(sysctls);
        self.of_every_link.extend(of_every_link);
        self.ipv6_where_it_may_come |= ipv6_where_it_may_come;
        self.files.extend(files);
        self.default_routes |= default_routes;
        self.next_hops |= next_hops;
        self.announced_routes |= announced_routes;
        self.routes.extend(routes);
        self.route_mtus |= route_mtus;
        self.forwarding |= forwarding;
        self.firewall |= firewall;
        self.paths.extend(paths);
        self.pods |= pods;
        self.cni.directory |= cni.directory;
        self.cni.files.extend(cni.files);
        // The first entry wins: a document comes before what was copied for an older one.
        for (copy, source) in wireguard {
            self.wireguard.entry(copy).or_insert(source);
        }
        self.tunnels.extend(tunnels);
        self.modules.extend(modules);
        self.sysctl_d |= sysctl_d;
        self.nflog |= nflog;
    }
}

/// A key that names an interface by a further name or an alias, by the interface's own name; `None` for any
/// other key, and for a long name that no interface has.
pub fn on_host(key: &SysctlKey, links: &BTreeMap<LinkName, Arc<Link>>) -> Option<SysctlKey> {
    let Some(name) = key.link() else {
        return key.of_own_name(link::by_other_name(links, key.long_name()?)?);
    };
    let own = link::resolve(links, name);
    (own != name).then(|| key.of_link(own)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ipv6_starts_with_is_read_where_it_may_come() {
        let read = |wanted: &[i64], has: u32| {
            let mut scope = Scope::default();
            wanted.iter().for_each(|mtu| scope.of_mtu(*mtu));
            let link = Link {
                mtu: has,
                ..Link::default()
            };
            let links = BTreeMap::from([("eth0".parse().unwrap(), link.into())]);
            scope.sysctls_of(&links).len()
        };
        assert_eq!((read(&[1460], 1500), read(&[], 1000)), (0, 0));
        // IPv6 is enabled when the MTU rises.
        assert_eq!(read(&[1460], 1279), IPV6_STARTS_WITH.len());
        // IPv6 is disabled, and comes back when that is undone.
        assert_eq!(read(&[1460, 1200], 1500), IPV6_STARTS_WITH.len());
    }

    #[test]
    fn addresses_are_read_where_rp_filter_is_loose() {
        let read = |wanted: Option<i64>, has: i32, all: Option<i64>| {
            let mut scope = Scope::default();
            scope.of_rp_filter(wanted);
            let link = Link {
                rp_filter: Some(has),
                ..Link::default()
            };
            scope.families_of([&link].into_iter(), || all).ipv4
        };
        assert!(!read(Some(1), 0, Some(0)) && !read(Some(0), 1, Some(1)));
        assert!(read(Some(2), 0, Some(0)) && read(None, 0, Some(0)));
        assert!(read(Some(1), 2, Some(0)) && read(Some(1), 0, Some(2)));
        // An unknown value may be loose.
        assert!(read(Some(1), 0, None));
    }
}
