//! The endpoints in a WireGuard configuration.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::wireguard::conf::entries;

/// The endpoints of all peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Literal addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// The number of endpoints that are host names: their addresses need DNS.
    pub names: usize,
    /// The firewall mark of the packets to them; `None` if they have none. Rules may choose routes by it.
    pub mark: Option<u32>,
}

/// Reads `Endpoint = ADDRESS:PORT` of each `[Peer]` and `FwMark` of `[Interface]`, as wg(8) parses them.
pub fn endpoints(text: &str) -> Endpoints {
    let marks = entries(text, "[Interface]").filter(|(key, _)| key.eq_ignore_ascii_case("FwMark"));
    let mut found = Endpoints {
        mark: marks.last().and_then(|(_, value)| mark(value)),
        ..Endpoints::default()
    };
    let endpoints = entries(text, "[Peer]").filter(|(key, _)| key.eq_ignore_ascii_case("Endpoint"));
    for (_, value) in endpoints {
        match value.parse::<SocketAddr>() {
            Ok(address) => _ = found.addresses.insert(address.ip()),
            Err(_) => found.names += 1,
        }
    }
    found
}

/// Reads a mark, decimal or after `0x` hexadecimal; `off` and 0 are none (`parse_fwmark`).
fn mark(value: &str) -> Option<u32> {
    let number = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    number.ok().filter(|mark| *mark != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_addresses_and_names_of_peers_are_found() {
        let text = "[Interface]\nEndpoint = 192.0.2.9:1\n[peer]\nendpoint=192.0.2.1:51820 # a\n[Peer]\n\
                    Endpoint = [2001:db8::1]:51820\n[Peer]\nEndpoint = vpn.example:51820\n[Peer]\n";
        let found = endpoints(text);
        let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(found.names, 1);
    }

    #[test]
    fn the_mark_of_the_interface_is_found() {
        let of = |mark: &str| endpoints(&format!("[Interface]\n{mark}\n[Peer]\nFwMark = 7\n")).mark;
        assert_eq!(of("FwMark = 51820"), Some(51_820));
        assert_eq!(of("fwmark=0xca6c # a"), Some(51_820));
        for none in ["FwMark = off", "FwMark = 0", "FwMark = x", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
