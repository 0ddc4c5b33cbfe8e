//! Questions on a terminal before a change.

pub(crate) mod typed;

use std::io;
use std::io::{BufRead, IsTerminal};

use clap::Args;

use crate::output;
use netkeel_core::error::{Error, ErrorKind};

/// The option that answers the question of a verb.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Prompt {
    /// Do not ask on a terminal, for scripts
    #[arg(short, long)]
    yes: bool,
}

impl Prompt {
    /// Whether there is somebody to ask: standard input and standard error are a terminal.
    pub(crate) fn asks(self) -> bool {
        !self.yes && io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

/// Asks a question whose default answer is no. A line that was typed before is no answer.
///
/// # Errors
/// [`ErrorKind::Refused`] when the answer is not yes.
pub(crate) fn ask(question: &str) -> Result<(), Error> {
    let answers = typed::forget()?;
    output::say(&format!("{question} [y/N] "));
    let mut answer = String::new();
    if answers && io::stdin().lock().read_line(&mut answer).is_ok() && is_yes(&answer) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        "not agreed to; nothing was written",
    ))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "Yes\r\n", " Y "] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "yy\n", "ye\n"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
