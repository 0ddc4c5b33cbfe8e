//! `netkeel completions`: for the shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{exit, output};
use netkeel_core::error::Error;

/// Prints the completion script of a shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb on the whole command line.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "netkeel", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}
