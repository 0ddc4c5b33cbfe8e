//! Tests of the reader and the filter with generated packets, with etherparse as an oracle, and with
//! arbitrary bytes.

use proptest::prelude::*;

use std::net::IpAddr;

use etherparse::{Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};

use crate::address::Address;
use crate::copy;
use crate::filter::{Filter, below_link};
use crate::read::read;
use crate::sample::{Sample, checksum};
use netkeel_core::replication::limits::Floor;
use netkeel_core::replication::refusal::Refusal;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

/// Changes a packet; `mend` says whether to correct its checksums afterwards.
fn changed(sample: &Sample, mend: bool, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = sample.bytes();
    change(&mut bytes);
    if mend {
        self::mend(&mut bytes);
    }
    bytes
}

/// Corrects the checksums of an IPv4 packet with a header of the length it declares.
fn mend(bytes: &mut [u8]) {
    let header = usize::from(bytes[0] & 15) * 4;
    for (from, to, at) in [(0, header, 10), (header, bytes.len(), header + 2)] {
        bytes[at..at + 2].fill(0);
        let sum = checksum(&bytes[from..to]);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Inserts options after the outer header.
fn with_options(sample: &Sample, options: &[u8]) -> Vec<u8> {
    changed(sample, true, |bytes| {
        bytes.splice(20..20, options.iter().copied());
        bytes[0] = 0x45 + (options.len() / 4) as u8;
        let length = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
    })
}

/// Inserts an extension header after the outer header of an IPv6 packet.
fn with_extension(sample: &Sample, kind: u8, mut header: Vec<u8>) -> Vec<u8> {
    changed(sample, false, |bytes| {
        header[0] = bytes[6];
        bytes[6] = kind;
        let length = (bytes.len() - 40 + header.len()) as u16;
        bytes.splice(40..40, header);
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
    })
}

#[test]
fn reads_what_an_error_says() {
    let packet = read(&Sample::ipv4().bytes()).unwrap();
    assert_eq!((packet.length, packet.ipv6, packet.mtu), (576, false, 1400));
    assert_eq!(packet.source, address("198.51.100.1"));
    assert_eq!(packet.destination, address("192.0.2.10"));
    assert_eq!(packet.quoted.source, address("192.0.2.10"));
    assert_eq!(packet.quoted.destination, address("203.0.113.7"));
    assert_eq!(
        (packet.quoted.protocol, packet.quoted.ports),
        (6, 443 << 16 | 40_000)
    );
    let packet = read(&Sample::ipv6().bytes()).unwrap();
    assert_eq!((packet.length, packet.ipv6, packet.mtu), (1280, true, 1400));
    assert_eq!(packet.quoted.source, packet.destination);
    assert_eq!(
        (packet.quoted.protocol, packet.quoted.ports),
        (6, 443 << 16 | 40_000)
    );
}

/// RFC 4443, 3.2: the code is ignored by the receiver.
#[test]
fn the_code_of_icmpv6_does_not_matter() {
    let bytes = changed(&Sample::ipv6(), false, |bytes| {
        bytes[41] = 7;
        let checksum = u16::from_be_bytes([bytes[42], bytes[43]]) - 7;
        bytes[42..44].copy_from_slice(&checksum.to_be_bytes());
    });
    assert_eq!(read(&bytes), read(&Sample::ipv6().bytes()));
}

#[test]
fn a_flow_has_what_a_forger_must_guess() {
    for (protocol, guess) in [(6, 0x0102_fefd), (132, 0x0102_fefd), (17, 0), (50, 0)] {
        for (sample, quote) in [(Sample::ipv4(), 48), (Sample::ipv6(), 88)] {
            // The two words add up to 0 in ones' complement, so that the checksum stays right.
            let bytes = changed(&Sample { protocol, ..sample }, false, |bytes| {
                bytes[quote + 4..quote + 8].copy_from_slice(&[1, 2, 0xfe, 0xfd]);
            });
            let packet = read(&bytes).unwrap();
            assert_eq!(packet.quoted.guess, guess, "protocol {protocol}");
        }
    }
}

#[test]
fn options_and_extension_headers_are_walked() {
    let sample = Sample::ipv4();
    let plain = read(&sample.bytes()).unwrap();
    // Router alert; then the maximum length.
    for options in [&[0x94, 4, 0, 0][..], &[1; 40]] {
        let packet = read(&with_options(&sample, options)).unwrap();
        assert_eq!((packet.quoted, packet.mtu), (plain.quoted, 1400));
    }
    // Options in the quoted header.
    let quoted = changed(&sample, true, |bytes| {
        bytes.splice(48..48, [1, 1, 1, 1]);
        bytes[28] = 0x46;
        let length = (bytes.len() as u16).to_be_bytes();
        bytes[2..4].copy_from_slice(&length);
    });
    assert_eq!(read(&quoted).unwrap().quoted, plain.quoted);

    let sample = Sample::ipv6();
    let plain = read(&sample.bytes()).unwrap();
    for (kind, header) in [
        (0, vec![0; 8]),
        (60, [vec![0, 1], vec![0; 14]].concat()),
        (43, vec![0; 8]),
        (51, [vec![0, 4], vec![0; 22]].concat()),
        (44, vec![0; 8]),
    ] {
        let packet = read(&with_extension(&sample, kind, header));
        assert_eq!(
            packet.map(|packet| packet.quoted),
            Ok(plain.quoted),
            "next header {kind}"
        );
    }
}

#[test]
fn each_defect_has_its_reason() {
    let v4 = Sample::ipv4();
    let v6 = Sample::ipv6();
    let cases: Vec<(Vec<u8>, Refusal)> = vec![
        (vec![], Refusal::Truncated),
        (vec![0x45], Refusal::Truncated),
        (vec![0x60; 39], Refusal::Truncated),
        (vec![0x55; 100], Refusal::NotIp),
        (v4.bytes()[..100].to_vec(), Refusal::Truncated),
        (v6.bytes()[..100].to_vec(), Refusal::Truncated),
        // An ICMP error without a quote: 28 bytes.
        (
            changed(&v4, true, |bytes| {
                bytes.truncate(28);
                bytes[2..4].copy_from_slice(&[0, 28]);
            }),
            Refusal::BadQuote,
        ),
        (changed(&v4, false, |bytes| bytes[0] = 0x44), Refusal::BadLength),
        (
            changed(&v4, true, |bytes| bytes[2..4].copy_from_slice(&[0, 19])),
            Refusal::BadLength,
        ),
        (
            changed(&v4, true, |bytes| bytes[2..4].copy_from_slice(&[0, 27])),
            Refusal::BadLength,
        ),
        (
            changed(&v4, false, |bytes| bytes[8] += 1),
            Refusal::BadHeaderChecksum,
        ),
        (changed(&v4, true, |bytes| bytes[6] = 0x20), Refusal::Fragment),
        (changed(&v4, true, |bytes| bytes[7] = 1), Refusal::Fragment),
        (changed(&v4, true, |bytes| bytes[9] = 17), Refusal::NotTooBig),
        (changed(&v4, true, |bytes| bytes[20] = 11), Refusal::NotTooBig),
        (changed(&v4, true, |bytes| bytes[21] = 3), Refusal::NotTooBig),
        (changed(&v4, false, |bytes| bytes[400] ^= 1), Refusal::BadChecksum),
        (changed(&v6, false, |bytes| bytes[400] ^= 1), Refusal::BadChecksum),
        (changed(&v6, false, |bytes| bytes[24] ^= 1), Refusal::BadChecksum),
        (changed(&v6, false, |bytes| bytes[40] = 3), Refusal::NotTooBig),
        (changed(&v6, false, |bytes| bytes[6] = 6), Refusal::NotTooBig),
        (changed(&v4, true, |bytes| bytes[28] = 0x65), Refusal::BadQuote),
        // The quote of a later fragment.
        (changed(&v4, true, |bytes| bytes[35] = 1), Refusal::BadQuote),
        (
            with_extension(&v6, 44, vec![0, 0, 0, 1, 0, 0, 0, 0]),
            Refusal::Fragment,
        ),
        (
            with_extension(&v6, 44, vec![0, 0, 0, 8, 0, 0, 0, 0]),
            Refusal::Fragment,
        ),
        // A routing header with segments left.
        (
            with_extension(&v6, 43, vec![0, 0, 0, 1, 0, 0, 0, 0]),
            Refusal::ExtensionHeaders,
        ),
        // An extension header that is longer than the packet.
        (
            with_extension(&v6, 60, vec![0, 255, 0, 0, 0, 0, 0, 0]),
            Refusal::ExtensionHeaders,
        ),
    ];
    for (number, (bytes, refusal)) in cases.into_iter().enumerate() {
        assert_eq!(read(&bytes), Err(refusal), "case {number}");
    }
    // An endless chain of headers.
    let mut endless = Sample::ipv6().bytes();
    endless[6] = 0;
    endless[40..].fill(0);
    assert_eq!(read(&endless), Err(Refusal::ExtensionHeaders));
}

#[test]
fn what_the_rules_refuse() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let rules = Filter {
        vips: ["192.0.2.0/24".parse().unwrap()].into_iter().collect(),
        ignore_sources: ["10.0.0.0/8".parse().unwrap()].into_iter().collect(),
        nodes: [ip("172.16.0.1"), ip("172.16.0.2")].into_iter().collect(),
        ..Filter::default()
    };
    let checked = |change: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::ipv4();
        change(&mut sample);
        let packet = read(&sample.bytes()).unwrap();
        rules
            .check(&packet, false)
            .and_then(|()| below_link(&packet, Some(1500)))
    };
    assert_eq!(checked(&|_| ()), Ok(()));
    assert_eq!(checked(&|s| s.vip = ip("192.0.3.1")), Err(Refusal::OutsideVips));
    assert_eq!(
        checked(&|s| s.client = ip("172.16.0.2")),
        Err(Refusal::QuoteToNode)
    );
    assert_eq!(checked(&|s| s.source = ip("172.16.0.1")), Err(Refusal::FromNode));
    assert_eq!(
        checked(&|s| s.source = ip("10.1.2.3")),
        Err(Refusal::IgnoredSource)
    );
    assert_eq!(checked(&|s| s.mtu = 575), Err(Refusal::BelowFloor));
    assert_eq!(checked(&|s| s.mtu = 576), Ok(()));
    assert_eq!(checked(&|s| s.mtu = 1500), Err(Refusal::NotBelowLink));
    assert_eq!(checked(&|s| s.mtu = 1499), Ok(()));

    let mut another = read(&Sample::ipv4().bytes()).unwrap();
    another.quoted.source = address("192.0.2.11");
    assert_eq!(rules.check(&another, false), Err(Refusal::QuoteOfAnother));
    assert_eq!(
        rules.check(&read(&Sample::ipv4().bytes()).unwrap(), true),
        Err(Refusal::Replica)
    );
    let to_nodes = Filter {
        flows_to_nodes: true,
        ..rules
    };
    let to_node = Sample {
        client: ip("172.16.0.2"),
        ..Sample::ipv4()
    };
    assert_eq!(to_nodes.check(&read(&to_node.bytes()).unwrap(), false), Ok(()));
    // Routers before RFC 1191 say 0.
    let any = Filter {
        floor: Floor {
            ipv4: 0,
            ..Floor::default()
        },
        ..Filter::default()
    };
    let old = Sample {
        mtu: 0,
        ..Sample::ipv4()
    };
    assert_eq!(any.check(&read(&old.bytes()).unwrap(), false), Ok(()));

    let packet = read(
        &Sample {
            mtu: 1279,
            ..Sample::ipv6()
        }
        .bytes(),
    )
    .unwrap();
    assert_eq!(Filter::default().check(&packet, false), Err(Refusal::BelowFloor));
    // An interface with an unknown MTU rejects nothing.
    let packet = read(
        &Sample {
            mtu: 9000,
            ..Sample::ipv6()
        }
        .bytes(),
    )
    .unwrap();
    assert_eq!(Filter::default().check(&packet, false), Ok(()));
    assert_eq!(below_link(&packet, None), Ok(()));
}

#[test]
fn a_replica_differs_in_ttl_and_checksum_alone() {
    for sample in [Sample::ipv4(), Sample::ipv6()] {
        for (ttl, set, becomes) in [
            (60, None, 59),
            (2, None, 2),
            (1, None, 2),
            (0, None, 2),
            (60, Some(10), 10),
            (60, Some(1), 2),
        ] {
            let sample = Sample {
                ttl,
                ..sample.clone()
            };
            let mut replica = sample.bytes();
            copy::decrement_ttl(&mut replica, set);
            let expected = Sample {
                ttl: becomes,
                ..sample
            };
            assert_eq!(replica, expected.bytes());
        }
    }
}

/// The result of etherparse: whether the packet has a quote, and the MTU; `None` if it is not a "packet
/// too big".
fn oracle(bytes: &[u8]) -> Option<(bool, u32)> {
    let sliced = SlicedPacket::from_ip(bytes).ok()?;
    match (sliced.net?, sliced.transport?) {
        (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
            if ip.header().to_header().calc_header_checksum() != ip.header().header_checksum() {
                return None;
            }
            let icmp = Icmpv4Slice::from_slice(icmp.slice()).ok()?;
            let computed = icmp.icmp_type().calc_checksum(icmp.payload());
            match icmp.icmp_type() {
                Icmpv4Type::DestinationUnreachable(
                    etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu },
                ) if checksums_agree(computed, icmp.checksum()) => Some((false, next_hop_mtu.into())),
                _ => None,
            }
        }
        (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
            let icmp = Icmpv6Slice::from_slice(icmp.slice()).ok()?;
            let (source, destination) = (ip.header().source(), ip.header().destination());
            match icmp.icmp_type() {
                Icmpv6Type::PacketTooBig { mtu } if icmp.is_checksum_valid(source, destination) => {
                    Some((true, mtu))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Zero and all ones are the same number in ones' complement (RFC 1624).
fn checksums_agree(one: u16, other: u16) -> bool {
    one == other || (one == 0 || one == 0xffff) && (other == 0 || other == 0xffff)
}

fn any_sample() -> impl Strategy<Value = Vec<u8>> {
    let ports = (any::<u16>(), any::<u16>());
    (any::<bool>(), ports, any::<u16>(), any::<u8>(), 8usize..600).prop_map(
        |(ipv6, ports, mtu, ttl, quoted)| {
            let sample = if ipv6 { Sample::ipv6() } else { Sample::ipv4() };
            let sample = Sample {
                ports,
                mtu,
                ttl,
                quoted,
                ..sample
            };
            sample.bytes()
        },
    )
}

/// The filter and the copy accept every packet that the reader accepts.
fn exercise(bytes: &[u8]) {
    if let Ok(packet) = read(bytes) {
        assert!(packet.length <= bytes.len());
        let _ = Filter::default().check(&packet, false);
        let mut replica = bytes[..packet.length].to_vec();
        copy::decrement_ttl(&mut replica, None);
        assert_eq!(read(&replica).map(|replica| replica.quoted), Ok(packet.quoted));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
        for version in [0x45, 0x46, 0x4f, 0x60] {
            let mut bytes = bytes.clone();
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            exercise(&bytes);
        }
    }

    #[test]
    fn no_flipped_bytes_make_it_panic(
        mut bytes in any_sample(),
        flips in proptest::collection::vec((0usize..120, any::<u8>()), 0..6),
        cut in 0usize..700,
    ) {
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if bytes[0] >> 4 == 4 && bytes.len() > 64 {
            mend_if_possible(&mut bytes);
        }
        exercise(&bytes);
        bytes.truncate(cut);
        exercise(&bytes);
    }

    /// If netkeel accepts a packet, etherparse reads the same from it. netkeel rejects more: it also
    /// checks the quote and fragments.
    #[test]
    fn accepts_nothing_that_the_oracle_rejects(
        mut bytes in any_sample(),
        flips in proptest::collection::vec((0usize..60, any::<u8>()), 0..2),
    ) {
        for (at, byte) in &flips {
            let at = at % bytes.len();
            bytes[at] = *byte;
        }
        let ours = read(&bytes).ok().map(|packet| (packet.ipv6, packet.mtu));
        if flips.is_empty() {
            prop_assert!(ours.is_some());
        }
        if ours.is_some() {
            prop_assert_eq!(ours, oracle(&bytes));
        }
    }
}

/// Correct checksums get a changed packet past the first checks.
fn mend_if_possible(bytes: &mut [u8]) {
    let header = usize::from(bytes[0] & 15) * 4;
    if (20..=bytes.len().saturating_sub(4)).contains(&header) {
        mend(bytes);
    }
}
