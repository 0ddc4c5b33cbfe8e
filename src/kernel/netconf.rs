//! The IPv4 settings of interfaces over netconf: few bytes each, and since Linux 6.9 without waiting
//! for who changes interfaces (RTNL_FLAG_DOIT_UNLOCKED, net/ipv4/devinet.c).

use std::collections::BTreeMap;
use std::sync::Arc;

use nix::errno::Errno;

use super::events::{NETCONF_FIXED, NETCONFA_IFINDEX, netconf};
use super::ioctl;
use super::link::Row;
use super::message::{Malformed, Message, Request};
use super::netlink::{Dump, Socket};
use super::refusal::Refusal;
use crate::link_name::LinkName;
use crate::reconcile::Heard;
use crate::snapshot::{Link, Links};

/// Of include/uapi/linux/rtnetlink.h; libc has it for glibc alone.
const RTM_GETNETCONF: u16 = 82;

/// `forwarding` and `rp_filter` of interfaces, by their index.
type Settings = BTreeMap<u32, (Option<i32>, Option<i32>)>;

/// Reads the MTU and the IPv4 settings of interfaces anew; all else stays as it was. None where one
/// came, went or has another name: then they are to be read whole.
pub(super) fn reread(
    socket: &mut Socket,
    which: &Links,
    before: &BTreeMap<LinkName, Arc<Link>>,
) -> Result<Option<Vec<Row>>, Refusal> {
    let Some(settings) = settings(socket, which)? else {
        return Ok(None);
    };
    // IPv4 is not on an interface with an MTU below 68.
    let with_ipv4 = before.values().filter(|link| link.rp_filter.is_some());
    if with_ipv4.count() != settings.len() {
        return Ok(None);
    }
    let mut rows: Vec<Row> = Vec::with_capacity(before.len());
    for (name, link) in before {
        let mut link = link.clone();
        if let (Some(_), settings) = (link.rp_filter, settings.get(&link.index)) {
            let Some((forwarding, rp_filter)) = settings else {
                return Ok(None);
            };
            if (link.forwarding, link.rp_filter) != (*forwarding, *rp_filter) {
                let link = Arc::make_mut(&mut link);
                (link.forwarding, link.rp_filter) = (*forwarding, *rp_filter);
            }
        }
        // By its index first: a name that is gone would have the kernel look for a module.
        let same = ioctl::is_named(socket.raw(), link.index.cast_signed(), *name).unwrap_or(false);
        match ioctl::mtu_of(socket.raw(), *name) {
            Ok(mtu) if same && mtu == link.mtu => {}
            Ok(mtu) if same => Arc::make_mut(&mut link).mtu = mtu,
            _ => return Ok(None),
        }
        rows.push((*name, link));
    }
    Ok(Some(rows))
}

/// Asks for the settings; none where they cannot be told for sure.
fn settings(socket: &mut Socket, which: &Links) -> Result<Option<Settings>, Refusal> {
    let mut settings = Settings::new();
    let mut read = |message: Message<'_>| -> Result<(), Malformed> {
        if let (
            libc::RTM_NEWNETCONF,
            Heard::Conf {
                index: Some(index),
                forwarding,
                rp_filter,
                ..
            },
        ) = (message.kind, netconf(message.payload)?)
        {
            settings.insert(index, (forwarding, rp_filter));
        }
        Ok(())
    };
    let family = [libc::AF_INET as u8, 0, 0, 0];
    debug_assert_eq!(family.len(), NETCONF_FIXED);
    let request = |flags: libc::c_int| {
        let flags = (libc::NLM_F_REQUEST | flags) as u16;
        Request::new(RTM_GETNETCONF, flags, &family)
    };
    match which {
        Links::All => {
            if socket.exchange(request(libc::NLM_F_DUMP), &mut read)? == Dump::Torn {
                return Ok(None);
            }
        }
        Links::These(these) => {
            for index in these {
                let request = request(0).attribute(NETCONFA_IFINDEX, &index.to_ne_bytes());
                match socket.exchange(request, &mut read) {
                    Ok(_) => {}
                    // It is gone, or has no IPv4.
                    Err(refusal) if matches!(refusal.errno, Errno::ENODEV | Errno::EINVAL) => {}
                    Err(refusal) => return Err(refusal),
                }
            }
        }
    }
    Ok(Some(settings))
}
