//! Interfaces as netlink tells them, whole and damaged.

use proptest::prelude::*;

use crate::netlink::message::{Malformed, Message, Messages, Request};
use crate::rtnetlink::link::{
    IFLA_INET_CONF, IFLA_INET6_CONF, IFLA_IPTUN_COLLECT_METADATA, INET_RP_FILTER, INET6_DISABLE_IPV6,
    INET6_MTU, Row, Words, read, read_of_pod,
};
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;

/// A message about the interface with index 7.
fn link(flags: u8) -> Request {
    Request::new(
        libc::RTM_NEWLINK,
        0,
        &[0, 0, 0, 0, 7, 0, 0, 0, flags, 0, 0, 0, 0, 0, 0, 0],
    )
}

fn message() -> Vec<u8> {
    let mut inet = vec![0u8; 33 * 4];
    inet[INET_RP_FILTER * 4] = 2;
    let mut inet6 = vec![0u8; 40 * 4];
    inet6[INET6_DISABLE_IPV6 * 4] = 1;
    inet6[INET6_MTU * 4..INET6_MTU * 4 + 4].copy_from_slice(&1350u32.to_ne_bytes());
    link(libc::IFF_UP as u8)
        .attribute(libc::IFLA_IFNAME, b"ipip0\0")
        .attribute(libc::IFLA_MTU, &1480u32.to_ne_bytes())
        .attribute(libc::IFLA_LINK, &0u32.to_ne_bytes())
        .attribute(libc::IFLA_IFALIAS, b"tunnel\0")
        .nest(libc::IFLA_PROP_LIST, |list| {
            list.attribute(libc::IFLA_ALT_IFNAME, b"tunnel-of-the-balancers\0")
        })
        .nest(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, b"ipip\0")
                .nest(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_IPTUN_COLLECT_METADATA, &[])
                })
        })
        .nest(libc::IFLA_AF_SPEC, |spec| {
            spec.nest(libc::AF_INET as u16, |conf| conf.attribute(IFLA_INET_CONF, &inet))
                .nest(libc::AF_INET6 as u16, |conf| {
                    conf.attribute(IFLA_INET6_CONF, &inet6)
                })
        })
        .finish(1)
        .to_vec()
}

fn rows(payload: &[u8]) -> Result<Vec<Row>, Malformed> {
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    let message = Message {
        kind: libc::RTM_NEWLINK,
        flags: 0,
        sequence: 1,
        payload,
    };
    read(&message, &mut Words::default(), &mut rows, &mut problems)?;
    assert_eq!(rows.len() + problems.len(), 1, "an interface was passed over");
    Ok(rows)
}

#[test]
fn an_external_tunnel_is_read() {
    let bytes = message();
    let payload = Messages(&bytes).next().unwrap().unwrap().payload;
    let (name, link) = rows(payload).unwrap().pop().unwrap();
    let expected = Link {
        index: 7,
        kind: Some("ipip".into()),
        external: true,
        mtu: 1480,
        up: true,
        alias: Some("tunnel".into()),
        rp_filter: Some(2),
        forwarding: Some(0),
        forwarding6: Some(0),
        disable_ipv6: Some(1),
        mtu6: Some(1350),
        altnames: ["tunnel-of-the-balancers".into()].into(),
        ..Link::default()
    };
    assert_eq!((name.as_bytes(), link.as_ref()), (&b"ipip0"[..], &expected));
}

#[test]
fn further_names_of_a_pod_s_interface_are_not_kept() {
    let bytes = message();
    let message = Messages(&bytes).next().unwrap().unwrap();
    let mut rows = Vec::new();
    read_of_pod(&message, &mut Words::default(), &mut rows, &mut Vec::new()).unwrap();
    let (name, link) = rows.pop().unwrap();
    assert_eq!(
        (name.as_bytes(), link.mtu, link.altnames.len()),
        (&b"ipip0"[..], 1480, 0)
    );
}

#[test]
fn the_ends_of_a_tunnel_tell_the_family_of_its_headers() {
    let outer = |kind: &[u8], end: u16| {
        let bytes = link(0)
            .attribute(libc::IFLA_IFNAME, b"t0\0")
            .nest(libc::IFLA_LINKINFO, |info| {
                info.attribute(libc::IFLA_INFO_KIND, kind)
                    .nest(libc::IFLA_INFO_DATA, |data| data.attribute(end, &[0; 16]))
            })
            .finish(1)
            .to_vec();
        let payload = Messages(&bytes).next().unwrap().unwrap().payload;
        rows(payload).unwrap().pop().unwrap().1.outer
    };
    // IFLA_VXLAN_LOCAL, _GROUP6, _ID; IFLA_GENEVE_REMOTE, _REMOTE6, _ID (include/uapi/linux/if_link.h).
    assert_eq!(outer(b"vxlan\0", 4), Some(Family::Ipv4));
    assert_eq!(outer(b"vxlan\0", 16), Some(Family::Ipv6));
    assert_eq!(outer(b"vxlan\0", 1), None);
    assert_eq!(outer(b"geneve\0", 2), Some(Family::Ipv4));
    assert_eq!(outer(b"geneve\0", 7), Some(Family::Ipv6));
    assert_eq!(outer(b"geneve\0", 1), None);
}

#[test]
fn the_flags_of_gre_tell_its_options() {
    let options = |kind: &[u8], attribute: u16, flags: u16| {
        let bytes = link(0)
            .attribute(libc::IFLA_IFNAME, b"t0\0")
            .nest(libc::IFLA_LINKINFO, |info| {
                info.attribute(libc::IFLA_INFO_KIND, kind)
                    .nest(libc::IFLA_INFO_DATA, |data| {
                        data.attribute(attribute, &flags.to_be_bytes())
                    })
            })
            .finish(1)
            .to_vec();
        let payload = Messages(&bytes).next().unwrap().unwrap().payload;
        rows(payload).unwrap().pop().unwrap().1.gre_options
    };
    // IFLA_GRE_IFLAGS, IFLA_GRE_OFLAGS (include/uapi/linux/if_tunnel.h).
    assert_eq!(options(b"gretap\0", 3, 0x2000), Some(4));
    assert_eq!(options(b"gre\0", 3, 0xb000), Some(12));
    assert_eq!(options(b"ip6gre\0", 3, 0), Some(0));
    assert_eq!(options(b"gre\0", 2, 0x2000), None);
    assert_eq!(options(b"ipip\0", 3, 0x2000), None);
    // IFLA_GRE_ERSPAN_VER is one byte. Its flags tell the session, which is in the header of ERSPAN.
    assert_eq!(options(b"erspan\0", 22, 0x0000), Some(0));
    assert_eq!(options(b"erspan\0", 22, 0x0100), Some(12));
    assert_eq!(options(b"ip6erspan\0", 22, 0x0200), Some(16));
    assert_eq!(options(b"erspan\0", 22, 0x0300), None);
    assert_eq!(options(b"erspan\0", 3, 0x2000), None);
}

#[test]
fn an_interface_with_an_impossible_name_is_a_problem_and_not_nothing() {
    let bytes = link(0).attribute(libc::IFLA_IFNAME, b"a/b\0").finish(1).to_vec();
    let payload = Messages(&bytes).next().unwrap().unwrap().payload;
    assert_eq!(rows(payload), Ok(Vec::new()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = rows(&payload);
    }

    #[test]
    fn no_damage_makes_it_panic(at in 16usize..512, byte: u8, end in 16usize..512) {
        let mut bytes = message();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = rows(&bytes[16.min(bytes.len())..end.clamp(16, bytes.len())]);
    }
}
