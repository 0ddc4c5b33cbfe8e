//! The IP version of the outer headers of tunnels.

use crate::snapshot::Snapshot;
use crate::snapshot::forwarding::Family;
use netkeel_core::name::link::LinkName;

impl Snapshot {
    /// The IP version of a tunnel's outer headers, if it is known: by the kind of the device, by its ends, or by
    /// its name, where a CNI gives its devices for IPv6 such names.
    pub fn outer_family(&self, name: LinkName) -> Option<Family> {
        let link = self.link(name)?;
        let of_kind = match link.kind_name() {
            "ipip" | "sit" | "gre" | "gretap" | "vti" | "erspan" => Some(Family::Ipv4),
            "ip6tnl" | "ip6gre" | "ip6gretap" | "vti6" | "ip6erspan" => Some(Family::Ipv6),
            _ => None,
        };
        let of_ends = || {
            let ends = self.forwarding.as_ref()?.tunnels.get(&name)?;
            Some(Family::of(ends.local.or(ends.remote)?))
        };
        of_kind
            .or(link.outer)
            .or_else(of_ends)
            .or_else(|| by_name(name.as_bytes()))
    }
}

/// The devices of Calico (felix/dataplane/linux) and flannel (pkg/backend).
fn by_name(name: &[u8]) -> Option<Family> {
    match name {
        b"vxlan.calico" | b"wireguard.cali" | b"flannel.1" => Some(Family::Ipv4),
        b"vxlan-v6.calico" | b"wg-v6.cali" | b"flannel-v6.1" => Some(Family::Ipv6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_the_ends_or_the_name_tell_the_family() {
        let text = r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":true},"sysctls":{},"links":{
            "ipip1":{"kind":"ipip"},"ip6tnl1":{"kind":"ip6tnl","outer":"ipv4"},
            "vx0":{"kind":"vxlan"},"vx4":{"kind":"vxlan","outer":"ipv4"},"vx6":{"kind":"vxlan"},
            "vxlan-v6.calico":{"kind":"vxlan"},"flannel.1":{"kind":"vxlan"},"wg0":{"kind":"wireguard"}},
            "forwarding":{"tunnels":{"vx6":{"local":"2001:db8::4"}}}}"#;
        let host = Snapshot::from_json(text).unwrap();
        let family = |name: &str| host.outer_family(name.parse().unwrap());
        for (name, expected) in [
            ("ipip1", Some(Family::Ipv4)),
            ("ip6tnl1", Some(Family::Ipv6)),
            ("vx0", None),
            ("vx4", Some(Family::Ipv4)),
            ("vx6", Some(Family::Ipv6)),
            ("vxlan-v6.calico", Some(Family::Ipv6)),
            ("flannel.1", Some(Family::Ipv4)),
            ("wg0", None),
            ("none0", None),
        ] {
            assert_eq!(family(name), expected, "{name}");
        }
    }
}
