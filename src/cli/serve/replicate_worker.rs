//! `netkeel replicate-worker`: the replication worker. The service starts it as a child process and sends
//! its settings on standard input. People do not run it.

use crate::exit;
use netkeel_core::error::Error;
use netkeel_replicate::worker;

/// Runs the verb.
pub(crate) fn run() -> Result<u8, Error> {
    worker::run()?;
    Ok(exit::OK)
}
