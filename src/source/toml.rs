//! YAML documents.
use super::{FileId, Node};
use crate::error::Diagnostics;
/// Parses.
pub fn parse(_file: FileId, _text: &str, _diagnostics: &mut Diagnostics) -> Option<Node> {
    None
}
