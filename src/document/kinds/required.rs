//! `required: true`: an entry that must find its object on the host. Without the object the document is not
//! applied.

use crate::shape::{Field, Shape};
use crate::want::wants::Wants;
use netkeel_source::node::Node;
use netkeel_source::span::Span;

/// The key of an entry.
pub(crate) const fn field(doc: &'static str) -> Field {
    Field {
        name: "required",
        shape: Shape::Switch,
        required: false,
        doc,
    }
}

/// Whether an entry must find its object, and the place that says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Required(Option<Span>);

impl Required {
    /// Reads the key of an entry.
    pub fn read(entry: &Node) -> Self {
        let node = entry.get("required").filter(|node| node.switch() == Some(true));
        Required(node.map(|node| node.span))
    }

    /// As the place of an earlier [`Required::place`] says.
    pub fn at(place: Option<Span>) -> Self {
        Required(place)
    }

    /// The place that says so; `None` where the entry need not find its object.
    pub fn place(self) -> Option<Span> {
        self.0
    }

    /// Reports that the entry at this path found no object, if it must.
    pub fn not_found(self, path: &str, what: &str, wants: &mut Wants) {
        if let Some(span) = self.0 {
            let message = format!("{path} is required, and {what} is found");
            wants.unbound.add(span, format!("{path}.required"), message);
        }
    }
}
