//! TOML's rules of who may define and extend which table, as an arena that becomes one tree.

use std::borrow::Cow;

use crate::error::Diagnostics;
use crate::source::node::duplicate;
use crate::source::text::quoted;
use crate::source::{FileId, MAX_DEPTH, Node, Path, Span};
use items::Items;

mod items;
mod tree;

/// A key of a header or an assignment.
pub(super) struct Key<'a> {
    pub text: Cow<'a, str>,
    pub span: Span,
}

enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// An index into the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableId(usize);

/// How a table came to be, which decides who may add to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// `[a.b]`, the root, or the braces of an inline table.
    Defined,
    /// The `a` of `[a.b]`: it may still be defined, once.
    Implied,
    /// The `a` of `a.b = 1`: such assignments beside that one may add to it, and headers below it.
    Dotted,
}

struct Table<'a> {
    span: Span,
    origin: Origin,
    depth: usize,
    items: Items<'a>,
}

struct Item {
    key_span: Span,
    slot: Slot,
}

enum Slot {
    Value(Node),
    Table(TableId),
    /// `[[a]]`, once for each.
    Tables(Vec<TableId>),
}

pub(super) struct Tables<'a> {
    arena: Vec<Table<'a>>,
    /// The keys of the current header, for messages.
    header: Vec<Cow<'a, str>>,
    /// The keys and indices below it of the value that is being read.
    trail: Vec<Step<'a>>,
}

impl<'a> Tables<'a> {
    pub const ROOT: TableId = TableId(0);

    pub fn new(file: FileId, len: usize) -> Self {
        let root = Table {
            span: Span::new(file, 0, len),
            origin: Origin::Defined,
            depth: 0,
            items: Items::default(),
        };
        Tables {
            arena: vec![root],
            header: Vec::new(),
            trail: Vec::new(),
        }
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    /// How deep the values of a table are.
    pub fn depth(&self, table: TableId) -> usize {
        self.arena.get(table.0).map_or(0, |table| table.depth)
    }

    /// Starts reading the value of these keys.
    pub fn enter(&mut self, keys: &[Key<'a>]) {
        self.trail
            .extend(keys.iter().map(|key| Step::Key(key.text.clone())));
    }

    /// Starts reading an item of a list.
    pub fn enter_item(&mut self, index: usize) {
        self.trail.push(Step::Index(index));
    }

    /// Ends what as many steps have begun.
    pub fn leave(&mut self, steps: usize) {
        self.trail.truncate(self.trail.len().saturating_sub(steps));
    }

    /// `[a.b]` or `[[a.b]]`: the table that the assignments below it go to.
    pub fn header(
        &mut self,
        keys: &[Key<'a>],
        array: bool,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) -> TableId {
        self.header.clear();
        let found = keys.split_last().and_then(|(last, parents)| {
            let parent = self.descend(Self::ROOT, parents, false, diagnostics)?;
            self.define(parent, last, array, span, diagnostics)
        });
        self.header = keys.iter().map(|key| key.text.clone()).collect();
        // What stands below a wrong header is still read, for the errors in it.
        found.unwrap_or_else(|| self.add(span, Origin::Defined, keys.len()))
    }

    fn define(
        &mut self,
        parent: TableId,
        key: &Key<'a>,
        array: bool,
        span: Span,
        diagnostics: &mut Diagnostics,
    ) -> Option<TableId> {
        let depth = self.below(parent, key, diagnostics)?;
        let new = TableId(self.arena.len());
        let parent_table = self.arena.get_mut(parent.0)?;
        let Some(item) = parent_table.items.get_mut(&key.text) else {
            let slot = if array {
                Slot::Tables(vec![new])
            } else {
                Slot::Table(new)
            };
            parent_table.items.insert(
                key.text.clone(),
                Item {
                    key_span: key.span,
                    slot,
                },
            );
            return Some(self.add(span, Origin::Defined, depth));
        };
        match &mut item.slot {
            Slot::Tables(list) if array => {
                list.push(new);
                return Some(self.add(span, Origin::Defined, depth));
            }
            Slot::Table(id) if !array => {
                let id = *id;
                if self.origin(id) == Some(Origin::Implied) {
                    let table = self.arena.get_mut(id.0)?;
                    table.origin = Origin::Defined;
                    table.span = span;
                    return Some(id);
                }
            }
            _ => {}
        }
        self.twice(parent, key, diagnostics);
        None
    }

    /// `a.b = value` in a table.
    pub fn assign(
        &mut self,
        table: TableId,
        mut keys: Vec<Key<'a>>,
        value: Node,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(last) = keys.pop() else { return };
        let Some(parent) = self.descend(table, &keys, true, diagnostics) else {
            return;
        };
        if self.item(parent, &last.text).is_some() {
            self.enter(&keys);
            self.twice(parent, &last, diagnostics);
            self.leave(keys.len());
        } else if let Some(parent) = self.arena.get_mut(parent.0) {
            let slot = Slot::Value(value);
            parent.items.insert(
                last.text,
                Item {
                    key_span: last.span,
                    slot,
                },
            );
        }
    }

    /// A table for the braces of an inline table, whose values are that deep.
    pub fn inline(&mut self, span: Span, depth: usize) -> TableId {
        self.add(span, Origin::Defined, depth)
    }

    /// The inline table just read; nothing can add to it any more.
    pub fn take(&mut self, table: TableId) -> Node {
        self.node(table)
    }

    /// The whole document.
    pub fn into_node(mut self) -> Node {
        self.node(Self::ROOT)
    }

    fn item(&self, table: TableId, key: &str) -> Option<&Item> {
        self.arena.get(table.0)?.items.get(key)
    }

    fn add(&mut self, span: Span, origin: Origin, depth: usize) -> TableId {
        self.arena.push(Table {
            span,
            origin,
            depth,
            items: Items::default(),
        });
        TableId(self.arena.len() - 1)
    }

    /// The depth below a table, unless that is too deep.
    fn below(&self, table: TableId, key: &Key<'a>, diagnostics: &mut Diagnostics) -> Option<usize> {
        let depth = self.depth(table) + 1;
        if depth <= MAX_DEPTH {
            return Some(depth);
        }
        too_deep(key.span, diagnostics);
        None
    }

    /// Follows keys from a table on; those that are not there yet come to be.
    fn descend(
        &mut self,
        mut table: TableId,
        keys: &[Key<'a>],
        dotted: bool,
        diagnostics: &mut Diagnostics,
    ) -> Option<TableId> {
        for key in keys {
            table = match self.item(table, &key.text).map(|item| &item.slot) {
                None => {
                    let depth = self.below(table, key, diagnostics)?;
                    let origin = if dotted { Origin::Dotted } else { Origin::Implied };
                    let new = self.add(key.span, origin, depth);
                    let item = Item {
                        key_span: key.span,
                        slot: Slot::Table(new),
                    };
                    let table = self.arena.get_mut(table.0)?;
                    table.items.insert(key.text.clone(), item);
                    new
                }
                Some(Slot::Table(id)) if !dotted => *id,
                Some(Slot::Table(id)) if self.origin(*id) != Some(Origin::Defined) => {
                    let id = *id;
                    self.arena.get_mut(id.0)?.origin = Origin::Dotted;
                    id
                }
                Some(Slot::Tables(list)) if !dotted => *list.last()?,
                Some(_) => {
                    let message = format!("nothing can be added to {} here", quoted(&key.text));
                    let path = self.path(&key.text);
                    let first = self.item(table, &key.text).map(|item| item.key_span);
                    let diagnostic = diagnostics.add(key.span, path, message);
                    if let Some(first) = first {
                        diagnostic.other(first, "it is complete with this");
                    }
                    return None;
                }
            };
        }
        Some(table)
    }

    fn origin(&self, table: TableId) -> Option<Origin> {
        self.arena.get(table.0).map(|table| table.origin)
    }

    fn twice(&self, table: TableId, key: &Key<'a>, diagnostics: &mut Diagnostics) {
        let diagnostic = diagnostics.add(key.span, self.path(&key.text), duplicate(&key.text));
        if let Some(item) = self.item(table, &key.text) {
            diagnostic.other(item.key_span, "first given here");
        }
    }

    /// The path of a key below what is being read.
    fn path(&self, key: &str) -> String {
        fn below(at: &Path<'_>, keys: &[Cow<'_, str>], steps: &[Step<'_>], key: &str) -> String {
            if let [first, rest @ ..] = keys {
                return below(&at.key(first), rest, steps, key);
            }
            match steps {
                [Step::Key(first), rest @ ..] => below(&at.key(first), keys, rest, key),
                [Step::Index(first), rest @ ..] => below(&at.index(*first), keys, rest, key),
                [] => at.key(key).to_string(),
            }
        }
        below(&Path::ROOT, &self.header, &self.trail, key)
    }
}

pub(super) fn too_deep(span: Span, diagnostics: &mut Diagnostics) {
    diagnostics.add(span, "", format!("nested more than {MAX_DEPTH} levels deep"));
}
