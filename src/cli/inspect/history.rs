//! `netkeel history`: lists earlier applies.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;

use crate::arguments::{Format, Place, parse_duration};
use crate::{exit, output};
use netkeel_apply::clock::now;
use netkeel_apply::journal::Work;
use netkeel_apply::store::Store;
use netkeel_apply::store::history::{HistoryChange, HistoryEntry, HistoryEvent};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::{one_line, printable};
use netkeel_render::wording::count;
use netkeel_render::wording::utc::utc;

/// Changes of an entry that are shown without `--commands`.
const SHOWN: usize = 4;

/// List earlier applies, newest first
///
/// Each entry has its ID, the time, the result, the owner, the document, the caller, and the changes
/// that were made, with the old values. netkeel keeps at least the last 2 MiB of history.
///
/// Exit status: 0 success; 1 error.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show only the entry with this ID, or all entries of an apply
    id: Option<String>,
    #[command(flatten)]
    place: Place,
    /// Show only entries of the last time, e.g. 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Option<Duration>,
    /// Show at most this number of entries
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Also show all changes and the commands
    #[arg(long)]
    commands: bool,
    /// Output format; `json` prints one object per line
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let history = Store::open_to_read(&arguments.place.netns())?.history()?;
    let ends = ends(&history);
    let since = arguments.since.map(|since| now().saturating_sub(since.as_secs()));
    let is_meant = |entry: &&HistoryEntry| {
        let named = arguments
            .id
            .as_ref()
            .is_none_or(|id| *id == entry.id || *id == entry.apply);
        named && since.is_none_or(|since| entry.time >= since)
    };
    let mut out = String::new();
    let newest = history.iter().rev().filter(is_meant);
    for entry in newest.take(arguments.limit.unwrap_or(usize::MAX)) {
        match arguments.output {
            Format::Json => out.push_str(&json(entry, ends.get(entry.apply.as_str()))),
            Format::Text => out.push_str(&text(entry, ends.get(entry.apply.as_str()), arguments.commands)),
        }
    }
    if let (Some(id), true) = (&arguments.id, out.is_empty()) {
        let message = format!("there is no entry `{}` in the history", printable(id));
        return Err(Error::new(ErrorKind::Missing, message).hint("`netkeel history` lists all entries"));
    }
    output::print(if out.is_empty() && arguments.output == Format::Text {
        "No applies are recorded.\n"
    } else {
        &out
    })?;
    Ok(exit::OK)
}

/// The rollback of each apply that was rolled back after it had been applied.
fn ends(history: &[HistoryEntry]) -> BTreeMap<&str, &HistoryEntry> {
    let rolled_back = history
        .iter()
        .filter(|entry| entry.event == HistoryEvent::RolledBack);
    rolled_back.map(|entry| (entry.apply.as_str(), entry)).collect()
}

/// Whether the writes of an entry were rolled back by a later one.
fn is_undone(entry: &HistoryEntry, end: Option<&&HistoryEntry>) -> bool {
    matches!(entry.event, HistoryEvent::Applied | HistoryEvent::Unconfirmed) && end.is_some()
}

fn json(entry: &HistoryEntry, end: Option<&&HistoryEntry>) -> String {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    if let (Some(object), true) = (value.as_object_mut(), is_undone(entry, end)) {
        object.insert("rolled_back_by".to_owned(), end.map(|end| end.id.clone()).into());
    }
    format!("{}\n", output::plain_json(&value.to_string()))
}

fn text(entry: &HistoryEntry, end: Option<&&HistoryEntry>, commands: bool) -> String {
    let what = match entry.work {
        Work::Apply => {
            let document = entry.document.get(..12).unwrap_or(&entry.document);
            format!("document {}", printable(document))
        }
        Work::Release => "release".to_owned(),
        Work::Undo => format!("undo of {}", printable(&entry.document)),
        Work::Stop => "stop of the service".to_owned(),
    };
    let why = entry
        .why
        .as_ref()
        .map(|why| format!(": {}", one_line(why)))
        .unwrap_or_default();
    let later = match end.filter(|_| is_undone(entry, end)) {
        Some(end) => format!(" (ROLLED BACK later, see {})", printable(&end.id)),
        None => String::new(),
    };
    let mut out = format!(
        "{}  {}  {}{why}{later}\n    owner {}, {what}, {}\n    {}\n",
        utc(entry.time),
        printable(&entry.id),
        entry.event,
        printable(&entry.owner),
        count(entry.commands.len(), "write"),
        printable(&entry.actor)
    );
    let shown = if commands { usize::MAX } else { SHOWN };
    for HistoryChange { fact, from, to } in entry.changes.iter().take(shown) {
        out.push_str(&format!(
            "      {}: {} -> {}\n",
            one_line(fact),
            one_line(from),
            one_line(to)
        ));
    }
    if let more @ 1.. = entry.changes.len().saturating_sub(shown) {
        out.push_str(&format!(
            "      and {more} more (`netkeel history {} --commands`)\n",
            printable(&entry.id)
        ));
    }
    if commands {
        let commands = entry.commands.iter();
        out.extend(commands.map(|command| format!("      $ {}\n", one_line(command))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, event: HistoryEvent, work: Work) -> HistoryEntry {
        let change = |number: usize| HistoryChange {
            fact: format!("link eth{number} mtu"),
            from: "1500".into(),
            to: "1400".into(),
        };
        HistoryEntry {
            id: id.into(),
            apply: "t1".into(),
            time: 0,
            boot: "b1".into(),
            since_boot_ms: 1,
            actor: "root".into(),
            owner: "default".into(),
            document: "0123456789abcdef".into(),
            work,
            event,
            why: None,
            changes: (0..6).map(change).collect(),
            commands: vec!["ip link set dev eth0 mtu 1400".into()],
        }
    }

    #[test]
    fn an_entry_names_what_was_changed_and_what_was_rolled_back_later() {
        let mut end = entry("b", HistoryEvent::RolledBack, Work::Apply);
        end.why = Some("it was not confirmed in time\nat all".into());
        let history = [entry("a", HistoryEvent::Unconfirmed, Work::Apply), end];
        let ends = ends(&history);
        let shown = |entry: &HistoryEntry| text(entry, ends.get("t1"), false);
        let first = shown(&history[0]);
        assert!(
            first.contains("  a  applied, to be confirmed (ROLLED BACK later, see b)\n"),
            "{first}"
        );
        assert!(
            first.contains("owner default, document 0123456789ab, 1 write\n"),
            "{first}"
        );
        assert!(
            first.contains("      link eth3 mtu: 1500 -> 1400\n      and 2 more"),
            "{first}"
        );
        let second = shown(&history[1]);
        assert!(
            second.contains("  b  rolled back: it was not confirmed in time [1 more line]\n"),
            "{second}"
        );
        let release = text(&entry("c", HistoryEvent::Applied, Work::Release), None, true);
        assert!(release.contains("owner default, release, 1 write\n"), "{release}");
        assert!(
            release.contains("eth5") && release.contains("$ ip link set"),
            "{release}"
        );
    }
}
