//! `netkeel man`: prints manual pages made from the help texts.

use clap::{Args, Command};

use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};

/// Print a manual page in roff
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Command to describe; without it, the page of netkeel
    command: Option<String>,
}

/// Runs the verb; `command` has the options of every verb.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<u8, Error> {
    command.build();
    if let Some(name) = &arguments.command {
        let found = command.find_subcommand(name).cloned();
        command =
            found.ok_or_else(|| Error::new(ErrorKind::Input, format!("there is no command `{name}`")))?;
        let full = format!("netkeel-{name}");
        command = command.name("netkeel").display_name(full);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("netkeel ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Error::new(ErrorKind::Unreadable, format!("cannot render the page: {error}")))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(exit::OK)
}
