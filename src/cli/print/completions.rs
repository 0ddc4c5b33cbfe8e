//! `netkeel completions`: prints shell completion scripts.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{exit, output};
use netkeel_core::error::Error;

/// Print a shell completion script
///
/// In bash, zsh and fish, netkeel also completes the names of this host: network namespaces, owners, interfaces, IDs of
/// the history and codes of findings.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb. `command` is not built yet: clap_complete builds it with the full names of nested verbs.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<u8, Error> {
    let script = match arguments.shell {
        Shell::Bash => include_str!("../../../templates/completions/netkeel.bash").to_owned(),
        Shell::Zsh => include_str!("../../../templates/completions/netkeel.zsh").to_owned(),
        Shell::Fish => include_str!("../../../templates/completions/netkeel.fish").to_owned(),
        // These have no words of the host.
        other => {
            let mut script = Vec::new();
            clap_complete::generate(other, &mut command, "netkeel", &mut script);
            String::from_utf8_lossy(&script).into_owned()
        }
    };
    output::print(&script)?;
    Ok(exit::OK)
}
