//! The ends of tunnels and the IPv4 settings of interfaces.

use std::net::IpAddr;

use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use crate::netlink::message::{Attribute, Attributes, Malformed, Message, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::named::Named;
use crate::rtnetlink::link::{IFLA_GRE_ERSPAN_VER, IFLA_INET_CONF, erspan_options, gre_options};
use netkeel_host::snapshot::forwarding::{BridgeFilter, Forwarding, Ipv4Conf, OuterDf, TunnelEnds};

/// `struct ifinfomsg`, bytes.
const FIXED: usize = 16;

/// Places in IFLA_INET_CONF, one less than IPV4_DEVCONF_* (include/uapi/linux/ip.h).
const PROXY_ARP: usize = 2;

const ARP_IGNORE: usize = 18;

const ACCEPT_LOCAL: usize = 22;

const SRC_VALID_MARK: usize = 23;

/// IP6_TNL_F_IGN_ENCAP_LIMIT (include/uapi/linux/ip6_tunnel.h).
const IGNORES_ENCAPSULATION_LIMIT: u32 = 1;

/// Reads those of all interfaces.
pub(crate) fn read(socket: &mut Socket, named: Named<'_>, found: &mut Forwarding) -> Result<(), Refusal> {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    socket.dump(libc::RTM_GETLINK, &message, |message| one(message, named, found))
}

fn one(message: &Message<'_>, named: Named<'_>, found: &mut Forwarding) -> Result<(), Malformed> {
    if message.kind != libc::RTM_NEWLINK {
        return Ok(());
    }
    let index = u32_at(message.payload, 4).ok_or(Malformed("interface"))?;
    let Some(name) = named(index) else { return Ok(()) };
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_AF_SPEC => {
                if let Some(conf) = ipv4(attribute)? {
                    found.ipv4.insert(name, conf);
                }
            }
            libc::IFLA_LINKINFO => {
                let (kind, data) = information(attribute)?;
                if let Some(ends) = tunnel(kind, data)? {
                    found.tunnels.insert(name, ends);
                }
                if kind == b"bridge" {
                    found.bridges.insert(name, bridge(data)?);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn ipv4(families: Attribute<'_>) -> Result<Option<Ipv4Conf>, Malformed> {
    for family in families.nested() {
        let family = family?;
        if libc::c_int::from(family.kind) != libc::AF_INET {
            continue;
        }
        for conf in family.nested() {
            let conf = conf?;
            let number = |at: usize| u32_at(conf.value, at * 4).map(u32::cast_signed);
            if let (IFLA_INET_CONF, Some(proxy_arp), Some(arp_ignore), Some(accept_local), Some(mark)) = (
                conf.kind,
                number(PROXY_ARP),
                number(ARP_IGNORE),
                number(ACCEPT_LOCAL),
                number(SRC_VALID_MARK),
            ) {
                return Ok(Some(Ipv4Conf {
                    proxy_arp,
                    arp_ignore,
                    accept_local,
                    src_valid_mark: mark,
                }));
            }
        }
    }
    Ok(None)
}

/// The kind of an interface, and what is particular to its kind.
fn information<'a>(info: Attribute<'a>) -> Result<(&'a [u8], Option<Attribute<'a>>), Malformed> {
    let (mut kind, mut data): (&[u8], _) = (b"", None);
    for attribute in info.nested() {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_INFO_KIND => kind = attribute.string(),
            libc::IFLA_INFO_DATA => data = Some(attribute),
            _ => {}
        }
    }
    Ok((kind, data))
}

/// IFLA_BR_NF_CALL_IPTABLES and IFLA_BR_NF_CALL_IP6TABLES (include/uapi/linux/if_link.h).
fn bridge(data: Option<Attribute<'_>>) -> Result<BridgeFilter, Malformed> {
    let mut filter = BridgeFilter::default();
    for attribute in data.iter().flat_map(Attribute::nested) {
        let attribute = attribute?;
        match attribute.kind {
            36 => filter.ipv4 = flag(&attribute),
            37 => filter.ipv6 = flag(&attribute),
            _ => {}
        }
    }
    Ok(filter)
}

fn tunnel(kind: &[u8], data: Option<Attribute<'_>>) -> Result<Option<TunnelEnds>, Malformed> {
    let Some(data) = data else { return Ok(None) };
    let mut ends = TunnelEnds::default();
    let apply: fn(&mut TunnelEnds, &Attribute<'_>) = match kind {
        b"vxlan" => vxlan,
        b"geneve" => geneve,
        b"ipip" | b"sit" => ip_tunnel,
        b"ip6tnl" => ip6_tunnel,
        b"gre" | b"gretap" | b"ip6gre" | b"ip6gretap" => gre,
        b"erspan" | b"ip6erspan" => erspan,
        b"vti" | b"vti6" => vti,
        _ => return Ok(None),
    };
    for attribute in data.nested() {
        apply(&mut ends, &attribute?);
    }
    if matches!(kind, b"vxlan" | b"geneve") {
        ends.df.get_or_insert(OuterDf::Unset);
    }
    Ok(Some(ends))
}

/// IFLA_VXLAN_* (include/uapi/linux/if_link.h).
fn vxlan(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        2 | 16 => ends.remote = address(attribute.value),
        4 | 17 => ends.local = address(attribute.value),
        25 => ends.external = flag(attribute),
        29 => ends.df = outer_df(attribute),
        _ => {}
    }
}

/// IFLA_GENEVE_*.
fn geneve(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        2 | 7 => ends.remote = address(attribute.value),
        6 => ends.external = true,
        13 => ends.df = outer_df(attribute),
        _ => {}
    }
}

/// IFLA_IPTUN_* (include/uapi/linux/if_tunnel.h).
fn ip_tunnel(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        2 => ends.local = address(attribute.value),
        3 => ends.remote = address(attribute.value),
        10 => ends.pmtudisc = Some(flag(attribute)),
        19 => ends.external = true,
        _ => {}
    }
}

fn ip6_tunnel(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        8 => ends.encapsulation_limit = encapsulation_limit(attribute),
        10 => {}
        _ => ip_tunnel(ends, attribute),
    }
}

/// Whether the flags of an IPv6 tunnel let it add the encapsulation limit.
fn encapsulation_limit(attribute: &Attribute<'_>) -> Option<bool> {
    u32_at(attribute.value, 0).map(|flags| flags & IGNORES_ENCAPSULATION_LIMIT == 0)
}

/// IFLA_GRE_*.
fn gre(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        3 => {
            ends.gre_options = gre_options(attribute.be16().unwrap_or_default());
        }
        6 => ends.local = address(attribute.value),
        7 => ends.remote = address(attribute.value),
        13 => ends.encapsulation_limit = encapsulation_limit(attribute),
        10 => ends.pmtudisc = Some(flag(attribute)),
        18 => ends.external = true,
        _ => {}
    }
}

/// IFLA_GRE_* of ERSPAN, whose options follow from its version alone.
fn erspan(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        3 => {}
        IFLA_GRE_ERSPAN_VER => ends.gre_options = erspan_options(attribute).unwrap_or_default(),
        _ => gre(ends, attribute),
    }
}

/// IFLA_VTI_*.
fn vti(ends: &mut TunnelEnds, attribute: &Attribute<'_>) {
    match attribute.kind {
        4 => ends.local = address(attribute.value),
        5 => ends.remote = address(attribute.value),
        _ => {}
    }
}

fn flag(attribute: &Attribute<'_>) -> bool {
    attribute.value.first().is_some_and(|byte| *byte != 0)
}

/// enum ifla_vxlan_df and ifla_geneve_df.
fn outer_df(attribute: &Attribute<'_>) -> Option<OuterDf> {
    match attribute.value.first()? {
        0 => Some(OuterDf::Unset),
        1 => Some(OuterDf::Set),
        2 => Some(OuterDf::Inherit),
        _ => None,
    }
}

/// An address that is not the unspecified one.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let address = match bytes.len() {
        4 => IpAddr::from(*bytes.first_chunk::<4>()?),
        16 => IpAddr::from(*bytes.first_chunk::<16>()?),
        _ => return None,
    };
    Some(address).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::Request;

    fn of(kind: &[u8], fill: impl FnOnce(Request) -> Request) -> Option<TunnelEnds> {
        let request = Request::new(0, 0, &[])
            .attribute(libc::IFLA_INFO_KIND, kind)
            .nest(libc::IFLA_INFO_DATA, fill);
        let info = Attribute {
            kind: libc::IFLA_LINKINFO,
            value: request.body(),
        };
        let (kind, data) = information(info).unwrap();
        tunnel(kind, data).unwrap()
    }

    #[test]
    fn the_ends_of_tunnels_are_read_by_their_kind() {
        let vxlan = of(b"vxlan\0", |data| {
            data.attribute(2, &[0; 4])
                .attribute(4, &[192, 0, 2, 1])
                .attribute(29, &[1])
        });
        let vxlan = vxlan.unwrap();
        assert_eq!((vxlan.remote, vxlan.df), (None, Some(OuterDf::Set)));
        assert_eq!(vxlan.local, Some([192, 0, 2, 1].into()));
        let gre = of(b"gre\0", |data| {
            data.attribute(3, &0x3000_u16.to_be_bytes()).attribute(10, &[1])
        });
        let gre = gre.unwrap();
        assert_eq!((gre.gre_options, gre.pmtudisc), (8, Some(true)));
        let erspan = of(b"erspan\0", |data| {
            data.attribute(3, &0x2000_u16.to_be_bytes())
                .attribute(7, &[192, 0, 2, 2])
                .attribute(22, &[1])
        });
        let erspan = erspan.unwrap();
        assert_eq!(
            (erspan.gre_options, erspan.remote),
            (12, Some([192, 0, 2, 2].into()))
        );
        let vti = of(b"vti\0", |data| data.attribute(5, &[192, 0, 2, 3]));
        assert_eq!(vti.unwrap().remote, Some([192, 0, 2, 3].into()));
        let six = of(b"ip6tnl\0", |data| data.attribute(8, &0_u32.to_ne_bytes()));
        assert_eq!(six.unwrap().encapsulation_limit, Some(true));
        assert_eq!(of(b"veth\0", |data| data), None);
        assert_eq!(of(b"geneve\0", |data| data).unwrap().df, Some(OuterDf::Unset));
    }
}
