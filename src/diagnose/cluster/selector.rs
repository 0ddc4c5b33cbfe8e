//! Selectors of pods in policies of Kubernetes, Calico and Cilium, as conditions that all must hold.

use std::collections::BTreeSet;

use netkeel_source::node::Node;

/// A condition on the labels of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    Is(String, String),
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Lacks(String),
}

/// The pods that a policy selects. Without conditions, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(BTreeSet<Condition>);

impl Selector {
    /// A LabelSelector of Kubernetes or of Cilium; `None` where a part of it is not understood.
    pub(super) fn of_labels(selector: Option<&Node>) -> Option<Self> {
        let mut conditions = BTreeSet::new();
        for entry in selector.map(Node::entries).unwrap_or_default() {
            match entry.key.as_str() {
                "matchLabels" => {
                    for label in entry.value.entries() {
                        let value = label.value.text()?.to_owned();
                        conditions.insert(Condition::Is(plain(&label.key), value));
                    }
                }
                "matchExpressions" => {
                    for expression in entry.value.items() {
                        conditions.insert(of_expression(expression)?);
                    }
                }
                _ => return None,
            }
        }
        Some(Selector(conditions))
    }

    /// A selector in the language of Calico, as far as it is a list of conditions with `&&`.
    pub(super) fn of_calico(text: Option<&Node>) -> Option<Self> {
        let text = match text {
            None => "",
            Some(text) => text.text()?.trim(),
        };
        let conditions = text.split("&&").map(str::trim);
        let of_some = conditions.filter(|condition| !matches!(*condition, "" | "all()"));
        of_some
            .map(of_calico)
            .collect::<Option<BTreeSet<_>>>()
            .map(Selector)
    }

    /// Adds a label that the pods have.
    pub(super) fn with(mut self, key: &str, value: &str) -> Self {
        self.0.insert(Condition::Is(key.to_owned(), value.to_owned()));
        self
    }

    /// Whether it surely selects all pods that the other one selects.
    pub(super) fn covers(&self, other: &Selector) -> bool {
        self.0.iter().all(|condition| {
            let holds = |known: &Condition| known == condition || known.implies(condition);
            other.0.iter().any(holds)
        })
    }
}

impl Condition {
    fn implies(&self, other: &Condition) -> bool {
        match (self, other) {
            (Condition::Is(key, _) | Condition::In(key, _), Condition::Exists(wanted)) => key == wanted,
            (Condition::Is(key, value), Condition::In(wanted, values)) => {
                key == wanted && values.contains(value)
            }
            _ => false,
        }
    }
}

/// The key of a label without the source that Cilium allows before it.
fn plain(key: &str) -> String {
    let sources = ["k8s:", "any:", "k8s.", "any."];
    let found = sources.iter().find_map(|source| key.strip_prefix(source));
    found.unwrap_or(key).to_owned()
}

fn of_expression(expression: &Node) -> Option<Condition> {
    let text = |key: &str| expression.get(key).and_then(Node::text);
    let key = plain(text("key")?);
    let values = expression.get("values").map(Node::items).unwrap_or_default();
    let values = values.iter().map(|value| value.text().map(str::to_owned));
    let values: BTreeSet<String> = values.collect::<Option<_>>()?;
    Some(match text("operator")? {
        "In" => among(key, values),
        "NotIn" => Condition::NotIn(key, values),
        "Exists" => Condition::Exists(key),
        "DoesNotExist" => Condition::Lacks(key),
        _ => return None,
    })
}

fn among(key: String, values: BTreeSet<String>) -> Condition {
    match (values.len(), values.first()) {
        (1, Some(value)) => Condition::Is(key, value.clone()),
        _ => Condition::In(key, values),
    }
}

fn of_calico(condition: &str) -> Option<Condition> {
    if let Some(key) = of_function(condition, "has(") {
        return Some(Condition::Exists(key.to_owned()));
    }
    if let Some(key) = of_function(condition, "!has(") {
        return Some(Condition::Lacks(key.to_owned()));
    }
    if let Some((key, value)) = condition.split_once("==") {
        return Some(Condition::Is(name(key)?.to_owned(), quoted(value)?.to_owned()));
    }
    let (before, values) = condition.strip_suffix('}')?.split_once('{')?;
    let values: BTreeSet<String> = values
        .split(',')
        .map(|value| quoted(value).map(str::to_owned))
        .collect::<Option<_>>()?;
    let mut words = before.split_whitespace();
    let key = name(words.next()?)?.to_owned();
    match (words.next()?, words.next(), words.next()) {
        ("in", None, _) => Some(among(key, values)),
        ("not", Some("in"), None) => Some(Condition::NotIn(key, values)),
        _ => None,
    }
}

fn of_function<'a>(condition: &'a str, start: &str) -> Option<&'a str> {
    name(condition.strip_prefix(start)?.strip_suffix(')')?)
}

/// The name of a label.
fn name(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    (!text.is_empty() && text.chars().all(is_of_name)).then_some(text)
}

/// A text in quotation marks.
fn quoted(text: &str) -> Option<&str> {
    let text = text.trim();
    let inside = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    let text = inside('\'').or_else(|| inside('"'))?;
    (!text.contains(['\'', '"'])).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::object::parsed;

    #[test]
    fn a_selector_covers_one_that_has_all_its_conditions() {
        let calico = |text: &str| {
            let node = parsed(&format!("selector: \"{text}\"\n"));
            Selector::of_calico(node.get("selector"))
        };
        let labels = |text: &str| Selector::of_labels(Some(&parsed(text))).unwrap();
        let web = labels("matchLabels: { app: web, tier: front }");
        for (text, covers) in [
            ("", Some(true)),
            ("all()", Some(true)),
            ("app == 'web'", Some(true)),
            ("app=='web' && tier == 'front'", Some(true)),
            ("has(app)", Some(true)),
            ("app in { 'web', 'db' }", Some(true)),
            ("app in {'web'}", Some(true)),
            ("app == 'db'", Some(false)),
            ("!has(app)", Some(false)),
            ("app not in { 'db' }", Some(false)),
            ("has(zone)", Some(false)),
            ("app == 'web' || tier == 'back'", None),
            ("app contains 'web'", None),
            ("global()", None),
        ] {
            let covered = calico(text).map(|selector| selector.covers(&web));
            assert_eq!(covered, covers, "{text}");
        }
        let some = labels("matchExpressions: [{ key: 'k8s:app', operator: In, values: [web] }]");
        assert!(some.covers(&web) && !web.covers(&some));
        assert!(labels("{}").covers(&some) && !some.covers(&labels("{}")));
        assert_eq!(Selector::of_labels(Some(&parsed("app: web"))), None);
    }
}
