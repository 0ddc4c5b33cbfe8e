//! The shape of a document as data: validation, the JSON Schema and "did you mean" read the same
//! table, so they cannot disagree.

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A map with these keys and no others.
    Map(&'static [Field]),
    /// A map whose keys the user chooses.
    Table {
        /// Checks a key: an error message and hints, or nothing.
        key: fn(&str) -> Result<(), netkeel_core::error::Error>,
        /// What the key is, for the schema.
        key_doc: &'static str,
        /// The shape of each value.
        value: &'static Shape,
    },
    /// A list.
    List(&'static Shape),
    /// An integer in a range; also as decimal text (`"1460"`).
    Integer {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
        /// What is counted: `bytes`, `packets`.
        unit: &'static str,
    },
    /// A yes or no: `true`/`false`, and the words that YAML 1.1 takes for them.
    Switch,
    /// One of some words, each with the number that means the same; a boolean counts as 0 or 1.
    Choice(&'static [(&'static str, i64)]),
    /// One of some words, and nothing else.
    Word(&'static [&'static str]),
    /// Text with a check of its own.
    Text {
        /// Checks the text.
        check: fn(&str) -> Result<(), netkeel_core::error::Error>,
        /// What the text is, for messages and the schema: `an address with a prefix length`.
        what: &'static str,
    },
    /// A scalar or a list of scalars, as /proc/sys takes them: integers, text, booleans as 0 or 1.
    Vector,
    /// One of several shapes, told apart by whether the value is a map, a list or a scalar.
    Either(&'static [Shape]),
}

/// One key of a closed map.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// The key must be there.
    pub required: bool,
    /// One or two sentences for the schema and the reference: meaning, unit, default.
    pub doc: &'static str,
}
