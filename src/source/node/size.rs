//! The size of a tree: nodes, bytes and depth.

use crate::node::{Data, Node};

/// The cost of copying a node.
#[derive(Clone, Copy, Default)]
pub struct Size {
    /// The number of values.
    pub nodes: usize,
    /// Bytes of text.
    pub bytes: usize,
    /// The depth in levels.
    pub depth: usize,
}

impl Size {
    /// The size of a node.
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
