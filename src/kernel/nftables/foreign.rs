//! Rules of others that hand path MTU messages to a group, told as their programs list them.

pub(crate) mod reach;

use std::fmt::Write as _;

use ipnet::IpNet;

use crate::nftables::conditions::Conditions;
use crate::nftables::protocol::{ICMP, ICMPV6, NFPROTO_IPV4, NFPROTO_IPV6};
use netkeel_core::nflog::foreign::{Content, ForeignRule, Interfaces, Writer};
use netkeel_core::op::command::Name;
use netkeel_core::text::shell::Quoted;

/// Where a rule stands.
#[derive(Clone, Debug)]
pub(crate) struct RulePosition {
    pub family: &'static str,
    pub table: String,
    pub chain: String,
    /// Counted from 1.
    pub position: u32,
}

impl RulePosition {
    /// The family that a table is of, if it is of one: NFPROTO.
    pub fn protocol(&self) -> Option<u8> {
        match self.family {
            "ip" => Some(NFPROTO_IPV4),
            "ip6" => Some(NFPROTO_IPV6),
            _ => None,
        }
    }

    /// The table and the chain are as iptables-nft names them.
    fn is_of_iptables(&self) -> bool {
        self.protocol().is_some() && matches!(&*self.table, "raw" | "mangle") && self.chain == "PREROUTING"
    }
}

/// The rule, when it hands path MTU messages to a group.
pub(crate) fn judge(
    place: &RulePosition,
    legacy: bool,
    conditions: &Conditions,
    content: Option<Content>,
) -> Option<ForeignRule> {
    let log = conditions.log.as_ref()?;
    let (ipv4, ipv6) = (conditions.takes(false), conditions.takes(true));
    if !ipv4 && !ipv6 {
        return None;
    }
    let writer = match legacy {
        true => Writer::IptablesLegacy,
        false if place.is_of_iptables() => Writer::IptablesNft,
        false => Writer::Nft,
    };
    let interfaces = conditions.interfaces();
    let whole = conditions.takes_all();
    let removable = writer == Writer::IptablesNft && whole && matches!(interfaces, Interfaces::Named(_));
    Some(ForeignRule {
        writer,
        family: place.family.into(),
        table: place.table.as_str().into(),
        chain: place.chain.as_str().into(),
        position: place.position,
        group: log.group,
        interfaces,
        ipv4,
        ipv6,
        whole,
        ignored: conditions.ignored.iter().copied().collect(),
        snaplen: log.snaplen,
        text: printable(&text(writer, conditions)).into(),
        content: content.filter(|_| removable),
    })
}

/// Text that somebody else wrote, without what moves a terminal. A rule that is shown otherwise than
/// it is has another name than the kernel's, and is not found to be changed.
pub(crate) fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// As iptables-save(8) prints it, in its order, or as nft does.
pub(crate) fn text(writer: Writer, conditions: &Conditions) -> String {
    let Some(log) = &conditions.log else {
        return String::new();
    };
    let mut out = String::new();
    if writer == Writer::Nft {
        let ip = |net: &IpNet| if matches!(net, IpNet::V4(_)) { "ip" } else { "ip6" };
        match conditions.interfaces() {
            Interfaces::All => {}
            Interfaces::Named(name) => {
                let _ = write!(out, "iifname \"{name}\" ");
            }
            Interfaces::Prefix(prefix) => {
                let _ = write!(out, "iifname \"{prefix}*\" ");
            }
            Interfaces::Except(name) => {
                let _ = write!(out, "iifname != \"{name}\" ");
            }
        }
        for (nets, equals) in [(&conditions.from, ""), (&conditions.ignored, "!= ")] {
            for net in nets {
                let _ = write!(out, "{} saddr {equals}{net} ", ip(net));
            }
        }
        if conditions.unknown {
            out.push_str("... ");
        }
        let _ = write!(out, "log group {}", log.group);
        return out;
    }
    for (nets, not) in [(&conditions.ignored, "! "), (&conditions.from, "")] {
        for net in nets {
            let _ = write!(out, "{not}-s {net} ");
        }
    }
    match conditions.interfaces() {
        Interfaces::All => {}
        Interfaces::Named(name) => {
            let _ = write!(out, "-i {} ", Name(name));
        }
        Interfaces::Prefix(prefix) => {
            let _ = write!(out, "-i {} ", Quoted(format!("{prefix}+")));
        }
        Interfaces::Except(name) => {
            let _ = write!(out, "! -i {} ", Name(name));
        }
    }
    match conditions.protocol {
        Some(ICMP) => out.push_str("-p icmp "),
        Some(ICMPV6) => out.push_str("-p ipv6-icmp "),
        Some(other) => {
            let _ = write!(out, "-p {other} ");
        }
        None => {}
    }
    if let Some(kind) = conditions.kind {
        let (name, option) = match conditions.protocol {
            Some(ICMPV6) => ("icmp6", "--icmpv6-type"),
            _ => ("icmp", "--icmp-type"),
        };
        let _ = write!(out, "-m {name} {option} {kind}");
        if let Some(code) = conditions.code {
            let _ = write!(out, "/{code}");
        }
        out.push(' ');
    }
    if let Some(comment) = &conditions.comment {
        let _ = write!(out, "-m comment --comment {} ", Quoted(comment));
    }
    if conditions.unknown {
        out.push_str("... ");
    }
    out.push_str("-j NFLOG");
    if !log.prefix.is_empty() {
        let _ = write!(out, " --nflog-prefix {}", Quoted(&log.prefix));
    }
    let _ = write!(out, " --nflog-group {}", log.group);
    if log.snaplen > 0 {
        let _ = write!(out, " --nflog-size {}", log.snaplen);
    }
    // 1 is the default of the extension (XT_NFLOG_DEFAULT_THRESHOLD).
    if log.threshold > 1 {
        let _ = write!(out, " --nflog-threshold {}", log.threshold);
    }
    out
}
