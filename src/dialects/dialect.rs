//! Whose words the files speak: documents of netkeel's own, or data that others keep, from which a
//! document is made with every place kept.

use std::collections::BTreeMap;

/// Whose words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A document as `docs/reference/document.md` has it.
    #[default]
    Native,
    /// Data of Hiera for the class `netkeel`.
    Hiera,
    /// Variables of an Ansible inventory for the role of netkeel.
    Ansible,
    /// A machine configuration of Talos Linux and its patches.
    Talos,
}

/// What the files are read with.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// Whose words they speak.
    pub dialect: Dialect,
    /// The keys that a document may have, but for `version`.
    pub keys: &'a [&'a str],
    /// Facts of the host, by their dotted names, as interpolation asks for them.
    pub facts: &'a BTreeMap<String, String>,
}
