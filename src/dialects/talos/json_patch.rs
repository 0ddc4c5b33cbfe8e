//! JSON patches (RFC 6902), which Talos accepts only for a configuration of one document.

use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::size::Size;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::text::limits::{MAX_BYTES, MAX_DEPTH, MAX_NODES};

/// Applies the operations of a patch in order and stops at the first that fails.
pub(crate) fn apply(documents: &mut [Node], patch: &Node, diagnostics: &mut Diagnostics) {
    let [document] = documents else {
        diagnostics
            .add(
                patch.span,
                "",
                format!(
                    "Talos takes JSON patches (RFC 6902) for a configuration of one document only, and this one has {}",
                    documents.len()
                ),
            )
            .hint("write a strategic merge patch, the part of the configuration as it should be");
        return;
    };
    let mut copied = Size::default();
    for (index, operation) in patch.items().iter().enumerate() {
        if let Err(why) = operate(document, operation, &mut copied) {
            diagnostics.add(operation.span, KeyPath::ROOT.index(index), why);
            return;
        }
    }
}

fn operate(document: &mut Node, operation: &Node, copied: &mut Size) -> Result<(), String> {
    let pointer = |key: &str| {
        let text = operation.get(key).and_then(Node::text);
        text.ok_or_else(|| format!("the operation has no `{key}`"))
            .and_then(parse)
    };
    let value = || {
        let found = operation.entries().iter().find(|entry| entry.key == "value");
        found
            .map(|entry| entry.value.clone())
            .ok_or_else(|| "the operation has no `value`".to_owned())
    };
    let path = pointer("path")?;
    match operation.get("op").and_then(Node::text) {
        Some("add") => add(document, &path, value()?),
        Some("remove") => remove(document, &path).map(drop),
        Some("replace") => {
            let value = value()?;
            fits(&path, Size::of(&value))?;
            *at(document, &path)? = value;
            Ok(())
        }
        Some("move") => {
            let moved = remove(document, &pointer("from")?)?;
            add(document, &path, moved)
        }
        Some("copy") => {
            let from = at(document, &pointer("from")?)?;
            let size = Size::of(from);
            copied.nodes = copied.nodes.saturating_add(size.nodes);
            copied.bytes = copied.bytes.saturating_add(size.bytes);
            // A few lines can copy from each other without bound.
            if copied.nodes > MAX_NODES || copied.bytes > MAX_BYTES {
                return Err("the patch copies more than a document may have".to_owned());
            }
            let copy = from.clone();
            add(document, &path, copy)
        }
        Some("test") => {
            let value = value()?;
            let there = at(document, &path)?;
            if crate::talos::merge::equal(there, &value) || there.is_null() && value.is_null() {
                Ok(())
            } else {
                Err("the test fails: there is another value".to_owned())
            }
        }
        _ => Err("`op` is one of add, remove, replace, move, copy, test".to_owned()),
    }
}

/// The steps of a JSON pointer (RFC 6901).
fn parse(pointer: &str) -> Result<Vec<String>, String> {
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let Some(steps) = pointer.strip_prefix('/') else {
        return Err("a path begins with `/`".to_owned());
    };
    Ok(steps
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect())
}

fn not_there(step: &str) -> String {
    format!("there is no `{step}` at this path")
}

fn at<'a>(node: &'a mut Node, path: &[String]) -> Result<&'a mut Node, String> {
    let [step, rest @ ..] = path else { return Ok(node) };
    let below = match &mut node.data {
        Data::Map(entries) => entries
            .iter_mut()
            .find(|entry| entry.key == *step)
            .map(|entry| &mut entry.value),
        Data::List(items) => index(step, items.len()).and_then(|at| items.get_mut(at)),
        _ => None,
    };
    at(below.ok_or_else(|| not_there(step))?, rest)
}

/// Negative indexes count from the end, as in the library that Talos uses.
fn index(step: &str, length: usize) -> Option<usize> {
    let number: i64 = step.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    usize::try_from(if number < 0 { length + number } else { number }).ok()
}

fn fits(path: &[String], size: Size) -> Result<(), String> {
    if path.len().saturating_add(size.depth) > MAX_DEPTH {
        return Err(format!("nested more than {MAX_DEPTH} levels deep"));
    }
    Ok(())
}

fn add(document: &mut Node, path: &[String], value: Node) -> Result<(), String> {
    fits(path, Size::of(&value))?;
    let [above @ .., step] = path else {
        *document = value;
        return Ok(());
    };
    let parent = at(document, above)?;
    match &mut parent.data {
        Data::Map(entries) => {
            match entries.iter_mut().find(|entry| entry.key == *step) {
                Some(entry) => entry.value = value,
                None => entries.push(Entry {
                    key: step.clone(),
                    key_span: value.span,
                    value,
                }),
            }
            Ok(())
        }
        Data::List(items) => {
            let place = if step == "-" {
                Some(items.len())
            } else {
                index(step, items.len())
            };
            match place.filter(|place| *place <= items.len()) {
                Some(place) => {
                    items.insert(place, value);
                    Ok(())
                }
                None => Err(not_there(step)),
            }
        }
        _ => Err(not_there(step)),
    }
}

fn remove(document: &mut Node, path: &[String]) -> Result<Node, String> {
    let [above @ .., step] = path else {
        return Err("the whole document cannot be removed".to_owned());
    };
    let parent = at(document, above)?;
    match &mut parent.data {
        Data::Map(entries) => {
            let found = entries.iter().position(|entry| entry.key == *step);
            found
                .map(|at| entries.remove(at).value)
                .ok_or_else(|| not_there(step))
        }
        Data::List(items) => {
            let found = index(step, items.len()).filter(|at| *at < items.len());
            found.map(|at| items.remove(at)).ok_or_else(|| not_there(step))
        }
        _ => Err(not_there(step)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    fn refusal(patch: &str) -> Option<String> {
        let mut documents = [yaml("machine: {a: [x]}")];
        let mut diagnostics = Diagnostics::default();
        apply(&mut documents, &yaml(patch), &mut diagnostics);
        diagnostics.list.pop().map(|diagnostic| diagnostic.message)
    }

    #[test]
    fn what_a_patch_makes_of_itself_has_bounds() {
        let double = "- {op: copy, from: /machine/a, path: /machine/a/-}\n";
        assert_eq!(
            refusal(&double.repeat(40)).as_deref(),
            Some("the patch copies more than a document may have")
        );
        let deeper: String = (1..70)
            .map(|depth| {
                format!(
                    "- {{op: add, path: /machine{}, value: {{}}}}\n",
                    "/b".repeat(depth)
                )
            })
            .collect();
        assert_eq!(
            refusal(&deeper).as_deref(),
            Some("nested more than 64 levels deep")
        );
        let some = deeper.lines().take(60).map(|line| format!("{line}\n"));
        assert_eq!(refusal(&some.collect::<String>()), None);
    }
}
