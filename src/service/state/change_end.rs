//! The end of the changes of policies by a pass.

use netkeel_document::policy::Policy;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::Outcome;
use netkeel_reconcile::pass_result::PassResult;

/// The end of the changes that a pass was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ChangeEnd {
    /// They hold.
    Holds,
    /// They failed, for this reason. Nothing of them is left.
    Failed {
        /// One line.
        why: String,
        /// Nothing was written: it may have been a moment in which something could not be read.
        may_pass: bool,
    },
    /// Not all parts of them could be written, for this reason. The others were.
    Partly(String),
    /// No pass could start, for this reason.
    Blocked(String),
    /// Another pass is to come.
    Open,
}

/// The reasons why a pass for changes may not have changed everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts {
    /// Why it did not write all that the changed policies declare.
    pub(crate) held_back: Option<String>,
    /// It failed at facts that none of them declares, and the next pass leaves those out.
    pub(crate) of_others: bool,
}

/// The part of the host that a pass covers which was due over `extent`: while changes of policies are not confirmed, all of it.
/// A part would commit a part of a change.
pub(crate) fn covered(extent: Extent, changing: &[Policy]) -> Extent {
    match changing.is_empty() {
        true => extent,
        false => Extent::All,
    }
}

impl ChangeEnd {
    /// The end of changes by a pass over `extent`, which `writes` or not.
    pub(crate) fn of(extent: &Extent, passed: &PassResult, writes: bool, doubts: Doubts) -> Self {
        let failure = passed.failure.clone();
        let why = || failure.unwrap_or_else(|| "the pass failed".to_owned());
        let undone = passed
            .rollback
            .as_ref()
            .is_none_or(|rollback| rollback.remaining.is_empty());
        let failed = |why: String| ChangeEnd::Failed {
            why,
            may_pass: passed.rollback.is_none(),
        };
        match &passed.outcome {
            _ if !writes => ChangeEnd::Open,
            Outcome::Blamed(_) if doubts.of_others && undone => ChangeEnd::Open,
            Outcome::Blamed(_) | Outcome::Failed => failed(why()),
            // Something else is in the way, as the lock of another process.
            Outcome::Blocked | Outcome::Waits => ChangeEnd::Blocked(why()),
            Outcome::Kept(_) | Outcome::Looked if *extent == Extent::All && passed.failure.is_none() => {
                match doubts.held_back {
                    None => ChangeEnd::Holds,
                    Some(why) => ChangeEnd::Partly(why),
                }
            }
            Outcome::Kept(_) | Outcome::Looked => ChangeEnd::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_pass_that_wrote_or_had_nothing_to_write_ends_a_change() {
        let passed = |outcome: Outcome, failure: Option<&str>| PassResult {
            failure: failure.map(str::to_owned),
            ..PassResult::failed(outcome, "")
        };
        let kept = || Outcome::Kept(Vec::new());
        let failed = ChangeEnd::Failed {
            why: "no".to_owned(),
            may_pass: true,
        };
        for (extent, outcome, failure, writes, end) in [
            (Extent::All, kept(), None, true, ChangeEnd::Holds),
            (Extent::All, kept(), None, false, ChangeEnd::Open),
            (Extent::Rest, kept(), None, true, ChangeEnd::Open),
            (
                Extent::All,
                Outcome::Blocked,
                Some("locked"),
                true,
                ChangeEnd::Blocked("locked".to_owned()),
            ),
            (Extent::All, Outcome::Failed, Some("no"), true, failed.clone()),
            (
                Extent::Rest,
                Outcome::Blamed(Vec::new()),
                Some("no"),
                true,
                failed,
            ),
        ] {
            let passed = passed(outcome, failure);
            assert_eq!(ChangeEnd::of(&extent, &passed, writes, Doubts::default()), end);
        }
    }

    #[test]
    fn a_change_holds_only_if_all_of_it_was_written_and_does_not_fail_by_what_others_declare() {
        let of_others = Doubts {
            of_others: true,
            ..Doubts::default()
        };
        let held_back = Doubts {
            held_back: Some("unread".to_owned()),
            ..Doubts::default()
        };
        let kept = PassResult {
            failure: None,
            ..PassResult::failed(Outcome::Kept(Vec::new()), "")
        };
        let blamed = PassResult::failed(Outcome::Blamed(Vec::new()), "no");
        let failed = PassResult::failed(Outcome::Failed, "no");
        let fails = ChangeEnd::Failed {
            why: "no".to_owned(),
            may_pass: true,
        };
        for (passed, doubts, end) in [
            (&kept, held_back, ChangeEnd::Partly("unread".to_owned())),
            (&kept, Doubts::default(), ChangeEnd::Holds),
            (&blamed, of_others.clone(), ChangeEnd::Open),
            (&blamed, Doubts::default(), fails.clone()),
            // Nobody knows at which facts it failed.
            (&failed, of_others, fails),
        ] {
            assert_eq!(ChangeEnd::of(&Extent::All, passed, true, doubts), end);
        }
    }
}
