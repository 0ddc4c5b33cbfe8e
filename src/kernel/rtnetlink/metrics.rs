//! The metrics of a route (`RTA_METRICS`): those that netkeel writes, and all others as `ip route` takes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::netlink::message::{Attribute, Attributes, Malformed};
use netkeel_core::name::route::Metric;

/// `struct rtmsg`, bytes (include/uapi/linux/rtnetlink.h).
pub(crate) const FIXED: usize = 12;

/// The kinds of metrics (include/uapi/linux/rtnetlink.h); libc has them for glibc alone.
pub(crate) const RTAX_LOCK: u16 = 1;

pub(crate) const RTAX_MTU: u16 = 2;

const RTAX_WINDOW: u16 = 3;

const RTAX_RTT: u16 = 4;

const RTAX_RTTVAR: u16 = 5;

const RTAX_ADVMSS: u16 = 8;

const RTAX_FEATURES: u16 = 12;

const RTAX_RTO_MIN: u16 = 13;

const RTAX_CC_ALGO: u16 = 16;

/// Other metrics that are plain numbers, with their names in `ip route`.
const PLAIN: &[(u16, &str)] = &[
    (6, "ssthresh"),
    (7, "cwnd"),
    (9, "reordering"),
    (10, "hoplimit"),
    (11, "initcwnd"),
    (14, "initrwnd"),
    (15, "quickack"),
    (17, "fastopen_no_cookie"),
];

/// The metrics of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metrics {
    /// Those that netkeel writes, in bytes.
    pub values: BTreeMap<Metric, u32>,
    /// A bit for each that is locked (RTAX_LOCK).
    locks: u32,
    /// All others, as `ip route` takes them.
    pub others: String,
}

impl Metrics {
    /// Whether the metric is locked, so that the kernel does not change it by itself.
    pub fn is_locked(&self, metric: Metric) -> bool {
        self.is_number_locked(number(metric))
    }

    fn is_number_locked(&self, number: u16) -> bool {
        self.locks & (1 << number) != 0
    }

    /// Reads the metrics of a route message.
    pub fn read(payload: &[u8]) -> Result<Self, Malformed> {
        let mut metrics = Metrics::default();
        let mut all = Vec::new();
        for attribute in Attributes::after(payload, FIXED)? {
            let attribute = attribute?;
            if attribute.kind == libc::RTA_METRICS {
                all = attribute.nested().collect::<Result<Vec<_>, _>>()?;
            }
        }
        for metric in &all {
            if metric.kind == RTAX_LOCK {
                metrics.locks = metric.u32()?;
            }
        }
        for metric in &all {
            metrics.add(metric)?;
        }
        Ok(metrics)
    }

    fn add(&mut self, metric: &Attribute<'_>) -> Result<(), Malformed> {
        if metric.kind == RTAX_CC_ALGO {
            let _ = write!(self.others, " congctl {}", metric.text());
            return Ok(());
        }
        let value = metric.u32()?;
        if let Some(own) = Metric::ALL.into_iter().find(|own| number(*own) == metric.kind) {
            self.values.insert(own, value);
            return Ok(());
        }
        // rtt and rttvar have 3 and 2 binary places (`print_rta_metrics`, iproute2 ip/iproute.c).
        let (word, value, unit) = match metric.kind {
            RTAX_RTT => ("rtt", value / 8, "ms"),
            RTAX_RTTVAR => ("rttvar", value / 4, "ms"),
            RTAX_RTO_MIN => ("rto_min", value, "ms"),
            RTAX_FEATURES if value & 1 != 0 => {
                self.others.push_str(" features ecn");
                return Ok(());
            }
            kind => match PLAIN.iter().find(|(other, _)| *other == kind) {
                Some((_, word)) => (*word, value, ""),
                None => return Ok(()),
            },
        };
        // `ip route` itself locks rto_min.
        let locked = self.is_number_locked(metric.kind) && metric.kind != RTAX_RTO_MIN;
        let lock = if locked { " lock" } else { "" };
        let _ = write!(self.others, " {word}{lock} {value}{unit}");
        Ok(())
    }
}

/// The kind of the metric's attribute.
pub(crate) fn number(metric: Metric) -> u16 {
    match metric {
        Metric::Mtu => RTAX_MTU,
        Metric::Advmss => RTAX_ADVMSS,
        Metric::Window => RTAX_WINDOW,
    }
}
