//! Addresses and networks in a form that compares fast: both families are one 128-bit number.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An address of either family; IPv4 as its IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u128);

/// The prefix of IPv4-mapped addresses.
const MAPPED: u128 = 0xffff << 32;

impl Address {
    /// From four bytes in network order.
    pub(crate) fn v4(bytes: [u8; 4]) -> Self {
        Address(MAPPED | u128::from(u32::from_be_bytes(bytes)))
    }

    /// From sixteen bytes in network order.
    pub(crate) fn v6(bytes: [u8; 16]) -> Self {
        Address(u128::from_be_bytes(bytes))
    }

    /// The number, for hashing.
    pub fn number(self) -> u128 {
        self.0
    }

    fn is_ipv4(self) -> bool {
        self.0 >> 32 == MAPPED >> 32
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Address::v4(address.octets()),
            IpAddr::V6(address) => Address::v6(address.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_ipv4() {
            Ipv4Addr::from(address.0 as u32).into()
        } else {
            Ipv6Addr::from(address.0).into()
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IpAddr::from(*self).fmt(f)
    }
}

/// A network: the addresses with its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    mask: u128,
    /// Whether it is an IPv4 network. A short IPv6 prefix covers the IPv4-mapped addresses but must not
    /// match IPv4 addresses.
    ipv4: bool,
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        let host = network.max_prefix_len() - network.prefix_len();
        let mask = u128::MAX.checked_shl(host.into()).unwrap_or(0);
        Network {
            bits: Address::from(network.addr()).0 & mask,
            mask,
            ipv4: network.addr().is_ipv4(),
        }
    }
}

impl Network {
    /// Whether the network contains an address.
    pub fn contains(self, address: Address) -> bool {
        address.0 & self.mask == self.bits && address.is_ipv4() == self.ipv4
    }
}

/// Networks of both families. The list is short, so the search is linear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl FromIterator<IpNet> for Networks {
    fn from_iter<T: IntoIterator<Item = IpNet>>(networks: T) -> Self {
        Networks(networks.into_iter().map(Network::from).collect())
    }
}

impl Networks {
    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the networks contains an address.
    pub(crate) fn contain(&self, address: Address) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<Address>);

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<T: IntoIterator<Item = IpAddr>>(addresses: T) -> Self {
        let mut sorted: Vec<Address> = addresses.into_iter().map(Address::from).collect();
        sorted.sort_unstable();
        sorted.dedup();
        Addresses(sorted)
    }
}

impl Addresses {
    /// Whether the set contains an address.
    pub(crate) fn contain(&self, address: Address) -> bool {
        self.0.binary_search(&address).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_network_has_no_address_of_the_other_family() {
        let (ipv4, ipv6) = (
            Address::v4([192, 0, 2, 1]),
            Address::from("2001:db8::1".parse::<IpAddr>().unwrap()),
        );
        let all: Networks = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
        assert!(all.contain(ipv4) && !all.contain(ipv6));
        let all: Networks = ["::/0".parse().unwrap()].into_iter().collect();
        assert!(all.contain(ipv6) && !all.contain(ipv4));
        for network in ["::/1", "::/64", "::/80", "::ffff:0:0/96"] {
            let network: Networks = [network.parse().unwrap()].into_iter().collect();
            assert!(!network.contain(ipv4), "{network:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_ipnet(network: u32, prefix in 0u8..=32, near: u32, flip in 0u32..32) {
            for address in [Ipv4Addr::from(near), Ipv4Addr::from(network ^ (1 << flip))] {
                let net = IpNet::new(Ipv4Addr::from(network).into(), prefix).unwrap();
                prop_assert_eq!(
                    Network::from(net).contains(Address::v4(address.octets())),
                    net.contains(&IpAddr::from(address))
                );
            }
        }

        #[test]
        fn agrees_with_ipnet_of_ipv6(network: u128, prefix in 0u8..=128, flip in 0u32..128) {
            let net = IpNet::new(Ipv6Addr::from(network).into(), prefix).unwrap();
            let address = Ipv6Addr::from(network ^ (1 << flip));
            let contains = Network::from(net).contains(Address::v6(address.octets()));
            prop_assert_eq!(contains, net.contains(&IpAddr::from(address)));
        }

        #[test]
        fn is_the_address_it_was_made_of(v4: u32, v6: u128) {
            for address in [IpAddr::from(Ipv4Addr::from(v4)), IpAddr::from(Ipv6Addr::from(v6 | 1 << 127))] {
                prop_assert_eq!(IpAddr::from(Address::from(address)), address);
            }
        }
    }
}
