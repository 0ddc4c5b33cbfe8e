//! Drift that began during a change, as by another program.

use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_plan::outcome::NewDrift;
use netkeel_render::wording;

/// How many changes of other programs are listed.
const SHOWN: usize = 10;

/// Reports the drift that began during an apply, and returns the exit code.
pub(crate) fn new_drift_exit(new_drift: &[NewDrift]) -> u8 {
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
