//! The names of the compared documents, and of the stages.

/// The names of the compared documents, and of the stages.
#[derive(Clone, Copy, Debug)]
pub struct Title<'a> {
    /// The old document, as the user named it.
    pub old: &'a str,
    /// The new document.
    pub new: &'a str,
    /// The stages of the inventory, in order.
    pub stages: &'a [String],
    /// The documents of at least one host differ.
    pub differ: bool,
}
