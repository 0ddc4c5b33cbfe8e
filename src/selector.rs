//! Which interfaces a `match` means: a glob over names, a kind, a driver. Some interfaces no glob
//! may reach, because somebody else depends on them.

use crate::error::{Error, ErrorKind};
use crate::link_name::LinkName;
use crate::snapshot::Link;

/// A `match` of a document. All conditions that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Glob over the name.
    pub name: Option<Glob>,
    /// The rtnetlink kind; `physical` for devices without one.
    pub kind: Option<String>,
    /// The driver by ethtool's word.
    pub driver: Option<String>,
}

/// A pattern over interface names: `*`, `?`, `[a-z]`, `[!a-z]`; a backslash takes the next
/// character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    AnyByte,
    AnyRun,
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Selector {
    /// Whether an interface is meant.
    pub fn matches(&self, name: LinkName, link: &Link) -> bool {
        self.name
            .as_ref()
            .is_none_or(|glob| glob.matches(name.as_bytes()))
            && self.kind.as_deref().is_none_or(|kind| link.kind_name() == kind)
            && self
                .driver
                .as_deref()
                .is_none_or(|driver| link.driver.as_deref() == Some(driver))
    }
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty pattern, an open bracket or a backslash at the end.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::new(ErrorKind::Input, format!("the pattern `{pattern}` {why}"));
        if pattern.is_empty() {
            return Err(refuse("is empty").hint("`*` matches every name"));
        }
        let mut pieces = Vec::new();
        let mut rest = pattern.bytes();
        while let Some(byte) = rest.next() {
            pieces.push(match byte {
                b'*' => Piece::AnyRun,
                b'?' => Piece::AnyByte,
                b'[' => class(&mut rest).ok_or_else(|| {
                    refuse("has a `[` without its `]`").hint("write `\\[` for a bracket in the name")
                })?,
                b'\\' => Piece::Byte(rest.next().ok_or_else(|| refuse("ends in a backslash"))?),
                other => Piece::Byte(other),
            });
        }
        pieces.dedup_by(|a, b| *a == Piece::AnyRun && *b == Piece::AnyRun);
        Ok(Glob(pieces))
    }

    /// Whether a name matches as a whole.
    pub fn matches(&self, name: &[u8]) -> bool {
        // Most patterns are how names begin, and `*`.
        let mut begin = 0;
        while let (Some(Piece::Byte(wanted)), Some(byte)) = (self.0.get(begin), name.get(begin)) {
            if wanted != byte {
                return false;
            }
            begin += 1;
        }
        if let Some([Piece::AnyRun]) = self.0.get(begin..) {
            return true;
        }
        let (mut piece, mut at) = (begin, begin);
        // Where to go on when a run must take one byte more: the piece after the last `*`.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let taken = match (self.0.get(piece), name.get(at)) {
                (None, None) => return true,
                (Some(Piece::AnyRun), _) => {
                    piece += 1;
                    retry = Some((piece, at));
                    continue;
                }
                (Some(Piece::AnyByte), Some(_)) => true,
                (Some(Piece::Byte(wanted)), Some(byte)) => wanted == byte,
                (Some(Piece::Class { negated, ranges }), Some(byte)) => {
                    ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *negated
                }
                (None, Some(_)) | (Some(_), None) => false,
            };
            if taken {
                (piece, at) = (piece + 1, at + 1);
            } else if let Some((after, from)) = retry
                && from < name.len()
            {
                retry = Some((after, from + 1));
                (piece, at) = (after, from + 1);
            } else {
                return false;
            }
        }
    }
}

/// The rest of a bracket expression; a `]` right after the opening is a member.
fn class(rest: &mut std::str::Bytes<'_>) -> Option<Piece> {
    let mut members = Vec::new();
    let mut byte = rest.next()?;
    let negated = matches!(byte, b'!' | b'^');
    if negated {
        byte = rest.next()?;
    }
    loop {
        members.push(byte);
        byte = rest.next()?;
        if byte == b']' {
            break;
        }
    }
    let mut ranges = Vec::new();
    let mut rest = members.as_slice();
    loop {
        rest = match rest {
            [] => break,
            [low, b'-', high, tail @ ..] => {
                ranges.push((*low, *high));
                tail
            }
            [one, tail @ ..] => {
                ranges.push((*one, *one));
                tail
            }
        };
    }
    Some(Piece::Class { negated, ranges })
}

/// What the kernel module makes that comes with Open vSwitch (datapath/linux/compat).
const OVS_FALLBACK: &[&str] = &[
    "ovs-gre0",
    "ovs-gretap0",
    "ovs-erspan0",
    "ovs-ip6gre0",
    "ovs-ip6tnl0",
];

/// Why an interface is not netkeel's to write by a `link` or as a `tunnel`, however it is named. A
/// sysctl that names it is meant.
pub fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "lo" => "the loopback interface is the host's own: nothing on a network path goes through it",
        "ovs-system" | "ovs-netdev" => "it belongs to the Open vSwitch datapath",
        _ if OVS_FALLBACK.contains(&name) => "it is a fallback device of Open vSwitch's own kernel module",
        _ if is_ovs_tunnel(name.as_bytes()) => {
            "Open vSwitch makes its tunnel devices with the largest MTU on purpose; the MTU of the pods is what limits packets"
        }
        _ => return fallback(name),
    })
}

/// What a device is that the module of a kind of tunnel puts into every namespace by itself (net/ipv4,
/// net/ipv6).
pub fn fallback(name: &str) -> Option<&'static str> {
    const OF_GRE: &str = "gre0, gretap0 and erspan0 are the fallback devices of the ip_gre module";
    const DEVICES: &[(&str, &str)] = &[
        (
            "tunl0",
            "tunl0 is the fallback device of the ipip module, and Calico's when it runs IPIP",
        ),
        (
            "ip6tnl0",
            "ip6tnl0 is the fallback device of the ip6_tunnel module",
        ),
        ("sit0", "sit0 is the fallback device of the sit module"),
        ("gre0", OF_GRE),
        ("gretap0", OF_GRE),
        ("erspan0", OF_GRE),
        ("ip6gre0", "ip6gre0 is the fallback device of the ip6_gre module"),
        ("ip_vti0", "ip_vti0 is the fallback device of the ip_vti module"),
        (
            "ip6_vti0",
            "ip6_vti0 is the fallback device of the ip6_vti module",
        ),
    ];
    let device = DEVICES.iter().find(|(own, _)| *own == name);
    device.map(|(_, what)| *what)
}

/// A tunnel device that Open vSwitch made (lib/dpif-netlink-rtnl.c names them so).
pub fn is_ovs_tunnel(name: &[u8]) -> bool {
    // Of the thousands that are asked about hardly any begins so and has a `_`.
    let [b'b' | b'e' | b'g' | b'i' | b'l' | b's' | b'v', rest @ ..] = name else {
        return false;
    };
    if !rest.contains(&b'_') {
        return false;
    }
    [
        &b"genev_sys_"[..],
        b"vxlan_sys_",
        b"gre_sys",
        b"ip6gre_sys",
        b"erspan_sys",
        b"ip6erspan_sys",
        b"stt_sys_",
        b"lisp_sys_",
        b"bareudp_sys_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// Who makes and keeps an interface that a glob must not reach; naming it exactly is allowed.
pub fn keeper(name: &str) -> Option<&'static str> {
    /// Devices that CNIs and their like keep.
    const NAMES: &[(&str, &str)] = &[
        ("ovn0", "kube-ovn"),
        ("mirror0", "kube-ovn"),
        ("br-int", "OVN"),
        ("br-ex", "OVN-Kubernetes"),
        ("vxlan.calico", "Calico"),
        ("vxlan-v6.calico", "Calico"),
        ("wireguard.cali", "Calico"),
        ("wg-v6.cali", "Calico"),
        ("egress.calico", "Calico"),
        ("bpfin.cali", "Calico"),
        ("bpfout.cali", "Calico"),
        ("cni0", "the bridge plugin of the CNI"),
        ("cbr0", "kubenet"),
        ("docker0", "Docker"),
        ("weave", "Weave"),
        ("datapath", "Weave"),
        ("vxlan-6784", "Weave"),
        ("kube-bridge", "kube-router"),
        ("kube-ipvs0", "kube-proxy"),
        ("nodelocaldns", "node-local-dns"),
        ("kubespan", "Talos KubeSpan"),
    ];
    /// What the names of others of them begin with.
    const PREFIXES: &[(&str, &str)] = &[
        ("ovn-k8s-mp", "OVN-Kubernetes"),
        ("cilium_", "Cilium"),
        ("flannel.", "flannel"),
        ("flannel-v6.", "flannel"),
        ("antrea-", "Antrea"),
    ];
    let named = NAMES.iter().find(|(own, _)| name == *own);
    let found = named.or_else(|| PREFIXES.iter().find(|(own, _)| name.starts_with(own)));
    found.map(|(_, keeper)| *keeper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matching(pattern: &str, names: &[&str]) -> String {
        let glob = Glob::new(pattern).unwrap();
        names
            .iter()
            .filter(|name| glob.matches(name.as_bytes()))
            .copied()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_glob_covers_the_whole_name() {
        let names = ["cali0", "calico", "xcali0", "eth0", "eth10", "e[0]", "eth0.100"];
        assert_eq!(matching("cali*", &names), "cali0 calico");
        assert_eq!(matching("eth?", &names), "eth0");
        assert_eq!(matching("eth[0-9]*", &names), "eth0 eth10 eth0.100");
        assert_eq!(matching("e[!t]0]", &names), "e[0]");
        assert_eq!(matching(r"e\[0\]", &names), "e[0]");
        assert_eq!(matching("*0*", &names), "cali0 xcali0 eth0 eth10 e[0] eth0.100");
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        for pattern in ["", "e[0", "eth\\", "[]"] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn veths_of_pods_are_within_reach_of_a_glob_and_devices_of_others_are_not() {
        for name in [
            "cali0a1b2c3d4e5",
            "lxc12345",
            "veth1a2b",
            "eni1a2b",
            "azv12",
            "gre1",
            "cni-podman0",
            "docker1",
        ] {
            assert_eq!((refusal(name), keeper(name)), (None, None), "{name}");
        }
        for name in [
            "sit0",
            "gre0",
            "gretap0",
            "erspan0",
            "ip6gre0",
            "ip_vti0",
            "ip6_vti0",
            "erspan_sys",
            "stt_sys_7471",
            "ovs-gretap0",
            "ovs-netdev",
        ] {
            assert!(refusal(name).is_some(), "{name}");
        }
        for name in [
            "egress.calico",
            "cni0",
            "cbr0",
            "docker0",
            "ovn-k8s-mp0",
            "vxlan.calico",
        ] {
            assert!(keeper(name).is_some() && refusal(name).is_none(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn an_escaped_name_matches_itself_only(name in "[!-~]{1,8}", other in "[!-~]{1,8}") {
            let escaped: String = name.chars().flat_map(|c| ['\\', c]).collect();
            let glob = Glob::new(&escaped).unwrap();
            prop_assert!(glob.matches(name.as_bytes()));
            prop_assert_eq!(glob.matches(other.as_bytes()), name == other);
        }

        #[test]
        fn any_pattern_ends(pattern in r"[a*?\[\]\\!-]{0,24}", name in "a{0,15}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.matches(name.as_bytes());
            }
        }
    }
}
