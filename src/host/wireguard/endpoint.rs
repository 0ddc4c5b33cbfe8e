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
}

/// Reads `Endpoint = ADDRESS:PORT` of each `[Peer]`, as wg(8) parses it.
pub fn endpoints(text: &str) -> Endpoints {
    let mut found = Endpoints::default();
    let endpoints = entries(text, "[Peer]").filter(|(key, _)| key.eq_ignore_ascii_case("Endpoint"));
    for (_, value) in endpoints {
        match value.parse::<SocketAddr>() {
            Ok(address) => _ = found.addresses.insert(address.ip()),
            Err(_) => found.names += 1,
        }
    }
    found
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
}
