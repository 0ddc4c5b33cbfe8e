//! The services of IPVS: it takes their packets after the rules of INPUT, or of OUTPUT, and sends them to another
//! destination.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::files::read::{self, ReadError};
use netkeel_host::snapshot::firewall::{Firewall, IpvsService};
use netkeel_host::snapshot::forwarding::Family;

/// The services of this namespace (`ip_vs_info_seq_show`, net/netfilter/ipvs/ip_vs_ctl.c).
const FILE: &str = "/proc/thread-self/net/ip_vs";

/// Lines before the services.
const HEAD: usize = 3;

/// The services.
#[derive(Debug, Default, PartialEq, Eq)]
struct Services {
    services: BTreeSet<IpvsService>,
    /// Some have a mark instead of an address: any packet may be theirs.
    are_marked: bool,
}

/// Adds the services to what was read. Where they cannot be read, any packet may be sent elsewhere.
pub(super) fn add(found: &mut Firewall) {
    add_read(found, read::system(FILE));
}

fn add_read(found: &mut Firewall, text: Result<String, ReadError>) {
    let services = match text {
        Ok(text) => parse(&text).ok_or_else(|| "their form is not known".to_owned()),
        // The module is not loaded.
        Err(cause) if cause.is_missing() => return,
        Err(cause) => Err(cause.to_string()),
    };
    let is_any = services.as_ref().map_or(true, |services| services.are_marked);
    if is_any {
        found.translates.extend([Family::Ipv4, Family::Ipv6]);
    }
    match services {
        Ok(services) => found.ipvs.extend(services.services),
        Err(why) => drop(found.unread.insert(format!("the services of IPVS: {why}").into())),
    }
}

fn parse(text: &str) -> Option<Services> {
    let mut found = Services::default();
    for line in text.lines().skip(HEAD) {
        let mut words = line.split_ascii_whitespace();
        match (words.next()?, words.next()?) {
            // A server of the service before.
            ("->", _) => {}
            ("FWM", _) => found.are_marked = true,
            (name, place) => {
                let (address, port) = place.rsplit_once(':')?;
                let service = IpvsService {
                    address: self::address(address)?,
                    protocol: protocol(name)?,
                    port: u16::from_str_radix(port, 16).ok()?,
                };
                found.services.insert(service);
            }
        }
    }
    Some(found)
}

/// The number of a protocol (`ip_vs_proto_name`, net/netfilter/ipvs/ip_vs_proto.c).
fn protocol(name: &str) -> Option<u8> {
    match name {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "SCTP" => Some(132),
        other => other.strip_prefix("IP_")?.parse().ok(),
    }
}

/// The address of `CB007109`, or of `[2001:0db8:...:0009]`.
fn address(address: &str) -> Option<IpAddr> {
    match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => six.parse().ok().map(IpAddr::V6),
        None if address.len() == 8 => u32::from_str_radix(address, 16)
            .ok()
            .map(|bits| IpAddr::V4(bits.into())),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "IP Virtual Server version 1.2.1 (size=4096)\n\
        Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";

    fn read(lines: &str) -> Firewall {
        let mut found = Firewall::default();
        add_read(&mut found, Ok(format!("{HEAD}{lines}")));
        found
    }

    #[test]
    fn services_have_addresses_or_marks() {
        let found = read(
            "TCP  CB007109:0050 rr  \n  -> 0A000001:0050      Tunnel  1      0          0         \n\
             UDP  [2001:0db8:0000:0000:0000:0000:0000:0009]:0035 wlc persistent 300 FFFFFFFF\n",
        );
        let service = |address: &str, protocol, port| IpvsService {
            address: address.parse().unwrap(),
            protocol,
            port,
        };
        let services = [service("203.0.113.9", 6, 80), service("2001:db8::9", 17, 53)];
        assert_eq!(found.ipvs, BTreeSet::from(services));
        assert!(found.translates.is_empty() && found.unread.is_empty());
        let both = BTreeSet::from([Family::Ipv4, Family::Ipv6]);
        assert_eq!(read("FWM  00000001 rr\n").translates, both);
        assert_eq!(read(""), Firewall::default());
    }

    #[test]
    fn services_that_cannot_be_read_may_take_any_packet() {
        let unknown = read("TCP somewhere rr\n");
        assert_eq!(unknown.translates.len(), 2);
        assert!(
            unknown
                .unread
                .first()
                .unwrap()
                .starts_with("the services of IPVS")
        );
        let mut refused = Firewall::default();
        add_read(&mut refused, Err(ReadError::NotText));
        assert_eq!((refused.translates.len(), refused.unread.len()), (2, 1));
        let mut none = Firewall::default();
        add_read(
            &mut none,
            Err(std::io::Error::from_raw_os_error(libc::ENOENT).into()),
        );
        assert_eq!(none, Firewall::default());
    }
}
