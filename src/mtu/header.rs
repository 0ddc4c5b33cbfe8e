//! Named headers with their exact sizes, and the stack of headers that a layer puts on the wire.

/// A header and its size in bytes; negative for bytes that are recovered, as the slack of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name in a message: `UDP`.
    pub name: String,
    /// Bytes.
    pub bytes: i64,
}

/// A header that a stack can name.
struct KnownHeader {
    /// The word in a stack.
    word: &'static str,
    /// The name in a message.
    name: &'static str,
    bytes: i64,
    /// The header that must precede it, if there is only one.
    on: Option<&'static str>,
}

const fn known(word: &'static str, name: &'static str, bytes: i64, on: Option<&'static str>) -> KnownHeader {
    KnownHeader {
        word,
        name,
        bytes,
        on,
    }
}

/// Sizes from the RFCs that define the headers, without options unless named.
const KNOWN: &[KnownHeader] = &[
    // RFC 791 and RFC 8200.
    known("ipv4", "IPv4", 20, None),
    known("ipv6", "IPv6", 40, None),
    // The tunnel encapsulation limit of RFC 2473, padded to 8 bytes: Linux sends it unless the
    // device has `encaplimit none` (ip6_tnl_dev_init_gen, net/ipv6/ip6_tunnel.c).
    known("encaplim", "encapsulation limit", 8, Some("ipv6")),
    known("udp", "UDP", 8, None),
    known("tcp", "TCP", 20, None),
    // The Ethernet header of an inner frame (ETH_HLEN), and its 802.1Q tag.
    known("eth", "Ethernet", 14, None),
    known("vlan", "VLAN tag", 4, None),
    // RFC 2784 and RFC 2890.
    known("gre", "GRE", 4, None),
    known("grekey", "GRE key", 4, None),
    known("greseq", "GRE sequence", 4, None),
    known("grecsum", "GRE checksum", 4, None),
    // RFC 7348, RFC 8926; OVN's one option is 4 bytes of TLV header and 4 of data
    // (ovn-architecture(7)).
    known("vxlan", "VXLAN", 8, Some("udp")),
    known("geneve", "Geneve", 8, Some("udp")),
    known("ovnopt", "OVN option", 8, Some("geneve")),
    // A data message: type and reserved 4, receiver 4, counter 8, tag 16 (drivers/net/wireguard/messages.h).
    known("wg", "WireGuard", 32, Some("udp")),
    known("gue", "GUE", 4, Some("udp")),
    // draft-davie-stt: 18 bytes after a header of the form of TCP.
    known("stt", "STT", 18, Some("tcp")),
    // RFC 3032, RFC 2516 with the 2 bytes of PPP.
    known("mpls", "MPLS label", 4, None),
    known("pppoe", "PPPoE", 8, None),
    // RFC 4303: SPI and sequence number.
    known("esphdr", "ESP", 8, None),
];

/// The header for a word.
pub(crate) fn header(word: &str) -> Option<Header> {
    let known = KNOWN.iter().find(|known| known.word == word)?;
    Some(Header {
        name: known.name.to_owned(),
        bytes: known.bytes,
    })
}

/// The header that must precede a word in a stack.
pub(crate) fn predecessor(word: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| known.word == word)?.on
}

/// All words of headers.
pub fn words() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.word)
}

/// A layer on the wire: headers, and the padding of the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The headers, outer to inner.
    pub(crate) headers: Vec<Header>,
    /// How the payload is padded.
    pub(crate) padding: Option<Padding>,
}

/// Padding of the payload to a multiple, so that not every size is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padding {
    /// The multiple in bytes.
    pub(crate) multiple: i64,
    /// Bytes of the packet before the padded part.
    pub before: i64,
    /// Bytes at the end of the padded part that are not payload.
    pub(crate) trailer: i64,
}

impl Wire {
    /// A stack of known words; an unknown word has no bytes.
    pub fn of(words: &[&str]) -> Self {
        Wire {
            headers: words.iter().filter_map(|word| header(word)).collect(),
            padding: None,
        }
    }

    /// The size of all headers, bytes.
    pub fn bytes(&self) -> i64 {
        self.headers.iter().map(|header| header.bytes).sum()
    }

    /// The largest inner packet, in bytes, for an outer packet of at most `outer`.
    pub fn inner(&self, outer: i64) -> i64 {
        let room = outer - self.bytes();
        match self.padding {
            Some(padding) => {
                let padded = room - padding.before;
                padding.before + padded - padded.rem_euclid(padding.multiple.max(1)) - padding.trailer
            }
            None => room,
        }
    }

    /// `IPv4 20 + UDP 8`.
    pub fn sum(&self) -> String {
        let headers = self
            .headers
            .iter()
            .map(|header| format!("{} {}", header.name, header.bytes));
        headers.collect::<Vec<_>>().join(" + ")
    }
}
