//! The floor: a program that does what no replicator can do without, receive from NFLOG and send, and
//! nothing else. It looks at no packet.

use std::os::fd::AsRawFd;

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

use super::wire::{Batch, name, packet_socket};
use super::world::{GROUP, station};

/// The first argument that makes the bench this program; copies and the queue threshold follow.
pub const MODE: &str = "--floor";

/// Runs until it is killed.
pub fn run(arguments: &[String]) -> ! {
    let numbers: Vec<u32> = arguments.iter().map(|one| one.parse().unwrap()).collect();
    let [copies, threshold] = numbers[..] else {
        panic!("COPIES THRESHOLD");
    };
    let link = nix::net::if_::if_nametoindex("lan0").unwrap() as i32;
    let names: Vec<_> = (0..copies).map(|number| name(link, station(number))).collect();
    let group = bind(threshold);
    let socket = packet_socket();
    let mut buffer = vec![0; 256 * 1024];
    let mut batch = Batch::default();
    let mut places = Vec::new();
    loop {
        let Ok(length) = recv(group.as_raw_fd(), &mut buffer, MsgFlags::empty()) else {
            continue;
        };
        payloads(&buffer[..length], &mut places);
        let packets = places.iter().map(|(from, to)| &buffer[*from..*to]);
        batch.send(&socket, packets, &names);
    }
}

/// Binds the group with whole packets, large buffers and sequence numbers, in one message.
fn bind(threshold: u32) -> Socket {
    let mut group = Socket::new(NETLINK_NETFILTER).unwrap();
    group.bind_auto().unwrap();
    setsockopt(&group, sockopt::RcvBufForce, &(8 << 20)).unwrap();
    let size: u32 = if threshold == 1 { 4096 } else { 128 * 1024 };
    let range = 1500u32.to_be_bytes();
    let attributes: [(u16, Vec<u8>); 6] = [
        (1, vec![1]),
        (2, [&range[..], &[2, 0]].concat()),
        (3, size.to_be_bytes().to_vec()),
        (4, 1u32.to_be_bytes().to_vec()),
        (5, threshold.to_be_bytes().to_vec()),
        (6, 1u16.to_be_bytes().to_vec()),
    ];
    let mut message = vec![0; 16];
    message.extend([0, 0]);
    message.extend(GROUP.to_be_bytes());
    for (kind, value) in attributes {
        message.extend((4 + value.len() as u16).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(&value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message[4..6].copy_from_slice(&(4u16 << 8 | 1).to_ne_bytes());
    message[6..8].copy_from_slice(&1u16.to_ne_bytes());
    group.send(&message, 0).unwrap();
    group
}

/// Where the packets of a message are.
fn payloads(received: &[u8], places: &mut Vec<(usize, usize)>) {
    places.clear();
    let u16_at = |at: usize| u16::from_ne_bytes([received[at], received[at + 1]]);
    let mut message = 0;
    while message + 16 <= received.len() {
        let length = u32::from_ne_bytes(received[message..message + 4].try_into().unwrap()) as usize;
        if u16_at(message + 4) == 4 << 8 {
            let mut attribute = message + 20;
            while attribute + 4 <= message + length {
                let size = usize::from(u16_at(attribute));
                if u16_at(attribute + 2) == 9 {
                    places.push((attribute + 4, attribute + size));
                }
                attribute += size.next_multiple_of(4);
            }
        }
        message += length.next_multiple_of(4).max(16);
    }
}
