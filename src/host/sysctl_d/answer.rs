//! The answer for one key: the line that decides it.

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::sysctl_d::copies;
use crate::sysctl_d::file::{Dialect, FileLine, Files};
use crate::sysctl_d::mention::{Mention, mentions as mentions_of};
use crate::sysctl_d::parse::Entry;
use crate::sysctl_d::pattern::is_pattern;
use crate::sysctl_d::settings::{Act, Event, Moment, Settings, writes};
use netkeel_core::maybe_secret::MASK;
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};

/// How a key is decided under both sets of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// By systemd's rules.
    pub systemd: Resolution,
    /// By procps's.
    pub procps: Resolution,
    /// Every line about the key, in the order in which the files are read.
    pub lines: Vec<Mention>,
}

/// How a key is decided by the rules of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// At boot, for interfaces that exist then.
    pub boot: Outcome,
    /// For an interface of that name that appears later; for a key of `default`, one of any name.
    /// None for other keys and for `lo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub later: Option<Outcome>,
}

/// The last write to a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How the key gets its value.
    #[serde(flatten)]
    pub how: How,
    /// The deciding line; none when no file sets the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<FileLine>,
    /// The value; none when it is the kernel's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// See [`Outcome`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum How {
    /// No file sets it.
    Unset,
    /// A line names it.
    Exact,
    /// A pattern matches it.
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// The kernel copies it from another key, which a line writes.
    Copied {
        /// The other key.
        from: &'static str,
    },
    /// A new interface starts with the value of `default`.
    Inherited,
}

impl Answers {
    /// Hides the values: the key is a secret.
    pub fn hide(&mut self) {
        for resolution in [&mut self.systemd, &mut self.procps] {
            let outcomes = std::iter::once(&mut resolution.boot).chain(&mut resolution.later);
            for value in outcomes.filter_map(|outcome| outcome.value.as_mut()) {
                MASK.clone_into(value);
            }
        }
        for line in &mut self.lines {
            if let Some((key, _)) = line.text.split_once('=') {
                line.text = format!("{}= {MASK}", key);
            }
        }
    }
}

/// A placeholder for an interface that no file names.
const ANY: &str = "new0";

/// Answers for a key. `integer` says that the kernel accepts only integers for the key, if that is
/// known; for settings of interfaces it is.
pub fn answer(files: &Files, key: &SysctlKey, integer: bool) -> Answers {
    let integers = integer || copies::is_integer(key);
    let systemd = Settings::read(files, Dialect::Systemd, integers);
    let procps = Settings::read(files, Dialect::Procps, integers);
    Answers {
        lines: mentions_of(files, key, &systemd, &procps),
        systemd: by(&systemd, Dialect::Systemd, key),
        procps: by(&procps, Dialect::Procps, key),
    }
}

/// Resolves a key by the rules of one program.
pub(crate) fn by(settings: &Settings, dialect: Dialect, key: &SysctlKey) -> Resolution {
    Resolution {
        boot: boot(settings, key),
        later: later(settings, dialect, key),
    }
}

pub(crate) fn boot(settings: &Settings, key: &SysctlKey) -> Outcome {
    outcome(settings, &settings.events(key, Moment::Boot)).unwrap_or(Outcome {
        how: How::Unset,
        place: None,
        value: None,
    })
}

pub(crate) fn later(settings: &Settings, dialect: Dialect, key: &SysctlKey) -> Option<Outcome> {
    let PerInterface {
        family,
        table,
        slot,
        leaf,
    } = key.per_interface()?;
    let name = match slot {
        Slot::All => return None,
        Slot::Default => ANY.parse().ok()?,
        Slot::Link(name) if name.as_bytes() == b"lo" => return None,
        Slot::Link(name) => name,
    };
    if dialect == Dialect::Systemd {
        let of_interface = SysctlKey::of_interface(family, table, name, leaf);
        let prefix = format!("net/{family}/{table}/{name}");
        let events = settings.events(&of_interface, Moment::Below(&prefix));
        if let Some(written) = outcome(settings, &events) {
            return Some(written);
        }
    }
    let default = boot(settings, &key.in_slot("default")?);
    Some(Outcome {
        how: How::Inherited,
        ..default
    })
}

/// The outcome of the last write.
pub(crate) fn outcome(settings: &Settings, events: &[Event]) -> Option<Outcome> {
    let event = events.iter().rev().find(|event| writes(event))?;
    let read = settings.lines.get(event.line)?;
    let (how, value) = match (&event.act, &read.entry) {
        (Act::Copy { from, value }, _) => (How::Copied { from }, value.clone()?),
        (Act::Write(value), Entry::Assign { key, .. }) if is_pattern(key) => {
            let pattern = key.clone();
            (How::Pattern { pattern }, value.clone())
        }
        (Act::Write(value), _) => (How::Exact, value.clone()),
        _ => return None,
    };
    Some(Outcome {
        how,
        place: Some(read.place.clone()),
        value: Some(value),
    })
}
