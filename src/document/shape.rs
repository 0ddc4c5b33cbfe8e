//! The shape of a document as data. Validation, the JSON Schema and "did you mean" use the same
//! table, so they cannot disagree.

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::quoted;

/// The kinds of value that a document can hold.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A map with these keys and no others.
    Map(&'static [Field]),
    /// A map whose keys the user chooses.
    Table {
        /// Checks a key: returns an error with hints, or nothing.
        key: fn(&str) -> Result<(), Error>,
        /// The description of the key, for the schema.
        key_doc: &'static str,
        /// The shape of each value.
        value: &'static Shape,
    },
    /// A list.
    List(&'static Shape),
    /// An integer in a range; also as decimal text (`"1460"`).
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// Unit: `bytes`, `packets`.
        unit: &'static str,
    },
    /// A boolean: `true`/`false`, or a YAML 1.1 word for one.
    Switch,
    /// One of several words, each with an equivalent number; a boolean counts as 0 or 1.
    Choice(&'static [(&'static str, i64)]),
    /// One of several words.
    Word(&'static [&'static str]),
    /// Text with its own check.
    Text {
        /// Checks the text.
        check: fn(&str) -> Result<(), Error>,
        /// A description of the text, for messages and the schema: `an address with a prefix
        /// length`.
        what: &'static str,
    },
    /// A scalar or a list of scalars, as /proc/sys takes them: integers, text, booleans as 0 or 1.
    Vector,
    /// One of several shapes, distinguished by whether the value is a map, a list or a scalar.
    Either(&'static [Shape]),
}

/// One key of a closed map.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// The key is required.
    pub required: bool,
    /// One or two sentences for the schema and the reference: meaning, unit, default.
    pub doc: &'static str,
}

impl Shape {
    /// The values that a shape accepts, as text for people.
    pub fn values(&self) -> String {
        match self {
            Shape::Map(_) => "a map".to_owned(),
            Shape::Table { .. } => "a map with keys of your choice".to_owned(),
            Shape::List(item) => format!("a list: {}", item.values()),
            Shape::Integer { min, max, .. } if min == max => format!("{min}"),
            Shape::Integer { min, max, unit } => format!("{min} to {max} {unit}").trim_end().to_owned(),
            Shape::Switch => "yes or no".to_owned(),
            Shape::Choice(words) => {
                let words = words.iter().map(|(word, number)| format!("`{word}` ({number})"));
                words.collect::<Vec<_>>().join(", ")
            }
            Shape::Word(words) => {
                let words = words.iter().map(|word| format!("`{word}`"));
                words.collect::<Vec<_>>().join(", ")
            }
            Shape::Text { what, .. } => (*what).to_owned(),
            Shape::Vector => "a number, text, or a list of them".to_owned(),
            Shape::Either(shapes) => shapes.iter().map(Shape::values).collect::<Vec<_>>().join("; or "),
        }
    }
}

/// A key that is not required.
pub(crate) const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field {
        name,
        shape,
        required: false,
        doc,
    }
}

/// The error of a text that is not what its shape asks for.
pub(crate) fn wrong(text: &str, what: &str) -> Error {
    Error::new(ErrorKind::Input, format!("{} is not {what}", quoted(text)))
}
