//! The end of the changes of policies by a pass.

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
    /// Another pass is to come.
    Open,
}

impl ChangeEnd {
    /// The end of changes by a pass over `extent`, which `writes` or not.
    pub(crate) fn of(extent: &Extent, passed: &PassResult, writes: bool) -> Self {
        let failed = || ChangeEnd::Failed {
            why: passed
                .failure
                .clone()
                .unwrap_or_else(|| "the pass failed".to_owned()),
            may_pass: passed.rollback.is_none(),
        };
        match &passed.outcome {
            _ if !writes => ChangeEnd::Open,
            Outcome::Blamed(_) | Outcome::Failed => failed(),
            // Something else is in the way, as the lock of another process.
            Outcome::Blocked => ChangeEnd::Open,
            Outcome::Kept(_) | Outcome::Looked if *extent == Extent::All && passed.failure.is_none() => {
                ChangeEnd::Holds
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
                ChangeEnd::Open,
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
            assert_eq!(ChangeEnd::of(&extent, &passed(outcome, failure), writes), end);
        }
    }
}
