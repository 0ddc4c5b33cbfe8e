//! The nodes of a Kubernetes cluster as hosts: which of them a policy selects, and in which step of its rollout.

use std::collections::BTreeMap;

use crate::inspect::review::documents::{Documents, Each};
use crate::inspect::review::nodes::Node;
use crate::inspect::review::pair::{Pair, nothing, report};
use crate::load::documents::{Loaded, parse_levels};
use crate::load::revision::{Place, Text};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::review::group::Stage;
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_document::policy::percent::is_among_first;
use netkeel_document::policy::{DeletionPolicy, Policy, PolicyMode, is_policy};
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// The most names that a note lists.
const SHOWN: usize = 5;

/// A policy, or a document for every node.
struct Version<'a> {
    place: &'a Place,
    text: Text,
    policy: Option<Policy>,
}

impl<'a> Version<'a> {
    /// Reads the policy of a place. Prints diagnostics and returns `None` if it is invalid.
    fn read(place: &'a Place) -> Result<Option<Self>, Error> {
        let mut texts = place.documents()?.into_iter();
        let (Some(text), None) = (texts.next(), texts.next()) else {
            let message = format!("{place} has more than one document");
            return Err(
                Error::new(ErrorKind::Input, message).hint("with --cluster, OLD and NEW are one policy each")
            );
        };
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let node = sources.load(&text.0, text.1.clone(), None, &mut diagnostics);
        let policy = node
            .filter(is_policy)
            .and_then(|node| Policy::read(&node, &mut diagnostics));
        if diagnostics.is_empty() {
            return Ok(Some(Version { place, text, policy }));
        }
        output::diagnostics(&diagnostics, &sources);
        Ok(None)
    }

    /// Whether a node corrects what this declares.
    fn is_for(&self, node: &Node) -> bool {
        let policy = self.policy.as_ref();
        policy
            .is_none_or(|policy| policy.mode == PolicyMode::Enforce && policy.selector.selects(&node.labels))
    }

    /// Whether the document of this policy is in force on a node; `None` if the node does not say.
    fn is_in_force(&self, node: &Node) -> Option<bool> {
        let policy = self.policy.as_ref()?;
        let in_force = node.in_force.as_ref()?;
        Some(in_force.get(&policy.name) == Some(&policy.hash))
    }

    fn load(&self) -> Option<Loaded> {
        report(parse_levels(
            vec![vec![self.text.clone()]],
            Dialect::Native,
            &Facts::new(),
        ))
    }
}

/// The steps of a rollout, in their order.
const STAGES: [&str; 5] = [
    "in force already",
    "first share",
    "later share",
    "paused",
    "leaves",
];

const HAS_IT: Stage = 0;
const FIRST: Stage = 1;
const LATER: Stage = 2;
const PAUSED: Stage = 3;
const LEAVES: Stage = 4;

/// The documents of the nodes that one of the policies is for. Prints diagnostics and returns `None` if one is invalid.
pub(super) fn documents(
    old: &Place,
    new: &Place,
    nodes: &BTreeMap<String, Node>,
) -> Result<Option<Documents>, Error> {
    let (Some(old), Some(new)) = (Version::read(old)?, Version::read(new)?) else {
        return Ok(None);
    };
    let (mut pairs, mut known, mut hosts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let (mut others, mut behind) = (0, Vec::new());
    for (name, node) in nodes {
        let which = (old.is_for(node), new.is_for(node));
        if which == (false, false) {
            others += 1;
            let each = Each {
                stage: None,
                pair: Ok(None),
            };
            hosts.insert(name.clone(), each);
            continue;
        }
        let has_new = which.1 && new.is_in_force(node) == Some(true);
        if which.0 && !has_new && old.is_in_force(node) == Some(false) {
            behind.push(name.as_str());
        }
        let number = match known.get(&which) {
            Some(number) => *number,
            None => {
                let Some(pair) = pair(&old, &new, which)? else {
                    return Ok(None);
                };
                pairs.push(pair);
                known.insert(which, pairs.len() - 1);
                pairs.len() - 1
            }
        };
        let stage = match (&new.policy, which.1) {
            (_, false) => LEAVES,
            (_, true) if has_new => HAS_IT,
            (Some(policy), true) if policy.paused => PAUSED,
            (Some(policy), true) if !is_among_first(name, policy.percent) => LATER,
            (_, true) => FIRST,
        };
        let each = Each {
            stage: Some(stage),
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
    if let Some(first) = behind
        .get(..behind.len().min(SHOWN))
        .filter(|first| !first.is_empty())
    {
        let more = match behind.len() - first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let nodes = count(behind.len(), "node");
        let first = first.join(", ");
        output::say(&format!(
            "note: the old document is not in force on {nodes}: {first}{more}\n"
        ));
    }
    note_rollout(&new, nodes);
    let stages = STAGES.map(str::to_owned).to_vec();
    Ok(Some(Documents::of_each(pairs, stages, hosts)))
}

/// Says how many nodes change at one time.
fn note_rollout(new: &Version<'_>, nodes: &BTreeMap<String, Node>) {
    let Some(policy) = &new.policy else { return };
    let selected = nodes.values().filter(|node| new.is_for(node));
    // Without any NetkeelNode nobody knows which agents live.
    let living = selected.clone().filter(|node| node.in_force.is_some()).count();
    let living = if living == 0 { selected.count() } else { living };
    let allowed = policy.max_unavailable.allowed(living);
    let nodes = count(usize::try_from(allowed).unwrap_or(usize::MAX), "node");
    let percent = policy.percent;
    output::say(&format!(
        "note: the first share is {percent} %; at most {nodes} at one time\n"
    ));
}

/// The documents of nodes that the old policy, the new one or both are for.
fn pair(old: &Version<'_>, new: &Version<'_>, which: (bool, bool)) -> Result<Option<Pair>, Error> {
    let (Some(before), Some(after)) = (old.load(), new.load()) else {
        return Ok(None);
    };
    let (mut before, after) = match which {
        (true, false) => {
            let mut left = nothing(new.place, &before)?;
            // A policy that only observes by now gives nothing back.
            let restores = |policy: &Policy| {
                policy.mode == PolicyMode::Enforce && policy.deletion == DeletionPolicy::Release
            };
            left.document.prune = new.policy.as_ref().is_some_and(restores);
            (before, left)
        }
        (false, _) => (nothing(old.place, &after)?, after),
        (true, true) => (before, after),
    };
    if which != (true, true) {
        // That a policy comes or leaves is no change of `prune`.
        before.document.prune = after.document.prune;
    }
    Pair::new(before, after).map(Some)
}
