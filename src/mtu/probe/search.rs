//! The search for the largest packet that is answered. Silence is never a measurement: a size counts as passing
//! only if the target answered it.

use std::net::IpAddr;

use serde::Serialize;

use crate::probe::reply::{Reply, Reporter};
use netkeel_core::error::{Error, ErrorKind};

/// The largest size of an IP packet, bytes.
pub const MOST: u32 = 65_535;

/// Most sizes that one search asks. A search over all sizes takes 17.
const SIZES: usize = 40;

/// One size that was asked, and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Bytes of the IP packet, its header included.
    pub size: u32,
    /// The answer.
    #[serde(flatten)]
    pub reply: Reply,
}

/// Why nothing larger passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
        /// The MTU that it reported, bytes; `None` if the report has none.
        reported: Option<u32>,
    },
    /// Something that drops larger packets without a report: a black hole.
    Silence,
}

/// A finished search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measurement {
    /// Bytes of the largest packet that was answered.
    pub mtu: u32,
    /// All sizes in the order in which they were asked.
    pub attempts: Vec<Attempt>,
}

impl Measurement {
    /// The reason why nothing larger passes: the answer to the smallest size that did not pass.
    pub fn limit(&self) -> Limit {
        let above = self.attempts.iter().filter(|attempt| attempt.size > self.mtu);
        match above
            .min_by_key(|attempt| attempt.size)
            .map(|attempt| attempt.reply)
        {
            Some(Reply::TooBig { mtu, from }) => match from {
                Reporter::ThisHost => Limit::ThisHost,
                Reporter::Router(from) => Limit::Router { from, reported: mtu },
            },
            Some(Reply::Silent | Reply::Undelivered { .. }) => Limit::Silence,
            Some(Reply::Answered { .. }) | None => Limit::None,
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
/// accept, and searches below a size that gets no answer.
///
/// # Errors
/// Those of `ask`, and when the answers contradict each other.
pub fn search(least: u32, mut ask: impl FnMut(u32) -> Result<Reply, Error>) -> Result<Searched, Error> {
    let first = ask(least)?;
    let mut attempts = vec![Attempt {
        size: least,
        reply: first,
    }];
    if !matches!(first, Reply::Answered { .. }) {
        return Ok(Searched::Unanswered(first));
    }
    // The largest size that was answered, and the largest that may still pass.
    let (mut fits, mut most) = (least, MOST);
    let mut size = most;
    for _ in 0..SIZES {
        let reply = ask(size)?;
        attempts.push(Attempt { size, reply });
        let mut next = None;
        match reply {
            Reply::Answered { .. } => fits = size,
            Reply::TooBig { mtu: Some(mtu), .. } if mtu < size => {
                most = mtu.max(fits);
                next = Some(most);
            }
            Reply::TooBig { .. } | Reply::Undelivered { .. } | Reply::Silent => most = size - 1,
        }
        if fits >= most {
            return Ok(Searched::Measured(Measurement { mtu: fits, attempts }));
        }
        size = next.unwrap_or(fits + (most - fits).div_ceil(2));
    }
    Err(Error::new(
        ErrorKind::Missing,
        "the answers contradict each other: the path changes, or a router reports a wrong MTU",
    ))
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
        let mut asked = 0;
        let lying = |size: u32| {
            asked += 1;
            Ok(match size {
                0..=1400 => CAME,
                _ if asked < 4 => Reply::Silent,
                _ => from_router(Some(600)),
            })
        };
        let Searched::Measured(found) = search(68, lying).unwrap() else {
            panic!()
        };
        assert!(found.mtu >= 600, "{}", found.mtu);
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
                from_router(Some(size - 1))
            })
        };
        assert!(search(68, restless).is_err());
        assert_eq!(turn, SIZES + 1);
    }
}
