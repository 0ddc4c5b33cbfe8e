//! `netkeel replicate-worker`: what the service starts as a process of its own. It is told what to do
//! on its standard input, and is not for people.

use super::exit;
use crate::error::Error;
use crate::replicate;

/// Runs the verb.
pub fn run() -> Result<u8, Error> {
    replicate::run()?;
    Ok(exit::OK)
}
