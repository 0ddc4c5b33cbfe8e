//! What a review compares: the names of the documents and of the stages.

/// What a review compares.
#[derive(Clone, Copy, Debug)]
pub struct Title<'a> {
    /// The old document, as the user named it.
    pub old: &'a str,
    /// The new document.
    pub new: &'a str,
    /// The stages of the inventory, in order.
    pub stages: &'a [String],
}
