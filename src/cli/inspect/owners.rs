//! `netkeel owners`: lists the owners of the facts that netkeel wrote.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::arguments::{Format, Place};
use crate::change::holds_nothing::holds_nothing;
use crate::{commands, exit, output};
use netkeel_apply::store::Store;
use netkeel_apply::store::history::{HistoryEntry, HistoryEvent};
use netkeel_core::error::Error;
use netkeel_core::text::escape::{one_line, printable};
use netkeel_diagnose::owners;
use netkeel_diagnose::owners::{Held, Owner, Write, Written};
use netkeel_render::wording::count;
use netkeel_render::wording::utc::utc;

/// Facts of an owner that are shown without its name.
const SHOWN: usize = 10;

/// List the owners of the settings that netkeel wrote
///
/// Each owner has its settings, the values from before netkeel, the time of the last write and who asked for it.
/// With a name, all settings of that owner are shown, each with its own last write.
///
/// Exit status: 0 success; 1 error, or the named owner holds nothing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show only this owner
    owner: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// The JSON output.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    owners: &'a [Owner],
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let store = Store::open_to_read(&arguments.place.netns())?;
    let ledger = store.ledger()?;
    let mut owners = owners::owners(&ledger, &written(store.history()?));
    if let Some(name) = &arguments.owner {
        owners.retain(|owner| owner.owner == *name);
        if owners.is_empty() {
            return Err(holds_nothing(name, &ledger));
        }
    }
    output::print(&match arguments.output {
        Format::Text => text(&owners, arguments.owner.is_some()),
        Format::Json => output::json(&Document {
            format: "netkeel/owners",
            version: 1,
            owners: &owners,
        })?,
    })?;
    Ok(exit::OK)
}

/// The writes of the history that hold, oldest first.
fn written(history: Vec<HistoryEntry>) -> Vec<Written> {
    let undone: BTreeSet<String> = history
        .iter()
        .filter(|entry| entry.event == HistoryEvent::RolledBack)
        .map(|entry| entry.apply.clone())
        .collect();
    let holds = |entry: &HistoryEntry| match entry.event {
        HistoryEvent::Applied
        | HistoryEvent::Unconfirmed
        | HistoryEvent::Confirmed
        | HistoryEvent::Resumed => !undone.contains(&entry.apply),
        // Some of its writes are left, and nobody knows which.
        HistoryEvent::NotRolledBack => true,
        HistoryEvent::RolledBack => false,
    };
    let entries = history.into_iter().filter(holds).map(|entry| Written {
        write: Write {
            id: entry.id,
            time: entry.time,
            actor: entry.actor,
            document: entry.document,
        },
        owner: entry.owner,
        facts: entry.changes.into_iter().map(|change| change.fact).collect(),
    });
    entries.collect()
}

fn text(owners: &[Owner], all: bool) -> String {
    if owners.is_empty() {
        return "No owner holds anything.\n".to_owned();
    }
    let mut out = String::new();
    for owner in owners {
        let name = printable(&owner.owner);
        out.push_str(&format!("owner {name}: {}\n", count(owner.facts.len(), "fact")));
        out.push_str(&match &owner.last {
            Some(last) => format!("  last written {}\n", by(last)),
            None => "  the history does not go back to its last write\n".to_owned(),
        });
        let shown = if all { usize::MAX } else { SHOWN };
        for held in owner.facts.iter().take(shown) {
            out.push_str(&fact(held));
            // The line of the owner names the last write of all.
            if let Some(last) = held.last.as_ref().filter(|_| all && held.last != owner.last) {
                out.push_str(&format!("      written {}\n", by(last)));
            }
        }
        if let more @ 1.. = owner.facts.len().saturating_sub(shown) {
            let command = format!("netkeel owners {name}");
            out.push_str(&format!("    and {more} more (`{}`)\n", commands::here(&command)));
        }
    }
    out
}

fn by(write: &Write) -> String {
    let document = write.document.get(..12).unwrap_or(&write.document);
    format!(
        "{}, document {}, apply {}, by {}",
        utc(write.time),
        printable(document),
        printable(&write.id),
        one_line(&write.actor)
    )
}

fn fact(held: &Held) -> String {
    let with = match &held.with {
        Some(with) => format!(", changed with {with}"),
        None => String::new(),
    };
    format!("    {}: {}, before {}{with}\n", held.fact, held.wrote, held.found)
}
