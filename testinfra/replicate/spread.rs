//! Every packet reaches every peer once and as it was, and its pod learns the MTU.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::sample::Sample;
use super::wire::{Capture, Frame, Sender, Wanted};
use super::world::{Node, VIP, VIP6, Worker, World};
use netkeel_core::replication::settings::Mode;

/// A packet with a quoted tuple of its own.
fn numbered(number: u32, ipv6: bool) -> Sample {
    let base = if ipv6 { Sample::ipv6() } else { Sample::ipv4() };
    let client = match ipv6 {
        true => format!("2001:db8:2::{:x}", number / 50 + 1),
        false => format!("203.0.113.{}", number / 50 + 1),
    };
    Sample {
        vip: if ipv6 { VIP6 } else { VIP }.parse().unwrap(),
        client: client.parse().unwrap(),
        protocol: 17,
        ports: (443, 10_000 + number as u16),
        mtu: 1400,
        quoted: 64 + (number % 7) as usize,
        ..base
    }
}

/// A pod has a socket for the errors to belong to.
fn listen(node: &Node) -> Vec<std::net::UdpSocket> {
    let bind = |address: &str| std::net::UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 443)).unwrap();
    netkeel_kernel::namespace::enter::inside(&node.pod.netns(), || [VIP, VIP6].map(bind).into()).unwrap()
}

/// Sends packets in batches that the captures have time for, and returns what each peer got.
fn spread(router: &Sender, captures: &[(Capture, Wanted)], samples: &[Sample]) -> Vec<Vec<Frame>> {
    let mut got: Vec<Vec<Frame>> = captures.iter().map(|_| Vec::new()).collect();
    for batch in samples.chunks(500) {
        for sample in batch {
            router.send(&sample.bytes(), sample.vip);
        }
        for ((capture, wanted), got) in captures.iter().zip(&mut got) {
            got.extend(capture.wait(batch.len(), wanted));
        }
    }
    // What comes late would be a copy too many.
    std::thread::sleep(std::time::Duration::from_millis(200));
    for ((capture, wanted), got) in captures.iter().zip(&mut got) {
        got.extend(capture.take().into_iter().filter(|frame| wanted(frame)));
    }
    got
}

/// Each peer got each packet once, byte for byte but for TTL and checksum.
fn once_each(got: &[Vec<Frame>], samples: &[Sample]) {
    let mut expected: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for sample in samples {
        let replica = Sample {
            ttl: sample.ttl - 1,
            ..sample.clone()
        };
        expected.insert(replica.bytes(), 1);
    }
    assert_eq!(expected.len(), samples.len());
    for (peer, frames) in got.iter().enumerate() {
        let mut found: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for frame in frames {
            *found.entry(frame.packet.clone()).or_default() += 1;
        }
        assert_eq!(frames.len(), samples.len(), "frames at peer {peer}");
        assert!(found == expected, "peer {peer} got other packets than were sent");
    }
}

#[test]
fn ten_thousand_packets_reach_each_of_eight_peers_once() {
    let world = World::new(9);
    let (node, peers) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut worker = Worker::start(node, world.settings());
    let captures: Vec<_> = peers.iter().map(Node::capture).collect();
    let sockets: Vec<_> = peers.iter().map(listen).collect();
    let mut samples: Vec<Sample> = (0..5_000).map(|number| numbered(number, false)).collect();
    samples.extend((0..5_000).map(|number| numbered(number, true)));
    let got = spread(&router, &captures, &samples);
    once_each(&got, &samples);

    let statistics = worker.received(10_000);
    assert_eq!((statistics.received, statistics.replicated), (10_000, 10_000));
    assert_eq!(
        (statistics.sent, statistics.failed, statistics.lost),
        (80_000, 0, 0)
    );
    assert_eq!(statistics.refused, BTreeMap::new());
    assert_eq!(statistics.latency.counts.iter().sum::<u64>(), 10_000);
    for peer in statistics.peers.iter().skip(1) {
        assert_eq!((peer.sent, peer.failed), (10_000, 0), "{}", peer.address);
    }
    drop(sockets);

    for peer in peers {
        for (client, family) in [
            ("203.0.113.1", ""),
            ("203.0.113.100", ""),
            ("2001:db8:2::1", "-6"),
        ] {
            let route = peer.pod.sh(&format!("ip {family} route get {client}"));
            assert!(route.contains("mtu 1400"), "{client}: {route}");
        }
    }
}

#[test]
fn a_broadcast_is_one_frame_that_all_get() {
    let world = World::new(4);
    let (node, peers) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.mode = Mode::Broadcast;
    let mut worker = Worker::start(node, settings);
    let captures: Vec<_> = peers.iter().map(Node::capture).collect();
    let samples: Vec<Sample> = (0..100).map(|number| numbered(number, number % 2 == 1)).collect();
    let got = spread(&router, &captures, &samples);
    once_each(&got, &samples);
    assert!(got.iter().flatten().all(|frame| frame.to == [0xff; 6]));
    assert_eq!(worker.received(100).sent, 100);
}

#[test]
fn across_routers_it_is_encapsulated() {
    let world = World::new(3);
    let (node, peers) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.mode = Mode::Ipip;
    // One peer by IPv4, one by IPv6.
    settings.peers = vec![
        peers[0].address.parse().unwrap(),
        peers[1].address6.parse().unwrap(),
    ];
    let mut worker = Worker::start(node, settings);
    let captures: Vec<Capture> = peers
        .iter()
        .map(|peer| Capture::new(&peer.host.netns()))
        .collect();
    for ipv6 in [false, true] {
        let sample = numbered(1, ipv6);
        router.send(&sample.bytes(), sample.vip);
    }
    let inner = |ipv6| {
        let sample = numbered(1, ipv6);
        Sample {
            ttl: sample.ttl - 1,
            ..sample
        }
        .bytes()
    };
    // Outer header: length, protocol.
    let encapsulated = |frame: &Frame| match frame.protocol {
        0x0800 if frame.packet[9] == 4 => Some(frame.packet[20..].to_vec()),
        0x86dd if [4, 41].contains(&frame.packet[6]) => Some(frame.packet[40..].to_vec()),
        _ => None,
    };
    let got: Vec<Vec<Vec<u8>>> = captures
        .iter()
        .zip([1, 2])
        .map(|(capture, enough)| {
            let frames = capture.wait(enough, |frame| encapsulated(frame).is_some());
            frames.iter().filter_map(encapsulated).collect()
        })
        .collect();
    assert_eq!(got[0], [inner(false)], "IPv4 takes IPv4");
    assert_eq!(got[1], [inner(false), inner(true)], "IPv6 takes both");
    assert_eq!(worker.received(2).sent, 3);
}

#[test]
fn a_replica_is_not_replicated_again() {
    // Three nodes that serve each other, with the rule on the interface that replicas come by.
    let world = World::new(3);
    let router = Sender::new(&world.router.netns());
    for node in &world.nodes {
        node.log("");
    }
    let mut workers: Vec<Worker> = world
        .nodes
        .iter()
        .map(|node| Worker::start(node, world.settings()))
        .collect();
    let captures: Vec<_> = world.nodes.iter().skip(1).map(Node::capture).collect();
    let samples: Vec<Sample> = (0..200).map(|number| numbered(number, number % 2 == 1)).collect();
    let got = spread(&router, &captures, &samples);
    once_each(&got, &samples);
    assert_eq!(workers[0].received(200).sent, 400);
    for worker in &mut workers[1..] {
        let statistics = worker.received(200);
        assert_eq!((statistics.received, statistics.sent), (200, 0));
        let replicas = statistics
            .refused
            .get(&netkeel_core::replication::refusal::Refusal::Replica);
        assert_eq!(replicas, Some(&200));
    }
}
