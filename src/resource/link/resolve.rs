//! From rules to wants: an exact name beats a match field by field, and two matches that disagree
//! on one interface are an error.

use std::collections::BTreeSet;

use super::{Links, Rule, Setting};
use crate::fact::{Fact, Field, Value};
use crate::finding::Code;
use crate::link_name::LinkName;
use crate::selector;
use crate::snapshot::{Link, Snapshot};
use crate::source::{Path, Span};
use crate::want::{Want, Wants};

impl Links {
    pub(super) fn resolve(&self, host: &Snapshot, wants: &mut Wants) {
        for (name, rule) in &self.exact {
            if !host.links.contains_key(name) {
                wants.when_absent(*name, &Path::of(&["link", &rule.id]));
            }
            for setting in &rule.settings {
                self.want(*name, host.links.get(name), setting, rule, true, wants);
            }
        }
        let mut told = BTreeSet::new();
        for (name, link) in &host.links {
            if wants.made.contains(name) {
                continue;
            }
            self.matched(*name, link, &mut told, wants);
        }
    }

    /// Adds what the matches want of one interface.
    fn matched(&self, name: LinkName, link: &Link, told: &mut BTreeSet<(Span, Span)>, wants: &mut Wants) {
        let mut taken: Vec<(&Setting, &Rule)> = Vec::new();
        let exact = self.exact.get(&name);
        for (_, rule) in self
            .matches
            .iter()
            .filter(|(selector, _)| selector.matches(name, link))
        {
            for setting in &rule.settings {
                if exact.is_some_and(|exact| exact.settings.iter().any(|own| own.field == setting.field)) {
                    continue;
                }
                if left_alone(name, wants) {
                    return;
                }
                match taken.iter().find(|(other, _)| other.field == setting.field) {
                    Some((other, _)) if other.value == setting.value => {}
                    Some((other, first)) => {
                        if told.insert((other.span, setting.span)) {
                            disagree(name, other, first, setting, rule, wants);
                        }
                    }
                    None => {
                        self.want(name, Some(link), setting, rule, false, wants);
                        taken.push((setting, rule));
                    }
                }
            }
        }
    }

    fn want(
        &self,
        name: LinkName,
        link: Option<&Link>,
        setting: &Setting,
        rule: &Rule,
        named: bool,
        wants: &mut Wants,
    ) {
        if let (Field::Mtu, Value::Number(mtu), Some(link)) = (setting.field, &setting.value, link)
            && let Some(message) = out_of_range(name, *mtu, link)
        {
            let told = wants
                .diagnostics
                .list
                .iter()
                .any(|diagnostic| diagnostic.span == Some(setting.span));
            if !told {
                wants.diagnostics.add(setting.span, &*setting.path, message);
            }
            return;
        }
        let want = Want {
            value: setting.value.clone(),
            span: setting.span,
            path: setting.path.clone(),
            named,
            permits_ipv6_loss: rule.allow_ipv6_loss,
        };
        wants.add(Fact::link(&self.netns, name, setting.field), want);
    }
}

/// What the device says of its limits (IFLA_MIN_MTU, IFLA_MAX_MTU; 0 is no limit).
fn out_of_range(name: LinkName, mtu: i64, link: &Link) -> Option<String> {
    if mtu < link.min_mtu.into() {
        return Some(format!(
            "an MTU of {mtu} is below the least that {name} ({}) takes, {}",
            link.kind_name(),
            link.min_mtu
        ));
    }
    if link.max_mtu != 0 && mtu > link.max_mtu.into() {
        return Some(format!(
            "an MTU of {mtu} is above the most that {name} ({}) takes, {}",
            link.kind_name(),
            link.max_mtu
        ));
    }
    None
}

/// Interfaces that a glob must not reach.
fn left_alone(name: LinkName, wants: &mut Wants) -> bool {
    let text = name.to_string();
    if let Some(reason) = selector::refusal(&text) {
        let message = format!("a match meets it and netkeel leaves it alone: {reason}");
        wants.findings.add(
            Code::NK007,
            name,
            message,
            "narrow the match, for instance with a kind",
        );
        return true;
    }
    if let Some(keeper) = selector::keeper(&text) {
        let message = format!("a match meets it and netkeel leaves it alone: {keeper} keeps it");
        wants.findings.add(
            Code::NK006,
            name,
            message,
            "name it exactly to have netkeel write it",
        );
        return true;
    }
    false
}

fn disagree(
    name: LinkName,
    first: &Setting,
    first_rule: &Rule,
    second: &Setting,
    second_rule: &Rule,
    wants: &mut Wants,
) {
    let message = format!(
        "the matches `{}` and `{}` disagree on {} of {name}: {} and {}",
        first_rule.id, second_rule.id, first.field, first.value, second.value
    );
    wants
        .diagnostics
        .add(second.span, &*second.path, message)
        .other(first.span, format!("`{}` wants {}", first_rule.id, first.value))
        .hint(format!(
            "narrow one of the matches, or name {name} exactly: an exact name beats a match"
        ));
}
