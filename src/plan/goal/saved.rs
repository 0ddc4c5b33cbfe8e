//! A plan that is saved to be applied later, exactly or not at all. It holds the document and everything
//! that was read to plan it. File contents are stored as hashes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::goal::planned::Planned;
use crate::goal::{Declared, Goal};
use crate::plan::Plan;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Field, Object, Value};
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_source::diagnostic::Diagnostics;

/// The version of the format. A newer version is rejected.
const FORMAT: u32 = 1;

/// A saved plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// The version of the format.
    pub format: u32,
    /// The boot ID of the boot in which the plan was made.
    pub boot: String,
    /// The name of the namespace; `None` for the current one.
    pub netns: Option<String>,
    /// The document in canonical form, which is a valid document.
    pub document: serde_json::Value,
    /// The state that the plan depends on.
    pub read: ReadSet,
    /// The commands, in order.
    pub commands: Vec<String>,
}

/// All state of a host that a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReadSet {
    /// Each wanted fact with its value; a hash for a file.
    pub facts: BTreeMap<String, Option<Value>>,
    /// The index of each interface that the plan concerns.
    pub indexes: BTreeMap<LinkName, u32>,
    /// The interfaces that each match found.
    pub matches: BTreeMap<String, BTreeSet<LinkName>>,
}

impl ReadSet {
    /// The state that this document's plan depends on.
    pub fn of(document: &Document, host: &Snapshot) -> Self {
        let mut read = ReadSet::default();
        for (fact, want) in document.wants(host).facts {
            let mut value = host.get(&fact).value();
            if let (Field::Content, Some(Value::Text(text))) = (fact.field, &value) {
                value = Some(Value::Text(netkeel_source::node::canonical::digest(text).into()));
            }
            if let Object::Plugin(plugin) = &fact.object
                && let Some(Some(found)) = host.cni.as_ref().and_then(|cni| cni.file(&plugin.file))
            {
                let hash = Value::Text(found.sha256.as_str().into());
                read.facts
                    .insert(format!("file {}", plugin.file.display()), Some(hash));
            }
            if let Some(name) = fact.link_name() {
                read.indexes
                    .extend(host.links.get(&name).map(|link| (name, link.index)));
                if !want.origin.named {
                    let path = &*want.origin.path;
                    let rule = path.rsplit_once('.').map_or(path, |(rule, _)| rule);
                    read.matches.entry(rule.to_owned()).or_default().insert(name);
                }
            }
            read.facts.insert(fact.to_string(), value);
        }
        read
    }

    /// The differences to the current state, one sentence each.
    fn differences(&self, now: &ReadSet) -> Vec<String> {
        let mut differences = Vec::new();
        let show = |value: Option<&Option<Value>>| match value {
            Some(Some(value)) => value.to_string(),
            _ => "absent".to_owned(),
        };
        for rule in self
            .matches
            .keys()
            .chain(now.matches.keys())
            .collect::<BTreeSet<_>>()
        {
            let (then, is) = (self.matches.get(rule).cloned(), now.matches.get(rule).cloned());
            let (then, is) = (then.unwrap_or_default(), is.unwrap_or_default());
            differences.extend(
                is.difference(&then)
                    .map(|name| format!("{rule} now matches {name}")),
            );
            differences.extend(
                then.difference(&is)
                    .map(|name| format!("{rule} no longer matches {name}")),
            );
        }
        for (name, index) in &self.indexes {
            if now.indexes.get(name).is_some_and(|is| is != index) {
                differences.push(format!("{name} was deleted and created again"));
            }
        }
        for fact in self.facts.keys().chain(now.facts.keys()).collect::<BTreeSet<_>>() {
            let (then, is) = (self.facts.get(fact), now.facts.get(fact));
            if then != is && (then.is_some() && is.is_some()) {
                let (then, is) = (show(then), show(is));
                // Two secrets look alike.
                let another = if then == is { "another " } else { "" };
                differences.push(format!("{fact} was {then} and is now {another}{is}"));
            }
        }
        differences
    }
}

impl SavedPlan {
    /// Saves a plan.
    ///
    /// # Errors
    /// Never in practice: a canonical document is JSON.
    pub fn new(document: &Document, host: &Snapshot, plan: &Plan, boot: &str) -> Result<Self, Error> {
        let canonical = serde_json::from_str(&document.canonical).map_err(|error| {
            Error::new(
                ErrorKind::Unreadable,
                format!("the document cannot be saved: {error}"),
            )
        })?;
        Ok(SavedPlan {
            format: FORMAT,
            boot: boot.to_owned(),
            netns: document.netns.name().map(str::to_owned),
            document: canonical,
            read: ReadSet::of(document, host),
            commands: plan.steps.iter().map(|step| step.op.to_string()).collect(),
        })
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for text that is not a saved plan, and for a newer format.
    pub fn read(text: &str) -> Result<Self, Error> {
        let wrong = |error: serde_json::Error| {
            Error::new(ErrorKind::Input, format!("this is not a saved plan: {error}"))
                .hint("make one with `netkeel plan --save`")
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(wrong)?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > FORMAT.into() => Err(Error::new(
                ErrorKind::Input,
                format!("the plan has format {format}; this netkeel reads up to {FORMAT}"),
            )
            .hint("use the netkeel that saved it, or plan again")),
            _ => serde_json::from_value(value).map_err(wrong),
        }
    }
}

/// The goal of a saved plan: its document, provided that nothing it depends on has changed.
#[derive(Debug)]
pub struct Exactly<'a> {
    declared: Declared<'a>,
    saved: &'a SavedPlan,
}

impl<'a> Exactly<'a> {
    /// The goal of `saved`, on the host that `declared` describes.
    pub fn new(declared: Declared<'a>, saved: &'a SavedPlan) -> Self {
        Exactly { declared, saved }
    }
}

impl Goal for Exactly<'_> {
    fn scope(&self) -> Scope {
        self.declared.scope()
    }

    fn plan(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        let mut stale = Diagnostics::default();
        for difference in self
            .saved
            .read
            .differences(&ReadSet::of(self.declared.document, host))
        {
            stale.add(None, "", difference);
        }
        if !stale.is_empty() {
            stale
                .add(
                    None,
                    "",
                    "the host has changed since the plan was made; nothing was written",
                )
                .hint("plan again");
            return Err(Box::new(stale));
        }
        let planned = self.declared.plan(host)?;
        let commands: Vec<String> = planned
            .plan
            .steps
            .iter()
            .map(|step| step.op.to_string())
            .collect();
        if commands != self.saved.commands {
            stale
                .add(
                    None,
                    "",
                    "planning again gives different steps; nothing was written",
                )
                .hint("another netkeel saved it, or other options (--prune) are set; plan again");
            return Err(Box::new(stale));
        }
        Ok(planned)
    }

    /// The steps themselves have changed the state that was read, so the saved state is not checked.
    fn plan_again(&self, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
        self.declared.plan(host)
    }
}
