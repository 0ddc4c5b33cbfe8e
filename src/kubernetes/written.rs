//! The object `NetkeelNode`: its times, and what the server kept of it.

use serde_json::{Value, json};

/// A status whose conditions have the time of their last transition: that of `before` where the status of the
/// condition is the same.
pub(crate) fn with_times(mut status: Value, before: Option<&Value>, now: &str) -> Value {
    let of_before = |kind: &Value, value: &Value| {
        let conditions = before?.get("conditions")?.as_array()?;
        let same = |one: &&Value| one.get("type") == Some(kind) && one.get("status") == Some(value);
        conditions.iter().find(same)?.get("lastTransitionTime").cloned()
    };
    let conditions = status.get_mut("conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten().filter_map(Value::as_object_mut) {
        let field = |key: &str| condition.get(key).cloned().unwrap_or(Value::Null);
        let since = of_before(&field("type"), &field("status"));
        condition.insert(
            "lastTransitionTime".to_owned(),
            since.unwrap_or_else(|| json!(now)),
        );
    }
    status
}

/// The paths of what was sent and is not in the answer: an older definition of the kind lacks those fields, and the
/// server drops them without an error.
pub(crate) fn dropped(sent: &Value, got: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(sent, Some(got), "", &mut paths);
    paths.sort();
    paths.dedup();
    paths
}

fn compare(sent: &Value, got: Option<&Value>, path: &str, paths: &mut Vec<String>) {
    let Some(got) = got else {
        paths.push(path.to_owned());
        return;
    };
    match (sent, got) {
        (Value::Object(sent), Value::Object(got)) => {
            for (key, value) in sent {
                let below = match path.is_empty() {
                    true => key.clone(),
                    false => format!("{path}.{key}"),
                };
                compare(value, got.get(key), &below, paths);
            }
        }
        (Value::Array(sent), Value::Array(got)) => {
            for (at, value) in sent.iter().enumerate() {
                compare(value, got.get(at), path, paths);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_the_time_of_its_last_transition() {
        let condition = |status: &str, message: &str| json!({ "conditions": [{ "type": "InSync", "status": status, "message": message }] });
        let first = with_times(condition("True", "a"), None, "t1");
        let time = |status: &Value| status["conditions"][0]["lastTransitionTime"].clone();
        assert_eq!(time(&first), "t1");
        let second = with_times(condition("True", "b"), Some(&first), "t2");
        assert_eq!(time(&second), "t1");
        let third = with_times(condition("False", "b"), Some(&second), "t3");
        assert_eq!(time(&third), "t3");
    }

    #[test]
    fn a_field_that_the_server_drops_is_named_once() {
        let sent =
            json!({ "path": { "podMTU": 1, "new": 2 }, "list": [{ "a": 1, "b": 2 }, { "a": 1, "b": 2 }] });
        let got = json!({ "path": { "podMTU": 1 }, "list": [{ "a": 1 }, { "a": 1 }], "more": 1 });
        assert_eq!(dropped(&sent, &got), ["list.b", "path.new"]);
        assert_eq!(dropped(&sent, &sent), [""; 0]);
    }
}
