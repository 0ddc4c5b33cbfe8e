//! The requests that change an interface over rtnetlink.

use super::super::message::Request;
use super::super::netlink::Socket;
use super::super::refusal::Refusal;
use super::{FIXED, IFLA_IPTUN_COLLECT_METADATA, fixed};
use crate::op::Target;
use crate::tunnel_mode::TunnelMode;

/// What a request sets on an interface; one thing at a time, since `do_setlink`
/// (net/core/rtnetlink.c) keeps what it did before it failed.
pub(in crate::kernel) enum Setting<'a> {
    Mtu(u32),
    Up(bool),
    TxQueueLength(u32),
    Alias(&'a str),
}

/// Sets one thing. By index and without the name: with both, the kernel would rename. RTM_SETLINK
/// creates nothing, whatever became of the interface.
pub(in crate::kernel) fn set(socket: &mut Socket, index: i32, setting: &Setting<'_>) -> Result<(), Refusal> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let request = |fixed: [u8; FIXED]| Request::new(libc::RTM_SETLINK, flags, &fixed);
    let plain = || request(fixed(index, 0, 0));
    let up = libc::IFF_UP.cast_unsigned();
    socket.change(match setting {
        Setting::Mtu(mtu) => plain().attribute(libc::IFLA_MTU, &mtu.to_ne_bytes()),
        Setting::Up(on) => request(fixed(index, if *on { up } else { 0 }, up)),
        Setting::TxQueueLength(packets) => plain().attribute(libc::IFLA_TXQLEN, &packets.to_ne_bytes()),
        Setting::Alias(alias) => plain().attribute(libc::IFLA_IFALIAS, alias.as_bytes()),
    })
}

/// Deletes an interface.
pub(in crate::kernel) fn delete(socket: &mut Socket, index: i32) -> Result<(), Refusal> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    socket.change(Request::new(libc::RTM_DELLINK, flags, &fixed(index, 0, 0)))
}

/// Makes a tunnel in collect-metadata mode.
pub(in crate::kernel) fn create(
    socket: &mut Socket,
    target: &Target,
    mode: TunnelMode,
) -> Result<(), Refusal> {
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut name = target.name.as_bytes().to_vec();
    name.push(0);
    let request = Request::new(libc::RTM_NEWLINK, flags as u16, &fixed(0, 0, 0))
        .attribute(libc::IFLA_IFNAME, &name)
        .nest(libc::IFLA_LINKINFO, |info| {
            info.attribute(libc::IFLA_INFO_KIND, mode.kind().as_bytes())
                .nest(libc::IFLA_INFO_DATA, |data| {
                    data.attribute(IFLA_IPTUN_COLLECT_METADATA, &[])
                })
        });
    socket.change(request)
}
