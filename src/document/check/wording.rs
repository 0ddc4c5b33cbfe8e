//! Shapes as text for messages.

use crate::shape::Shape;
use netkeel_core::text::suggest::listed;
use netkeel_source::node::{Data, Node};

/// Whether a shape accepts this kind of value at all.
pub(crate) fn takes(shape: &Shape, node: &Node) -> bool {
    match (shape, &node.data) {
        (Shape::Either(shapes), _) => shapes.iter().any(|shape| takes(shape, node)),
        (_, Data::Null) => false,
        (Shape::Map(_) | Shape::Table { .. }, data) => matches!(data, Data::Map(_)),
        (Shape::List(_), data) => matches!(data, Data::List(_)),
        (Shape::Vector, data) => !matches!(data, Data::Map(_)),
        (_, data) => !matches!(data, Data::Map(_) | Data::List(_)),
    }
}

/// Whether the value would be valid as text.
pub(crate) fn takes_text(shape: &Shape, text: &str) -> bool {
    match shape {
        Shape::Text { check, .. } => check(text).is_ok(),
        Shape::Either(shapes) => shapes.iter().any(|shape| takes_text(shape, text)),
        _ => false,
    }
}

/// The values that a shape accepts, as text for a message.
pub(crate) fn due(shape: &Shape) -> String {
    match shape {
        Shape::Map(_) | Shape::Table { .. } => "a map".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Integer {
            min: i64::MIN,
            max: i64::MAX,
            ..
        } => "an integer".to_owned(),
        Shape::Integer { min, max, .. } if min == max => format!("the number {min}"),
        Shape::Integer { min, max, .. } => format!("an integer from {}", range(*min, *max)),
        Shape::Switch => "`true` or `false`".to_owned(),
        Shape::Choice(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            format!("one of {}", listed(&words))
        }
        Shape::Word(words) => format!("one of {}", listed(words)),
        Shape::Text { what, .. } => (*what).to_owned(),
        Shape::Vector => "a number, text, or a list of them".to_owned(),
        Shape::Either(shapes) => shapes.iter().map(due).collect::<Vec<_>>().join(", or "),
    }
}

/// A range as text.
pub(crate) fn range(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, max) => format!("at most {max}"),
        (min, i64::MAX) => format!("{min} up"),
        (min, max) if min == max => format!("only {min}"),
        (min, max) => format!("{min} to {max}"),
    }
}
