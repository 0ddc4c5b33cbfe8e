//! The hosts of an inventory with their groups, in Ansible's order of precedence.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::inventory::range;
use netkeel_core::text::escape::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::span::Span;

/// The group of all hosts.
pub(super) const ALL: &str = "all";

/// The group of hosts without another group.
pub(super) const UNGROUPED: &str = "ungrouped";

/// The variable that names the stage of a rollout.
pub(super) const STAGE: &str = "netkeel_stage";

/// The variable that orders groups of one depth.
pub(super) const PRIORITY: &str = "ansible_group_priority";

/// The most hosts of all groups together.
const MOST: usize = 1_000_000;

/// A host of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its groups in the order of precedence: variables of later ones override those of earlier ones.
    pub groups: Vec<String>,
    /// The number of its stage.
    pub stage: Option<usize>,
}

/// The hosts of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The stages, in the order of the file.
    pub stages: Vec<String>,
    /// The hosts by name.
    pub hosts: BTreeMap<String, Member>,
}

/// A variable with its place.
pub(super) struct Variable<'a> {
    pub(super) name: &'a str,
    /// Its text; `None` for a value that is not a single one.
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) span: Span,
}

/// A group as the file has it.
#[derive(Default)]
pub(super) struct Group {
    hosts: BTreeSet<String>,
    pub(super) children: BTreeMap<String, Span>,
    priority: i64,
    stage: Option<usize>,
}

/// An inventory while it is read.
pub(super) struct Inventory<'k> {
    /// The keys of a document.
    keys: &'k [&'k str],
    stages: Vec<String>,
    groups: BTreeMap<String, Group>,
    /// The stages that hosts have of their own.
    hosts: BTreeMap<String, Option<usize>>,
    /// The number of hosts in all groups, with those that several groups name.
    named: usize,
}

impl<'k> Inventory<'k> {
    pub(super) fn new(keys: &'k [&'k str]) -> Self {
        Inventory {
            keys,
            stages: Vec::new(),
            groups: BTreeMap::new(),
            hosts: BTreeMap::new(),
            named: 0,
        }
    }

    pub(super) fn group(&mut self, name: &str) -> &mut Group {
        self.groups.entry(name.to_owned()).or_insert_with(|| Group {
            priority: 1,
            ..Group::default()
        })
    }

    /// Adds the hosts of a pattern to a group. Returns them, for their variables.
    pub(super) fn add_hosts(
        &mut self,
        group: &str,
        pattern: &str,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) -> Vec<String> {
        if pattern.contains('=') {
            // A line of variables whose header is missing may be a password: it is not shown.
            diagnostics
                .add(span, group, "a host has no `=` in its name")
                .hint("variables of a group come below a header: [GROUP:vars]");
            return Vec::new();
        }
        let names = match range::expand(range::without_port(pattern)) {
            Ok(names) => names,
            Err(why) => {
                diagnostics
                    .add(span, group, why)
                    .hint("a range is BEGIN:END, such as web[01:20] or db[a:c]");
                return Vec::new();
            }
        };
        self.named = self.named.saturating_add(names.len());
        if self.named > MOST {
            // The first line above the bound is enough.
            if self.named - names.len() <= MOST {
                let message = format!("the inventory names more than {MOST} hosts");
                diagnostics.add(span, group, message);
            }
            return Vec::new();
        }
        for name in &names {
            if name.is_empty() || name.contains('/') || name.starts_with('.') {
                diagnostics.add(span, group, format!("{} is not the name of a host", quoted(name)));
                return Vec::new();
            }
            self.hosts.entry(name.clone()).or_default();
            self.group(group).hosts.insert(name.clone());
        }
        names
    }

    pub(super) fn host_variable(
        &mut self,
        hosts: &[String],
        variable: &Variable<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        if let Some(stage) = self.stage(variable, diagnostics) {
            for host in hosts {
                self.hosts.insert(host.clone(), Some(stage));
            }
        }
    }

    pub(super) fn group_variable(
        &mut self,
        group: &str,
        variable: &Variable<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        if variable.name == PRIORITY {
            match variable.value.as_deref().and_then(|value| value.parse().ok()) {
                Some(priority) => self.group(group).priority = priority,
                None => {
                    diagnostics.add(variable.span, variable.name, "expected a number");
                }
            }
        } else if let Some(stage) = self.stage(variable, diagnostics) {
            self.group(group).stage = Some(stage);
        }
    }

    /// The number of the stage that a variable names. Rejects parts of a document: in an inventory they would be
    /// ignored without a word.
    fn stage(&mut self, variable: &Variable<'_>, diagnostics: &mut Diagnostics) -> Option<usize> {
        let Variable { name, value, span } = variable;
        let (name, span) = (*name, *span);
        if name != STAGE {
            let section = name.strip_prefix("netkeel_");
            if name == "netkeel"
                || name == "netkeel_document"
                || section.is_some_and(|key| self.keys.contains(&key))
            {
                diagnostics
                    .add(
                        span,
                        name,
                        format!("{} in an inventory is not read", quoted(name)),
                    )
                    .hint("move it to a file of group_vars or host_vars");
            }
            return None;
        }
        let is_name = |value: &&str| !value.is_empty() && !value.contains("{{");
        let Some(stage) = value.as_deref().filter(is_name) else {
            diagnostics.add(span, name, "expected the name of a stage");
            return None;
        };
        let known = self.stages.iter().position(|known| known == stage);
        Some(known.unwrap_or_else(|| {
            self.stages.push(stage.to_owned());
            self.stages.len() - 1
        }))
    }

    /// The hosts with their groups.
    pub(super) fn members(mut self, diagnostics: &mut Diagnostics) -> Members {
        self.group(ALL);
        let depths = self.depths(diagnostics);
        // By host, the groups that name it.
        let mut direct: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, group) in &self.groups {
            for host in &group.hosts {
                direct.entry(host.as_str()).or_default().insert(name.as_str());
            }
        }
        let parents = self.parents();
        let mut hosts = BTreeMap::new();
        for (host, own) in &self.hosts {
            let mut groups = direct.remove(host.as_str()).unwrap_or_default();
            let mut next: Vec<&str> = groups.iter().copied().collect();
            while let Some(group) = next.pop() {
                for parent in parents.get(group).into_iter().flatten().copied() {
                    if groups.insert(parent) {
                        next.push(parent);
                    }
                }
            }
            groups.remove(UNGROUPED);
            groups.insert(ALL);
            if groups.len() == 1 {
                groups.insert(UNGROUPED);
            }
            let rank = |group: &&str| {
                let priority = self.groups.get(*group).map_or(1, |group| group.priority);
                let depth = if *group == ALL {
                    0
                } else {
                    depths.get(*group).copied().unwrap_or(1)
                };
                (depth, priority)
            };
            let mut groups: Vec<&str> = groups.into_iter().collect();
            groups.sort_by_key(rank);
            let mut nearest = groups.iter().rev();
            let of_groups = nearest.find_map(|group| self.groups.get(*group)?.stage);
            let member = Member {
                stage: own.or(of_groups),
                groups: groups.into_iter().map(str::to_owned).collect(),
            };
            hosts.insert(host.clone(), member);
        }
        Members {
            hosts,
            stages: self.stages,
        }
    }

    fn parents(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut parents: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, group) in &self.groups {
            for child in group.children.keys() {
                parents.entry(child.as_str()).or_default().push(name.as_str());
            }
        }
        parents
    }

    /// The groups that a group names. Below `all` is everything anyway.
    fn children(&self, group: &str) -> impl Iterator<Item = (&str, Span)> {
        let group = self.groups.get(group).filter(|_| group != ALL);
        let children = group.into_iter().flat_map(|group| &group.children);
        children.map(|(child, span)| (child.as_str(), *span))
    }

    /// The depth of each group below `all`: the longest way counts. Reports a group that contains itself.
    fn depths(&self, diagnostics: &mut Diagnostics) -> BTreeMap<&str, usize> {
        // A group is placed after all groups that name it. For the others, the number of those that are not yet placed.
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        for (child, _) in self.groups.keys().flat_map(|name| self.children(name)) {
            *waiting.entry(child).or_default() += 1;
        }
        let mut depths: BTreeMap<&str, usize> = self.groups.keys().map(|name| (name.as_str(), 1)).collect();
        let mut next: Vec<&str> = depths.keys().copied().collect();
        next.retain(|name| !waiting.contains_key(name));
        while let Some(name) = next.pop() {
            let below = depths.get(name).copied().unwrap_or(1) + 1;
            for (child, _) in self.children(name) {
                let depth = depths.entry(child).or_insert(1);
                *depth = below.max(*depth);
                if let Some(number) = waiting.get_mut(child) {
                    *number -= 1;
                    if *number == 0 {
                        waiting.remove(child);
                        next.push(child);
                    }
                }
            }
        }
        if let Some((child, span)) = self.in_a_circle(&waiting) {
            let message = format!("the group {} contains itself", quoted(child));
            diagnostics.add(span, child, message);
        }
        depths
    }

    /// A group that contains itself, with its place, among those that are never placed: a circle names each of them, or
    /// a group that contains it. So the way up from any of them ends in a circle.
    fn in_a_circle(&self, waiting: &BTreeMap<&str, usize>) -> Option<(&str, Span)> {
        let mut named_by: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
        for parent in waiting.keys() {
            for (child, span) in self.children(parent) {
                named_by.insert(child, (self.groups.get_key_value(*parent)?.0, span));
            }
        }
        let (mut group, mut seen) = (*waiting.keys().next()?, BTreeSet::new());
        while seen.insert(group) {
            group = named_by.get(group)?.0;
        }
        let (group, (_, span)) = named_by.get_key_value(group)?;
        Some((group, *span))
    }
}
