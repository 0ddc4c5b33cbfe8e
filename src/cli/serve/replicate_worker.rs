//! `netkeel replicate-worker`: what the service starts as a process of its own. It is told what to do
//! on its standard input, and is not for people.

use crate::exit;
use netkeel_core::error::Error;
use netkeel_replicate::worker;

/// Runs the verb.
pub(crate) fn run() -> Result<u8, Error> {
    worker::run()?;
    Ok(exit::OK)
}
