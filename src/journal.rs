//! What an apply writes down before it writes anything else, so that whoever comes after a crash
//! can undo or finish it.
//!
//! A journal is a text of lines. The first is the [`Header`]; then come lines of [`Entry`] steps
//! and, before ops are executed, a line with a dot for each of them. What follows the last newline
//! was torn by a crash and was never acted on.

mod line;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::fact::{Fact, Value};
use crate::ledger::{Claim, NewClaim};
use crate::netns::Netns;
use crate::op::Op;
use crate::plan::Undo;
use line::Steps;

pub use line::StepsLine;

/// The version of the journal's format; a newer one is refused. In format 1 what is absent stood
/// there as null, and what nothing loses as an empty list; formats 1 and 2 had each step by itself,
/// and a mark for each op.
pub const FORMAT: u32 = 3;

/// What stands for an op that is about to be executed. A line of several is written before ops that
/// are executed together.
const MARK: char = '.';

/// The line that says that everything was done and seen to hold: it only waits to be confirmed.
pub const COMPLETE: &str = "+\n";

/// The line that says that undoing has begun: from there on nothing can be finished any more.
pub const UNDOING: &str = "-\n";

/// Whose apply it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Names the apply in the ledger and in the history.
    pub transaction: String,
    /// The boot in which it began: live values do not survive another one.
    pub boot: String,
    /// The namespace.
    pub netns: Netns,
    /// The owner of the document.
    pub owner: String,
    /// The document, by hash.
    pub document: String,
    /// Who runs it, as far as can be told: `root (pid 812): netkeel apply -f x.yaml`.
    pub actor: String,
    /// Seconds since 1970 at which it is undone unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<u64>,
}

/// One step as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The op.
    pub op: Op,
    /// How to undo it.
    pub undo: Undo,
    /// The fact it is for.
    pub fact: Fact,
    /// What the fact was.
    pub found: Option<Value>,
    /// What the fact is to be; none for a step that only keeps a value.
    pub desired: Option<Value>,
}

/// A journal that was left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// Whose.
    pub header: Header,
    /// All steps.
    pub entries: Vec<Entry>,
    /// How many of them may have been executed.
    pub begun: usize,
    /// How many of these were marked last: of them it is not known which were executed.
    together: usize,
    /// What the owner holds no longer once it is committed.
    pub released: Vec<Fact>,
    /// What the kernel changes with it.
    pub beside: Vec<Claim>,
    /// Undoing it was begun, so that some of what was executed may be undone.
    pub undoing: bool,
    /// Everything was done and seen to hold: only the confirmation is missing.
    pub complete: bool,
}

/// The line that is written before so many ops are executed.
pub fn marks(ops: usize) -> String {
    let mut line = MARK.to_string().repeat(ops);
    line.push('\n');
    line
}

impl Journal {
    /// Reads a journal; none where the header or the first steps were not written whole, so that
    /// nothing was done.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when a whole line does not make sense or the format is newer.
    pub fn read(text: &str) -> Result<Option<Self>, Error> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines();
        let Some(first) = lines.next() else {
            return Ok(None);
        };
        let wrong = |error: serde_json::Error| {
            Error::new(ErrorKind::Unreadable, format!("the journal is damaged: {error}")).hint(
                "what that apply did cannot be told any more: look at the host, and then remove the file",
            )
        };
        let header: Header = serde_json::from_str(first).map_err(wrong)?;
        if header.format > FORMAT {
            let message = format!(
                "the journal has format {}; this netkeel reads up to {FORMAT}",
                header.format
            );
            return Err(Error::new(ErrorKind::Unreadable, message).hint("use the netkeel that wrote it"));
        }
        let mut journal = Journal {
            header,
            entries: Vec::new(),
            begun: 0,
            together: 0,
            released: Vec::new(),
            beside: Vec::new(),
            undoing: false,
            complete: false,
        };
        let mut whole_steps = false;
        for line in lines {
            if line.starts_with(MARK) && line.bytes().all(|byte| byte == MARK as u8) {
                journal.together = line.len();
                journal.begun += line.len();
            } else if line == UNDOING.trim_end() {
                journal.undoing = true;
            } else if line == COMPLETE.trim_end() {
                journal.complete = true;
            } else {
                let Steps {
                    steps,
                    runs,
                    released,
                    beside,
                } = serde_json::from_str(line).map_err(wrong)?;
                whole_steps = true;
                // Steps that were added and never reached are not in the way of later marks:
                // an op is marked only after all before it were executed, or together with them.
                journal.entries.extend(steps);
                for run in runs {
                    let entries = run.into_entries();
                    let senseless = || wrong(serde::de::Error::custom("a run of steps makes no sense"));
                    journal.entries.extend(entries.ok_or_else(senseless)?);
                }
                journal.released.extend(released);
                journal.beside.extend(beside);
            }
        }
        journal.begun = journal.begun.min(journal.entries.len());
        journal.together = journal.together.min(journal.begun);
        Ok(whole_steps.then_some(journal))
    }

    /// The ops that undo what may have been executed, those of a step together, the last step first.
    /// Each may be done although its op was not: it then changes nothing.
    pub fn undo(&self) -> impl Iterator<Item = &[Op]> {
        let begun = self.entries[..self.begun].iter().rev();
        begun.map(|entry| entry.undo.ops.as_slice())
    }

    /// The steps that finish it. Those that were marked last are done again.
    pub fn rest(&self) -> &[Entry] {
        &self.entries[self.begun - self.together..]
    }

    /// How many of the [`rest`](Self::rest) were begun before.
    pub fn begun_of_rest(&self) -> usize {
        self.together
    }

    /// What its owner holds once it is finished.
    pub fn claims(&self) -> impl Iterator<Item = NewClaim<'_>> + Clone {
        let written = self.entries.iter().filter(|entry| entry.desired.is_some());
        let claims = written.map(|entry| NewClaim {
            fact: &entry.fact,
            owner: &self.header.owner,
            found: entry.found.as_ref(),
            wrote: entry.desired.as_ref(),
            beside: None,
        });
        claims.chain(self.beside.iter().map(NewClaim::from))
    }

    /// What it was, for messages.
    pub fn describe(&self) -> String {
        let Header { owner, actor, .. } = &self.header;
        let most = if self.together > 1 { "at most " } else { "" };
        format!(
            "an apply for the owner {owner} by {actor} was interrupted after {most}{} of {} writes",
            self.begun,
            self.entries.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Target;
    use crate::plan::{Drift, Plan, Step};

    fn header() -> Header {
        Header {
            format: FORMAT,
            transaction: "t1".into(),
            boot: "b1".into(),
            netns: Netns::CURRENT,
            owner: "default".into(),
            document: "d1".into(),
            actor: "root (pid 1)".into(),
            confirm_by: None,
        }
    }

    fn step(name: &str, from: u32, to: u32) -> Step {
        let target = Target {
            netns: Netns::CURRENT,
            index: 3,
            name: name.parse().unwrap(),
        };
        Step {
            op: Op::SetMtu {
                target: target.clone(),
                mtu: to,
            },
            phase: crate::op::Phase::LowerLinks,
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), crate::fact::Field::Mtu),
            restores: false,
            named: false,
            undo: Undo {
                ops: vec![Op::SetMtu { target, mtu: from }],
                loses: Vec::new(),
            },
            permitted: false,
        }
    }

    fn plan() -> Plan {
        let steps = vec![
            step("a", 1500, 1460),
            step("b", 1500, 1460),
            step("c", 1500, 1460),
        ];
        let drift = steps.iter().map(|step| Drift {
            fact: step.fact.clone(),
            observed: Some(Value::Number(1500)),
            desired: Some(Value::Number(1460)),
            origin: std::sync::Arc::default(),
        });
        Plan {
            owner: "default".into(),
            netns: Netns::CURRENT,
            wanted: 3,
            drift: drift.collect(),
            beside: Vec::new(),
            released: Vec::new(),
            findings: Vec::new(),
            unmatched: Vec::new(),
            problems: Vec::new(),
            steps,
        }
    }

    fn line(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap() + "\n"
    }

    fn text(marks: usize) -> String {
        line(&header()) + &line(&StepsLine::new(&plan(), false)) + &super::marks(1).repeat(marks)
    }

    #[test]
    fn what_is_written_reads_back() {
        let journal = Journal::read(&text(0)).unwrap().unwrap();
        assert_eq!(journal.header, header());
        for (entry, step) in journal.entries.iter().zip(&plan().steps) {
            assert_eq!(
                (&entry.op, &entry.undo, &entry.fact),
                (&step.op, &step.undo, &step.fact)
            );
            assert_eq!(entry.found, Some(Value::Number(1500)));
            assert_eq!(entry.desired, Some(Value::Number(1460)));
        }
        assert!(StepsLine::new(&plan(), true).is_empty());
    }

    #[test]
    fn a_crash_at_any_byte_leaves_a_journal_that_reads() {
        let whole = text(2);
        for cut in 0..=whole.len() {
            let journal = Journal::read(&whole[..cut]).unwrap();
            let begun = journal.map_or(0, |journal| journal.begun);
            assert!(begun <= 2);
        }
    }

    #[test]
    fn only_what_was_done_to_the_end_is_complete() {
        let whole = text(3);
        assert!(!Journal::read(&whole).unwrap().unwrap().complete);
        let journal = Journal::read(&(whole + COMPLETE)).unwrap().unwrap();
        assert!(journal.complete);
        assert_eq!((journal.begun, journal.entries.len()), (3, 3));
    }

    #[test]
    fn what_was_begun_is_undone_last_first_and_the_last_begun_is_finished_again() {
        let journal = Journal::read(&text(2)).unwrap().unwrap();
        let undo: Vec<String> = journal.undo().flatten().map(ToString::to_string).collect();
        assert_eq!(undo, ["ip link set dev b mtu 1500", "ip link set dev a mtu 1500"]);
        let rest: Vec<String> = journal.rest().iter().map(|entry| entry.op.to_string()).collect();
        assert_eq!(rest, ["ip link set dev b mtu 1460", "ip link set dev c mtu 1460"]);
    }

    #[test]
    fn of_those_marked_together_all_are_undone_or_done_again() {
        let journal = Journal::read(&(text(1) + &marks(2))).unwrap().unwrap();
        assert_eq!(journal.undo().count(), 3);
        assert_eq!((journal.rest().len(), journal.begun_of_rest()), (2, 2));
        // A torn line of marks was never acted on.
        let torn = text(1) + &marks(2);
        let journal = Journal::read(torn.trim_end()).unwrap().unwrap();
        assert_eq!((journal.begun, journal.rest().len()), (1, 3));
    }

    /// What differs in nothing but the interface stands there once; all else by itself, in order.
    #[test]
    fn steps_that_are_alike_are_put_down_once() {
        let mut plan = plan();
        let sysctl = |name: &str, value: &str| {
            let target = Target {
                netns: Netns::CURRENT,
                index: 3,
                name: name.parse().unwrap(),
            };
            Op::WriteSysctl {
                netns: Netns::CURRENT,
                key: crate::fact::Field::RpFilter.sysctl_of(target.name).unwrap(),
                value: value.into(),
                link: Some(target),
            }
        };
        for (name, loses) in [("d", false), ("e", false), ("f", true), ("g", false)] {
            plan.steps.push(Step {
                op: sysctl(name, "1"),
                fact: Fact::link(
                    &Netns::CURRENT,
                    name.parse().unwrap(),
                    crate::fact::Field::RpFilter,
                ),
                undo: Undo {
                    ops: vec![sysctl(name, "0")],
                    loses: Vec::from_iter(loses.then(|| "something".to_owned())),
                },
                ..step(name, 0, 0)
            });
        }
        let steps = line(&StepsLine::new(&plan, false));
        insta::assert_snapshot!(steps.trim_end(), @r#"{"runs":[{"alike":{"netns":null,"field":"mtu","wrote":1460,"back":1500,"found":1500,"desired":1460,"links":[[3,"a"],[3,"b"],[3,"c"]]}},{"alike":{"netns":null,"field":"rp-filter","wrote":"1","back":"0","found":null,"desired":null,"links":[[3,"d"],[3,"e"]]},"steps":[{"op":{"op":"write-sysctl","key":"net/ipv4/conf/f/rp_filter","value":"1","link":{"index":3,"name":"f"}},"undo":{"ops":[{"op":"write-sysctl","key":"net/ipv4/conf/f/rp_filter","value":"0","link":{"index":3,"name":"f"}}],"loses":["something"]},"fact":{"object":{"link":"f"},"field":"rp-filter"}}]},{"alike":{"netns":null,"field":"rp-filter","wrote":"1","back":"0","found":null,"desired":null,"links":[[3,"g"]]}}]}"#);
        let journal = Journal::read(&(line(&header()) + &steps)).unwrap().unwrap();
        for (entry, step) in journal.entries.iter().zip(&plan.steps) {
            assert_eq!(
                (&entry.op, &entry.undo, &entry.fact),
                (&step.op, &step.undo, &step.fact)
            );
        }
        assert_eq!(journal.entries.len(), plan.steps.len());
    }

    #[test]
    fn a_newer_format_is_refused() {
        let newer = line(&Header {
            format: FORMAT + 1,
            ..header()
        });
        assert!(
            Journal::read(&newer)
                .unwrap_err()
                .message
                .contains("reads up to 3")
        );
    }

    /// As the netkeel that had format 1 wrote it.
    const OF_FORMAT_1: &str = r#"{"format":1,"transaction":"t1","boot":"b1","netns":null,"owner":"default","document":"d1","actor":"root (pid 1)"}
{"steps":[{"op":{"op":"set-mtu","target":{"netns":null,"index":3,"name":"cali1"},"mtu":1460},"undo":{"ops":[{"op":"set-mtu","target":{"netns":null,"index":3,"name":"cali1"},"mtu":1500}],"loses":[]},"fact":{"netns":null,"object":{"link":"cali1"},"field":"mtu"},"found":1500,"desired":1460},{"op":{"op":"write-sysctl","netns":null,"key":"net/ipv4/tcp_mtu_probing","value":"1","link":null},"undo":{"ops":[{"op":"write-sysctl","netns":null,"key":"net/ipv4/tcp_mtu_probing","value":"0","link":null}],"loses":[]},"fact":{"netns":null,"object":{"sysctl":"net/ipv4/tcp_mtu_probing"},"field":"value"},"found":"0","desired":null}]}
.
.
"#;

    #[test]
    fn an_older_format_is_read() {
        let journal = Journal::read(OF_FORMAT_1).unwrap().unwrap();
        assert_eq!((journal.begun, journal.entries.len()), (2, 2));
        assert_eq!(journal.entries[0].fact, step("cali1", 1500, 1460).fact);
        let undo: Vec<String> = journal.undo().flatten().map(ToString::to_string).collect();
        assert_eq!(
            undo,
            [
                "sysctl -w net.ipv4.tcp_mtu_probing=0",
                "ip link set dev cali1 mtu 1500"
            ]
        );
        let claims: Vec<NewClaim<'_>> = journal.claims().collect();
        assert_eq!(claims.len(), 1, "a step that only keeps a value claims nothing");
        assert_eq!(claims[0].found, Some(&Value::Number(1500)));
    }
}
