//! Every line about a key, with its effect.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::sysctl_d::file::{Content, Dialect, FileLine, Files};
use crate::sysctl_d::order::Use;
use crate::sysctl_d::parse::{Entry, parse};
use crate::sysctl_d::pattern::{finds, is_pattern};
use crate::sysctl_d::settings::{Act, Moment, Settings, writes};
use netkeel_core::name::sysctl::SysctlKey;

/// A line about the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mention {
    /// The place of the line.
    pub place: FileLine,
    /// The line.
    pub text: String,
    /// The file is netkeel's.
    pub netkeel: bool,
    /// Its effect at boot under systemd.
    pub systemd: Fate,
    /// Its effect at boot under procps.
    pub procps: Fate,
}

/// The effect of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// It decides the value.
    Decides,
    /// A later write overrides it.
    Overridden {
        /// The later line.
        by: FileLine,
    },
    /// A later line for the same key, or `-key`, replaces it.
    Replaced {
        /// The later line.
        by: FileLine,
    },
    /// It repeats another line.
    Repeats {
        /// The other line.
        of: FileLine,
    },
    /// A pattern that is skipped, since a line names the key.
    Exempt {
        /// The line that names the key.
        by: FileLine,
    },
    /// It excludes the key from patterns.
    Excludes,
    /// The kernel rejects the value.
    Refused,
    /// It writes a key from which the kernel copies, but with no change.
    NoChange,
    /// A file of the same name hides the file.
    Hidden {
        /// The other file.
        by: String,
    },
    /// The program does not read it.
    NotRead,
    /// The line is not an assignment.
    Invalid,
    /// The program reads it as another key.
    AnotherKey,
}

/// The effect of each line about the key, by line; see [`Settings::lines`].
fn fates(settings: &Settings, key: &SysctlKey) -> BTreeMap<usize, Fate> {
    let events = settings.events(key, Moment::Boot);
    let place = |line: usize| settings.lines.get(line).map(|read| read.place.clone());
    let last = events.iter().rposition(writes);
    let mut fates = BTreeMap::new();
    for (position, event) in events.iter().enumerate() {
        let fate = match &event.act {
            _ if Some(position) == last => Some(Fate::Decides),
            Act::Write(_) | Act::Copy { value: Some(_), .. } => last
                .and_then(|last| place(events.get(last)?.line))
                .map(|by| Fate::Overridden { by }),
            Act::Copy { value: None, .. } => Some(Fate::NoChange),
            Act::Exempt(by) => place(*by).map(|by| Fate::Exempt { by }),
            Act::Exclude => Some(Fate::Excludes),
            Act::Refused => Some(Fate::Refused),
        };
        fates.extend(fate.map(|fate| (event.line, fate)));
    }
    for (line, read) in settings.lines.iter().enumerate() {
        let fate = match &read.entry {
            Entry::Assign { key: of, .. } | Entry::Exclude { key: of } if is_about(of, key) => {
                let replaced = settings.replaced.get(&line).and_then(|by| place(*by));
                let repeated = settings.repeated.get(&line).and_then(|of| place(*of));
                match (replaced, repeated) {
                    (Some(by), _) => Some(Fate::Replaced { by }),
                    (_, Some(of)) => Some(Fate::Repeats { of }),
                    _ => None,
                }
            }
            Entry::Assign { key: of, .. } if dotted(of) == dotted(key.path()) => Some(Fate::AnotherKey),
            Entry::Invalid { text } if dotted(text).starts_with(&dotted(key.path())) => Some(Fate::Invalid),
            _ => None,
        };
        if let Some(fate) = fate {
            fates.entry(line).or_insert(fate);
        }
    }
    fates
}

/// Whether a key or pattern in a file refers to the key.
fn is_about(of: &str, key: &SysctlKey) -> bool {
    of == key.path() || (is_pattern(of) && finds(of, key.path(), true))
}

fn dotted(key: &str) -> String {
    key.replace('/', ".")
}

/// A line: the position of its file in the order of all files, and its number.
type Spot = (usize, usize);

/// The lines about a key, in the order in which files are read.
pub(crate) fn mentions(
    files: &Files,
    key: &SysctlKey,
    systemd: &Settings,
    procps: &Settings,
) -> Vec<Mention> {
    let by_spot = |settings: &Settings| -> BTreeMap<Spot, Fate> {
        let spot = |line: usize| settings.lines.get(line).map(|read| (read.file, read.place.line));
        fates(settings, key)
            .into_iter()
            .filter_map(|(line, fate)| Some((spot(line)?, fate)))
            .collect()
    };
    let (mut by_systemd, mut by_procps) = (by_spot(systemd), by_spot(procps));
    for (dialect, fates) in [
        (Dialect::Systemd, &mut by_systemd),
        (Dialect::Procps, &mut by_procps),
    ] {
        fates.extend(hidden(files, dialect, key));
    }
    let read_by = |settings: &Settings, spot: &Spot| {
        settings
            .lines
            .iter()
            .any(|read| (read.file, read.place.line) == *spot)
    };
    let missing = |settings: &Settings, spot: &Spot| match read_by(settings, spot) {
        true => Fate::AnotherKey,
        false => Fate::NotRead,
    };
    let order = files.in_order(Dialect::Procps);
    let mut spots: Vec<Spot> = by_systemd.keys().chain(by_procps.keys()).copied().collect();
    spots.sort_unstable();
    spots.dedup();
    spots
        .into_iter()
        .filter_map(|spot| {
            let (file, _) = order.get(spot.0)?;
            let Content::Text(text) = &file.content else {
                return None;
            };
            let place = files.place(file, spot.1);
            Some(Mention {
                text: text.lines().nth(spot.1 - 1).unwrap_or_default().trim().to_owned(),
                netkeel: file.name.starts_with("90-netkeel"),
                systemd: by_systemd
                    .remove(&spot)
                    .unwrap_or_else(|| missing(systemd, &spot)),
                procps: by_procps.remove(&spot).unwrap_or_else(|| missing(procps, &spot)),
                place,
            })
        })
        .collect()
}

/// Lines about the key in files that another file hides.
fn hidden(files: &Files, dialect: Dialect, key: &SysctlKey) -> Vec<(Spot, Fate)> {
    let mut found = Vec::new();
    for (position, (file, used)) in files.in_order(dialect).into_iter().enumerate() {
        let (Use::Hidden(by), Content::Text(text)) = (used, &file.content) else {
            continue;
        };
        for line in parse(dialect, text) {
            if let Entry::Assign { key: of, .. } | Entry::Exclude { key: of } = &line.entry
                && is_about(of, key)
            {
                let by = files.path(by);
                found.push(((position, line.number), Fate::Hidden { by }));
            }
        }
    }
    found
}
