//! Required keys, which are checked once all layers are merged, since any layer may set them.

use crate::check::wording::takes;
use crate::shape::{Field, Shape};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Node};

/// Checks that required keys are present in merged layers, each of which has passed
/// [`crate::check::check_layer`].
pub(crate) fn check_required(node: &Node, shape: &Shape, path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    match (shape, &node.data) {
        (Shape::Map(fields), Data::Map(entries)) => {
            missing(node, fields, path, diagnostics);
            for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                if let Some(field) = fields.iter().find(|field| field.name == entry.key) {
                    check_required(&entry.value, &field.shape, &path.key(&entry.key), diagnostics);
                }
            }
        }
        (Shape::Table { value, .. }, Data::Map(entries)) => {
            for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                check_required(&entry.value, value, &path.key(&entry.key), diagnostics);
            }
        }
        (Shape::List(shape), Data::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                check_required(item, shape, &path.index(index), diagnostics);
            }
        }
        (Shape::Either(shapes), Data::Map(_) | Data::List(_)) => {
            if let Some(shape) = shapes.iter().find(|shape| takes(shape, node)) {
                check_required(node, shape, path, diagnostics);
            }
        }
        _ => {}
    }
}

/// Reports the required keys that a map lacks.
pub(crate) fn missing(node: &Node, fields: &[Field], path: &KeyPath<'_>, diagnostics: &mut Diagnostics) {
    for field in fields.iter().filter(|field| field.required) {
        if node.get(field.name).is_none() {
            let message = format!("the key `{}` is missing", field.name);
            let hint = match field.name {
                "version" => "begin the file with: version: 1",
                _ => field.doc,
            };
            diagnostics
                .add(node.span, path.key(field.name), message)
                .hint(hint);
        }
    }
}
