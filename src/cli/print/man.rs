//! `netkeel man`: manual pages from the command line's own description.

use clap::{Args, Command};

use crate::{exit, output};
use netkeel_core::error::{Error, ErrorKind};

/// Prints a manual page, as roff: of netkeel, or of one command.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The command.
    command: Option<String>,
}

/// Runs the verb on the whole command line.
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
        .map_err(|error| Error::new(ErrorKind::Unreadable, format!("the page cannot be made: {error}")))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(exit::OK)
}
