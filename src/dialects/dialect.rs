//! Input formats: native documents, or data of other tools that netkeel converts while it keeps
//! source positions.

use std::collections::BTreeMap;

/// An input format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// A document as `docs/reference/document.md` has it.
    #[default]
    Native,
    /// Hiera data for the class `netkeel`.
    Hiera,
    /// Variables of an Ansible inventory for netkeel's role.
    Ansible,
    /// A machine configuration of Talos Linux and its patches.
    Talos,
}

/// The options for reading files.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The format of the files.
    pub dialect: Dialect,
    /// The keys that a document may have, except `version`.
    pub keys: &'a [&'a str],
    /// Facts of the host, by their dotted names, as interpolation asks for them.
    pub facts: &'a BTreeMap<String, String>,
    /// The number of files of each level of a Hiera hierarchy, the most general first. Without numbers
    /// each file is a level.
    pub levels: &'a [usize],
}
