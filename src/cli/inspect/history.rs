//! `netkeel history`: lists earlier applies.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;

use crate::arguments::{Format, Place, parse_duration};
use crate::change::undo::undone;
use crate::{commands, exit, output};
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
    let ends = Ends::of(&history);
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
            Format::Json => out.push_str(&json(entry, &ends)),
            Format::Text => out.push_str(&text(entry, &ends, arguments.commands)),
        }
    }
    if let (Some(id), true) = (&arguments.id, out.is_empty()) {
        let message = format!("there is no entry `{}` in the history", printable(id));
        return Err(Error::new(ErrorKind::Missing, message).hint("`netkeel history` lists all entries"));
    }
    if out.is_empty() && arguments.output == Format::Text {
        out = match history.len() {
            0 => "No applies are recorded.\n".to_owned(),
            recorded => format!("None of the {} is shown.\n", count_of(recorded)),
        };
    }
    output::print(&out)?;
    Ok(exit::OK)
}

fn count_of(recorded: usize) -> String {
    match recorded {
        1 => "1 recorded entry".to_owned(),
        recorded => format!("{recorded} recorded entries"),
    }
}

/// The later fate of applies, each by its name.
struct Ends<'a> {
    /// The rollback of each apply that was rolled back after it had been applied.
    rolled_back: BTreeMap<&'a str, &'a HistoryEntry>,
    /// The undo of each apply that was undone.
    undone: BTreeMap<&'a str, &'a HistoryEntry>,
    /// The entry that names each apply: the last one in which its writes hold.
    names: BTreeMap<&'a str, &'a str>,
}

impl<'a> Ends<'a> {
    fn of(history: &'a [HistoryEntry]) -> Self {
        let rolled_back = history
            .iter()
            .filter(|entry| entry.event == HistoryEvent::RolledBack);
        let holding = history.iter().filter(|entry| holds_for_now(entry));
        Ends {
            rolled_back: rolled_back.map(|entry| (entry.apply.as_str(), entry)).collect(),
            undone: undone(history),
            names: holding
                .map(|entry| (entry.apply.as_str(), entry.id.as_str()))
                .collect(),
        }
    }

    /// The later entry that rolled the writes of this one back.
    fn rollback(&self, entry: &HistoryEntry) -> Option<&HistoryEntry> {
        let is_meant = matches!(entry.event, HistoryEvent::Applied | HistoryEvent::Unconfirmed);
        let end = self.rolled_back.get(entry.apply.as_str()).copied();
        end.filter(|_| is_meant)
    }

    /// The later entry that undid the writes of this one.
    fn undo(&self, entry: &HistoryEntry) -> Option<&HistoryEntry> {
        let end = self.undone.get(entry.apply.as_str()).copied();
        end.filter(|_| holds_for_now(entry))
    }
}

/// Whether the writes of an entry held when it was written.
fn holds_for_now(entry: &HistoryEntry) -> bool {
    match entry.event {
        HistoryEvent::Applied
        | HistoryEvent::Unconfirmed
        | HistoryEvent::Confirmed
        | HistoryEvent::Resumed => true,
        HistoryEvent::RolledBack | HistoryEvent::NotRolledBack => false,
    }
}

fn json(entry: &HistoryEntry, ends: &Ends<'_>) -> String {
    let mut value = serde_json::to_value(entry).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        for (key, end) in [
            ("rolled_back_by", ends.rollback(entry)),
            ("undone_by", ends.undo(entry)),
        ] {
            if let Some(end) = end {
                object.insert(key.to_owned(), end.id.clone().into());
            }
        }
    }
    format!("{}\n", output::plain_json(&value.to_string()))
}

fn text(entry: &HistoryEntry, ends: &Ends<'_>, commands: bool) -> String {
    let what = match entry.work {
        Work::Apply => {
            let document = entry.document.get(..12).unwrap_or(&entry.document);
            format!("document {}", printable(document))
        }
        Work::Release => "release".to_owned(),
        Work::Undo => {
            // The history may no longer go back to it.
            let apply = entry.document.as_str();
            format!("undo of {}", printable(ends.names.get(apply).unwrap_or(&apply)))
        }
        Work::Stop => "stop of the service".to_owned(),
    };
    let why = entry
        .why
        .as_ref()
        .map(|why| format!(": {}", one_line(why)))
        .unwrap_or_default();
    let later = match (ends.rollback(entry), ends.undo(entry)) {
        (Some(end), _) => format!(" (ROLLED BACK later, see {})", printable(&end.id)),
        (None, Some(end)) => format!(" (UNDONE later, see {})", printable(&end.id)),
        (None, None) => String::new(),
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
        let command = format!("netkeel history {} --commands", printable(&entry.id));
        out.push_str(&format!(
            "      and {more} more (`{}`)\n",
            commands::here(&command)
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
        let ends = Ends::of(&history);
        let shown = |entry: &HistoryEntry| text(entry, &ends, false);
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
        let release = text(
            &entry("c", HistoryEvent::Applied, Work::Release),
            &Ends::of(&[]),
            true,
        );
        assert!(release.contains("owner default, release, 1 write\n"), "{release}");
        assert!(
            release.contains("eth5") && release.contains("$ ip link set"),
            "{release}"
        );
    }
    #[test]
    fn an_undo_and_its_apply_name_each_other_by_the_ids_of_entries() {
        let mut undo = entry("c", HistoryEvent::Applied, Work::Undo);
        undo.apply = "t2".into();
        undo.document = "t1".into();
        let history = [
            entry("a", HistoryEvent::Unconfirmed, Work::Apply),
            entry("b", HistoryEvent::Confirmed, Work::Apply),
            undo,
        ];
        let ends = Ends::of(&history);
        let shown = history.each_ref().map(|entry| text(entry, &ends, false));
        assert!(
            shown[0].contains("  a  applied, to be confirmed (UNDONE later, see c)\n"),
            "{shown:?}"
        );
        assert!(
            shown[1].contains("  b  confirmed (UNDONE later, see c)\n"),
            "{shown:?}"
        );
        assert!(shown[2].contains("  c  applied\n"), "{shown:?}");
        assert!(shown[2].contains(", undo of b, "), "{shown:?}");
        assert!(json(&history[1], &ends).contains("\"undone_by\":\"c\""));
    }
}
