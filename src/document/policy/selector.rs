//! The nodes for which a policy is, by their labels.

use std::collections::BTreeMap;

use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;

/// The operators of an expression, as Kubernetes names them.
pub const OPERATORS: &[&str] = &["In", "NotIn", "Exists", "DoesNotExist"];

/// A selector of nodes. All its conditions hold for a node that it selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelector {
    conditions: Vec<Condition>,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    /// A node without the label is selected, too.
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl NodeSelector {
    /// Reads a selector whose shape was checked. No selector selects every node.
    pub(crate) fn read(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Self {
        let mut conditions = Vec::new();
        let labels = node.and_then(|node| node.get("matchLabels"));
        for entry in labels.map(Node::entries).unwrap_or_default() {
            let value = entry.value.scalar().unwrap_or_default().into_owned();
            conditions.push(Condition {
                key: entry.key.clone(),
                operator: Operator::In(vec![value]),
            });
        }
        let expressions = node.and_then(|node| node.get("matchExpressions"));
        for expression in expressions.map(Node::items).unwrap_or_default() {
            conditions.extend(condition(expression, diagnostics));
        }
        NodeSelector { conditions }
    }

    /// Whether a node with these labels is selected.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.conditions.iter().all(|condition| {
            let value = labels.get(&condition.key);
            match &condition.operator {
                Operator::In(values) => value.is_some_and(|value| values.contains(value)),
                Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

fn condition(node: &Node, diagnostics: &mut Diagnostics) -> Option<Condition> {
    let key = node.get("key")?.text()?.to_owned();
    let values = node.get("values").map(Node::items).unwrap_or_default();
    let values: Vec<String> = values
        .iter()
        .filter_map(|value| Some(value.scalar()?.into_owned()))
        .collect();
    let word = node.get("operator")?.text()?;
    let wants_values = matches!(word, "In" | "NotIn");
    if wants_values == values.is_empty() {
        let message = match wants_values {
            true => format!("{word} needs `values`"),
            false => format!("{word} takes no `values`"),
        };
        diagnostics.add(node.span, "spec.nodeSelector.matchExpressions", message);
        return None;
    }
    let operator = match word {
        "In" => Operator::In(values),
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        // The check of the shape reported it.
        _ => return None,
    };
    Some(Condition { key, operator })
}
