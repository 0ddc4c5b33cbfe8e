//! `netkeel completions`: prints shell completion scripts.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{exit, output};
use netkeel_core::error::Error;

/// Print a shell completion script
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb. `command` is not built yet: clap_complete builds it with the full names of nested verbs.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "netkeel", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
