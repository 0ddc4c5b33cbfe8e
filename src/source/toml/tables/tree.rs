//! From the arena of tables to a tree of nodes.

use super::{Slot, TableId, Tables};
use crate::source::{Data, Entry, Node, Span};

impl Tables<'_> {
    /// Turns a table into a node; the arena keeps an empty one in its place.
    pub(super) fn node(&mut self, table: TableId) -> Node {
        let Some(table) = self.arena.get_mut(table.0) else {
            return Node {
                span: Span::default(),
                data: Data::Null,
            };
        };
        let span = table.span;
        let items = std::mem::take(&mut table.items).into_vec();
        let mut entries = Vec::with_capacity(items.len());
        for (key, item) in items {
            let value = match item.slot {
                Slot::Value(node) => node,
                Slot::Table(id) => self.node(id),
                Slot::Tables(list) => {
                    let items: Vec<Node> = list.into_iter().map(|id| self.node(id)).collect();
                    Node {
                        span: items.first().map_or(item.key_span, |first| first.span),
                        data: Data::List(items),
                    }
                }
            };
            entries.push(Entry {
                key: key.into_owned(),
                key_span: item.key_span,
                value,
            });
        }
        Node {
            span,
            data: Data::Map(entries),
        }
    }
}
