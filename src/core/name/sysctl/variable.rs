//! Keys that show one variable of the kernel.

/// Two names of one variable in one unit, of which the second is used for its fact.
const NAMES: &[(&str, &str)] = &[
    // `nf_conntrack_standalone_init_proc` registers it for the host beside the one of each namespace.
    ("net/nf_conntrack_max", "net/netfilter/nf_conntrack_max"),
    // Both call `inet_forward_change` (net/ipv4/devinet.c).
    ("net/ipv4/conf/all/forwarding", "net/ipv4/ip_forward"),
];

/// Two names of one variable in different units or words, or two variables of which a write to one clears
/// the other. `*` stands for one component.
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

/// The path whose value a write to this one changes too, because both show one variable or exclude each
/// other.
pub(super) fn coupled(path: &str) -> Option<String> {
    let mine: Vec<&str> = path.split('/').collect();
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
        Some(path.join("/"))
    })
}

/// Whether the components of a path are those of a pattern.
fn is_of(pattern: &str, parts: &[&str]) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let mut pairs = pattern.iter().zip(parts);
    pattern.len() == parts.len() && pairs.all(|(known, own)| matches!(*known, "*") || known == own)
}
