//! Talos's strategic merge: documents by their identity, maps by key, and lists by concatenation,
//! except for a few that Talos merges by a key or replaces.

use std::collections::BTreeMap;

use crate::talos::delete::Selector;
use crate::talos::documents::Documents;
use crate::talos::identity::Identity;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::merge::places;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};

/// How a list, or a map of free keys, is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Items are added, maps are merged.
    Add,
    /// The patch's value replaces the old one.
    Replace,
    /// Items with the same value of this key are merged; the others are added.
    By(&'static str),
    /// By `interface`; if that is empty, by an equal `deviceSelector`.
    Interfaces,
    /// Items with the same value of this key are replaced; the others are added.
    ReplaceBy(&'static str),
}

/// Exceptions from concatenation: the kind, the path in it with `*` for an item, and the rule. From
/// the `merge` tags and `Merge` methods of Talos's machinery, 1.7 to 1.14.
const RULES: &[(&str, &str, Rule)] = &[
    ("", "machine.network.interfaces", Rule::Interfaces),
    ("", "machine.network.interfaces.*.vlans", Rule::By("vlanId")),
    ("", "cluster.apiServer.admissionControl", Rule::By("name")),
    ("", "cluster.apiServer.auditPolicy", Rule::Replace),
    ("", "cluster.network.podSubnets", Rule::Replace),
    ("", "cluster.network.serviceSubnets", Rule::Replace),
    ("ExtensionServiceConfig", "configFiles", Rule::By("mountPath")),
    ("NetworkRuleConfig", "ingress", Rule::Replace),
    ("NetworkRuleConfig", "portSelector.ports", Rule::Replace),
    ("KubeNetworkConfig", "podSubnets", Rule::Replace),
    ("KubeNetworkConfig", "serviceSubnets", Rule::Replace),
    ("KubeAuditPolicyConfig", "configuration", Rule::Replace),
    ("KubeAuthenticationConfig", "configuration", Rule::Replace),
    ("KubeCredentialProviderConfig", "configuration", Rule::Replace),
    ("KubeStaticPodConfig", "pod", Rule::Replace),
    ("CRIBaseRuntimeSpecConfig", "overrides", Rule::Replace),
    ("ImageVerificationConfig", "rules", Rule::ReplaceBy("image")),
    ("BGPInstanceConfig", "advertise", Rule::Replace),
    ("BGPInstanceConfig", "importRoutes", Rule::Replace),
    ("BGPInstanceConfig", "neighbors", Rule::Replace),
];

/// Values of this map are replaced whole, including lists.
const ARGUMENTS: &str = "extraArgs";

/// Merges one document of a patch into a configuration: first its deletions, then the rest.
pub(crate) fn apply(documents: &mut Documents, mut patch: Node, diagnostics: &mut Diagnostics) {
    let Some(selectors) = Selector::take(&mut patch, diagnostics) else {
        return;
    };
    for selector in &selectors.list {
        selector.apply(documents, diagnostics);
    }
    if selectors.nothing_left {
        return;
    }
    let Some(identity) = Identity::of(&patch, diagnostics) else {
        return;
    };
    match documents.get_mut(&identity) {
        Some(document) => {
            let merge = Merge { kind: &identity.kind };
            merge.node(document, patch, &KeyPath::ROOT, "", diagnostics);
        }
        None => documents.push(patch),
    }
}

struct Merge<'a> {
    kind: &'a str,
}

impl Merge<'_> {
    /// `place` is the path with `*` for items, as in the rules.
    fn node(
        &self,
        left: &mut Node,
        right: Node,
        path: &KeyPath<'_>,
        place: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let rule = self.rule(place);
        match (&mut left.data, right.data) {
            (_, Data::Null) => {}
            (Data::Null, data) => {
                *left = Node {
                    span: right.span,
                    data,
                };
            }
            (Data::List(_) | Data::Map(_), data @ (Data::List(_) | Data::Map(_)))
                if rule == Rule::Replace =>
            {
                left.data = data;
                left.span = right.span;
            }
            (Data::Map(entries), Data::Map(over)) => {
                let whole = place.rsplit('.').next() == Some(ARGUMENTS);
                let places = places(entries);
                for entry in over {
                    let below = path.key(&entry.key);
                    let deeper = join(place, &entry.key);
                    match places.get(&entry.key).and_then(|at| entries.get_mut(*at)) {
                        Some(known) if whole => known.value = entry.value,
                        Some(known) => self.node(&mut known.value, entry.value, &below, &deeper, diagnostics),
                        None => entries.push(entry),
                    }
                }
            }
            (Data::List(items), Data::List(over)) => {
                let mut places = Places::of(rule, items);
                for item in over {
                    self.item(items, &mut places, item, path, place, diagnostics);
                }
            }
            (left_data, data) => {
                if is_collection(left_data) || is_collection(&data) {
                    diagnostics
                        .add(
                            right.span,
                            path,
                            "Talos cannot merge what is not of one kind: a map, a list or a value",
                        )
                        .other(left.span, "this is there already");
                } else if data == Data::Bool(false) || !is_zero(&data) {
                    left.data = data;
                    left.span = right.span;
                }
            }
        }
    }

    fn item(
        &self,
        items: &mut Vec<Node>,
        places: &mut Places,
        item: Node,
        path: &KeyPath<'_>,
        place: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let rule = places.rule;
        let found = match rule {
            Rule::Add | Rule::Replace => None,
            Rule::By(key) | Rule::ReplaceBy(key) => places.find(items, key, &item),
            Rule::Interfaces => match (item.get("interface"), item.get("deviceSelector")) {
                (Some(name), _) if !is_zero(&name.data) => places.find(items, INTERFACE, &item),
                (_, Some(selector)) => {
                    let alike = |known: &Node| same(known.get("deviceSelector"), Some(selector));
                    items.iter().position(alike)
                }
                _ => None,
            },
        };
        match found.and_then(|at| Some((at, items.get_mut(at)?))) {
            Some((_, known)) if matches!(rule, Rule::ReplaceBy(_)) => *known = item,
            Some((at, known)) => self.node(known, item, &path.index(at), &join(place, "*"), diagnostics),
            None => {
                places.add(items.len(), &item);
                items.push(item);
            }
        }
    }

    fn rule(&self, place: &str) -> Rule {
        let known = |(kind, path, _): &&(&str, &str, Rule)| *kind == self.kind && *path == place;
        RULES.iter().find(known).map_or(Rule::Add, |(_, _, rule)| *rule)
    }
}

/// The key by which interfaces are merged.
const INTERFACE: &str = "interface";

/// The first item of a list for each value of a key, so that an item is found without looking at all.
struct Places {
    rule: Rule,
    key: Option<&'static str>,
    places: BTreeMap<String, usize>,
}

impl Places {
    fn of(rule: Rule, items: &[Node]) -> Self {
        let mut places = Places {
            rule,
            key: match rule {
                Rule::By(key) | Rule::ReplaceBy(key) => Some(key),
                Rule::Interfaces => Some(INTERFACE),
                Rule::Add | Rule::Replace => None,
            },
            places: BTreeMap::new(),
        };
        for (at, item) in items.iter().enumerate() {
            places.add(at, item);
        }
        places
    }

    /// Adds an item. One whose value is no scalar is found by comparing.
    fn add(&mut self, at: usize, item: &Node) {
        if let Some(value) = self.key.and_then(|key| scalar(item, key)) {
            self.places.entry(value).or_insert(at);
        }
    }

    /// The first item with the value that this item has.
    fn find(&self, items: &[Node], key: &str, item: &Node) -> Option<usize> {
        match scalar(item, key) {
            Some(value) => self.places.get(&value).copied(),
            None => items.iter().position(|known| same(known.get(key), item.get(key))),
        }
    }
}

/// A value as [`same`] compares it; empty when it is absent or zero, `None` for a map or a list.
fn scalar(item: &Node, key: &str) -> Option<String> {
    match item.get(key).filter(|value| !is_zero(&value.data)) {
        None => Some(String::new()),
        Some(value) => value.scalar().map(std::borrow::Cow::into_owned),
    }
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() {
        key.to_owned()
    } else {
        format!("{place}.{key}")
    }
}

fn is_collection(data: &Data) -> bool {
    matches!(data, Data::List(_) | Data::Map(_))
}

/// Whether Go treats it as unset: the zero value of a type.
fn is_zero(data: &Data) -> bool {
    match data {
        Data::Null => true,
        Data::Bool(value) => !value,
        Data::Integer(value) => *value == 0,
        Data::Text { value, .. } => value.is_empty(),
        Data::List(_) | Data::Map(_) => false,
    }
}

/// Equal values; absent and empty are equal.
fn same(one: Option<&Node>, other: Option<&Node>) -> bool {
    let one = one.filter(|node| !is_zero(&node.data));
    let other = other.filter(|node| !is_zero(&node.data));
    match (one, other) {
        (Some(one), Some(other)) => equal(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether nodes are equal regardless of positions, quotes and the order of keys.
pub(crate) fn equal(one: &Node, other: &Node) -> bool {
    match (&one.data, &other.data) {
        (Data::Map(entries), Data::Map(others)) => {
            let alike = |entry: &Entry| same(Some(&entry.value), other.get(&entry.key));
            entries.iter().all(alike)
                && others
                    .iter()
                    .all(|entry| same(one.get(&entry.key), Some(&entry.value)))
        }
        (Data::List(items), Data::List(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(one, other)| equal(one, other))
        }
        _ => one.scalar().is_some() && one.scalar() == other.scalar(),
    }
}
