//! Anchors and aliases, with a budget: without one, a few lines of aliases could expand without bound.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostics;
use crate::node::Node;
use crate::node::path::KeyPath;
use crate::node::size::Size;
use crate::span::Span;
use crate::text::limits::{MAX_BYTES, MAX_DEPTH, MAX_NODES};

/// The budget of a file is used up, or an alias has no anchor; a diagnostic says which.
pub(crate) struct Exceeded;

/// The anchors of one file, and the size of its nodes and their copies.
#[derive(Default)]
pub(crate) struct Anchors {
    /// Anchored nodes by the parser's number; `None` while the node is still being read.
    anchored: BTreeMap<usize, Option<Anchored>>,
    /// Nodes so far, copies included.
    nodes: usize,
    /// Bytes of text copied for aliases so far.
    copied: usize,
}

/// An anchored node, and the cost of copying it.
pub(crate) struct Anchored {
    node: Node,
    size: Size,
}

impl Anchors {
    /// A copy of the node that the alias names.
    pub fn alias(
        &mut self,
        id: usize,
        span: Span,
        path: &KeyPath<'_>,
        depth: usize,
        diagnostics: &mut Diagnostics,
    ) -> Result<Node, Exceeded> {
        let Some(Some(Anchored { size, .. })) = self.anchored.get(&id) else {
            diagnostics.add(span, path, "an alias inside its own anchor");
            return Err(Exceeded);
        };
        // The cost is known before the copy is made.
        let size = *size;
        nest(depth + size.depth, span, path, diagnostics)?;
        self.count(size.nodes, span, path, diagnostics)?;
        self.copied = self.copied.saturating_add(size.bytes);
        if self.copied > MAX_BYTES {
            diagnostics.add(
                span,
                path,
                format!("aliases expand to more than {} MiB of text", MAX_BYTES >> 20),
            );
            return Err(Exceeded);
        }
        match self.anchored.get(&id) {
            // Spans below the top are those of the anchored text: an error is fixed there.
            Some(Some(anchored)) => Ok(Node {
                span,
                data: anchored.node.data.clone(),
            }),
            _ => Err(Exceeded),
        }
    }

    /// Checks the limits before the children of a list or a map are read.
    pub fn open(
        &mut self,
        anchor: usize,
        span: Span,
        path: &KeyPath<'_>,
        depth: usize,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Exceeded> {
        if anchor > 0 {
            self.anchored.insert(anchor, None);
        }
        nest(depth + 1, span, path, diagnostics)
    }

    /// Keeps a node with an anchor for its aliases.
    pub fn keep(
        &mut self,
        anchor: usize,
        node: &Node,
        path: &KeyPath<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Exceeded> {
        if anchor > 0 {
            let size = Size::of(node);
            self.count(size.nodes, node.span, path, diagnostics)?;
            let copy = Anchored {
                node: node.clone(),
                size,
            };
            self.anchored.insert(anchor, Some(copy));
        }
        Ok(())
    }

    /// Counts nodes that were read or copied.
    pub fn count(
        &mut self,
        nodes: usize,
        span: Span,
        path: &KeyPath<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Exceeded> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the document has more than {MAX_NODES} values, aliases expanded");
        diagnostics.add(span, path, message);
        Err(Exceeded)
    }
}

fn nest(depth: usize, span: Span, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) -> Result<(), Exceeded> {
    if depth <= MAX_DEPTH {
        return Ok(());
    }
    diagnostics.add(span, path, format!("nested more than {MAX_DEPTH} levels deep"));
    Err(Exceeded)
}
