//! The requests that change an interface over rtnetlink.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::link::{
    InfoData, InfoIpTunnel, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::netlink::message::Request;
use crate::netlink::refusal::Refusal;
use crate::netlink::socket::Socket;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::Target;

/// The one setting that a request changes: where a request has several, `do_setlink`
/// (net/core/rtnetlink.c) keeps those that it made before it failed.
pub(crate) enum Setting<'a> {
    Mtu(u32),
    Up(bool),
    TxQueueLength(u32),
    Alias(&'a str),
}

/// Sets one thing. By index and without the name: with both, the kernel would rename. RTM_SETLINK
/// creates nothing, whatever became of the interface.
pub(crate) fn set(socket: &mut Socket, index: i32, setting: &Setting<'_>) -> Result<(), Refusal> {
    let mut message = about(index);
    match *setting {
        Setting::Mtu(mtu) => message.attributes.push(LinkAttribute::Mtu(mtu)),
        Setting::TxQueueLength(packets) => message.attributes.push(LinkAttribute::TxQueueLen(packets)),
        Setting::Up(on) => {
            message.header.change_mask = LinkFlags::Up;
            message.header.flags.set(LinkFlags::Up, on);
        }
        // The typed alias has a zero at its end, which the kernel counts: one of 255 bytes, the most
        // there can be, would be refused.
        Setting::Alias(alias) => message.attributes.push(LinkAttribute::Other(DefaultNla::new(
            libc::IFLA_IFALIAS,
            alias.as_bytes().to_vec(),
        ))),
    }
    socket.change(Request::of(libc::RTM_SETLINK, libc::NLM_F_ACK, &message))
}

/// Deletes an interface.
pub(crate) fn delete(socket: &mut Socket, index: i32) -> Result<(), Refusal> {
    socket.change(Request::of(libc::RTM_DELLINK, libc::NLM_F_ACK, &about(index)))
}

/// Makes a tunnel in collect-metadata mode.
pub(crate) fn create(socket: &mut Socket, target: &Target, mode: TunnelKind) -> Result<(), Refusal> {
    let kind = match mode {
        TunnelKind::Ipip => InfoKind::IpIp,
        TunnelKind::Ip6tnl => InfoKind::Ip6Tnl,
    };
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(target.name.to_string()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(kind),
            LinkInfo::Data(InfoData::IpTunnel(vec![InfoIpTunnel::CollectMetadata])),
        ]),
    ];
    let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    socket.change(Request::of(libc::RTM_NEWLINK, flags, &message))
}

fn about(index: i32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index.cast_unsigned();
    message
}
