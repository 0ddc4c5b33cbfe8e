//! Keyed hashes of addresses and flows. They take a few multiplications each, because every packet
//! needs three.

use std::hash::BuildHasher;

use crate::address::Address;
use crate::too_big::TooBig;

/// The keyed hashes of a packet.
#[derive(Clone, Copy, Debug)]
pub struct FlowHash {
    /// The hash of the packet's flow and MTU.
    pub(crate) flow: u64,
    /// The hash of the sender.
    pub source: u64,
    /// The hash of the sender together with the quoted destination.
    pub(crate) pair: u64,
    /// The hash of the quoted destination.
    pub(crate) destination: u64,
}

/// The hash key. It is secret: a sender who knew it could choose sources that share a bucket with a
/// victim. Hashes are never published, so trials reveal nothing about the key.
#[derive(Clone, Copy)]
pub struct Key([u64; 4]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A key from a hasher with a secret key.
    pub fn new(secret: &impl BuildHasher) -> Self {
        // A factor of zero would make all hashes equal.
        Key([0u64, 1, 2, 3].map(|number| secret.hash_one(number) | 1))
    }

    /// The hashes of a packet.
    pub fn hash(&self, packet: &TooBig) -> FlowHash {
        let source = self.address(packet.source);
        let destination = self.address(packet.quoted.destination);
        FlowHash {
            flow: self.flow(packet),
            source,
            // Both hashes are keyed, so their combination is too.
            pair: source.rotate_left(32) ^ destination,
            destination,
        }
    }

    /// The hash of an address.
    fn address(&self, address: Address) -> u64 {
        let Key([first, second, third, fourth]) = *self;
        let (high, low) = halves(address);
        mix(mix(low ^ first, high ^ second) ^ third, fourth)
    }

    /// The hash of the fields that make two packets duplicates.
    fn flow(&self, packet: &TooBig) -> u64 {
        let Key([first, second, third, fourth]) = *self;
        let quoted = packet.quoted;
        let (high, low) = halves(quoted.source);
        let source = mix(low ^ second, high ^ third);
        let (high, low) = halves(quoted.destination);
        let both = mix(low ^ source, high ^ fourth);
        // An MTU above 65,535 occurs only in IPv6, and none is below the MTU of a link.
        let mtu = u64::from(packet.mtu.min(0xffff));
        let rest = u64::from(quoted.ports) << 32 | u64::from(quoted.protocol) << 16 | mtu;
        mix(mix(both ^ rest, first) ^ u64::from(quoted.guess), third)
    }
}

fn halves(address: Address) -> (u64, u64) {
    let number = address.number();
    ((number >> 64) as u64, number as u64)
}

/// A product with its halves folded: each bit of both numbers affects nearly all of the result.
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasherDefault, DefaultHasher};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    /// Neighbouring addresses, and addresses that differ in upper bits only, spread evenly over each
    /// part of the hash.
    #[test]
    fn every_part_is_spread_evenly() {
        let key = Key::new(&BuildHasherDefault::<DefaultHasher>::default());
        let spreads: [fn(u32) -> IpAddr; 4] = [
            |number| Ipv4Addr::from(0x0a00_0000 + number).into(),
            |number| Ipv4Addr::from(number.rotate_left(16)).into(),
            |number| Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(number)).into(),
            |number| Ipv6Addr::from(u128::from(number) << 64 | 1).into(),
        ];
        for (place, spread) in spreads.into_iter().enumerate() {
            for shift in [0, 16, 32, 48] {
                let mut counts = vec![0u32; 1 << 14];
                for number in 0..16 << 14 {
                    let hash = key.address(spread(number).into());
                    counts[(hash >> shift) as usize % (1 << 14)] += 1;
                }
                // 16 each on average; the maximum of a random distribution.
                let most = counts.iter().max().unwrap();
                let none = counts.iter().filter(|count| **count == 0).count();
                assert!(
                    *most < 48 && none < 16,
                    "spread {place} by {shift}: {most}, {none}"
                );
            }
        }
    }
}
