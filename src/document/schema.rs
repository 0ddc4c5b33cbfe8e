//! JSON Schema, generated from the shape that the check uses, so that editors and netkeel agree.

pub(crate) mod key;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::shape::{Field, Shape};

/// Decimal digits without leading zeros: the only form in which text is accepted as a number.
const DECIMAL: &str = "^-?(0|[1-9][0-9]*)$";

/// YAML 1.1 words for true, in any case.
const YES: &str = "^([tT][rR][uU][eE]|[yY][eE][sS]|[oO][nN])$";

const NO: &str = "^([fF][aA][lL][sS][eE]|[nN][oO]|[oO][fF][fF])$";

/// The JSON Schema (2020-12) of documents of a shape. Rules that only a check function knows, such
/// as the form of an address, are in the descriptions.
pub fn json_schema(shape: &Shape, title: &str) -> Value {
    let mut schema = Map::new();
    schema.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    schema.insert("title".to_owned(), json!(title));
    schema.extend(any_of(alternatives(shape)));
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        let text = json!({ "type": "string", "description": key::DOC });
        properties.insert(key::KEY.to_owned(), text);
    }
    Value::Object(schema)
}

type Object = Map<String, Value>;

/// `anyOf`; a single alternative is returned as it is.
fn any_of(mut alternatives: Vec<Value>) -> Object {
    match (alternatives.pop(), alternatives.is_empty()) {
        (Some(Value::Object(only)), true) => only,
        (last, _) => {
            alternatives.extend(last);
            Object::from_iter([("anyOf".to_owned(), Value::Array(alternatives))])
        }
    }
}

/// The alternative schemas of a value.
fn alternatives(shape: &Shape) -> Vec<Value> {
    match shape {
        Shape::Map(fields) => vec![map(fields)],
        Shape::Table { key_doc, value, .. } => vec![json!({
            "type": "object",
            "propertyNames": { "description": key_doc },
            "additionalProperties": optional(value),
        })],
        Shape::List(item) => vec![json!({ "type": "array", "items": any_of(alternatives(item)) })],
        Shape::Integer { min, max, unit } => {
            let mut number = json!({ "type": "integer", "minimum": min, "maximum": max });
            if let (false, Some(number)) = (unit.is_empty(), number.as_object_mut()) {
                number.insert("description".to_owned(), json!(unit));
            }
            vec![number, json!({ "type": "string", "pattern": DECIMAL })]
        }
        Shape::Switch => vec![
            json!({ "type": "boolean" }),
            json!({ "type": "string", "pattern": YES }),
            json!({ "type": "string", "pattern": NO }),
        ],
        Shape::Choice(words) => choice(words),
        Shape::Word(words) => vec![json!({ "enum": words })],
        Shape::Text { what, .. } => vec![json!({ "type": "string", "description": what })],
        Shape::Vector => {
            let scalar = json!({ "type": ["boolean", "integer", "string"] });
            vec![
                scalar.clone(),
                json!({ "type": "array", "items": scalar, "minItems": 1 }),
            ]
        }
        Shape::Either(shapes) => shapes.iter().flat_map(alternatives).collect(),
    }
}

/// The words, their numbers, the numbers as text, and the booleans for 0 and 1.
fn choice(words: &[(&str, i64)]) -> Vec<Value> {
    let mut values: Vec<Value> = words.iter().map(|(word, _)| json!(word)).collect();
    let numbers: Vec<i64> = words.iter().map(|(_, number)| *number).collect();
    values.extend(numbers.iter().map(|number| json!(number)));
    values.extend(numbers.iter().map(|number| json!(number.to_string())));
    let mut patterns = Vec::new();
    for (number, value, pattern) in [(0, false, NO), (1, true, YES)] {
        if numbers.contains(&number) {
            values.push(json!(value));
            patterns.push(json!({ "type": "string", "pattern": pattern }));
        }
    }
    patterns.insert(0, json!({ "enum": values }));
    patterns
}

pub(crate) fn map(fields: &[Field]) -> Value {
    let mut properties = Object::new();
    for field in fields {
        let mut property = Object::new();
        property.insert("description".to_owned(), json!(field.doc));
        let shape = if field.required {
            any_of(alternatives(&field.shape))
        } else {
            optional(&field.shape)
        };
        if shape.contains_key("description") {
            // Keeps the field's own description outermost.
            property.insert("allOf".to_owned(), json!([shape]));
        } else {
            property.extend(shape);
        }
        properties.insert(field.name.to_owned(), Value::Object(property));
    }
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Some(schema)) = (required.is_empty(), schema.as_object_mut()) {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

/// Allows `null` too, which withdraws a value of another layer.
fn optional(shape: &Shape) -> Object {
    let mut alternatives = alternatives(shape);
    alternatives.push(json!({ "type": "null" }));
    any_of(alternatives)
}
