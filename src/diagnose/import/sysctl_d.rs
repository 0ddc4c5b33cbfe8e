//! Files of sysctl.d as sysctls of a document, with the values that systemd-sysctl gives them at boot.

use std::collections::BTreeSet;

use crate::import::selection::Selection;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_document::draft::{Draft, SYSCTL, sysctl_value};
use netkeel_host::sysctl_d::file::{Content, Dialect, FileLine, Files};
use netkeel_host::sysctl_d::parse::Entry;
use netkeel_host::sysctl_d::reader::Judge;
use netkeel_host::sysctl_d::settings::Settings;

/// Adds the selected settings. A line that no document can declare becomes a note. Returns the selected keys that the
/// files set.
pub fn add(files: &Files, selection: &Selection, draft: &mut Draft) -> BTreeSet<SysctlKey> {
    for file in files.dropins.iter().chain(&files.sysctl_conf) {
        if let Content::Unreadable(why) = &file.content {
            draft.note(format!("{}: {why}", files.path(file)));
        }
    }
    // Of the lines that procps reads and systemd does not, all are in /etc/sysctl.conf.
    if let Some(conf) = &files.sysctl_conf
        && !files.dropins.iter().any(|file| file.target == conf.target)
    {
        draft.note(format!("{}: systemd-sysctl does not read it", files.path(conf)));
    }
    let settings = Settings::read(files, Dialect::Systemd, false);
    let mut judge = Judge::new(files);
    let mut seen = BTreeSet::new();
    for line in &settings.lines {
        let place = &shown(&line.place);
        let written = match &line.entry {
            Entry::Assign { key, .. } => key,
            Entry::Exclude { key } => {
                if selection.is_all() {
                    draft.note(format!(
                        "{place}: `-{key}` exempts a key from patterns; it sets nothing"
                    ));
                }
                continue;
            }
            Entry::Invalid { text } => {
                draft.note(format!(
                    "{place}: `{text}` is not an assignment; systemd ignores it"
                ));
                continue;
            }
            Entry::TooLong => {
                draft.note(format!(
                    "{place}: the line is too long; systemd ignores the rest of the file"
                ));
                continue;
            }
        };
        if written.contains(['*', '?', '[', '{']) {
            if selection.is_all() {
                draft.note(format!(
                    "{place}: `{written}` is a pattern; for rp_filter, a rule of `link` with `match` declares it"
                ));
            }
            continue;
        }
        let Ok(key) = written.parse::<SysctlKey>() else {
            draft.note(format!("{place}: `{written}` is not a sysctl"));
            continue;
        };
        if !selection.is_all() && !selection.finds_sysctl(&key) || !seen.insert(key.clone()) {
            continue;
        }
        if key.is_secret() {
            draft.note(format!("{place}: {key} has a secret value"));
            continue;
        }
        let outcome = judge.answer(Dialect::Systemd, &key, false).boot;
        match (outcome.value, outcome.place) {
            (Some(value), Some(place)) => {
                // systemd hands the text on; the kernel reads runs of blanks as one.
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                draft.set(
                    SYSCTL,
                    &key.to_string(),
                    ("", sysctl_value(&value)),
                    &place.to_string(),
                );
            }
            _ => draft.note(format!("{place}: the kernel does not accept the value of {key}")),
        }
    }
    seen
}

/// The file that has a line, and its number.
fn shown(place: &FileLine) -> String {
    format!("{}:{}", place.target.as_ref().unwrap_or(&place.file), place.line)
}
