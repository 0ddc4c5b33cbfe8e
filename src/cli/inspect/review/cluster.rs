//! The nodes of a Kubernetes cluster as hosts: which of them a policy selects, and in which step of its rollout.

use std::collections::BTreeMap;

use crate::inspect::review::documents::{Documents, Each};
use crate::inspect::review::nodes::Node;
use crate::inspect::review::pair::{Pair, nothing, report, some};
use crate::inspect::review::rollout::{Change, Declared, Effect, STAGES};
use crate::load::documents::{Loaded, parse_levels};
use crate::load::revision::{Place, Text};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_document::policy::PolicyMode;
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A policy, or a document.
struct Version<'a> {
    place: &'a Place,
    text: Text,
    declared: Declared,
}

impl<'a> Version<'a> {
    /// Reads the policy of a place. Prints diagnostics and returns `None` if it is invalid.
    fn read(place: &'a Place) -> Result<Option<Self>, Error> {
        let mut texts = place.documents()?.into_iter();
        let (Some(text), None) = (texts.next(), texts.next()) else {
            let message = format!("{place} has more than one document");
            return Err(Error::new(ErrorKind::Input, message)
                .hint("with --nodes and --cluster, OLD and NEW are one policy each"));
        };
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load(&text.0, text.1.clone(), None, &mut diagnostics);
        let declared = node.and_then(|node| Declared::read(&node, &mut diagnostics));
        match declared.filter(|_| diagnostics.is_empty()) {
            Some(declared) => Ok(Some(Version {
                place,
                text,
                declared,
            })),
            None => {
                output::diagnostics(&diagnostics, &sources);
                Ok(None)
            }
        }
    }

    fn load(&self) -> Option<Loaded> {
        report(parse_levels(
            vec![vec![self.text.clone()]],
            Dialect::Native,
            &Facts::new(),
        ))
    }
}

/// The documents of the nodes that one of the policies is for. Prints diagnostics and returns `None` if one is invalid.
pub(super) fn documents(
    old: &Place,
    new: &Place,
    nodes: &BTreeMap<String, Node>,
) -> Result<Option<Documents>, Error> {
    let (Some(old), Some(new)) = (Version::read(old)?, Version::read(new)?) else {
        return Ok(None);
    };
    let change = Change::new(&old.declared, &new.declared);
    let (mut pairs, mut known, mut hosts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let (mut others, mut behind, mut assumed) = (0, Vec::new(), Vec::new());
    for (name, node) in nodes {
        let step = change.step(name, node);
        let effect = step.effect;
        if !effect.had && !effect.gets {
            others += 1;
            let each = Each {
                stage: None,
                pair: Ok(None),
            };
            hosts.insert(name.clone(), each);
            continue;
        }
        if step.is_assumed {
            assumed.push(name.as_str());
        } else if step.is_behind {
            behind.push(name.as_str());
        }
        let number = match known.get(&effect) {
            Some(number) => *number,
            None => {
                let Some(pair) = pair(&old, &new, effect)? else {
                    return Ok(None);
                };
                pairs.push(pair);
                known.insert(effect, pairs.len() - 1);
                pairs.len() - 1
            }
        };
        let each = Each {
            stage: step.stage,
            pair: Ok(Some(number)),
        };
        hosts.insert(name.clone(), each);
    }
    if others > 0 {
        let nodes = count(others, "node");
        output::say(&format!(
            "note: not reviewed: {nodes} that neither policy is for\n"
        ));
    }
    let note = |what: &str, names: Vec<&str>| {
        if !names.is_empty() {
            let nodes = count(names.len(), "node");
            output::say(&format!("note: {what} {nodes}: {}\n", some(names.into_iter())));
        }
    };
    note("the old document is not in force on", behind);
    note(
        "taken to have the old document in force, without a NetkeelNode:",
        assumed,
    );
    note_rollout(&new, nodes);
    let stages = STAGES.map(str::to_owned).to_vec();
    Ok(Some(Documents::of_each(pairs, stages, hosts)))
}

/// Says how many nodes change at one time.
fn note_rollout(new: &Version<'_>, nodes: &BTreeMap<String, Node>) {
    let Declared::Policy(policy) = &new.declared else {
        return;
    };
    let percent = policy.percent;
    if policy.mode == PolicyMode::Observe {
        output::say(&format!("note: the first share is {percent} %\n"));
        return;
    }
    let selected = nodes.values().filter(|node| new.declared.is_for(node));
    // Without any NetkeelNode nobody knows which agents live.
    let living = selected.clone().filter(|node| node.in_force.is_some()).count();
    let living = if living == 0 { selected.count() } else { living };
    let allowed = policy.max_unavailable.allowed(living);
    let nodes = count(usize::try_from(allowed).unwrap_or(usize::MAX), "node");
    output::say(&format!(
        "note: the first share is {percent} %; at most {nodes} at one time\n"
    ));
}

/// The documents of nodes that the old policy, the new one or both are for.
fn pair(old: &Version<'_>, new: &Version<'_>, effect: Effect) -> Result<Option<Pair>, Error> {
    let (Some(before), Some(after)) = (old.load(), new.load()) else {
        return Ok(None);
    };
    let (mut before, mut after) = match (effect.had, effect.gets) {
        (true, false) => {
            let left = nothing(new.place, &before)?;
            (before, left)
        }
        (false, _) => (nothing(old.place, &after)?, after),
        (true, true) => (before, after),
    };
    after.document.prune |= effect.releases;
    if !effect.had || !effect.gets || effect.releases {
        // That a policy comes or leaves is no change of `prune`.
        before.document.prune = after.document.prune;
    }
    Pair::new(before, after).map(Some)
}
