//! Patterns of sysctl.d that udev applies to an interface that appears, over the declared value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::sysctl_d::answer::{How, Outcome};
use netkeel_host::sysctl_d::file::{Dialect, FileLine};
use netkeel_host::sysctl_d::reader::Judge;
use netkeel_host::sysctl_form::stored::is_same;

/// The patterns with the values that each overrides. A pattern is one cause and gives one finding.
pub(super) struct Rearmed {
    udev: bool,
    /// The prefixes of pods' interfaces on this host.
    pods: Vec<&'static str>,
    found: BTreeMap<(FileLine, String, String), Overridden>,
}

/// Who wants a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A document, or netkeel's drop-in.
    Declared,
    /// Nobody: `default` has it.
    Current,
}

/// The values that a pattern overrides.
#[derive(Default)]
struct Overridden {
    subjects: BTreeSet<String>,
    declared: BTreeSet<String>,
    current: BTreeSet<String>,
    /// Narrower patterns, each with the values of interfaces that it would give.
    narrower: BTreeMap<String, BTreeSet<String>>,
    /// Those with the value of `default`, which interfaces with a value of their own override.
    of_default: BTreeMap<String, String>,
    /// A value of `default`, where the names of new interfaces are not known.
    is_of_any_name: bool,
}

/// The directory of an administrator's files.
const ETC: &str = "/etc/sysctl.d/";

/// Prefixes of interfaces that CNIs make for pods.
const OF_PODS: [&str; 5] = ["cali", "lxc", "veth", "azv", "eni"];

impl Rearmed {
    /// Nothing is reported where udev does not apply sysctl.d.
    pub fn new(udev: bool, host: &Snapshot) -> Self {
        let is_here = |prefix: &&str| {
            let mut names = host.links.keys();
            names.any(|name| name.as_bytes().starts_with(prefix.as_bytes()))
        };
        Rearmed {
            udev,
            pods: OF_PODS.into_iter().filter(is_here).collect(),
            found: BTreeMap::new(),
        }
    }

    /// Looks for a pattern that replaces the wanted value of a key when an interface appears.
    pub fn check(
        &mut self,
        key: &SysctlKey,
        subject: &dyn fmt::Display,
        (wanted, by): (&str, Wanted),
        judge: &mut Judge<'_>,
    ) {
        if !self.udev {
            return;
        }
        let Some(Outcome {
            how: How::Pattern { pattern },
            place: Some(place),
            value: Some(value),
        }) = judge.answer(Dialect::Systemd, key, true).later
        else {
            return;
        };
        if is_same(key, &value, wanted, None) {
            return;
        }
        let Some(parts) = key.per_interface() else { return };
        // The interfaces that appear on a host with pods are theirs: a narrower pattern may serve all of them.
        let is_served = |prefix: &str, judge: &mut Judge<'_>| {
            let name = format!("{prefix}0").parse().ok();
            let own = name.map(|name| SysctlKey::of_interface(parts.family, parts.table, name, parts.leaf));
            let later = own.and_then(|own| judge.answer(Dialect::Systemd, &own, true).later);
            let value = later.and_then(|outcome| outcome.value);
            value.is_some_and(|value| is_same(key, &value, wanted, None))
        };
        let prefixes: Vec<&str> = match parts.slot {
            Slot::All => Vec::new(),
            Slot::Default => {
                let pods = self.pods.iter().copied();
                let open: Vec<&str> = pods.filter(|prefix| !is_served(prefix, judge)).collect();
                if open.is_empty() && !self.pods.is_empty() {
                    return;
                }
                open
            }
            Slot::Link(name) => {
                let of_pods = |prefix: &&str| name.as_bytes().starts_with(prefix.as_bytes());
                OF_PODS.into_iter().filter(of_pods).take(1).collect()
            }
        };
        let overridden = self.found.entry((place, pattern, value)).or_default();
        overridden.subjects.insert(subject.to_string());
        match by {
            Wanted::Declared => overridden.declared.insert(wanted.to_owned()),
            Wanted::Current => overridden.current.insert(wanted.to_owned()),
        };
        overridden.is_of_any_name |= parts.slot == Slot::Default && prefixes.is_empty();
        for prefix in prefixes {
            let PerInterface {
                family, table, leaf, ..
            } = parts;
            let narrower = format!("net.{family}.{table}.{prefix}*.{leaf}");
            match parts.slot {
                Slot::Default => drop(overridden.of_default.insert(narrower, wanted.to_owned())),
                Slot::All | Slot::Link(_) => {
                    let values = overridden.narrower.entry(narrower).or_default();
                    values.insert(wanted.to_owned());
                }
            }
        }
    }

    /// Adds a finding for each pattern.
    pub fn report(self, findings: &mut Findings) {
        for ((place, pattern, value), overridden) in self.found {
            let join = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(" and ");
            let current = &overridden.current - &overridden.declared;
            let instead = match (overridden.declared.is_empty(), current.is_empty()) {
                (false, true) => format!("the declared {}", join(&overridden.declared)),
                (true, _) => format!("the {} that `default` has", join(&current)),
                (false, false) => format!(
                    "the declared {} and the {} that `default` has",
                    join(&overridden.declared),
                    join(&current)
                ),
            };
            let message = format!(
                "to an interface that appears, udev applies {pattern} = {value} of {place} instead of {instead}"
            );
            let file = place.file.rsplit('/').next().unwrap_or(&place.file);
            let exact = "declare the interface by its exact name: a line for a key exempts it from patterns";
            // No pattern gives two interfaces of one prefix different values.
            let mut lines: BTreeSet<String> = BTreeSet::new();
            for (pattern, values) in &overridden.narrower {
                let value = values.first().filter(|_| values.len() == 1);
                lines.extend(value.map(|value| format!("`{pattern} = {value}`")));
            }
            for (pattern, value) in &overridden.of_default {
                let is_free = !overridden.narrower.contains_key(pattern);
                lines.extend(is_free.then(|| format!("`{pattern} = {value}`")));
            }
            let narrower = match lines.is_empty() {
                true => String::new(),
                false => format!(
                    "add {} to a file of /etc/sysctl.d that sorts after {file}, or ",
                    join(&lines)
                ),
            };
            let remedy = match overridden.is_of_any_name {
                true if place.file.starts_with(ETC) => {
                    format!("{narrower}remove the pattern from {}", place.file)
                }
                true => format!(
                    "{narrower}copy {} to /etc/sysctl.d, which hides it, and remove the pattern from the copy",
                    place.file
                ),
                false => format!("{narrower}{exact}"),
            };
            for subject in overridden.subjects {
                findings.add(Code::NK025, subject, message.as_str(), remedy.as_str());
            }
        }
    }
}
