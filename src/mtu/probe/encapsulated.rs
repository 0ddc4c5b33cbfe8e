//! A TCP SYN inside an IP packet, as a load balancer sends it to a realserver (IPVS in tunnel mode, Katran), and
//! what came back.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// The packet that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Encapsulated {
    /// The source of the outer header. The answer does not come back to it.
    pub outer_src: IpAddr,
    /// The host that decapsulates.
    pub outer_dst: IpAddr,
    /// The source of the SYN: an address of the host that asks, to which the answer comes.
    pub inner_src: IpAddr,
    /// The address of the service.
    pub inner_dst: IpAddr,
    /// The TCP port of the service.
    pub port: u16,
}

/// The IP versions of the outer and the inner header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encapsulation {
    /// IPv4 in IPv4 (RFC 2003): an `ipip` device decapsulates.
    Ipip,
    /// IPv6 in IPv6 (RFC 2473): an `ip6tnl` device decapsulates.
    Ip6ip6,
    /// IPv4 in IPv6 (RFC 2473): an `ip6tnl` device decapsulates.
    Ipip6,
}

impl Encapsulation {
    /// The encapsulation for an outer and an inner destination. `None` for IPv6 in IPv4, which load balancers
    /// do not send: neither `ipip` nor `ip6tnl` decapsulates it.
    pub fn of(outer: IpAddr, inner: IpAddr) -> Option<Self> {
        match (outer, inner) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Some(Encapsulation::Ipip),
            (IpAddr::V6(_), IpAddr::V6(_)) => Some(Encapsulation::Ip6ip6),
            (IpAddr::V6(_), IpAddr::V4(_)) => Some(Encapsulation::Ipip6),
            (IpAddr::V4(_), IpAddr::V6(_)) => None,
        }
    }

    /// The rtnetlink kind of the device that decapsulates.
    pub fn kind(self) -> &'static str {
        match self {
            Encapsulation::Ipip => "ipip",
            Encapsulation::Ip6ip6 | Encapsulation::Ipip6 => "ip6tnl",
        }
    }

    /// The device that the kernel makes with the module. It accepts every sender while it is up.
    pub fn fallback(self) -> &'static str {
        match self {
            Encapsulation::Ipip => "tunl0",
            Encapsulation::Ip6ip6 | Encapsulation::Ipip6 => "ip6tnl0",
        }
    }

    /// Whether the inner header is IPv4.
    pub fn carries_ipv4(self) -> bool {
        match self {
            Encapsulation::Ipip | Encapsulation::Ipip6 => true,
            Encapsulation::Ip6ip6 => false,
        }
    }
}

impl fmt::Display for Encapsulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encapsulation::Ipip => "IPv4 in IPv4",
            Encapsulation::Ip6ip6 => "IPv6 in IPv6",
            Encapsulation::Ipip6 => "IPv4 in IPv6",
        })
    }
}

/// The answer to the SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// A SYN-ACK of the service: the SYN was decapsulated and delivered.
    SynAck {
        /// The MSS that the service announces, bytes; `None` if it announces none.
        mss: Option<u16>,
        /// Time between the first packet and the answer.
        #[serde(rename = "micros", serialize_with = "super::reply::as_micros")]
        #[schemars(with = "u64")]
        after: Duration,
    },
    /// A TCP reset from the service's address: the SYN was decapsulated, and nobody listens or a firewall rejects.
    Reset,
    /// An ICMP error about the SYN inside: the packet was decapsulated, and the SYN was not delivered.
    InnerRejected {
        /// The author of the report.
        from: IpAddr,
        /// The reason, from its ICMP code.
        reason: &'static str,
    },
    /// An ICMP error about the packet outside: it was not decapsulated.
    OuterRejected {
        /// The author of the report.
        from: IpAddr,
        /// The reason, from its ICMP code.
        reason: &'static str,
    },
    /// No answer to any of the tries. The packet may have been dropped at any place on either way.
    Silent,
}

impl Answer {
    /// The MSS that the service's peers use, bytes: the announced one, or the default of RFC 9293 (IPv4: 536,
    /// IPv6: 1220) if it announces none. `None` without a SYN-ACK.
    pub fn mss(self, inner: IpAddr) -> Option<u16> {
        let default = if inner.is_ipv4() { 536 } else { 1220 };
        match self {
            Answer::SynAck { mss, .. } => Some(mss.unwrap_or(default)),
            Answer::Reset | Answer::InnerRejected { .. } | Answer::OuterRejected { .. } | Answer::Silent => {
                None
            }
        }
    }

    /// Whether the service answers as expected, with at least `expected` bytes of MSS. `None` without a verdict on
    /// the host that decapsulates: after silence, and after an error of another host about the outer packet.
    pub fn is_well(self, packet: &Encapsulated, expected: Option<u16>) -> Option<bool> {
        match self {
            Answer::SynAck { .. } => {
                let mss = self.mss(packet.inner_dst)?;
                Some(expected.is_none_or(|expected| mss >= expected))
            }
            Answer::Reset | Answer::InnerRejected { .. } => Some(false),
            Answer::OuterRejected { from, .. } => (from == packet.outer_dst).then_some(false),
            Answer::Silent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Encapsulated {
        let address = |text: &str| text.parse().unwrap();
        Encapsulated {
            outer_src: address("192.0.2.1"),
            outer_dst: address("192.0.2.2"),
            inner_src: address("192.0.2.1"),
            inner_dst: address("203.0.113.9"),
            port: 443,
        }
    }

    #[test]
    fn only_a_syn_ack_with_enough_mss_is_as_expected() {
        let after = Duration::ZERO;
        let answered = |mss| Answer::SynAck { mss, after };
        let packet = packet();
        assert_eq!(answered(Some(1440)).is_well(&packet, None), Some(true));
        assert_eq!(answered(Some(1440)).is_well(&packet, Some(1440)), Some(true));
        assert_eq!(answered(Some(1439)).is_well(&packet, Some(1440)), Some(false));
        assert_eq!(answered(None).is_well(&packet, Some(536)), Some(true));
        assert_eq!(answered(None).is_well(&packet, Some(537)), Some(false));
        assert_eq!(Answer::Reset.is_well(&packet, None), Some(false));
        assert_eq!(Answer::Silent.is_well(&packet, None), None);
    }

    #[test]
    fn an_error_of_a_router_says_nothing_about_the_host() {
        let packet = packet();
        let rejected = |from: &str| Answer::OuterRejected {
            from: from.parse().unwrap(),
            reason: "port unreachable",
        };
        assert_eq!(rejected("192.0.2.2").is_well(&packet, None), Some(false));
        assert_eq!(rejected("192.0.2.254").is_well(&packet, None), None);
    }

    #[test]
    fn ipv6_in_ipv4_is_not_sent() {
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(Encapsulation::of(v4, v6), None);
        assert_eq!(Encapsulation::of(v6, v4), Some(Encapsulation::Ipip6));
    }
}
