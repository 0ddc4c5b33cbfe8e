//! The settings that all files result in, and the writes to one key that follow.

use std::collections::BTreeMap;

use crate::sysctl_d::copies;
use crate::sysctl_d::copies::Sources;
use crate::sysctl_d::file::{Content, Dialect, FileLine, Files};
use crate::sysctl_d::order::Use;
use crate::sysctl_d::parse::{Entry, parse, resolve};
use crate::sysctl_d::pattern::{below, finds, is_pattern};
use crate::sysctl_form::stored::is_accepted;
use netkeel_core::name::sysctl::{SysctlKey, variable};

pub(crate) fn writes(event: &Event) -> bool {
    matches!(event.act, Act::Write(_) | Act::Copy { value: Some(_), .. })
}

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Index of the file in the order of all files.
    pub file: usize,
    /// Its place.
    pub place: FileLine,
    /// The content of the line.
    pub entry: Entry,
}

/// A setting in force: a key or pattern with its value. Without a value it excludes the key from
/// patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    line: usize,
    key: String,
    value: Option<String>,
}

/// All settings under one program's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    dialect: Dialect,
    /// The keys to be resolved accept only integers.
    pub(crate) integers: bool,
    /// The lines, in order.
    pub lines: Vec<Read>,
    /// The settings in the order in which they are written.
    settings: Vec<Setting>,
    /// Lines that were replaced, each with the line that replaced it.
    pub replaced: BTreeMap<usize, usize>,
    /// Lines that repeat a setting in force, each with the line that set it.
    pub(crate) repeated: BTreeMap<usize, usize>,
}

/// When the writes happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment<'a> {
    /// At boot, for what exists then.
    Boot,
    /// When an interface appears: only keys below this prefix.
    Below(&'a str),
}

/// The effect of a line on a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Index into [`Settings::lines`].
    pub line: usize,
    /// The effect.
    pub act: Act,
}

/// See [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Writes this value.
    Write(String),
    /// Writes another key, from which the kernel sets this one.
    Copy {
        /// The other key.
        from: &'static str,
        /// The new value of this key; none when the other key does not change.
        value: Option<String>,
    },
    /// A pattern that would write the key, if that line did not name it.
    Exempt(usize),
    /// Excludes the key from patterns.
    Exclude,
    /// Writes a value that the kernel rejects.
    Refused,
}

impl Settings {
    /// Reads all files; `integers` is as in the field of that name.
    pub fn read(files: &Files, dialect: Dialect, integers: bool) -> Self {
        let mut lines = Vec::new();
        for (position, (file, used)) in files.in_order(dialect).into_iter().enumerate() {
            if let (Use::Read, Content::Text(text)) = (used, &file.content) {
                lines.extend(parse(dialect, text).into_iter().map(|line| Read {
                    file: position,
                    place: files.place(file, line.number),
                    entry: line.entry,
                }));
            }
        }
        let mut settings = Settings {
            dialect,
            integers,
            lines: Vec::new(),
            settings: Vec::new(),
            replaced: BTreeMap::new(),
            repeated: BTreeMap::new(),
        };
        let mut in_force = BTreeMap::new();
        for (line, read) in lines.iter().enumerate() {
            let (key, value) = match &read.entry {
                Entry::Assign { key, value } => (key.clone(), Some(value.clone())),
                Entry::Exclude { key } => (key.clone(), None),
                Entry::Invalid { .. } | Entry::TooLong => continue,
            };
            settings.add(Setting { line, key, value }, &mut in_force);
        }
        settings.lines = lines;
        if dialect == Dialect::Systemd {
            let replaced = &settings.replaced;
            settings
                .settings
                .retain(|setting| !replaced.contains_key(&setting.line));
        }
        settings
    }

    /// systemd has one setting per key: a different value replaces it and moves it to the end, the
    /// same value leaves it in place. procps keeps a list. `in_force` has the settings by key.
    fn add(&mut self, new: Setting, in_force: &mut BTreeMap<String, usize>) {
        if self.dialect == Dialect::Systemd {
            let old = in_force.get(&new.key).and_then(|at| self.settings.get(*at));
            if let Some(old) = old {
                if old.value == new.value {
                    self.repeated.insert(new.line, old.line);
                    return;
                }
                self.replaced.insert(old.line, new.line);
            }
            in_force.insert(new.key.clone(), self.settings.len());
        }
        self.settings.push(new);
    }

    /// The events of a key, in order.
    pub fn events(&self, key: &SysctlKey, moment: Moment<'_>) -> Vec<Event> {
        let sources = match moment {
            Moment::Boot => copies::sources(key),
            Moment::Below(_) => None,
        };
        let mut events = Vec::new();
        let own = self.named(key.path());
        let named_sources: Vec<(&'static str, Option<usize>)> = sources
            .iter()
            .flat_map(|sources| sources.keys)
            .map(|source| (*source, self.named(source)))
            .collect();
        // The value after boot of every setting that the kernel copies.
        let mut source_value = 0;
        for setting in &self.settings {
            let mut push = |act| {
                events.push(Event {
                    line: setting.line,
                    act,
                });
            };
            if let Some(act) = self.act(setting, key.path(), own, moment) {
                let refused = matches!(&act, Act::Write(value) if !is_accepted(key, value, self.integers));
                push(if refused { Act::Refused } else { act });
            }
            for (source, named) in &named_sources {
                let Some(Act::Write(value)) = self.act(setting, source, *named, moment) else {
                    continue;
                };
                let Some(number) = copies::number(&value) else {
                    continue;
                };
                let Some(Sources {
                    on_change, inverted, ..
                }) = sources
                else {
                    continue;
                };
                // systemd reads first, and does not write a value that is already set.
                let left = self.dialect == Dialect::Systemd && value == source_value.to_string();
                let unchanged = left || (on_change && number == source_value);
                source_value = number;
                if *source != key.path() {
                    let becomes = if inverted { i32::from(number == 0) } else { number };
                    push(Act::Copy {
                        from: source,
                        value: (!unchanged).then(|| becomes.to_string()),
                    });
                }
            }
        }
        events
    }

    /// The first line that names a path, or excludes it from patterns.
    fn named(&self, path: &str) -> Option<usize> {
        let named = self.settings.iter().find(|setting| setting.key == path);
        named.map(|setting| setting.line)
    }

    /// The effect of a setting on a path; `named` is the line that names the path.
    fn act(&self, setting: &Setting, path: &str, named: Option<usize>, moment: Moment<'_>) -> Option<Act> {
        let Some(value) = &setting.value else {
            return (setting.key == path).then_some(Act::Exclude);
        };
        if is_pattern(&setting.key) {
            if !self.pattern_finds(&setting.key, path, moment) {
                return None;
            }
            return Some(named.map_or_else(|| Act::Write(value.clone()), Act::Exempt));
        }
        // Two names of forwarding are sources of each other (`copies::sources`).
        let aliased = !copies::IPV4.contains(&path);
        let names = |name: &str| name == path || (aliased && variable(name) == variable(path));
        let same = match self.dialect {
            Dialect::Systemd => names(&setting.key),
            Dialect::Procps => names(&resolve(&setting.key)),
        };
        same.then(|| Act::Write(value.clone()))
    }

    fn pattern_finds(&self, pattern: &str, path: &str, moment: Moment<'_>) -> bool {
        let braces = self.dialect == Dialect::Systemd;
        match moment {
            Moment::Boot => finds(pattern, path, braces),
            Moment::Below(prefix) => match below(pattern, prefix) {
                Some(rest) if is_pattern(&rest) => finds(&rest, path, braces),
                Some(rest) => rest == path,
                None => false,
            },
        }
    }
}
