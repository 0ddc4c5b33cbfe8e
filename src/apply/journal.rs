//! The journal: an apply writes its plan here before any other write, so that a later command can undo or
//! finish it after a crash.
//!
//! A journal is a text of JSON lines: the `Header`, then one `Line` for each step and for each event.
//! A list of steps counts from its `Line::Planned` on. A crash may leave a torn line after
//! the last newline; no op was executed for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Value};
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_plan::ledger::OwnershipRecord;
use netkeel_plan::plan::{Drift, Plan, Undo};

/// The version of the journal's format; any other is refused.
pub(crate) const FORMAT: u32 = 1;

/// The first line of a journal: whose apply it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// `FORMAT`.
    pub format: u32,
    /// Names the apply in the ledger and in the history.
    pub transaction: String,
    /// The boot in which it began: live values do not survive another one.
    pub boot: String,
    /// The namespace.
    #[serde(default, skip_serializing_if = "netkeel_core::name::netns::Netns::is_current")]
    pub netns: Netns,
    /// The owner of the document.
    pub owner: String,
    /// The document, by hash.
    pub document: String,
    /// The user and process that run the apply, as far as known: `root (pid 812): netkeel apply -f x.yaml`.
    pub actor: String,
    /// Seconds since 1970 at which it is undone unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_by: Option<u64>,
}

/// A line of a journal after the [`Header`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A step of the plan.
    Step(Box<Entry>),
    /// A fact that the owner no longer holds once the apply is committed.
    Release(Fact),
    /// A fact that the kernel changes with the fact of a step.
    SideEffect(Box<OwnershipRecord>),
    /// The list of steps is whole: it has this many lines. Without this line, none of them counts.
    Planned {
        /// The number of lines before this one, back to the one before the list.
        lines: usize,
    },
    /// The op of a step is about to be executed. Whether it was is not known until the next line.
    Begun {
        /// The number of the step in this journal, from 1.
        step: usize,
    },
    /// Every op was executed and every fact has its value. Only the confirmation is missing.
    Complete {},
    /// Undoing has begun. From here on the apply cannot be finished.
    Undoing {},
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
    /// The value before the apply; `None` if the fact was absent.
    #[serde(deserialize_with = "Option::deserialize")]
    pub found: Option<Value>,
    /// The wanted value; `None` for a step that only keeps a value.
    #[serde(deserialize_with = "Option::deserialize")]
    pub desired: Option<Value>,
}

/// A journal that was left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// Whose.
    pub header: Header,
    /// All steps.
    pub entries: Vec<Entry>,
    /// How many of them may have been executed: of the last of these it is not known.
    pub begun: usize,
    /// What the owner holds no longer once it is committed.
    pub released: Vec<Fact>,
    /// What the kernel changes with it.
    pub beside: Vec<OwnershipRecord>,
    /// Undoing it was begun, so that some of what was executed may be undone.
    pub undoing: bool,
    /// Everything was done and seen to hold: only the confirmation is missing.
    pub complete: bool,
}

/// The list of the steps of a plan that are about files, or of those that are not. The facts that are
/// released and the side effects belong to those that are not.
pub(crate) fn steps(plan: &Plan, durable: bool) -> Vec<Line> {
    let drifts: BTreeMap<&Fact, &Drift> = plan.drift.iter().map(|drift| (&drift.fact, drift)).collect();
    let mut lines = Vec::new();
    for step in plan.steps.iter().filter(|step| step.op.is_durable() == durable) {
        let drift = drifts.get(&step.fact);
        lines.push(Line::Step(Box::new(Entry {
            op: step.op.clone(),
            undo: step.undo.clone(),
            fact: step.fact.clone(),
            found: drift.and_then(|drift| drift.observed.clone()),
            desired: drift.and_then(|drift| drift.desired.clone()),
        })));
    }
    if !durable {
        lines.extend(plan.released.iter().cloned().map(Line::Release));
        lines.extend(plan.beside.iter().cloned().map(Box::new).map(Line::SideEffect));
    }
    lines.push(Line::Planned { lines: lines.len() });
    lines
}

impl Journal {
    /// Reads a journal; none where the header or the first steps were not written whole, so that
    /// nothing was done.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when a whole line does not make sense or the format is another one.
    pub fn read(text: &str) -> Result<Option<Self>, Error> {
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..end).unwrap_or_default());
        let mut lines = whole.lines();
        let Some(first) = lines.next() else {
            return Ok(None);
        };
        let mut journal = Journal {
            header: header(first)?,
            entries: Vec::new(),
            begun: 0,
            released: Vec::new(),
            beside: Vec::new(),
            undoing: false,
            complete: false,
        };
        let mut is_planned = false;
        let mut list = List::default();
        for line in lines {
            match serde_json::from_str(line).map_err(|error| damaged(&error))? {
                Line::Step(entry) => list.entries.push(*entry),
                Line::Release(fact) => list.released.push(fact),
                Line::SideEffect(claim) => list.beside.push(*claim),
                Line::Planned { lines } if lines == list.len() => {
                    is_planned = true;
                    journal.add(std::mem::take(&mut list));
                }
                Line::Planned { lines } => {
                    let message = format!("a list of {lines} lines has {}", list.len());
                    return Err(damaged(&message));
                }
                Line::Begun { step } if step == journal.begun + 1 && step <= journal.entries.len() => {
                    journal.begun = step;
                }
                Line::Begun { step } => {
                    let (begun, all) = (journal.begun, journal.entries.len());
                    return Err(damaged(&format!(
                        "step {step} of {all} begins after step {begun}"
                    )));
                }
                Line::Complete {} => journal.complete = true,
                Line::Undoing {} => journal.undoing = true,
            }
        }
        Ok(is_planned.then_some(journal))
    }

    fn add(&mut self, list: List) {
        self.entries.extend(list.entries);
        self.released.extend(list.released);
        self.beside.extend(list.beside);
    }

    /// The ops that undo what may have been executed, those of a step together, the last step first.
    /// Each may be done although its op was not: it then changes nothing.
    pub fn undo(&self) -> impl Iterator<Item = &[Op]> {
        let begun = self.entries.iter().take(self.begun).rev();
        begun.map(|entry| entry.undo.ops.as_slice())
    }

    /// The steps that finish it, each with its number. The one that was begun last is done again.
    pub fn rest(&self) -> impl Iterator<Item = (usize, &Entry)> {
        (1..).zip(&self.entries).skip(self.begun.saturating_sub(1))
    }

    /// What its owner holds once it is finished.
    pub fn claims(&self) -> impl Iterator<Item = OwnershipRecord> {
        let written = self.entries.iter().filter(|entry| entry.desired.is_some());
        let claims = written.map(|entry| OwnershipRecord {
            fact: entry.fact.clone(),
            owner: self.header.owner.clone(),
            found: entry.found.clone(),
            wrote: entry.desired.clone(),
            caused_by: None,
        });
        claims.chain(self.beside.iter().cloned())
    }

    /// What it was, for messages.
    pub fn describe(&self) -> String {
        let Header { owner, actor, .. } = &self.header;
        format!(
            "an apply for the owner {owner} by {actor} was interrupted after {} of {} writes",
            self.begun,
            self.entries.len()
        )
    }
}

/// A list of steps while it is read.
#[derive(Default)]
struct List {
    entries: Vec<Entry>,
    released: Vec<Fact>,
    beside: Vec<OwnershipRecord>,
}

impl List {
    fn len(&self) -> usize {
        self.entries.len() + self.released.len() + self.beside.len()
    }
}

/// The header. Its format is read first: another format may have other keys.
pub fn header(line: &str) -> Result<Header, Error> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let wrong = |error: serde_json::Error| damaged(&error);
    let Version { format } = serde_json::from_str(line).map_err(wrong)?;
    if format != FORMAT {
        let message = format!("the journal has format {format}; this netkeel reads format {FORMAT}");
        return Err(Error::new(ErrorKind::Unreadable, message).hint("use the netkeel that wrote it"));
    }
    serde_json::from_str(line).map_err(wrong)
}

fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unreadable, format!("the journal is damaged: {why}"))
        .hint("what that apply did cannot be told any more: look at the host, and then remove the file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::op::Target;
    use netkeel_plan::loss::Loss;
    use netkeel_plan::plan::Step;

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
            changes: Vec::new(),
            op: Op::SetMtu {
                target: target.clone(),
                mtu: to,
            },
            phase: netkeel_core::op::Phase::LowerLinks,
            fact: Fact::link(
                &Netns::CURRENT,
                name.parse().unwrap(),
                netkeel_core::fact::Field::Mtu,
            ),
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

    fn begin() -> String {
        let steps: String = steps(&plan(), false).iter().map(line).collect();
        line(&header()) + &steps
    }

    fn begun(step: usize) -> String {
        line(&Line::Begun { step })
    }

    fn text(marks: usize) -> String {
        begin() + &(1..=marks).map(begun).collect::<String>()
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
        assert_eq!(steps(&plan(), true), [Line::Planned { lines: 0 }]);
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
        let journal = Journal::read(&(whole + &line(&Line::Complete {})))
            .unwrap()
            .unwrap();
        assert!(journal.complete);
        assert_eq!((journal.begun, journal.entries.len()), (3, 3));
    }

    #[test]
    fn what_was_begun_is_undone_last_first_and_the_last_begun_is_finished_again() {
        let journal = Journal::read(&text(2)).unwrap().unwrap();
        let undo: Vec<String> = journal.undo().flatten().map(ToString::to_string).collect();
        assert_eq!(undo, ["ip link set dev b mtu 1500", "ip link set dev a mtu 1500"]);
        let rest: Vec<String> = journal.rest().map(|(_, entry)| entry.op.to_string()).collect();
        assert_eq!(rest, ["ip link set dev b mtu 1460", "ip link set dev c mtu 1460"]);
    }

    #[test]
    fn a_torn_mark_was_never_acted_on() {
        let journal = Journal::read(text(2).trim_end()).unwrap().unwrap();
        assert_eq!((journal.begun, journal.rest().count()), (1, 3));
        let numbers: Vec<usize> = journal.rest().map(|(number, _)| number).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[test]
    fn a_mark_out_of_order_is_refused() {
        for (text, why) in [
            (text(1) + &begun(1), "step 1 of 3 begins after step 1"),
            (text(0) + &begun(2), "step 2 of 3 begins after step 0"),
            (text(3) + &begun(4), "step 4 of 3 begins after step 3"),
        ] {
            let error = Journal::read(&text).unwrap_err();
            assert_eq!(error.message, format!("the journal is damaged: {why}"));
        }
    }

    /// A second pass whose list is torn adds nothing, wherever it is torn.
    #[test]
    fn a_list_of_steps_counts_when_it_is_whole() {
        let whole = text(3);
        let second: Vec<String> = steps(&plan(), false).iter().map(line).collect();
        for lines in 0..second.len() {
            let torn = whole.clone() + &second[..lines].concat() + &line(&Line::Undoing {});
            let journal = Journal::read(&torn).unwrap().unwrap();
            assert_eq!((journal.entries.len(), journal.undoing), (3, true));
        }
        let journal = Journal::read(&(whole.clone() + &second.concat()))
            .unwrap()
            .unwrap();
        assert_eq!((journal.begun, journal.entries.len()), (3, 6));
        let missing = whole + &second[1..].concat();
        let error = Journal::read(&missing).unwrap_err();
        assert_eq!(error.message, "the journal is damaged: a list of 3 lines has 2");
    }

    /// Somebody reads these lines after a crash: a line of each kind as it is in the file.
    #[test]
    fn each_kind_of_line_reads_well() {
        let mut plan = plan();
        plan.steps.truncate(1);
        plan.steps[0].undo.loses = vec![Loss::Ipv6Settings {
            link: "a".parse().unwrap(),
        }];
        plan.released = vec![step("d", 0, 0).fact];
        plan.beside = vec![OwnershipRecord {
            fact: Fact::link(
                &Netns::CURRENT,
                "e".parse().unwrap(),
                netkeel_core::fact::Field::Mtu,
            ),
            owner: "default".into(),
            found: None,
            wrote: Some(Value::Number(1460)),
            caused_by: Some(Box::new(plan.steps[0].fact.clone())),
        }];
        let mut lines = vec![line(&header())];
        lines.extend(steps(&plan, false).iter().map(line));
        lines.extend(
            [Line::Begun { step: 1 }, Line::Complete {}, Line::Undoing {}]
                .iter()
                .map(line),
        );
        let text = lines.concat();
        insta::assert_snapshot!(text.trim_end(), @r#"
        {"format":1,"transaction":"t1","boot":"b1","owner":"default","document":"d1","actor":"root (pid 1)"}
        {"step":{"op":{"op":"set-mtu","target":{"index":3,"name":"a"},"mtu":1460},"undo":{"ops":[{"op":"set-mtu","target":{"index":3,"name":"a"},"mtu":1500}],"loses":[{"ipv6_settings":{"link":"a"}}]},"fact":{"object":{"link":"a"},"field":"mtu"},"found":1500,"desired":1460}}
        {"release":{"object":{"link":"d"},"field":"mtu"}}
        {"side_effect":{"fact":{"object":{"link":"e"},"field":"mtu"},"owner":"default","found":null,"wrote":1460,"caused_by":{"object":{"link":"a"},"field":"mtu"}}}
        {"planned":{"lines":3}}
        {"begun":{"step":1}}
        {"complete":{}}
        {"undoing":{}}
        "#);
        let journal = Journal::read(&text).unwrap().unwrap();
        assert_eq!(
            (&journal.released, &journal.beside),
            (&plan.released, &plan.beside)
        );
        let claimed: Vec<String> = journal.claims().map(|claim| claim.fact.to_string()).collect();
        assert_eq!(claimed.len(), 2);
    }

    #[test]
    fn a_step_that_only_keeps_a_value_claims_nothing() {
        let mut plan = plan();
        plan.drift.remove(1);
        let steps: String = steps(&plan, false).iter().map(line).collect();
        let journal = Journal::read(&(line(&header()) + &steps)).unwrap().unwrap();
        assert_eq!((journal.entries.len(), journal.claims().count()), (3, 2));
    }

    #[test]
    fn another_format_is_refused_whatever_its_header_has() {
        let newer = format!("{{\"format\":{},\"of-the-future\":1}}\n", FORMAT + 1);
        let error = Journal::read(&newer).unwrap_err();
        assert_eq!(
            error.message,
            "the journal has format 2; this netkeel reads format 1"
        );
    }
}
