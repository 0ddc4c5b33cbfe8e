//! The last pass that wrote.

use serde::Serialize;

use crate::pass_result::PassResult;

/// The last pass that wrote, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastApply {
    /// Its id in the history.
    pub id: String,
    /// Its end, Unix seconds.
    pub time: u64,
    /// `Applied`, `RolledBack` or `NotRolledBack`.
    pub result: &'static str,
    /// The number of writes that hold.
    pub writes: usize,
    /// The number of writes that were undone.
    pub undone: usize,
    /// The error of the pass.
    pub message: Option<String>,
}

impl LastApply {
    /// The apply of a pass that ended at `time`; `None` for a pass that wrote nothing.
    pub fn of(passed: &PassResult, time: u64) -> Option<LastApply> {
        let (result, undone) = match &passed.rollback {
            None if passed.writes == 0 => return None,
            None => ("Applied", 0),
            Some(rollback) if rollback.remaining.is_empty() => ("RolledBack", rollback.undone.len()),
            Some(rollback) => ("NotRolledBack", rollback.undone.len()),
        };
        Some(LastApply {
            id: passed.id.clone().unwrap_or_default(),
            time,
            result,
            writes: passed.writes,
            undone,
            message: passed.failure.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    #[test]
    fn only_a_pass_that_wrote_is_an_apply() {
        let mut passed = PassResult::failed(Outcome::Failed, "no");
        assert_eq!(LastApply::of(&passed, 7), None);
        (passed.writes, passed.failure) = (2, None);
        passed.id = Some("b7".to_owned());
        let last = LastApply::of(&passed, 7).unwrap();
        assert_eq!(
            (&*last.id, last.result, last.writes, last.undone, last.time),
            ("b7", "Applied", 2, 0, 7)
        );
    }
}
