//! Hostile packets on the wire: each is refused with its reason, none is sent on, and what is sound
//! passes after them.

use super::sample::{Sample, checksum};
use super::wire::Sender;
use super::world::{VIP, VIP6, Worker, World};
use netkeel_core::replication::refusal::Refusal;

fn sound() -> Sample {
    Sample {
        vip: VIP.parse().unwrap(),
        ..Sample::ipv4()
    }
}

/// A change to the packet, with its checksums made right again.
fn changed(sample: &Sample, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = sample.bytes();
    change(&mut bytes);
    let length = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    let header = usize::from(bytes[0] & 15) * 4;
    for (from, to, at) in [(0, header, 10), (header, bytes.len(), header + 2)] {
        bytes[at..at + 2].fill(0);
        let sum = checksum(&bytes[from..to]);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

#[test]
fn hostile_packets_are_refused_and_counted() {
    let world = World::new(2);
    let (node, peers) = world.nodes.split_first().unwrap();
    // Everything is logged, as by a rule that is too wide.
    node.host.sh("nft 'add table inet wide; add chain inet wide every { type filter hook prerouting priority raw; }; add rule inet wide every iifname eth0 meta l4proto { 1, 17, 58 } ip daddr 192.0.2.0/24 log group 33 snaplen 1500; add rule inet wide every iifname eth0 ip6 daddr 2001:db8:1::/64 log group 33'");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.ignore_sources = vec!["198.18.0.0/15".parse().unwrap()];
    let mut worker = Worker::start(node, settings);
    let (capture, wanted) = peers[0].capture();
    let ipv6 = Sample {
        vip: VIP6.parse().unwrap(),
        ..Sample::ipv6()
    };
    let mut broken = sound().bytes();
    broken[40] ^= 1;
    let packets = [
        (changed(&sound(), |bytes| bytes.truncate(28)), Refusal::BadQuote),
        (changed(&sound(), |bytes| bytes.truncate(50)), Refusal::BadQuote),
        (changed(&sound(), |bytes| bytes[6] = 0x20), Refusal::Fragment),
        (changed(&sound(), |bytes| bytes[20] = 8), Refusal::NotTooBig),
        (changed(&sound(), |bytes| bytes[40] = 1), Refusal::QuoteOfAnother),
        (broken, Refusal::BadChecksum),
        (Sample { mtu: 68, ..sound() }.bytes(), Refusal::BelowFloor),
        (Sample { mtu: 1500, ..sound() }.bytes(), Refusal::NotBelowLink),
        (
            Sample {
                source: "198.18.0.1".parse().unwrap(),
                ..sound()
            }
            .bytes(),
            Refusal::IgnoredSource,
        ),
        (
            Sample {
                source: "10.0.0.2".parse().unwrap(),
                ..sound()
            }
            .bytes(),
            Refusal::FromNode,
        ),
        (
            Sample {
                client: "10.0.0.2".parse().unwrap(),
                ..sound()
            }
            .bytes(),
            Refusal::QuoteToNode,
        ),
        (
            Sample {
                mtu: 1279,
                ..ipv6.clone()
            }
            .bytes(),
            Refusal::BelowFloor,
        ),
    ];
    for (number, (packet, refusal)) in packets.iter().enumerate() {
        let before = worker.supervisor.status().statistics.unwrap();
        router.send(
            packet,
            if packet[0] >> 4 == 6 {
                ipv6.vip
            } else {
                sound().vip
            },
        );
        let after = worker.received(before.received + 1);
        let count = |statistics: &netkeel_core::replication::statistics::Statistics| {
            statistics.refused.get(refusal).copied().unwrap_or(0)
        };
        assert_eq!(
            count(&after),
            count(&before) + 1,
            "packet {number}: {:?}",
            after.refused
        );
        assert_eq!(after.replicated, 0, "packet {number}");
    }
    assert!(
        capture
            .take()
            .iter()
            .all(|frame| !wanted(frame) || frame.protocol != 0x0800)
    );

    // Options, an extension header, and the plain ones.
    let options = changed(&sound(), |bytes| {
        bytes.splice(20..20, [0x94, 4, 0, 0]);
        bytes[0] = 0x46;
    });
    router.send(&options, sound().vip);
    router.send(&ipv6.bytes(), ipv6.vip);
    let statistics = worker.received(packets.len() as u64 + 2);
    assert_eq!(
        (statistics.replicated, statistics.sent),
        (2, 2),
        "{statistics:#?}"
    );
    // The same again is not.
    router.send(&sound().bytes(), sound().vip);
    let statistics = worker.received(packets.len() as u64 + 3);
    assert_eq!(statistics.refused.get(&Refusal::Duplicate), Some(&1));
}

/// The message arrives through a tunnel, and packets leave by a larger link: an MTU of 1492 (PPPoE) is smaller
/// than that of this link.
#[test]
fn the_link_by_which_answers_leave_decides() {
    let world = World::new(2);
    let (node, _) = world.nodes.split_first().unwrap();
    node.log("");
    node.host.sh("ip link set eth0 mtu 1476; ip link add wan type veth peer name far; ip link set wan up; ip link set far up; ip route add 203.0.113.0/24 dev wan; ip route add 198.51.100.0/24 dev eth0");
    let router = Sender::new(&world.router.netns());
    let mut worker = Worker::start(node, world.settings());
    let too_big = |client: &str, mtu, port| Sample {
        client: client.parse().unwrap(),
        ports: (443, port),
        mtu,
        ..sound()
    };
    let mut received = 0;
    for (client, mtu, refused) in [
        ("203.0.113.7", 1492, 0),
        ("203.0.113.7", 1499, 0),
        ("203.0.113.7", 1500, 1),
        // This client is behind the tunnel.
        ("198.51.100.7", 1475, 1),
        ("198.51.100.7", 1476, 2),
    ] {
        received += 1;
        router.send(
            &too_big(client, mtu, 40_000 + received as u16).bytes(),
            sound().vip,
        );
        let statistics = worker.received(received);
        let count = statistics
            .refused
            .get(&Refusal::NotBelowLink)
            .copied()
            .unwrap_or(0);
        assert_eq!(count, refused, "{client} {mtu}: {:?}", statistics.refused);
        assert_eq!(statistics.replicated, received - refused, "{client} {mtu}");
    }
}

#[test]
fn flows_to_nodes_and_old_routers_are_served_where_the_document_says_so() {
    let world = World::new(2);
    let (node, _) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.flows_to_nodes = true;
    settings.floor.ipv4 = 0;
    let mut worker = Worker::start(node, settings);
    let to_node = Sample {
        client: "10.0.0.2".parse().unwrap(),
        ..sound()
    };
    router.send(&to_node.bytes(), sound().vip);
    router.send(&Sample { mtu: 0, ..sound() }.bytes(), sound().vip);
    let statistics = worker.received(2);
    assert_eq!(statistics.replicated, 2, "{:?}", statistics.refused);
}

#[test]
fn a_dry_run_counts_and_sends_nothing() {
    let world = World::new(2);
    let (node, peers) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let settings = netkeel_core::replication::settings::Settings {
        dry_run: true,
        ..world.settings()
    };
    let mut worker = Worker::start(node, settings);
    let (capture, wanted) = peers[0].capture();
    router.send(&sound().bytes(), sound().vip);
    let statistics = worker.received(1);
    assert_eq!((statistics.replicated, statistics.sent), (1, 0));
    assert!(capture.take().iter().all(|frame| !wanted(frame)));
    assert_eq!(
        worker.supervisor.health(),
        netkeel_core::replication::worker::WorkerHealth::DryRun
    );
}
