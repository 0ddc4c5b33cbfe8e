//! Drift that began during a change, as by another program.

use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_plan::outcome::{Applied, NewDrift};
use netkeel_render::wording;

/// How many changes of other programs are listed.
const SHOWN: usize = 10;

/// Reports what an apply did not restore and the drift that began during it, and returns the exit code.
pub(crate) fn end_exit(applied: &Applied) -> u8 {
    let unrestored = &applied.planned.plan.unrestored;
    let code = new_drift_exit(&applied.new_drift);
    if unrestored.is_empty() {
        return code;
    }
    let message = format!(
        "{}, and netkeel keeps the record",
        wording::unrestored(unrestored.len())
    );
    let facts = unrestored.iter().take(SHOWN);
    let error = facts.fold(Error::new(ErrorKind::Refused, message), |error, fact| {
        error.hint(fact.to_string())
    });
    output::error(&error.hint("NK011 above says why; `netkeel release` tries it again"));
    exit::NOT_ROLLED_BACK
}

fn new_drift_exit(new_drift: &[NewDrift]) -> u8 {
    match new_drift_error(new_drift) {
        Some(error) => {
            output::error(&error);
            exit::NEW_DRIFT
        }
        None => exit::OK,
    }
}

/// The error of an apply whose writes hold while other declared facts do not.
fn new_drift_error(new_drift: &[NewDrift]) -> Option<Error> {
    if new_drift.is_empty() {
        return None;
    }
    let message = format!("the writes hold, {}", wording::new_drift(new_drift.len()));
    let error = Error::new(ErrorKind::Refused, message);
    let told = new_drift.iter().take(SHOWN);
    let error = told.fold(error, |error, drift| error.hint(&drift.message));
    Some(error.hint("`netkeel apply` writes them; `netkeel explain` names the programs that may have"))
}
