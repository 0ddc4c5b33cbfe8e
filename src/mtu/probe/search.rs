//! The search for the largest packet that is answered. Silence is never a measurement: a size counts as passing
//! only if the target answered it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::probe::reply::{Reply, Reporter};
use netkeel_core::error::{Error, ErrorKind};

/// The largest size of an IP packet, bytes.
pub const MOST: u32 = 65_535;

/// Most sizes that one search asks. A search over all sizes takes 17.
const SIZES: usize = 40;

/// One size that was asked, and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempt {
    /// Bytes of the IP packet, its header included.
    pub size: u32,
    /// The answer.
    #[serde(flatten)]
    pub reply: Reply,
}

/// Why nothing larger passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "limit", rename_all = "kebab-case")]
pub enum Limit {
    /// The largest IP packet passes.
    None,
    /// The interface of this host.
    ThisHost,
    /// A router that reported it, as it must.
    Router {
        /// Its address in the report.
        from: IpAddr,
        /// The MTU that it reported, bytes; `None` if the report lacks it.
        reported: Option<u32>,
    },
    /// A router rejects larger packets for another reason than their size.
    Rejected {
        /// Its address.
        from: IpAddr,
        /// The reason, from its ICMP code.
        reason: &'static str,
    },
    /// Something that drops larger packets without a report: a black hole.
    Silence,
}

/// A finished search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Measurement {
    /// Bytes of the largest packet that was answered.
    pub mtu: u32,
    /// All sizes in the order in which they were asked.
    pub attempts: Vec<Attempt>,
}

impl Measurement {
    /// The reason why nothing larger passes: a report of exactly this MTU, otherwise the answer to the smallest
    /// size that did not pass.
    pub fn limit(&self) -> Limit {
        let passed = |attempt: &&Attempt| matches!(attempt.reply, Reply::Answered { .. });
        let above = self
            .attempts
            .iter()
            .filter(|attempt| attempt.size > self.mtu && !passed(attempt));
        let reported = |attempt: &&Attempt| match attempt.reply {
            Reply::TooBig { mtu, .. } => mtu == Some(self.mtu),
            Reply::Answered { .. } | Reply::Undelivered { .. } | Reply::Silent => false,
        };
        let decisive = above
            .clone()
            .find(reported)
            .or_else(|| above.min_by_key(|attempt| attempt.size));
        match decisive.map(|attempt| attempt.reply) {
            Some(Reply::TooBig { mtu, from }) => match from {
                Reporter::ThisHost => Limit::ThisHost,
                Reporter::Router(from) => Limit::Router { from, reported: mtu },
            },
            Some(Reply::Undelivered { from, reason }) => Limit::Rejected { from, reason },
            Some(Reply::Silent) => Limit::Silence,
            Some(Reply::Answered { .. }) | None => Limit::None,
        }
    }

    /// Whether larger packets are dropped without a report of their size.
    pub fn drops_larger_ones(&self) -> bool {
        match self.limit() {
            Limit::Silence | Limit::Rejected { .. } => true,
            Limit::None | Limit::ThisHost | Limit::Router { .. } => false,
        }
    }

    /// The attempt with this size.
    pub fn attempt(&self, size: u32) -> Option<&Attempt> {
        self.attempts.iter().rev().find(|attempt| attempt.size == size)
    }

    /// Bytes of the largest piece in which an answer came back; `None` if the answers are small by their nature.
    pub fn back(&self) -> Option<u32> {
        let back = |attempt: &Attempt| match attempt.reply {
            Reply::Answered { back, .. } => back,
            Reply::TooBig { .. } | Reply::Undelivered { .. } | Reply::Silent => None,
        };
        self.attempts.iter().filter_map(back).max()
    }

    /// Reports of routers, the smallest MTU first.
    pub fn reporters(&self) -> Vec<(IpAddr, Option<u32>)> {
        let mut found: Vec<_> = self
            .attempts
            .iter()
            .filter_map(|attempt| match attempt.reply {
                Reply::TooBig {
                    mtu,
                    from: Reporter::Router(from),
                } => Some((from, mtu)),
                _ => None,
            })
            .collect();
        found.sort_by_key(|(from, mtu)| (mtu.unwrap_or(0), *from));
        found.dedup();
        found
    }
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Searched {
    /// The path was measured.
    Measured(Measurement),
    /// Not even a small packet was answered: this is its answer.
    Unanswered(Reply),
}

/// Asks with `least` bytes first, then with the largest packet that the interface and each router on the way
/// accept, and searches below a size that gets no answer. The size above the result is asked once more at the
/// end: packets may have been lost, and a router may have reported too little.
///
/// # Errors
/// Those of `ask`, and when the answers contradict each other.
pub fn search(least: u32, mut ask: impl FnMut(u32) -> Result<Reply, Error>) -> Result<Searched, Error> {
    let first = ask(least)?;
    if !matches!(first, Reply::Answered { .. }) {
        return Ok(Searched::Unanswered(first));
    }
    let mut bounds = Bounds {
        fits: least,
        refused: BTreeMap::new(),
        wrong: BTreeSet::new(),
    };
    let mut attempts = vec![Attempt {
        size: least,
        reply: first,
    }];
    let mut size = MOST;
    let mut confirmed = None;
    for _ in 0..SIZES {
        let reply = ask(size)?;
        attempts.push(Attempt { size, reply });
        let limited = bounds.learn(size, reply);
        let (fits, most) = (bounds.fits, bounds.most());
        size = if fits < most {
            // A report names the next size to ask.
            if limited {
                most
            } else {
                fits + (most - fits).div_ceil(2)
            }
        } else if confirmed == Some(fits) || !bounds.needs_a_second_look() {
            // Reports that proved wrong, and sizes that passed later, are no limits.
            attempts.retain(|attempt| bounds.stands(attempt));
            return Ok(Searched::Measured(Measurement { mtu: fits, attempts }));
        } else {
            confirmed = Some(fits);
            fits + 1
        };
    }
    Err(Error::new(
        ErrorKind::Missing,
        "the answers contradict each other: the path changes, or a router reports a wrong MTU",
    ))
}

/// The bounds of the result by the answers so far.
struct Bounds {
    /// Bytes of the largest packet that was answered.
    fits: u32,
    /// The sizes that were not answered, with the answers.
    refused: BTreeMap<u32, Reply>,
    /// Routers that reported less than what passes.
    wrong: BTreeSet<IpAddr>,
}

impl Bounds {
    /// Takes an answer. Returns whether it is a report with an MTU.
    fn learn(&mut self, size: u32, reply: Reply) -> bool {
        if matches!(reply, Reply::Answered { .. }) {
            self.fits = self.fits.max(size);
            for refused in self.refused.values() {
                if let Some((from, mtu)) = report(*refused)
                    && mtu < self.fits
                {
                    self.wrong.insert(from);
                }
            }
            self.refused.retain(|refused, _| *refused > size);
            return false;
        }
        self.refused.insert(size, reply);
        self.bound(size, reply) < size - 1
    }

    /// Bytes of the largest packet that may pass, by one answer.
    fn bound(&self, size: u32, reply: Reply) -> u32 {
        match reply {
            Reply::TooBig { mtu: Some(mtu), from } if mtu < size => match from {
                Reporter::Router(from) if self.wrong.contains(&from) => size - 1,
                Reporter::Router(_) | Reporter::ThisHost => mtu,
            },
            _ => size - 1,
        }
    }

    /// Bytes of the largest packet that may pass.
    fn most(&self) -> u32 {
        let bounds = self.refused.iter().map(|(size, reply)| self.bound(*size, *reply));
        bounds.min().unwrap_or(MOST).max(self.fits)
    }

    /// Whether the limit rests on silence, or on the word of a router.
    fn needs_a_second_look(&self) -> bool {
        let limits = self
            .refused
            .iter()
            .filter(|(size, reply)| self.bound(**size, **reply) <= self.fits);
        let of_this_host = |reply: &Reply| {
            matches!(
                reply,
                Reply::TooBig {
                    from: Reporter::ThisHost,
                    ..
                }
            )
        };
        self.fits < MOST && !limits.into_iter().any(|(_, reply)| of_this_host(reply))
    }

    /// Whether an attempt agrees with the result.
    fn stands(&self, attempt: &Attempt) -> bool {
        match attempt.reply {
            Reply::Answered { .. } => true,
            Reply::TooBig { .. } | Reply::Undelivered { .. } | Reply::Silent => {
                let proved_wrong = report(attempt.reply).is_some_and(|(from, _)| self.wrong.contains(&from));
                attempt.size > self.fits && !proved_wrong
            }
        }
    }
}

/// The router and the MTU of a report.
fn report(reply: Reply) -> Option<(IpAddr, u32)> {
    match reply {
        Reply::TooBig {
            mtu: Some(mtu),
            from: Reporter::Router(from),
        } => Some((from, mtu)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    const CAME: Reply = Reply::Answered {
        after: None,
        back: None,
    };

    fn from_router(mtu: Option<u32>) -> Reply {
        Reply::TooBig {
            mtu,
            from: Reporter::Router(ROUTER),
        }
    }

    /// A path that carries `mtu` bytes below an interface of 1500; `report` is the answer to what is too large.
    fn path(mtu: u32, report: Reply) -> impl FnMut(u32) -> Result<Reply, Error> {
        move |size| {
            Ok(match size {
                _ if size > 1500 => Reply::TooBig {
                    mtu: Some(1500),
                    from: Reporter::ThisHost,
                },
                _ if size <= mtu => CAME,
                _ => match report {
                    Reply::TooBig { mtu: Some(at), .. } if size <= at => Reply::Silent,
                    report => report,
                },
            })
        }
    }

    fn measured(mtu: u32, report: Reply) -> Measurement {
        match search(68, path(mtu, report)).unwrap() {
            Searched::Measured(found) => found,
            Searched::Unanswered(reply) => panic!("{reply:?}"),
        }
    }

    #[test]
    fn the_largest_answered_size_is_found_whoever_reports_and_nobody() {
        for mtu in [68, 69, 576, 1280, 1399, 1400, 1499, 1500] {
            for report in [from_router(Some(mtu)), from_router(None), Reply::Silent] {
                assert_eq!(measured(mtu, report).mtu, mtu, "{report:?}");
            }
        }
    }

    #[test]
    fn the_limit_is_the_answer_to_the_next_larger_size() {
        let limit = |mtu, report| measured(mtu, report).limit();
        assert_eq!(limit(1500, Reply::Silent), Limit::ThisHost);
        assert_eq!(limit(1400, Reply::Silent), Limit::Silence);
        let router = |reported| Limit::Router {
            from: ROUTER,
            reported,
        };
        assert_eq!(limit(1400, from_router(Some(1400))), router(Some(1400)));
        assert_eq!(limit(1400, from_router(None)), router(None));
        // A router that reports 1460 before a black hole of 1400.
        assert_eq!(limit(1400, from_router(Some(1460))), Limit::Silence);
    }

    #[test]
    fn a_report_below_what_passes_does_not_lower_the_result() {
        let mut lies = 0;
        let lying = |size: u32| {
            Ok(match size {
                0..=1400 => CAME,
                _ if size > 1500 => Reply::TooBig {
                    mtu: Some(1500),
                    from: Reporter::ThisHost,
                },
                _ if lies == 0 => {
                    lies += 1;
                    from_router(Some(600))
                }
                _ => Reply::Silent,
            })
        };
        let Searched::Measured(found) = search(68, lying).unwrap() else {
            panic!()
        };
        assert_eq!((found.mtu, found.limit()), (1400, Limit::Silence));
    }

    #[test]
    fn packets_that_were_lost_by_chance_are_no_black_hole() {
        // The first so many packets of 1500 bytes are lost, and all packets of three other sizes once.
        let mut lost = BTreeMap::from([(1500, 1), (784, 1), (1250, 1)]);
        let lossy = |size: u32| {
            let left = lost.get_mut(&size).filter(|left| **left > 0);
            if let Some(left) = left {
                *left -= 1;
                return Ok(Reply::Silent);
            }
            path(1500, Reply::Silent)(size)
        };
        let Searched::Measured(found) = search(68, lossy).unwrap() else {
            panic!()
        };
        assert_eq!((found.mtu, found.limit()), (1500, Limit::ThisHost));
    }

    #[test]
    fn a_router_that_reports_rarely_is_the_limit_all_the_same() {
        let mut reports = 0;
        let rare = |size: u32| {
            Ok(match size {
                0..=1400 => CAME,
                _ if reports == 0 => {
                    reports += 1;
                    from_router(Some(1400))
                }
                _ => Reply::Silent,
            })
        };
        let Searched::Measured(found) = search(68, rare).unwrap() else {
            panic!()
        };
        let router = Limit::Router {
            from: ROUTER,
            reported: Some(1400),
        };
        assert_eq!((found.mtu, found.limit()), (1400, router));
    }

    #[test]
    fn a_rejection_is_told_from_silence() {
        let rejection = Reply::Undelivered {
            from: ROUTER,
            reason: "administratively prohibited",
        };
        let found = measured(1400, rejection);
        let rejected = Limit::Rejected {
            from: ROUTER,
            reason: "administratively prohibited",
        };
        assert_eq!((found.mtu, found.limit()), (1400, rejected));
    }

    #[test]
    fn silence_at_first_is_no_measurement_and_restless_answers_are_none() {
        let silent = search(68, |_| Ok(Reply::Silent)).unwrap();
        assert_eq!(silent, Searched::Unanswered(Reply::Silent));
        let mut turn = 0;
        let restless = |size: u32| {
            turn += 1;
            Ok(if size == 68 {
                CAME
            } else {
                from_router(Some(size - 2))
            })
        };
        assert!(search(68, restless).is_err());
        assert_eq!(turn, SIZES + 1);
    }
}
