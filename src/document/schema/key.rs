//! The key `$schema`, by which an editor finds the JSON Schema of a document. It says nothing about a host.

use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};

/// The key.
pub(crate) const KEY: &str = "$schema";

/// The meaning of the key, for the JSON Schema.
pub(crate) const DOC: &str = "The place of this schema, for editors. netkeel does not read it.";

/// Takes the key out of each file. Its value is text.
pub(crate) fn take(layers: &mut [Node], diagnostics: &mut Diagnostics) {
    for layer in layers {
        let Data::Map(entries) = &mut layer.data else {
            continue;
        };
        let Some(at) = entries.iter().position(|entry| entry.key == KEY) else {
            continue;
        };
        let value = entries.remove(at).value;
        if !matches!(value.data, Data::Text { .. }) {
            let message = format!("expected text, found {}", value.describe());
            diagnostics
                .add(value.span, KEY, message)
                .hint("it is a path or a URL");
        }
    }
}
