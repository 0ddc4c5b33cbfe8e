//! Pairs of sysctls of which the kernel keeps one at most as large as the other, and refuses a write that would
//! break that.

use netkeel_core::name::sysctl::SysctlKey;

/// The lesser and the greater of each pair. Of a vector the first number counts.
///
/// `extra1` and `extra2` of net/ipv4/ip_fragment.c, net/ipv6/reassembly.c,
/// net/ipv6/netfilter/nf_conntrack_reasm.c and net/sctp/sysctl.c; `ipv4_local_port_range` and
/// `ipv4_privileged_ports` of net/ipv4/sysctl_net_ipv4.c.
pub const PAIRS: &[(&str, &str)] = &[
    (
        "net/ipv4/ip_unprivileged_port_start",
        "net/ipv4/ip_local_port_range",
    ),
    ("net/ipv4/ipfrag_low_thresh", "net/ipv4/ipfrag_high_thresh"),
    ("net/ipv6/ip6frag_low_thresh", "net/ipv6/ip6frag_high_thresh"),
    (
        "net/netfilter/nf_conntrack_frag6_low_thresh",
        "net/netfilter/nf_conntrack_frag6_high_thresh",
    ),
    ("net/sctp/pf_retrans", "net/sctp/ps_retrans"),
    ("net/sctp/rto_min", "net/sctp/rto_max"),
];

/// The bound of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The other key of the pair.
    pub other: SysctlKey,
    /// The key is the lesser one.
    pub is_lesser: bool,
}

impl Bound {
    /// The bound of a key, if it has one.
    pub fn of(key: &SysctlKey) -> Option<Bound> {
        let path = key.path();
        PAIRS.iter().find_map(|(lesser, greater)| {
            let (other, is_lesser) = match (*lesser == path, *greater == path) {
                (true, _) => (greater, true),
                (_, true) => (lesser, false),
                _ => return None,
            };
            Some(Bound {
                other: SysctlKey::known(other),
                is_lesser,
            })
        })
    }

    /// Whether the kernel accepts a value while the other key has this value. Only numbers are compared.
    pub fn allows(&self, value: &str, other: &str) -> bool {
        match (first(value), first(other)) {
            (Some(value), Some(other)) if self.is_lesser => value <= other,
            (Some(value), Some(other)) => value >= other,
            _ => true,
        }
    }
}

/// Whether a write brings the key nearer to its bound. Those that lead away from it come first: then no state
/// between two writes breaks the bound.
pub fn approaches(key: &SysctlKey, from: &str, to: &str) -> bool {
    let Some(bound) = Bound::of(key) else {
        return false;
    };
    match (first(from), first(to)) {
        (Some(from), Some(to)) if bound.is_lesser => to > from,
        (Some(from), Some(to)) => to < from,
        _ => false,
    }
}

fn first(text: &str) -> Option<i128> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> SysctlKey {
        path.parse().unwrap()
    }

    #[test]
    fn a_pair_is_known_from_both_sides() {
        let low = Bound::of(&key("net.ipv4.ipfrag_low_thresh")).unwrap();
        assert!(low.allows("5", "5") && low.allows("4", "5") && !low.allows("6", "5"));
        let high = Bound::of(&key("net.ipv4.ipfrag_high_thresh")).unwrap();
        assert_eq!(high.other, key("net.ipv4.ipfrag_low_thresh"));
        assert!(!high.allows("100", "3145728"));
        let ports = Bound::of(&key("net.ipv4.ip_local_port_range")).unwrap();
        assert!(ports.allows("1024 60999", "1024") && !ports.allows("1000 60999", "1024"));
        assert_eq!(Bound::of(&key("net.ipv4.tcp_rmem")), None);
    }

    #[test]
    fn a_write_towards_the_bound_is_known() {
        let (low, high) = ("net.ipv4.ipfrag_low_thresh", "net.ipv4.ipfrag_high_thresh");
        assert!(approaches(&key(low), "1", "2") && !approaches(&key(low), "2", "1"));
        assert!(approaches(&key(high), "2", "1") && !approaches(&key(high), "1", "2"));
        assert!(!approaches(&key("net.core.somaxconn"), "1", "2"));
    }
}
