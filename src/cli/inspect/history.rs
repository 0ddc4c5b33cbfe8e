//! `netkeel history`: what was applied, by whom, from which document.

use clap::Args;

use crate::arguments::Place;
use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_core::error::Error;
use netkeel_render::utc::utc;
use netkeel_render::wording::count;

/// Shows what was applied here, newest first: when, by whom, from which document, with what result.
/// It goes back for 2 MiB at least; older lines are dropped.
///
/// Exit status: 0.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Show the commands too.
    #[arg(long)]
    commands: bool,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let mut out = String::new();
    for done in Store::open_to_read(&arguments.place.netns())?
        .history()?
        .iter()
        .rev()
    {
        if arguments.json {
            out.push_str(&serde_json::to_string(done).unwrap_or_default());
            out.push('\n');
            continue;
        }
        let document = done.document.get(..12).unwrap_or(&done.document);
        let writes = count(done.commands.len(), "write");
        out.push_str(&format!(
            "{}  {}  owner {}, document {document}, {writes}\n    {}\n",
            utc(done.time),
            done.result,
            done.owner,
            done.actor
        ));
        if arguments.commands {
            out.extend(done.commands.iter().map(|command| format!("      {command}\n")));
        }
    }
    output::print(if out.is_empty() {
        "Nothing was applied here.\n"
    } else {
        &out
    })?;
    Ok(exit::OK)
}
