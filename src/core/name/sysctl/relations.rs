//! The effects of a write to one sysctl on others: keys of one variable, keys that the kernel writes too, and the order
//! in which keys are written.

use super::{PerInterface, Slot, SysctlKey};

/// The leaves of `net.ipv6.conf` whose `all` is copied to `default` and to every interface, even when
/// the value of `all` does not change (`addrconf_fixup_forwarding`, `addrconf_fixup_linkdown`,
/// `addrconf_disable_ipv6` and `addrconf_sysctl_addr_gen_mode`, net/ipv6/addrconf.c).
const COPIED_FROM_ALL: &[&str] = &[
    "forwarding",
    "disable_ipv6",
    "ignore_routes_with_linkdown",
    "addr_gen_mode",
    "force_forwarding",
];

/// Two names of one variable in one unit, of which the second is used for its fact.
const NAMES: &[(&str, &str)] = &[
    // `nf_conntrack_standalone_init_proc` registers it for the host beside the one of each namespace.
    ("net/nf_conntrack_max", "net/netfilter/nf_conntrack_max"),
    // Both call `inet_forward_change` (net/ipv4/devinet.c).
    ("net/ipv4/conf/all/forwarding", "net/ipv4/ip_forward"),
];

/// Two names of one variable in different units or words, or two variables of which a write to one clears
/// the other. `*` matches one component.
const COUPLED: &[(&str, &str)] = &[
    // net/core/neighbour.c
    (
        "net/*/neigh/*/base_reachable_time",
        "net/*/neigh/*/base_reachable_time_ms",
    ),
    ("net/*/neigh/*/retrans_time", "net/*/neigh/*/retrans_time_ms"),
    ("net/*/neigh/*/unres_qlen", "net/*/neigh/*/unres_qlen_bytes"),
    // net/ipv4/route.c, net/ipv6/route.c
    ("net/*/route/gc_min_interval", "net/*/route/gc_min_interval_ms"),
    // net/mptcp/ctrl.c
    ("net/mptcp/pm_type", "net/mptcp/path_manager"),
    // mm/page-writeback.c, mm/util.c
    ("vm/dirty_bytes", "vm/dirty_ratio"),
    ("vm/dirty_background_bytes", "vm/dirty_background_ratio"),
    ("vm/overcommit_kbytes", "vm/overcommit_ratio"),
];

/// The name of the variable behind a path: some variables have two paths.
pub fn variable(path: &str) -> &str {
    let other = NAMES.iter().find(|(name, _)| *name == path);
    other.map_or(path, |(_, name)| name)
}

/// The leaves of `net.ipv4.conf` whose `default` no existing interface follows: they are not written
/// through `devinet_conf_proc` (`devinet_sysctl`, net/ipv4/devinet.c).
const NOT_FOLLOWED: &[&str] = &[
    "disable_policy",
    "disable_xfrm",
    "drop_unicast_in_l2_multicast",
    "forwarding",
    "mc_forwarding",
    "promote_secondaries",
    "route_localnet",
];

/// The congestion control of new TCP connections. A write loads its module, and adds it to those that are
/// allowed (`tcp_set_default_congestion_control`, net/ipv4/tcp_cong.c).
pub const CONGESTION_CONTROL: &str = "net/ipv4/tcp_congestion_control";

/// The congestion controls that programs may choose without privilege. A write loads no module, and replaces
/// the list (`tcp_set_allowed_congestion_control`), so it follows a write of [`CONGESTION_CONTROL`].
pub const ALLOWED_CONGESTION_CONTROL: &str = "net/ipv4/tcp_allowed_congestion_control";

impl SysctlKey {
    /// The key by which the variable of this key is known: `net.ipv4.ip_forward` for
    /// `net.ipv4.conf.all.forwarding`.
    pub fn of_variable(&self) -> SysctlKey {
        match variable(&self.0) {
            same if same == self.path() => self.clone(),
            name => SysctlKey(name.into()),
        }
    }

    /// The key as a setting of interfaces, where its variable has such a name too: `net.ipv4.conf.all.forwarding` for
    /// `net.ipv4.ip_forward`.
    pub fn as_setting(&self) -> SysctlKey {
        let of_all = NAMES
            .iter()
            .find(|(other, name)| *name == self.path() && SysctlKey::known(other).per_interface().is_some());
        of_all.map_or_else(|| self.clone(), |(other, _)| SysctlKey::known(other))
    }

    /// Position among keys that are set together, as at boot. `accept_ra` keeps the default routes that
    /// forwarding removes, so it goes first. Switching forwarding rewrites `accept_redirects` and every
    /// interface's `forwarding` (`inet_forward_change`, net/ipv4/devinet.c), so it goes next. `all` and
    /// `default` may be copied to interfaces, so they precede interfaces.
    pub fn rank(&self) -> u8 {
        match (self.path(), self.per_interface()) {
            ("net/ipv4/ip_forward" | "net/ipv6/conf/all/forwarding", _) => 1,
            (ALLOWED_CONGESTION_CONTROL, _) => 3,
            (
                _,
                Some(PerInterface {
                    leaf: "accept_ra", ..
                }),
            ) => 0,
            (
                _,
                Some(PerInterface {
                    slot: Slot::Default, ..
                }),
            ) => 3,
            (
                _,
                Some(PerInterface {
                    slot: Slot::Link(_), ..
                }),
            ) => 4,
            _ => 2,
        }
    }

    /// The keys that the kernel also writes when this one is written. A rollback needs their previous
    /// values.
    pub fn written_beside(&self) -> Vec<SysctlKey> {
        let known = |paths: &[&'static str]| paths.iter().map(|path| SysctlKey::known(path)).collect();
        match self.path() {
            "net/ipv4/ip_forward" | "net/ipv4/conf/all/forwarding" => known(&[
                "net/ipv4/conf/all/accept_redirects",
                "net/ipv4/conf/default/forwarding",
            ]),
            "net/ipv6/conf/all/forwarding" => known(&["net/ipv6/conf/default/forwarding"]),
            "net/ipv6/conf/all/disable_ipv6" => known(&["net/ipv6/conf/default/disable_ipv6"]),
            "net/ipv6/conf/all/ignore_routes_with_linkdown" => {
                known(&["net/ipv6/conf/default/ignore_routes_with_linkdown"])
            }
            "net/ipv6/conf/all/addr_gen_mode" => known(&["net/ipv6/conf/default/addr_gen_mode"]),
            CONGESTION_CONTROL => known(&[ALLOWED_CONGESTION_CONTROL]),
            _ => Vec::new(),
        }
    }

    /// Whether writing 0 to this key sets `force_forwarding` of every interface to 0, since Linux 6.17
    /// (`addrconf_forward_change`, net/ipv6/addrconf.c).
    pub fn resets_force_forwarding(&self) -> bool {
        self.path() == "net/ipv6/conf/all/forwarding"
    }

    /// The key whose value a write to this one changes too, because both show one variable or exclude each
    /// other.
    pub fn coupled_with(&self) -> Option<SysctlKey> {
        let mine: Vec<&str> = self.path().split('/').collect();
        COUPLED.iter().find_map(|(one, other)| {
            let (from, to) = match (is_of(one, &mine), is_of(other, &mine)) {
                (true, _) => (one, other),
                (_, true) => (other, one),
                (false, false) => return None,
            };
            let parts = from.split('/').zip(to.split('/')).zip(&mine);
            let of = |((from, to), own): ((&str, &str), &&str)| match from {
                "*" => (*own).to_owned(),
                _ => to.to_owned(),
            };
            let path: Vec<String> = parts.map(of).collect();
            Some(SysctlKey(path.join("/").into()))
        })
    }

    /// Whether writing this key may change the same setting of interfaces. The kernel copies `all` of
    /// some IPv6 settings to each interface (net/ipv6/addrconf.c), and `default` of IPv4 settings and of
    /// neighbours to interfaces that never had an explicit value (`devinet_copy_dflt_conf`, net/ipv4/devinet.c;
    /// `neigh_copy_dflt_parms`, net/core/neighbour.c).
    pub fn copied_to_links(&self) -> bool {
        let Some(parts) = self.per_interface() else {
            return false;
        };
        match (parts.family, parts.table, parts.slot) {
            ("ipv6", "conf", Slot::All) => COPIED_FROM_ALL.contains(&parts.leaf),
            ("ipv4", "conf", Slot::Default) => !NOT_FOLLOWED.contains(&parts.leaf),
            // The others are of the whole table.
            (_, "neigh", Slot::Default) => !parts.leaf.starts_with("gc_") || parts.leaf == "gc_stale_time",
            _ => false,
        }
    }
}

/// Whether the components of a path are those of a pattern.
fn is_of(pattern: &str, parts: &[&str]) -> bool {
    let mut parts = parts.iter();
    let mut known = pattern.split('/');
    known.all(|known| parts.next().is_some_and(|own| known == "*" || known == *own)) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_variable_has_one_name_and_knows_what_it_is_coupled_with() {
        assert_eq!(
            (
                variable("net/nf_conntrack_max"),
                variable("net/netfilter/nf_conntrack_max")
            ),
            ("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_max")
        );
        let coupled = |key: &str| {
            let key: SysctlKey = key.parse().unwrap();
            key.coupled_with().map(|other| other.to_string())
        };
        assert_eq!(
            coupled("net.ipv6.neigh.eth0.retrans_time_ms").as_deref(),
            Some("net.ipv6.neigh.eth0.retrans_time")
        );
        assert_eq!(
            coupled("net.ipv4.route.gc_min_interval").as_deref(),
            Some("net.ipv4.route.gc_min_interval_ms")
        );
        assert_eq!(coupled("net.ipv4.neigh.eth0.locktime"), None);
    }

    #[test]
    fn default_is_copied_where_the_kernel_copies_it() {
        for (key, is_copied) in [
            ("net.ipv4.neigh.default.gc_stale_time", true),
            ("net.ipv6.neigh.default.ucast_solicit", true),
            ("net.ipv4.neigh.default.gc_thresh3", false),
            ("net.ipv4.neigh.eth0.gc_stale_time", false),
            ("net.ipv4.conf.default.rp_filter", true),
            ("net.ipv4.conf.default.forwarding", false),
            ("net.ipv6.conf.default.forwarding", false),
            ("net.ipv6.conf.all.forwarding", true),
        ] {
            assert_eq!(
                key.parse::<SysctlKey>().unwrap().copied_to_links(),
                is_copied,
                "{key}"
            );
        }
    }

    #[test]
    fn forwarding_goes_first_and_interfaces_last() {
        let mut keys: Vec<SysctlKey> = [
            "net.ipv4.conf.eth0.rp_filter",
            "net.ipv4.conf.default.rp_filter",
            "net.ipv4.conf.all.accept_redirects",
            "net.ipv4.ip_forward",
        ]
        .iter()
        .map(|k| k.parse().unwrap())
        .collect();
        keys.sort_by_key(|key| (key.rank(), key.clone()));
        let order: Vec<String> = keys.iter().map(ToString::to_string).collect();
        assert_eq!(
            order,
            [
                "net.ipv4.ip_forward",
                "net.ipv4.conf.all.accept_redirects",
                "net.ipv4.conf.default.rp_filter",
                "net.ipv4.conf.eth0.rp_filter"
            ]
        );
    }
}
