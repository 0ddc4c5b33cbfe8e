//! Anchors and aliases, with a budget: what a few lines of aliases expand to has no bound of its
//! own.

use super::{Builder, Stop};
use crate::source::{Data, MAX_BYTES, MAX_DEPTH, MAX_NODES, Node, Path, Span};

/// A node that aliases can name, and what a copy of it costs.
pub(super) struct Anchored {
    node: Node,
    size: Size,
}

impl Builder<'_> {
    pub(super) fn alias(
        &mut self,
        id: usize,
        span: Span,
        path: &Path<'_>,
        depth: usize,
    ) -> Result<Node, Stop> {
        let Some(Some(anchored)) = self.anchors.get(&id) else {
            self.diagnostics
                .add(span, path, "an alias inside of what it names");
            return Err(Stop);
        };
        // The cost is known before the copy is made.
        let size = anchored.size;
        self.nest(depth + size.depth, span, path)?;
        self.count(size.nodes, span, path)?;
        self.copied = self.copied.saturating_add(size.bytes);
        if self.copied > MAX_BYTES {
            self.diagnostics.add(
                span,
                path,
                format!("aliases expand to more than {} MiB of text", MAX_BYTES >> 20),
            );
            return Err(Stop);
        }
        match self.anchors.get(&id) {
            // Below the top the spans are of the anchored text: that is where an error is put right.
            Some(Some(anchored)) => Ok(Node {
                span,
                data: anchored.node.data.clone(),
            }),
            _ => Err(Stop),
        }
    }

    /// Keeps a node for the aliases that name it.
    pub(super) fn anchored(&mut self, anchor: usize, node: Node, path: &Path<'_>) -> Result<Node, Stop> {
        if anchor > 0 {
            let size = Size::of(&node);
            self.count(size.nodes, node.span, path)?;
            let copy = Anchored {
                node: node.clone(),
                size,
            };
            self.anchors.insert(anchor, Some(copy));
        }
        Ok(node)
    }

    pub(super) fn count(&mut self, nodes: usize, span: Span, path: &Path<'_>) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("the document comes to more than {MAX_NODES} values, aliases expanded");
        self.diagnostics.add(span, path, message);
        Err(Stop)
    }

    pub(super) fn nest(&mut self, depth: usize, span: Span, path: &Path<'_>) -> Result<(), Stop> {
        if depth <= MAX_DEPTH {
            return Ok(());
        }
        self.diagnostics
            .add(span, path, format!("nested more than {MAX_DEPTH} levels deep"));
        Err(Stop)
    }
}

/// What a copy of a node costs.
#[derive(Clone, Copy, Default)]
pub(in crate::source) struct Size {
    /// Values.
    pub nodes: usize,
    /// Text.
    pub bytes: usize,
    /// Levels.
    pub depth: usize,
}

impl Size {
    /// The cost of this one.
    pub fn of(node: &Node) -> Size {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        match &node.data {
            Data::Text { value, .. } => size.bytes = value.len(),
            Data::List(items) => items.iter().for_each(|item| size.holds(Size::of(item))),
            Data::Map(entries) => entries.iter().for_each(|entry| {
                size.bytes += entry.key.len();
                size.holds(Size::of(&entry.value));
            }),
            Data::Null | Data::Bool(_) | Data::Integer(_) => {}
        }
        if matches!(node.data, Data::List(_) | Data::Map(_)) {
            size.depth += 1;
        }
        size
    }

    fn holds(&mut self, child: Size) {
        self.nodes += child.nodes;
        self.bytes += child.bytes;
        self.depth = self.depth.max(child.depth);
    }
}
