//! Any bytes as a packet: it is read or refused, judged, limited and aged, and what is read lies
//! within the bytes; a replica reads as its original.

#![no_main]

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;

use netkeel_core::replication::limits::Limits;
use netkeel_packet::copy;
use netkeel_packet::filter::Filter;
use netkeel_packet::limit::flow_hash::Key;
use netkeel_packet::limit::limiter::Limiter;
use netkeel_packet::read::read;

fuzz_target!(|input: &[u8]| {
    let Ok(packet) = read(input) else {
        return;
    };
    assert!(packet.length <= input.len());
    let _ = Filter::default().check(&packet, false);
    let key = Key::new(&BuildHasherDefault::<DefaultHasher>::default());
    let mut limiter = Limiter::new(Limits::default(), key);
    assert!(
        limiter.admit(&packet, 8, Duration::ZERO).is_ok(),
        "the first packet of all"
    );
    assert!(
        limiter.admit(&packet, 8, Duration::ZERO).is_err(),
        "its duplicate"
    );
    let mut copy = input[..packet.length].to_vec();
    copy::decrement_ttl(&mut copy, None);
    assert_eq!(read(&copy), Ok(packet));
});
