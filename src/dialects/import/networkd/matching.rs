//! The `[Match]` of a file. Of the files that match an interface, networkd and udev apply only the first one.

use netkeel_core::text::glob::Glob;
use netkeel_document::draft::{quoted, scalar};

use crate::import::importer::{Importer, Target, is_pattern, label};
use crate::import::networkd::section::Section;

/// A `[Match]`.
pub(super) struct Match {
    /// Names and patterns; without any, every name.
    names: Vec<String>,
    /// Conditions of a rule with their values.
    conditions: Vec<(&'static str, String)>,
    /// Whether netkeel has conditions for all of it.
    known: bool,
}

/// A part of a file's `[Match]` that is an entry of the document.
pub(super) struct Part<'a> {
    name: Option<&'a str>,
    pub(super) target: Target,
}

/// The interfaces of a later file that an earlier file matches too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Overlap {
    None,
    /// Some, or those with properties that the files do not show.
    Perhaps,
    All,
}

impl Match {
    /// Reads the sections. None with a note if there are no conditions. A condition that netkeel lacks becomes a note.
    pub(super) fn read(sections: &[Section], name_key: &str, into: &mut Importer<'_>) -> Option<Self> {
        let mut found = Match {
            names: Vec::new(),
            conditions: Vec::new(),
            known: true,
        };
        let mut at = sections.first()?.span;
        for section in sections.iter().filter(|section| section.name == "Match") {
            at = section.span;
            for setting in section
                .settings
                .iter()
                .filter(|setting| !setting.value.is_empty())
            {
                let words: Vec<&str> = setting.value.split_whitespace().collect();
                let negated = words.iter().any(|word| word.starts_with('!'));
                let one = match words.as_slice() {
                    [one] if !negated => Some(*one),
                    _ => None,
                };
                let condition = match (setting.key.as_str(), one) {
                    (key, _) if key == name_key && !negated => {
                        found.names.extend(words.iter().map(|word| (*word).to_owned()));
                        continue;
                    }
                    ("MACAddress", Some(mac)) => ("mac", mac.to_ascii_lowercase()),
                    ("PermanentMACAddress", Some(mac)) => ("permanent_mac", mac.to_ascii_lowercase()),
                    ("Driver", Some(driver)) => ("driver", driver.to_owned()),
                    ("Kind", Some(kind)) if !is_pattern(kind) => ("kind", kind.to_owned()),
                    (key, _) => {
                        let text = format!("netkeel has no condition for {key}={}", setting.value);
                        into.note(setting.span, &text);
                        found.known = false;
                        continue;
                    }
                };
                found.conditions.push(condition);
            }
        }
        if found.known && found.names.is_empty() && found.conditions.is_empty() {
            into.note(at, "this file has no conditions in [Match]; systemd ignores it");
            return None;
        }
        Some(found)
    }

    /// Whether netkeel can select the interfaces.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// An entry for each name, or one for the conditions alone.
    pub(super) fn parts(&self) -> Vec<Part<'_>> {
        let conditions = self.conditions.iter();
        let conditions: Vec<String> = conditions
            .map(|(key, value)| match *key {
                "kind" => format!("{key}: {}", scalar(value)),
                key => format!("{key}: {}", quoted(value)),
            })
            .collect();
        let conditions = conditions.join(", ");
        if self.names.is_empty() {
            let target = Target {
                key: label(&conditions),
                condition: Some(conditions),
            };
            return vec![Part { name: None, target }];
        }
        let part = |name: &'_ String| {
            let mut target = Target::of_name(name);
            if !conditions.is_empty() {
                target.key = label(&format!("{name} {conditions}"));
                target.condition = Some(format!("name: {}, {conditions}", quoted(name)));
            }
            target
        };
        let parts = self.names.iter().map(|name| Part {
            name: Some(name),
            target: part(name),
        });
        parts.collect()
    }

    /// The interfaces of a part of a later file that this one matches too.
    fn overlap(&self, later: &Match, name: Option<&str>) -> Overlap {
        let of_names = match name {
            _ if self.names.is_empty() => Overlap::All,
            None => Overlap::Perhaps,
            Some(name) => {
                let names = self.names.iter();
                let all = names.map(|earlier| overlap_of_names(earlier, name));
                all.max().unwrap_or(Overlap::None)
            }
        };
        let differs = |(key, value): &(&str, String)| {
            let mut later = later.conditions.iter();
            later.any(|(other, wanted)| {
                other == key && wanted != value && !is_pattern(value) && !is_pattern(wanted)
            })
        };
        if self.conditions.iter().any(differs) {
            return Overlap::None;
        }
        let met = |condition| later.conditions.contains(condition);
        match self.known && self.conditions.iter().all(met) {
            true => of_names,
            false => of_names.min(Overlap::Perhaps),
        }
    }
}

fn overlap_of_names(earlier: &str, later: &str) -> Overlap {
    let matches =
        |pattern: &str, name: &str| Glob::new(pattern).is_ok_and(|glob| glob.matches(name.as_bytes()));
    match (is_pattern(earlier), is_pattern(later)) {
        _ if earlier == later || earlier == "*" => Overlap::All,
        (false, false) => Overlap::None,
        (true, false) if matches(earlier, later) => Overlap::All,
        (false, true) if matches(later, earlier) => Overlap::Perhaps,
        (true, false) | (false, true) => Overlap::None,
        (true, true) => {
            let start = |pattern: &str| {
                let end = pattern.find(['*', '?', '[', '\\']);
                end.and_then(|end| pattern.get(..end))
                    .unwrap_or(pattern)
                    .to_owned()
            };
            let (earlier, later) = (start(earlier), start(later));
            match earlier.starts_with(&later) || later.starts_with(&earlier) {
                true => Overlap::Perhaps,
                false => Overlap::None,
            }
        }
    }
}

/// The files of one kind so far, in the order of systemd.
#[derive(Default)]
pub(super) struct Earlier {
    files: Vec<(String, Match)>,
}

impl Earlier {
    pub(super) fn add(&mut self, file: &str, matching: Match) {
        self.files.push((file.to_owned(), matching));
    }

    /// The targets that no earlier file matches. A note names each earlier file.
    pub(super) fn targets(
        &self,
        sections: &[Section],
        later: &Match,
        into: &mut Importer<'_>,
    ) -> Vec<Target> {
        let mut targets = Vec::new();
        let section = sections.iter().find(|section| section.name == "Match");
        let Some(span) = section.map(|section| section.span) else {
            return targets;
        };
        for part in later.parts() {
            let overlap = |earlier: &Match| earlier.overlap(later, part.name);
            let mut files = self.files.iter();
            let first = files.find(|(_, earlier)| overlap(earlier) == Overlap::All);
            if let Some((file, _)) = first {
                let what = part.name.unwrap_or(&part.target.key);
                into.note(
                    span,
                    &format!("{what}: {file} matches it first, and systemd applies only the first file"),
                );
                continue;
            }
            let mut files = self.files.iter();
            let perhaps = files.find(|(_, earlier)| overlap(earlier) == Overlap::Perhaps);
            if let Some((file, _)) = perhaps {
                let what = part.name.unwrap_or(&part.target.key);
                into.note(
                    span,
                    &format!("{what}: {file} comes first and can match the same interfaces, to which systemd applies only that file"),
                );
            }
            targets.push(part.target);
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_overlap_as_far_as_an_interface_can_have_both() {
        for (earlier, later, expected) in [
            ("eth0", "eth0", Overlap::All),
            ("eth*", "eth0", Overlap::All),
            ("*", "en*", Overlap::All),
            ("eth0", "eth*", Overlap::Perhaps),
            ("en*", "enp?", Overlap::Perhaps),
            ("en*", "eth*", Overlap::None),
            ("eth0", "eth1", Overlap::None),
            ("eth0", "en*", Overlap::None),
        ] {
            assert_eq!(overlap_of_names(earlier, later), expected, "{earlier} {later}");
        }
    }
}
