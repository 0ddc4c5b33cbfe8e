//! JSON Schemas of netkeel's output, derived from the output types. The schema of the document is derived
//! from its shape instead, which the validation of documents uses too.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::json::diagnostics::Report;
use crate::json::output;
use crate::mtu::encapsulated::EncapsulatedSyn;
use crate::mtu::measured_path::MeasuredPath;
use crate::mtu::replicas::Replicas;
use crate::path::json;
use crate::review;
use netkeel_diagnose::diagnosis::cause::Diagnosis;
use netkeel_diagnose::diagnosis::compare::Comparison;
use netkeel_host::snapshot::Snapshot;

/// The schema of a plan.
pub fn plan() -> Value {
    schema::<output::Plan<'_>>()
}

/// The schema of the result of an apply.
pub fn applied() -> Value {
    schema::<output::Applied<'_>>()
}

/// The schema of the errors of documents.
pub fn diagnostics() -> Value {
    schema::<Report<'_>>()
}

/// The schema of a review.
pub fn review() -> Value {
    schema::<review::json::Review<'_>>()
}

/// The schema of paths.
pub fn path() -> Value {
    schema::<json::Paths<'_>>()
}

/// The schema of a diagnosis.
pub fn diagnosis() -> Value {
    schema::<Diagnosis>()
}

/// The schema of a comparison.
pub fn comparison() -> Value {
    schema::<Comparison>()
}

/// The schema of a measured path.
pub fn path_mtu() -> Value {
    schema::<MeasuredPath<'_>>()
}

/// The schema of answers to encapsulated SYNs.
pub fn encapsulated_syn() -> Value {
    schema::<EncapsulatedSyn>()
}

/// The schema of the result of a probe of replication.
pub fn replicas() -> Value {
    schema::<Replicas>()
}

/// The schema of a snapshot.
pub fn snapshot() -> Value {
    schema::<Snapshot>()
}

/// The schema of a type as serde serializes it: every field that is always written is required.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(Closed);
    settings.into_generator().into_root_schema_for::<T>().into()
}

/// Rejects properties that a schema does not name, so that misspelled ones are found.
#[derive(Clone, Debug)]
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        // An object of flattened enums alone has no properties of its own.
        let is_flat = |object: &Map<String, Value>| {
            object.get("type").is_some_and(|of| of == "object") && object.contains_key("allOf")
        };
        let has_keys = |object: &Map<String, Value>| object.contains_key("properties") || is_flat(object);
        if !schema.as_object().is_some_and(has_keys) {
            return;
        }
        let keyword = match open_branches(schema.as_object_mut()) {
            true => "unevaluatedProperties",
            false => "additionalProperties",
        };
        schema.insert(keyword.to_owned(), Value::Bool(false));
    }
}

/// Lets each variant of a flattened enum have the properties of the object that it is flattened into; the variant may
/// be an enum again. Returns whether there is one.
fn open_branches(object: Option<&mut Map<String, Value>>) -> bool {
    let Some(object) = object else { return false };
    let mut any = false;
    for combination in ["oneOf", "anyOf", "allOf"] {
        let branches = object.get_mut(combination).and_then(Value::as_array_mut);
        for branch in branches.into_iter().flatten() {
            any = true;
            if let Some(branch) = branch.as_object_mut() {
                branch.remove("additionalProperties");
                branch.remove("unevaluatedProperties");
            }
            open_branches(branch.as_object_mut());
        }
    }
    any
}
