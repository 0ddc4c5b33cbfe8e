//! Changed frames by the million: whatever a packet holds, reading, judging and aging it does not
//! panic.

use super::sample::{Sample, checksum};
use netkeel_packet::copy;
use netkeel_packet::filter::Filter;
use netkeel_packet::read::read;

/// Makes the checksums of an IPv4 packet right, where its header's length lies within it.
fn mend(bytes: &mut [u8]) {
    let header = usize::from(bytes[0] & 15) * 4;
    if !(20..=bytes.len().saturating_sub(4)).contains(&header) {
        return;
    }
    for (from, to, at) in [(0, header, 10), (header, bytes.len(), header + 2)] {
        bytes[at..at + 2].fill(0);
        let sum = checksum(&bytes[from..to]);
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Whatever is read, the judge and the replica take it too.
fn exercise(bytes: &[u8]) -> bool {
    let Ok(packet) = read(bytes) else {
        return false;
    };
    let _ = Filter::default().check(&packet, false);
    let mut copy = bytes[..packet.length].to_vec();
    copy::decrement_ttl(&mut copy, None);
    assert_eq!(read(&copy), Ok(packet));
    true
}

/// Frames by the million, each a sound one with a few bytes changed, cut off or with its checksums
/// mended: a fifth of a million, ten with `NETKEEL_FULL=1`.
#[test]
fn millions_of_frames_do_not_make_it_panic() {
    let full = std::env::var_os("NETKEEL_FULL").is_some_and(|value| value == "1");
    let frames = if full { 10_000_000 } else { 200_000 };
    // SplitMix64, by Vigna: any spread of bits does.
    let mut state = 20_261_120u64;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ bits >> 31) as usize
    };
    let sound = [Sample::ipv4(), Sample::ipv6()].map(|sample| Sample { quoted: 16, ..sample }.bytes());
    let mut taken = 0;
    for _ in 0..frames {
        let mut frame = sound[random() % 2].clone();
        for _ in 0..random() % 4 {
            let (at, byte) = (random() % frame.len(), random() as u8);
            frame[at] = byte;
        }
        if random() % 2 == 0 && frame[0] >> 4 == 4 {
            mend(&mut frame);
        }
        if random() % 8 == 0 {
            frame.truncate(random() % 120);
        }
        taken += u32::from(exercise(&frame));
    }
    // Some must get through to the rules, else nothing was tried there.
    assert!(taken > frames / 20, "{taken} of {frames}");
}
