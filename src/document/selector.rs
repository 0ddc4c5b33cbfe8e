//! The interfaces that a `match` selects: by a glob over names, a kind and a driver.

use netkeel_core::name::link::LinkName;
use netkeel_core::text::glob::Glob;
use netkeel_host::snapshot::link::Link;

/// A `match` of a document. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Glob over the name.
    pub name: Option<Glob>,
    /// The rtnetlink kind; `physical` for devices without one.
    pub kind: Option<String>,
    /// The driver as ethtool reports it.
    pub driver: Option<String>,
}

impl Selector {
    /// Whether an interface is selected.
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

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_host::device_owner::{keeper, refusal};
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
