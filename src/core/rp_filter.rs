//! The effect of reverse path filtering: the value in effect, the key that decides it, and the verdict
//! on packets.

use std::fmt;

/// The three modes of `rp_filter` (Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RpFilter {
    /// 0: no check.
    Off,
    /// 1: the route back to the source must leave through the interface that received the packet.
    Strict,
    /// 2: a route back must exist through any interface.
    Loose,
}

/// The document's words for the modes, with the kernel's numbers.
pub const WORDS: &[(&str, i64)] = &[("off", 0), ("strict", 1), ("loose", 2)];

/// The effective mode of an interface, from its own value and `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// `max(all, interface)`: `IN_DEV_MAXCONF` in include/linux/inetdevice.h.
    pub value: i64,
    /// The key that decides.
    pub decided_by: Decider,
    /// The verdict on a packet whose route back leaves through another interface.
    pub verdict: Verdict,
}

/// The key with the larger value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The interface's own value; also when both are equal.
    Interface,
    /// `net.ipv4.conf.all.rp_filter`.
    All,
}

/// The verdict on a packet that arrives on the interface while the route back to its source leaves
/// through another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is dropped and counted in `TcpExt: IPReversePathFilter`.
    Drop,
    /// It is dropped although the mode is loose. Without an IPv4 address on the interface,
    /// `__fib_validate_source` (net/ipv4/fib_frontend.c) has no last resort.
    DropNoAddress,
}

impl RpFilter {
    /// The mode for a number. The kernel accepts other numbers too, but they mean none of the three
    /// modes.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(RpFilter::Off),
            1 => Some(RpFilter::Strict),
            2 => Some(RpFilter::Loose),
            _ => None,
        }
    }
}

impl fmt::Display for RpFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RpFilter::Off => "off",
            RpFilter::Strict => "strict",
            RpFilter::Loose => "loose",
        })
    }
}

/// Combines `net.ipv4.conf.all.rp_filter` with an interface's own value.
pub fn effective(all: i64, interface: i64, has_ipv4_address: bool) -> Effective {
    let value = all.max(interface);
    let verdict = match value {
        ..=0 => Verdict::Accept,
        2 if has_ipv4_address => Verdict::Accept,
        2 => Verdict::DropNoAddress,
        _ => Verdict::Drop,
    };
    Effective {
        value,
        decided_by: if all > interface {
            Decider::All
        } else {
            Decider::Interface
        },
        verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The truth table, measured with packets: docs/reference/findings/NK002.md.
    #[test]
    fn the_larger_value_decides_and_loose_needs_an_address() {
        let rows: Vec<String> = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 2), (2, 1), (-1, 0)]
            .iter()
            .map(|(all, own)| {
                let with = effective(*all, *own, true);
                let without = effective(*all, *own, false);
                format!(
                    "all={all} own={own}: {} by {:?}; with address {:?}, without {:?}",
                    with.value, with.decided_by, with.verdict, without.verdict
                )
            })
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        all=0 own=0: 0 by Interface; with address Accept, without Accept
        all=0 own=1: 1 by Interface; with address Drop, without Drop
        all=1 own=0: 1 by All; with address Drop, without Drop
        all=0 own=2: 2 by Interface; with address Accept, without DropNoAddress
        all=1 own=2: 2 by Interface; with address Accept, without DropNoAddress
        all=2 own=1: 2 by All; with address Accept, without DropNoAddress
        all=-1 own=0: 0 by Interface; with address Accept, without Accept
        ");
    }
}
