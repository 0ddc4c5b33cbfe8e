//! netkeel's rules in nft syntax, as an operator would type them.

use std::fmt::Write as _;

use ipnet::IpNet;

use crate::name::link::LinkName;
use crate::nflog::entry_name::{EntryName, MARK, Rate, TABLE};
use crate::nflog::rules::{Part, Rules};

/// How long a source is remembered after its last packet, in seconds.
pub const REMEMBERED: u64 = 60;

/// The maximum number of remembered sources. Further sources are not logged until others expire.
pub const SOURCES: u32 = 65_536;

impl Rules {
    /// The commands that make the rules, for one run of nft.
    pub(crate) fn nft(&self, name: &EntryName) -> String {
        let chain = name.chain();
        let mut out = format!(
            "add table inet {TABLE}; add chain inet {TABLE} {chain} {{ type filter hook prerouting priority raw; policy accept; }}; flush chain inet {TABLE} {chain}"
        );
        for (ipv6, part) in self.parts() {
            if self.rate.is_some() {
                let _ = write!(
                    out,
                    "; add set inet {TABLE} {} {{ type {}; size {SOURCES}; flags dynamic,timeout; timeout {REMEMBERED}s; }}",
                    name.set(ipv6),
                    if ipv6 { "ipv6_addr" } else { "ipv4_addr" }
                );
            }
            for interface in &part.interfaces {
                let rule = self.rule(name, ipv6, part, *interface);
                let _ = write!(out, "; add rule inet {TABLE} {chain} {rule}");
            }
        }
        out
    }

    fn rule(&self, name: &EntryName, ipv6: bool, part: &Part, interface: LinkName) -> String {
        let (ip, icmp, message) = match ipv6 {
            false => ("ip", "icmp", "icmp type 3 icmp code 4"),
            true => ("ip6", "icmpv6", "icmpv6 type 2"),
        };
        let mut rule = format!("iifname \"{interface}\" ");
        if part.ignore_sources.is_empty() {
            let _ = write!(rule, "meta nfproto {} ", if ipv6 { "ipv6" } else { "ipv4" });
        }
        for net in &part.ignore_sources {
            // nft prints a single address without its prefix length.
            let whole = net.prefix_len() == net.max_prefix_len();
            let net = match net {
                IpNet::V4(net) if whole => net.addr().to_string(),
                IpNet::V6(net) if whole => net.addr().to_string(),
                _ => net.to_string(),
            };
            let _ = write!(rule, "{ip} saddr != {net} ");
        }
        rule.push_str(message);
        match (part.min_mtu, part.max_mtu) {
            (Some(min), Some(max)) => {
                let _ = write!(rule, " {icmp} mtu {min}-{max}");
            }
            (Some(min), None) => {
                let _ = write!(rule, " {icmp} mtu >= {min}");
            }
            (None, Some(max)) => {
                let _ = write!(rule, " {icmp} mtu <= {max}");
            }
            (None, None) => {}
        }
        if let Some(Rate { per_second, burst }) = self.rate {
            let set = name.set(ipv6);
            let _ = write!(
                rule,
                " update @{set} {{ {ip} saddr limit rate {per_second}/second burst {burst} packets }}"
            );
        }
        let _ = write!(
            rule,
            " counter log group {} snaplen {} queue-threshold {} comment \"{MARK}\"",
            self.group, self.snaplen, self.queue_threshold
        );
        rule
    }
}
