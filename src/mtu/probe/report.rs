//! All that was learned of a path, and the verdict.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::probe::reply::{Method, Reply};
use crate::probe::search::{Limit, Measurement};
use crate::probe::trace::Trace;
use netkeel_core::name::link::LinkName;

/// The route to the target, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouteTo {
    /// The interface.
    pub interface: LinkName,
    /// MTU of the interface, bytes.
    pub interface_mtu: u32,
    /// MTU of the interface for IPv6 (`net.ipv6.conf.*.mtu`), bytes, where it differs and decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_mtu: Option<u32>,
    /// The next router; `None` on the same link.
    pub gateway: Option<IpAddr>,
    /// MTU of the configured route, bytes.
    pub route_mtu: Option<u32>,
    /// The path MTU that the kernel had cached before the measurement, bytes.
    pub cached_before: Option<u32>,
    /// The path MTU that the kernel has cached now, bytes.
    pub cached_now: Option<u32>,
}

/// The result with one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The path was measured.
    Measured(Measurement),
    /// Not even a small packet was answered by the target.
    Unanswered {
        /// The other reply that came.
        answer: Reply,
    },
    /// A small packet was answered. Only one larger size was tried, which an earlier method had not got through.
    Checked {
        /// Bytes of the packet.
        size: u32,
        /// What came.
        answer: Reply,
    },
    /// The packets could not be sent.
    Failed {
        /// The reason.
        why: String,
    },
}

/// One method and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trial {
    /// The method.
    #[serde(flatten)]
    pub method: Method,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All that was learned of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The target's address.
    pub target: IpAddr,
    /// The route to it.
    pub route: RouteTo,
    /// The methods in the order in which they were tried.
    pub trials: Vec<Trial>,
    /// The routers, asked with small packets.
    pub small: Option<Trace>,
    /// The routers, asked with packets that the target does not answer.
    pub large: Option<Trace>,
}

/// The result of the measurement of the path to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It carries this measurement's MTU, and larger packets are reported as too big.
    Carries(&'a Trial, &'a Measurement),
    /// It carries this measurement's MTU, and larger packets disappear without a report of their size.
    BlackHole(&'a Trial, &'a Measurement),
    /// Packets of this measurement's MTU get there, but answers larger than `back` bytes do not come back: they
    /// are lost on the way, or a filter drops large echoes.
    LostOnTheWayBack {
        /// The method whose answers are small.
        there: &'a Trial,
        /// Its measurement.
        found: &'a Measurement,
        /// Bytes of the largest answer that came back.
        back: u32,
    },
    /// Nobody answered.
    Unknown,
}

impl<'a> Verdict<'a> {
    /// The measurement that it rests on.
    pub fn measurement(&self) -> Option<&'a Measurement> {
        match self {
            Verdict::Carries(_, found) | Verdict::BlackHole(_, found) => Some(found),
            Verdict::LostOnTheWayBack { found, .. } => Some(found),
            Verdict::Unknown => None,
        }
    }
}

impl Report {
    /// The verdict by the method that got the largest packet through: a filter may stop the others.
    pub fn verdict(&self) -> Verdict<'_> {
        let measured = self.trials.iter().filter_map(|trial| match &trial.outcome {
            Outcome::Measured(found) => Some((trial, found)),
            Outcome::Unanswered { .. } | Outcome::Checked { .. } | Outcome::Failed { .. } => None,
        });
        // The first of equals: it was the method of choice.
        let best = measured.reduce(|best, next| if next.1.mtu > best.1.mtu { next } else { best });
        match best {
            None => Verdict::Unknown,
            Some((trial, found)) => match (found.limit(), self.largest_echo()) {
                (Limit::Silence | Limit::Rejected { .. }, _) => Verdict::BlackHole(trial, found),
                (_, Some(back)) if back < found.mtu => Verdict::LostOnTheWayBack {
                    there: trial,
                    found,
                    back,
                },
                (Limit::None | Limit::ThisHost | Limit::Router { .. }, _) => Verdict::Carries(trial, found),
            },
        }
    }

    /// Bytes of the largest echo, if larger ones get no answer.
    fn largest_echo(&self) -> Option<u32> {
        self.trials
            .iter()
            .find_map(|trial| match (&trial.method, &trial.outcome) {
                (Method::Icmp, Outcome::Measured(found)) if found.limit() == Limit::Silence => {
                    Some(found.mtu)
                }
                _ => None,
            })
    }

    /// Whether a method with small answers met the same black hole, so that packets are lost on the way there.
    pub fn is_lost_on_the_way_there(&self) -> bool {
        self.trials
            .iter()
            .any(|trial| match (&trial.method, &trial.outcome) {
                (Method::Icmp, _) => false,
                (Method::Udp { .. } | Method::Tcp { .. }, Outcome::Measured(found)) => {
                    found.drops_larger_ones()
                }
                (Method::Udp { .. } | Method::Tcp { .. }, Outcome::Checked { answer, .. }) => {
                    *answer == Reply::Silent
                }
                (_, Outcome::Unanswered { .. } | Outcome::Failed { .. }) => false,
            })
    }

    /// Whether the path is as it should be: no black hole, and at least the `expected` bytes. `None` without a
    /// measurement.
    pub fn is_well(&self, expected: Option<u32>) -> Option<bool> {
        let enough = |found: &Measurement| expected.is_none_or(|expected| found.mtu >= expected);
        match self.verdict() {
            Verdict::Carries(_, found) => Some(enough(found)),
            Verdict::BlackHole(..) | Verdict::LostOnTheWayBack { .. } => Some(false),
            Verdict::Unknown => None,
        }
    }

    /// The routers whose reports came from an address that is not on the path. Empty unless every router
    /// of the path is known.
    pub fn strangers(&self) -> Vec<IpAddr> {
        let (Some(path), Some(found)) = (&self.small, self.verdict().measurement()) else {
            return Vec::new();
        };
        let mut strangers: Vec<IpAddr> = found.reporters().into_iter().map(|(from, _)| from).collect();
        strangers.retain(|from| path.is_complete() && path.hop_of(*from).is_none() && *from != self.target);
        strangers.sort();
        strangers.dedup();
        strangers
    }
}

/// TCP's largest segment for an MTU, bytes: without the headers of IP and TCP (RFC 9293, 3.7.1).
pub fn mss(mtu: u32, target: IpAddr) -> u32 {
    mtu.saturating_sub(if target.is_ipv4() { 40 } else { 60 })
}

/// Whether an address is of a private network: RFC 1918, RFC 6598 (carrier NAT), RFC 4193, link-local.
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || address.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::probe::reply::Reporter;
    use crate::probe::search::Attempt;
    use crate::probe::trace::Hop;

    const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 3, 2));

    fn router(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, last, 1).into()
    }

    fn trial(method: Method, mtu: u32, above: Reply) -> Trial {
        let attempts = vec![Attempt {
            size: mtu + 1,
            reply: above,
        }];
        Trial {
            method,
            outcome: Outcome::Measured(Measurement { mtu, attempts }),
        }
    }

    fn report(trials: Vec<Trial>) -> Report {
        Report {
            target: TARGET,
            route: RouteTo {
                interface: "eth0".parse().unwrap(),
                interface_mtu: 1500,
                ipv6_mtu: None,
                gateway: None,
                route_mtu: None,
                cached_before: None,
                cached_now: None,
            },
            trials,
            small: None,
            large: None,
        }
    }

    #[test]
    fn large_echoes_that_alone_are_lost_are_told_from_a_black_hole() {
        let local = Reply::TooBig {
            mtu: Some(1500),
            from: Reporter::ThisHost,
        };
        let echo = trial(Method::Icmp, 1024, Reply::Silent);
        let alone = report(vec![echo.clone()]);
        assert!(matches!(alone.verdict(), Verdict::BlackHole(..)));
        assert!(!alone.is_lost_on_the_way_there());
        let udp = trial(Method::Udp { port: 33_434 }, 1500, local);
        let both = report(vec![echo.clone(), udp]);
        assert!(matches!(
            both.verdict(),
            Verdict::LostOnTheWayBack { back: 1024, .. }
        ));
        let checked = Trial {
            method: Method::Tcp { port: 443 },
            outcome: Outcome::Checked {
                size: 1025,
                answer: Reply::Silent,
            },
        };
        let there = report(vec![echo, checked]);
        assert!(matches!(there.verdict(), Verdict::BlackHole(..)));
        assert!(there.is_lost_on_the_way_there());
    }

    #[test]
    fn less_than_expected_is_not_well_and_silence_is_no_verdict() {
        let by_router = Reply::TooBig {
            mtu: Some(1400),
            from: Reporter::Router(router(2)),
        };
        let found = report(vec![trial(Method::Icmp, 1400, by_router)]);
        assert_eq!(found.is_well(Some(1400)), Some(true));
        assert_eq!(found.is_well(Some(1401)), Some(false));
        let silent = Trial {
            method: Method::Icmp,
            outcome: Outcome::Unanswered {
                answer: Reply::Silent,
            },
        };
        assert_eq!(report(vec![silent]).is_well(None), None);
    }

    #[test]
    fn a_stranger_is_named_only_where_the_whole_path_is_known() {
        let by_router = Reply::TooBig {
            mtu: Some(1400),
            from: Reporter::Router(router(9)),
        };
        let mut found = report(vec![trial(Method::Icmp, 1400, by_router)]);
        let hops = |last: Option<IpAddr>| Trace {
            size: 68,
            hops: vec![
                Hop {
                    number: 1,
                    address: Some(router(1)),
                },
                Hop {
                    number: 2,
                    address: last,
                },
            ],
            arrived: true,
        };
        found.small = Some(hops(None));
        assert_eq!(found.strangers(), Vec::<IpAddr>::new());
        found.small = Some(hops(Some(router(2))));
        assert_eq!(found.strangers(), [router(9)]);
        found.small = Some(hops(Some(router(9))));
        assert_eq!(found.strangers(), Vec::<IpAddr>::new());
    }

    #[test]
    fn private_addresses() {
        for private in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
