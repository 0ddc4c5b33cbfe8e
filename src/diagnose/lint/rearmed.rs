//! Patterns of sysctl.d that udev applies to an interface that appears, over the declared value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::{Slot, SysctlKey};
use netkeel_host::sysctl_d::answer::{How, Outcome};
use netkeel_host::sysctl_d::file::{Dialect, FileLine};
use netkeel_host::sysctl_d::reader::Judge;
use netkeel_host::sysctl_form::stored::is_same;

/// The patterns with the declared values that each overrides. A pattern is one cause and gives one finding.
pub(super) struct Rearmed {
    udev: bool,
    found: BTreeMap<(FileLine, String, String), Overridden>,
}

/// The declared values that a pattern overrides.
#[derive(Default)]
struct Overridden {
    subjects: BTreeSet<String>,
    declared: BTreeSet<String>,
    /// Narrower patterns with the declared values.
    narrower: BTreeSet<String>,
}

/// Prefixes of interfaces that CNIs make for pods.
const OF_PODS: [&str; 5] = ["cali", "lxc", "veth", "azv", "eni"];

impl Rearmed {
    /// Nothing is reported where udev does not apply sysctl.d.
    pub fn new(udev: bool) -> Self {
        Rearmed {
            udev,
            found: BTreeMap::new(),
        }
    }

    /// Looks for a pattern that replaces the wanted value of a key when an interface appears.
    pub fn check(
        &mut self,
        key: &SysctlKey,
        subject: &dyn fmt::Display,
        wanted: &str,
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
        let overridden = self.found.entry((place, pattern, value)).or_default();
        overridden.subjects.insert(subject.to_string());
        overridden.declared.insert(wanted.to_owned());
        let narrower = narrower(key).map(|pattern| format!("`{pattern} = {wanted}`"));
        overridden.narrower.extend(narrower);
    }

    /// Adds a finding for each pattern.
    pub fn report(self, findings: &mut Findings) {
        for ((place, pattern, value), overridden) in self.found {
            let join = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" and ");
            let message = format!(
                "to an interface that appears, udev applies {pattern} = {value} of {place} instead of the declared {}",
                join(overridden.declared)
            );
            let file = place.file.rsplit('/').next().unwrap_or(&place.file);
            let exact = "declare the interface by its exact name: a line for a key exempts it from patterns";
            let remedy = match overridden.narrower.is_empty() {
                true => exact.to_owned(),
                false => format!(
                    "add {} to a file of /etc/sysctl.d that sorts after {file}, or {exact}",
                    join(overridden.narrower)
                ),
            };
            for subject in overridden.subjects {
                findings.add(Code::NK025, subject, message.as_str(), remedy.as_str());
            }
        }
    }
}

/// A pattern for the pods' interfaces that are named like the one of the key, `net.ipv4.conf.cali*.rp_filter`, or
/// for the interfaces that start with the value of `default`. `None` for other interfaces, which the pattern would
/// change too.
fn narrower(key: &SysctlKey) -> Option<String> {
    let parts = key.per_interface()?;
    let prefix = match parts.slot {
        Slot::All => return None,
        Slot::Default => "",
        Slot::Link(name) => OF_PODS
            .iter()
            .find(|prefix| name.as_bytes().starts_with(prefix.as_bytes()))?,
    };
    Some(format!(
        "net.{}.{}.{prefix}*.{}",
        parts.family, parts.table, parts.leaf
    ))
}
