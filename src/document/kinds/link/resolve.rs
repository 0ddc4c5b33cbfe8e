//! From rules to wants: an exact name beats a match field by field, and two matches that disagree
//! on one interface are an error.

use std::collections::{BTreeMap, BTreeSet};

use crate::kinds::link::rule::{Links, Rule, Setting};
use crate::kinds::mtu::Wanted;
use crate::want::Want;
use crate::want::request::{PodMtu, PodMtuRequest};
use crate::want::wants::Wants;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::{Link, by_other_name};
use netkeel_source::diagnostic::Diagnostic;
use netkeel_source::node::path::KeyPath;
use netkeel_source::span::Span;

/// The wants of all rules, in interface order. A map built in one step takes a third of the time of
/// one that grows.
#[derive(Default)]
struct Resolved {
    wants: Vec<(Fact, Want)>,
    wishes: Vec<(LinkName, PodMtuRequest)>,
}

impl Rule {
    /// Rejects an entry with `required: true` that binds nothing.
    fn must_be_found(&self, wants: &mut Wants) {
        let path = KeyPath::of(&["link", &self.id]);
        self.required.not_found(&path, "no interface", wants);
    }
}

impl Links {
    pub fn resolve(&self, host: &Snapshot, wants: &mut Wants) {
        let mut found = Resolved::default();
        let mut named: BTreeMap<LinkName, Vec<&Rule>> = BTreeMap::new();
        let mut exact: Vec<(LinkName, &Rule)> = Vec::new();
        for (written, rule) in &self.exact {
            let name = host.resolve(*written);
            if !host.links.contains_key(&name) {
                wants.when_absent(name, &KeyPath::of(&["link", &rule.id]));
                if !wants.made.contains(&name) {
                    rule.must_be_found(wants);
                }
            }
            exact.push((name, rule));
        }
        for (written, rule) in &self.by_long_name {
            match by_other_name(&host.links, written) {
                Some(name) => exact.push((name, rule)),
                None => {
                    rule.must_be_found(wants);
                    wants.long_name_absent(written, &KeyPath::of(&["link", &rule.id]));
                }
            }
        }
        for (name, rule) in exact {
            let mut fields = rule.settings.iter().map(|setting| setting.field);
            if fields.any(|field| matches!(field, Field::Mtu | Field::PodMtu)) {
                wants.named.insert(name);
            }
            named.entry(name).or_default().push(rule);
            for setting in &rule.settings {
                if setting.field == Field::PodMtu {
                    found.wishes.extend(setting.wish().map(|wish| (name, wish)));
                } else if self.can_be(name, host.link(name), setting, wants) {
                    let fact = Fact::link(&self.netns, name, setting.field);
                    wants.add_wanted(fact, &setting.wanted, setting.origin.clone());
                }
            }
        }
        wants.wish_for_pods(std::mem::take(&mut found.wishes));
        let mut told = BTreeSet::new();
        // A vector that grows by doubling holds everything twice for a moment.
        let of_the_link = |rule: &Rule| {
            let fields = rule.settings.iter().map(|setting| setting.field);
            fields.filter(|field| *field != Field::PodMtu).count()
        };
        let most = self.matches.iter().map(|(_, rule)| of_the_link(rule)).max();
        found.wants.reserve(host.links.len() * most.unwrap_or(0));
        let mut taken = Vec::new();
        let mut met = BTreeSet::new();
        for (name, link) in &host.links {
            if wants.made.contains(name) {
                continue;
            }
            taken.clear();
            let exact = named.get(name).map_or(&[][..], Vec::as_slice);
            self.matched(
                (*name, link),
                host,
                exact,
                &mut told,
                &mut taken,
                &mut found,
                wants,
            );
            if met.len() < self.matches.len() {
                let rules = self.matches.iter().enumerate();
                let first = rules.filter(|(number, (selector, _))| {
                    !met.contains(number) && selector.matches(*name, link, host)
                });
                met.extend(first.map(|(number, _)| number).collect::<Vec<_>>());
            }
        }
        wants.add_all(found.wants);
        wants.wish_for_pods(found.wishes);
        let rules = self.matches.iter().enumerate();
        for (_, (_, rule)) in rules.filter(|(number, _)| !met.contains(number)) {
            rule.must_be_found(wants);
            let path = KeyPath::of(&["link", &rule.id]);
            wants.findings.add(
                Code::NK073,
                &path,
                "its match finds no interface",
                "look for a misspelt condition; interfaces that appear later are found then",
            );
            wants.unmatched.push(path.into());
        }
    }

    /// Finds the settings of matches for one interface; `taken` must be empty. `exact` has the rules that
    /// name it.
    #[expect(
        clippy::too_many_arguments,
        reason = "buffers that are reused for thousands of interfaces"
    )]
    fn matched<'a>(
        &'a self,
        (name, link): (LinkName, &Link),
        host: &Snapshot,
        exact: &[&'a Rule],
        told: &mut BTreeSet<(Span, Span)>,
        taken: &mut Vec<(&'a Setting, &'a Rule)>,
        found: &mut Resolved,
        wants: &mut Wants,
    ) {
        let before = found.wants.len();
        for (_, rule) in self
            .matches
            .iter()
            .filter(|(selector, _)| selector.matches(name, link, host))
        {
            for setting in &rule.settings {
                let mut own = exact.iter().flat_map(|exact| &exact.settings);
                if own.any(|own| own.field == setting.field) {
                    continue;
                }
                // Check once per interface: `taken` is only filled after the check.
                if taken.is_empty() && left_alone(name, wants) {
                    return;
                }
                match taken.iter().find(|(other, _)| other.field == setting.field) {
                    Some((other, _)) if other.wanted == setting.wanted => {}
                    Some((other, first)) => {
                        let fact = Fact::link(&self.netns, name, setting.field);
                        match told.insert((other.origin.span, setting.origin.span)) {
                            true => disagree(name, other, first, setting, rule, wants).concerns(&fact),
                            false => wants
                                .diagnostics
                                .add_once(setting.origin.span, &setting.origin.path, "")
                                .concerns(&fact),
                        };
                    }
                    None => {
                        if setting.field == Field::PodMtu {
                            found.wishes.extend(setting.wish().map(|wish| (name, wish)));
                        } else if self.can_be(name, Some(link), setting, wants) {
                            let fact = Fact::link(&self.netns, name, setting.field);
                            match &setting.wanted {
                                wanted @ Wanted::Value(value, _) => {
                                    wanted.tell(&setting.origin.path, &mut wants.findings);
                                    let (value, origin) = (value.clone(), setting.origin.clone());
                                    found.wants.push((fact, Want { value, origin }));
                                }
                                wanted @ Wanted::Budget(_) => {
                                    wants.add_wanted(fact, wanted, setting.origin.clone())
                                }
                            }
                        }
                        taken.push((setting, rule));
                    }
                }
            }
        }
        // Wants that are already in fact order become a map without a sort; those of a single rule
        // are.
        let found = &mut found.wants[before..];
        if !found.is_sorted_by(|(a, _), (b, _)| a <= b) {
            found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
    }

    /// Whether the device can take a setting; reports why not.
    fn can_be(&self, name: LinkName, link: Option<&Link>, setting: &Setting, wants: &mut Wants) -> bool {
        let origin = &setting.origin;
        if let (Wanted::Value(Value::Number(mtu), _), Some(link)) = (&setting.wanted, link)
            && setting.field == Field::Mtu
            && let Some(message) = link.refuses_mtu(name, *mtu)
        {
            let fact = Fact::link(&self.netns, name, setting.field);
            wants
                .diagnostics
                .add_once(origin.span, &origin.path, message)
                .concerns(&fact);
            return false;
        }
        true
    }
}

impl Setting {
    /// The wanted MTU of the veth's other end, if this setting is about that end.
    pub(super) fn wish(&self) -> Option<PodMtuRequest> {
        let Wanted::Value(Value::Text(text), _) = &self.wanted else {
            return None;
        };
        Some(PodMtuRequest {
            mtu: PodMtu::read(text)?,
            origin: self.origin.clone(),
        })
    }
}

/// Whether this interface is one that a glob must not match; reports it.
fn left_alone(name: LinkName, wants: &mut Wants) -> bool {
    let text = name.as_text();
    if let Some(reason) = device_owner::refusal(&text) {
        let message = format!("a match selects it, but netkeel does not change it: {reason}");
        wants.findings.add(
            Code::NK007,
            name,
            message,
            "narrow the match, for instance with a kind",
        );
        return true;
    }
    if let Some(keeper) = device_owner::keeper(&text) {
        let message = format!("a match selects it, but netkeel does not change it: {keeper} keeps it");
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

fn disagree<'w>(
    name: LinkName,
    first: &Setting,
    first_rule: &Rule,
    second: &Setting,
    second_rule: &Rule,
    wants: &'w mut Wants,
) -> &'w mut Diagnostic {
    let message = format!(
        "the matches `{}` and `{}` disagree on {} of {name}: {} and {}",
        first_rule.id, second_rule.id, first.field, first.wanted, second.wanted
    );
    wants
        .diagnostics
        .add(second.origin.span, &*second.origin.path, message)
        .other(
            first.origin.span,
            format!("`{}` wants {}", first_rule.id, first.wanted),
        )
        .hint(format!(
            "narrow one of the matches, or name {name} exactly: an exact name beats a match"
        ))
}
