//! The interfaces that a `match` selects: by their names, kinds, drivers, addresses and places.

use netkeel_core::name::link::LinkName;
use netkeel_core::name::mac::Mac;
use netkeel_core::text::glob::Glob;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// A `match` of a document. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    /// Glob over the name.
    pub name: Option<Glob>,
    /// The rtnetlink kind; `physical` for devices without one.
    pub kind: Option<String>,
    /// The driver as ethtool reports it.
    pub driver: Option<Glob>,
    /// Glob over the Ethernet address.
    pub mac: Option<Glob>,
    /// Glob over the Ethernet address that the hardware was made with.
    pub permanent_mac: Option<Glob>,
    /// Glob over the place on the bus.
    pub bus: Option<Glob>,
    /// The number of a VLAN.
    pub vlan: Option<u16>,
    /// Conditions on the device below it.
    pub lower: Option<Box<Selector>>,
}

impl Selector {
    /// Whether an interface of a host is selected.
    pub fn matches(&self, name: LinkName, link: &Link, host: &Snapshot) -> bool {
        let Selector {
            name: names,
            kind,
            driver,
            mac,
            permanent_mac,
            bus,
            vlan,
            lower,
        } = self;
        matches(names, || Some(name.as_bytes()))
            && kind.as_deref().is_none_or(|kind| link.kind_name() == kind)
            && matches(driver, || link.driver.as_deref().map(str::as_bytes))
            && matches(bus, || link.bus.as_deref().map(str::as_bytes))
            && matches_mac(mac, link.mac)
            && matches_mac(permanent_mac, link.permanent_mac)
            && vlan.is_none_or(|vlan| link.vlan == Some(vlan))
            && lower.as_ref().is_none_or(|lower| {
                let found = link.lower.and_then(|index| host.by_index(index));
                found.is_some_and(|(name, link)| lower.matches(name, link, host))
            })
    }

    /// Whether a condition on the interface or on the device below it holds.
    pub fn any(&self, condition: &dyn Fn(&Selector) -> bool) -> bool {
        condition(self) || self.lower.as_ref().is_some_and(|lower| lower.any(condition))
    }
}

/// A condition that is not given holds; a given one needs a value.
fn matches<'a>(glob: &Option<Glob>, value: impl FnOnce() -> Option<&'a [u8]>) -> bool {
    glob.as_ref()
        .is_none_or(|glob| value().is_some_and(|value| glob.matches(value)))
}

fn matches_mac(glob: &Option<Glob>, mac: Option<Mac>) -> bool {
    glob.as_ref()
        .is_none_or(|glob| mac.is_some_and(|mac| glob.matches(mac.to_string().as_bytes())))
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
