//! `netkeel history`: lists earlier applies.

use clap::Args;

use crate::arguments::{Format, Place};
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_core::error::Error;
use netkeel_core::text::escape::printable;
use netkeel_render::utc::utc;
use netkeel_render::wording::count;

/// List earlier applies, newest first
///
/// Each entry has the time, result, owner, document and caller. netkeel keeps at least the last
/// 2 MiB of history.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Also show the commands
    #[arg(long)]
    commands: bool,
    /// Output format; `json` prints one object per line
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let mut out = String::new();
    for done in Store::open_to_read(&arguments.place.netns())?
        .history()?
        .iter()
        .rev()
    {
        if arguments.output == Format::Json {
            let line = serde_json::to_string(done).unwrap_or_default();
            out.push_str(&output::plain_json(&line));
            out.push('\n');
            continue;
        }
        let document = printable(done.document.get(..12).unwrap_or(&done.document));
        let writes = count(done.commands.len(), "write");
        out.push_str(&format!(
            "{}  {}  owner {}, document {document}, {writes}\n    {}\n",
            utc(done.time),
            printable(&done.result),
            printable(&done.owner),
            printable(&done.actor)
        ));
        if arguments.commands {
            let commands = done.commands.iter();
            out.extend(commands.map(|command| format!("      {}\n", printable(command))));
        }
    }
    output::print(if out.is_empty() {
        "No applies are recorded.\n"
    } else {
        &out
    })?;
    Ok(exit::OK)
}
