//! Interfaces over rtnetlink: one dump carries all that a snapshot holds of them, the sysctls of
//! each interface included.

use std::collections::BTreeSet;
use std::sync::Arc;

use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use nix::errno::Errno;

use crate::netlink::message::{Attribute, Attributes, Malformed, Message, Request, u32_at};
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::{ATTEMPTS, Dump, Socket};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::forwarding::Family;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::problem::{Problem, Subject};

/// `struct ifinfomsg`, bytes: family, padding, type, index, flags, change mask.
pub(crate) const FIXED: usize = 16;

/// Index in IFLA_INET_CONF, which starts at 1 in `enum` and at 0 in the array: IPV4_DEVCONF_FORWARDING
/// and IPV4_DEVCONF_RP_FILTER (include/uapi/linux/ip.h; `inet_fill_link_af`, net/ipv4/devinet.c).
const INET_FORWARDING: usize = 0;

pub(crate) const INET_RP_FILTER: usize = 7;

/// Index in IFLA_INET6_CONF: DEVCONF_FORWARDING and DEVCONF_DISABLE_IPV6
/// (include/uapi/linux/ipv6.h; `ipv6_store_devconf`, net/ipv6/addrconf.c).
const INET6_FORWARDING: usize = 0;

/// DEVCONF_MTU6.
pub(crate) const INET6_MTU: usize = 2;

pub(crate) const INET6_DISABLE_IPV6: usize = 26;

/// In IFLA_AF_SPEC (include/uapi/linux/if_link.h).
pub(crate) const IFLA_INET_CONF: u16 = 1;

pub(crate) const IFLA_INET6_CONF: u16 = 2;

/// In IFLA_INFO_DATA of ipip and ip6tnl (include/uapi/linux/if_tunnel.h).
pub(crate) const IFLA_IPTUN_COLLECT_METADATA: u16 = 19;

/// In IFLA_INFO_DATA of vxlan (include/uapi/linux/if_link.h): the device below it, which it does not
/// say in IFLA_LINK.
const IFLA_VXLAN_LINK: u16 = 3;

/// The ends of a vxlan device (IFLA_VXLAN_GROUP, _LOCAL, _GROUP6, _LOCAL6), and of a geneve device
/// (IFLA_GENEVE_REMOTE, _REMOTE6), with their families.
const VXLAN_ENDS: [(u16, Family); 4] = [
    (2, Family::Ipv4),
    (4, Family::Ipv4),
    (16, Family::Ipv6),
    (17, Family::Ipv6),
];

const GENEVE_ENDS: [(u16, Family); 2] = [(2, Family::Ipv4), (7, Family::Ipv6)];

/// In IFLA_INFO_DATA of GRE devices (include/uapi/linux/if_tunnel.h): the flags of what they send.
const IFLA_GRE_OFLAGS: u16 = 3;

/// GRE_CSUM, GRE_KEY and GRE_SEQ: each adds four bytes.
const GRE_OPTIONS: u16 = 0x8000 | 0x2000 | 0x1000;

/// The version of an ERSPAN device, in IFLA_INFO_DATA.
pub(crate) const IFLA_GRE_ERSPAN_VER: u16 = 22;

/// In IFLA_INFO_DATA of vlan (include/uapi/linux/if_link.h).
const IFLA_VLAN_ID: u16 = 1;

/// One interface as it was read.
pub(crate) type Row = (LinkName, Arc<Link>);

/// The row of the interface with this index, among rows in the order of their index.
pub(crate) fn by_index(rows: &[Row], index: u32) -> Option<&Row> {
    let place = rows.binary_search_by_key(&index, |(_, link)| link.index);
    rows.get(place.ok()?)
}

/// As [`by_index`], to change it.
pub(crate) fn by_index_mut(rows: &mut [Row], index: u32) -> Option<&mut Row> {
    let place = rows.binary_search_by_key(&index, |(_, link)| link.index);
    rows.get_mut(place.ok()?)
}

/// Words that many interfaces share, kept once.
#[derive(Default)]
pub(crate) struct Words(Vec<Arc<str>>);

impl Words {
    /// The shared word of these bytes.
    pub(crate) fn share(&mut self, word: &[u8]) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| known.as_bytes() == word) {
            return known.clone();
        }
        let new: Arc<str> = String::from_utf8_lossy(word).into();
        self.0.push(new.clone());
        new
    }
}

/// Reads all interfaces, in the order of their index.
///
/// Where they come and go faster than they can be read in one go, every dump is torn: one that
/// stayed may be missing. Such a one was in another attempt, and is asked for by its index.
pub(crate) fn dump(socket: &mut Socket, problems: &mut Vec<Problem>) -> Result<Vec<Row>, Refusal> {
    Ok(dump_by(socket, None, (usize::MAX, read), problems)?.unwrap_or_default())
}

/// Reads all interfaces of a namespace that a pod controls, from inside. `None` when there are more than
/// `most`: the rest is not read.
pub(crate) fn dump_at_most(socket: &mut Socket, most: usize) -> Result<Option<Vec<Row>>, Refusal> {
    dump_by(socket, None, (most, read_of_pod), &mut Vec::new())
}

/// Reads all interfaces of another namespace from outside, by its id here. Only ever in a dump: in a
/// change the kernel takes IFLA_TARGET_NETNSID for the namespace to move the interface to. `None` when
/// there are more than `most`: the rest is not read.
pub(crate) fn dump_of(
    socket: &mut Socket,
    namespace: i32,
    most: usize,
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<Row>>, Refusal> {
    dump_by(socket, Some(namespace), (most, read_of_pod), problems)
}

/// Reads one interface of another namespace from outside; `None` when it is gone.
pub(crate) fn one_of(socket: &mut Socket, namespace: i32, index: u32) -> Result<Option<Row>, Refusal> {
    let (mut words, mut rows) = (Words::default(), Vec::new());
    let request = get(0, index, Some(namespace));
    match socket.exchange(request, |message| {
        read_of_pod(&message, &mut words, &mut rows, &mut Vec::new())
    }) {
        Ok(_) => Ok(rows.into_iter().next()),
        Err(refusal) if refusal.errno == Errno::ENODEV => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Reads a message about an interface.
type Reader = fn(&Message<'_>, &mut Words, &mut Vec<Row>, &mut Vec<Problem>) -> Result<(), Malformed>;

fn dump_by(
    socket: &mut Socket,
    namespace: Option<i32>,
    (most, read): (usize, Reader),
    problems: &mut Vec<Problem>,
) -> Result<Option<Vec<Row>>, Refusal> {
    let mut words = Words::default();
    let mut earlier: Vec<Row> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let known = problems.len();
    for _ in 0..ATTEMPTS {
        earlier.append(&mut rows);
        problems.truncate(known);
        let dump = socket.exchange(get(libc::NLM_F_DUMP, 0, namespace), |message| {
            read(&message, &mut words, &mut rows, problems)?;
            // The socket drops the rest of the answer.
            if rows.len() > most {
                Err(Malformed("dump"))
            } else {
                Ok(())
            }
        });
        sort(&mut rows);
        if rows.len() > most {
            return Ok(None);
        }
        if dump? == Dump::Whole {
            return Ok(Some(rows));
        }
    }
    sort(&mut earlier);
    let mut missed = Vec::new();
    for (_, link) in earlier {
        if by_index(&rows, link.index).is_some() {
            continue;
        }
        let request = get(libc::NLM_F_ACK, link.index, namespace);
        match socket.exchange(request, |message| {
            read(&message, &mut words, &mut missed, problems)
        }) {
            Ok(_) => {}
            Err(refusal) if refusal.errno == Errno::ENODEV => {}
            Err(refusal) => return Err(refusal),
        }
    }
    rows.append(&mut missed);
    sort(&mut rows);
    Ok(Some(rows))
}

/// Reads the interfaces with these indices, in their order; those that are gone are left out.
pub(crate) fn some(
    socket: &mut Socket,
    indices: &BTreeSet<u32>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Row>, Refusal> {
    let mut words = Words::default();
    let mut rows = Vec::with_capacity(indices.len());
    for index in indices {
        let request = get(0, *index, None);
        match socket.exchange(request, |message| read(&message, &mut words, &mut rows, problems)) {
            Ok(_) => {}
            Err(refusal) if refusal.errno == Errno::ENODEV => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(rows)
}

/// Orders by index; a dump that is torn may have one twice.
fn sort(rows: &mut Vec<Row>) {
    rows.sort_by_key(|(_, link)| link.index);
    rows.dedup_by_key(|(_, link)| link.index);
}

/// RTM_GETLINK without the counters, which cost as much as all the rest.
fn get(flags: libc::c_int, index: u32, namespace: Option<i32>) -> Request {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    // The newer name of this attribute is IFLA_TARGET_NETNSID.
    message.attributes.extend(namespace.map(LinkAttribute::IfNetnsId));
    Request::of(libc::RTM_GETLINK, flags, &message)
}

/// Reads one RTM_NEWLINK, attribute by attribute: a typed message takes three times as long as the
/// kernel's whole dump, and one attribute that it cannot read would cost the interface. An interface whose name cannot be taken is a problem.
pub(crate) fn read(
    message: &Message<'_>,
    words: &mut Words,
    rows: &mut Vec<Row>,
    problems: &mut Vec<Problem>,
) -> Result<(), Malformed> {
    if message.kind != libc::RTM_NEWLINK {
        return Ok(());
    }
    const WHAT: Malformed = Malformed("interface");
    let flags = u32_at(message.payload, 8).ok_or(WHAT)?;
    let mut name: &[u8] = b"";
    let mut info = None;
    let mut link = Link {
        index: u32_at(message.payload, 4).ok_or(WHAT)?,
        up: flags & libc::IFF_UP.cast_unsigned() != 0,
        ..Link::default()
    };
    for attribute in Attributes::after(message.payload, FIXED)? {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_IFNAME => name = attribute.string(),
            libc::IFLA_MTU => link.mtu = attribute.u32()?,
            libc::IFLA_MIN_MTU => link.min_mtu = attribute.u32()?,
            libc::IFLA_MAX_MTU => link.max_mtu = attribute.u32()?,
            libc::IFLA_TXQLEN => link.txqueuelen = attribute.u32()?,
            libc::IFLA_MASTER => link.master = Some(attribute.u32()?),
            // 0 is said by tunnels that are bound to no device.
            libc::IFLA_LINK => link.lower = Some(attribute.u32()?).filter(|lower| *lower != 0),
            libc::IFLA_LINK_NETNSID => link.peer_netns = Some(attribute.i32()?),
            libc::IFLA_IFALIAS => link.alias = Some(String::from_utf8_lossy(attribute.string()).into()),
            libc::IFLA_PROP_LIST => {
                for property in attribute.nested() {
                    let property = property?;
                    if property.kind == libc::IFLA_ALT_IFNAME {
                        let altname = String::from_utf8_lossy(property.string());
                        link.altnames.insert(altname.into());
                    }
                }
            }
            libc::IFLA_LINKINFO => info = Some(attribute),
            libc::IFLA_AF_SPEC => read_families(attribute, &mut link)?,
            _ => {}
        }
    }
    if let Some(info) = info {
        read_kind(info, words, &mut link)?;
    }
    // A device's MTU is its IPv6 MTU until that is written, or a router advertises another.
    link.mtu6 = link.mtu6.filter(|mtu6| *mtu6 != link.mtu);
    match LinkName::new(name) {
        Ok(name) => rows.push((name, link.into())),
        Err(error) => problems.push(Problem {
            what: Subject::Other(format!("the interface with index {}", link.index)),
            why: error.message,
        }),
    }
    Ok(())
}

/// As [`read`], for an interface in a namespace that a pod controls. Its further names are not kept: nothing needs them, and
/// each of a thousand interfaces may have hundreds.
pub(crate) fn read_of_pod(
    message: &Message<'_>,
    words: &mut Words,
    rows: &mut Vec<Row>,
    problems: &mut Vec<Problem>,
) -> Result<(), Malformed> {
    let known = rows.len();
    read(message, words, rows, problems)?;
    let new = rows.get_mut(known).and_then(|(_, link)| Arc::get_mut(link));
    if let Some(link) = new {
        link.altnames.clear();
    }
    Ok(())
}

fn read_kind(info: Attribute<'_>, words: &mut Words, link: &mut Link) -> Result<(), Malformed> {
    let mut data = None;
    for attribute in info.nested() {
        let attribute = attribute?;
        match attribute.kind {
            libc::IFLA_INFO_KIND => link.kind = Some(words.share(attribute.string())),
            libc::IFLA_INFO_DATA => data = Some(attribute),
            _ => {}
        }
    }
    let (Some(kind), Some(data)) = (link.kind.as_deref(), data) else {
        return Ok(());
    };
    match kind {
        "ipip" | "ip6tnl" => {
            for attribute in data.nested() {
                link.external |= attribute?.kind == IFLA_IPTUN_COLLECT_METADATA;
            }
        }
        "vlan" => {
            for attribute in data.nested() {
                let attribute = attribute?;
                if attribute.kind == IFLA_VLAN_ID {
                    link.vlan = Some(attribute.u16()?);
                }
            }
        }
        "vxlan" => {
            for attribute in data.nested() {
                let attribute = attribute?;
                if attribute.kind == IFLA_VXLAN_LINK {
                    link.lower = Some(attribute.u32()?).filter(|lower| *lower != 0);
                }
                link.outer = family_of(&VXLAN_ENDS, attribute.kind).or(link.outer);
            }
        }
        "gre" | "gretap" | "ip6gre" | "ip6gretap" => {
            for attribute in data.nested() {
                let attribute = attribute?;
                if attribute.kind == IFLA_GRE_OFLAGS {
                    link.gre_options = Some(gre_options(attribute.be16()?));
                }
            }
        }
        "erspan" | "ip6erspan" => {
            for attribute in data.nested() {
                let attribute = attribute?;
                if attribute.kind == IFLA_GRE_ERSPAN_VER {
                    link.gre_options = erspan_options(&attribute);
                }
            }
        }
        "geneve" => {
            for attribute in data.nested() {
                link.outer = family_of(&GENEVE_ENDS, attribute?.kind).or(link.outer);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The bytes of the options that the flags of a GRE device add to each header.
pub(crate) fn gre_options(flags: u16) -> u32 {
    4 * (flags & GRE_OPTIONS).count_ones()
}

/// The bytes that an ERSPAN device adds to the four of GRE: a sequence number and the header of its version
/// (`erspan_hdr_len`, include/net/erspan.h; `erspan_tunnel_init`, net/ipv4/ip_gre.c). None for a version that is not
/// known.
pub(crate) fn erspan_options(version: &Attribute<'_>) -> Option<u32> {
    match version.value.first()? {
        0 => Some(0),
        1 => Some(12),
        2 => Some(16),
        _ => None,
    }
}

fn family_of(ends: &[(u16, Family)], kind: u16) -> Option<Family> {
    let (_, family) = ends.iter().find(|(end, _)| *end == kind)?;
    Some(*family)
}

fn read_families(spec: Attribute<'_>, link: &mut Link) -> Result<(), Malformed> {
    let number = |conf: &Attribute<'_>, at: usize| u32_at(conf.value, at * 4).map(u32::cast_signed);
    for family in spec.nested() {
        let family = family?;
        for conf in family.nested() {
            let conf = conf?;
            match (libc::c_int::from(family.kind), conf.kind) {
                (libc::AF_INET, IFLA_INET_CONF) => {
                    link.rp_filter = number(&conf, INET_RP_FILTER);
                    link.forwarding = number(&conf, INET_FORWARDING);
                }
                (libc::AF_INET6, IFLA_INET6_CONF) => {
                    link.forwarding6 = number(&conf, INET6_FORWARDING);
                    link.mtu6 = number(&conf, INET6_MTU)
                        .map(i32::cast_unsigned)
                        .filter(|mtu6| *mtu6 != 0);
                    link.disable_ipv6 = number(&conf, INET6_DISABLE_IPV6);
                }
                _ => {}
            }
        }
    }
    Ok(())
}
