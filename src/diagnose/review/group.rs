//! Hosts with the same change.

use std::collections::{BTreeMap, BTreeSet};

use crate::review::class::Class;
use crate::review::effect::{Effect, Effects};
use crate::review::found::Found;
use crate::review::host::HostChange;
use crate::review::names::Names;
use netkeel_core::finding::{Code, Severity};
use netkeel_document::document::part::Part;

/// Where the inventory puts a host in the order of a rollout: its number in the list of stages.
pub type Stage = usize;

/// Hosts by name and by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Their names.
    pub names: Names,
    /// The number of hosts in each stage; empty without an inventory.
    pub stages: BTreeMap<Stage, usize>,
}

impl Hosts {
    /// Adds a host.
    pub(super) fn add(&mut self, name: &str, stage: Option<Stage>) {
        self.names.add(name);
        if let Some(stage) = stage {
            *self.stages.entry(stage).or_default() += 1;
        }
    }

    pub(super) fn extend(&mut self, other: Hosts) {
        self.names.extend(other.names);
        for (stage, number) in other.stages {
            *self.stages.entry(stage).or_default() += number;
        }
    }

    /// The number of hosts.
    pub fn count(&self) -> usize {
        self.names.count()
    }
}

/// The properties that all hosts of a group share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub classes: Vec<Class>,
    pub codes: BTreeSet<Code>,
    pub parts: BTreeSet<Part>,
}

impl Key {
    pub(super) fn of(change: &HostChange) -> Self {
        Key {
            classes: change.effects.keys().cloned().collect(),
            codes: change.findings.iter().map(|finding| finding.code).collect(),
            parts: change.parts.clone(),
        }
    }
}

/// The risk of a group: the first is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// A device is deleted.
    Destroys,
    /// State is lost that the undo does not restore.
    Loses,
    /// There is a finding of this severity.
    Finding(Severity),
    /// Every write has an exact undo.
    None,
}

/// Hosts with the same change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The hosts.
    pub hosts: Hosts,
    /// The objects that change.
    pub effects: Effects,
    /// The new findings of the hosts, by code. Each host has a finding of each code.
    pub findings: BTreeMap<Code, Found>,
    /// Parts of the document that change and are no facts of the hosts.
    pub parts: BTreeSet<Part>,
}

impl Group {
    pub(super) fn new(host: &str, stage: Option<Stage>, change: HostChange) -> Self {
        let mut hosts = Hosts::default();
        hosts.add(host, stage);
        Group {
            hosts,
            effects: change.effects,
            findings: Found::of(host, change.findings),
            parts: change.parts,
        }
    }

    /// Adds a group of the same key, or of a key that differs in the old values only.
    pub(super) fn extend(&mut self, other: Group) {
        let earlier = other.hosts.names.first() < self.hosts.names.first();
        for (effect, with) in self.effects.values_mut().zip(other.effects.into_values()) {
            effect.add(with, earlier);
        }
        for (code, found) in other.findings {
            self.findings.entry(code).or_default().extend(found);
        }
        self.hosts.extend(other.hosts);
    }

    /// The risk of the worst write or finding.
    pub fn risk(&self) -> Risk {
        let effects = self.effects.keys().map(|class| match class {
            class if class.destroys => Risk::Destroys,
            class if class.loses() => Risk::Loses,
            _ => Risk::None,
        });
        let codes = self.findings.keys();
        let findings = codes.map(|code| Risk::Finding(code.severity()));
        effects.chain(findings).min().unwrap_or(Risk::None)
    }

    /// The objects in the order in which they are shown: the worst first, then named objects, then those of a
    /// match.
    pub fn shown(&self) -> Vec<(&Class, &Effect)> {
        let mut shown: Vec<(&Class, &Effect)> = self.effects.iter().collect();
        shown.sort_by_key(|(class, effect)| {
            let named = class.subject.named().is_none();
            (!class.destroys, !class.loses(), named, usize::MAX - effect.total)
        });
        shown
    }

    /// Whether the change concerns named objects: those are few and each has its own reason.
    pub(super) fn is_singular(&self) -> bool {
        self.effects.keys().any(|class| class.subject.named().is_some())
    }
}
