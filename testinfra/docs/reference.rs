//! The tables of docs/reference/document.md come from the shape that documents are checked against.

use std::collections::BTreeMap;
use std::ops::Range;

use super::pages::Page;
use netkeel_document::shape::{Field, Shape};
use netkeel_host::cni::plugin_type;
use netkeel_host::cni::plugin_type::ReadsMtu;

/// The table of each map of the shape, by the path to it.
pub fn tables(shape: &Shape) -> BTreeMap<String, String> {
    let mut tables = BTreeMap::new();
    walk("", shape, &mut tables);
    tables
}

fn walk(path: &str, shape: &Shape, tables: &mut BTreeMap<String, String>) {
    match shape {
        Shape::Map(fields) => {
            let name = if path.is_empty() { "document" } else { path };
            tables.insert(name.to_owned(), table(fields));
            for field in *fields {
                // All MTUs have the same shape, and one table.
                let below = if path.is_empty() || field.name == "mtu" {
                    field.name.to_owned()
                } else {
                    format!("{path}.{}", field.name)
                };
                walk(&below, &field.shape, tables);
            }
        }
        Shape::Table { value, .. } => walk(path, value, tables),
        Shape::List(item) => walk(path, item, tables),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| walk(path, shape, tables)),
        _ => {}
    }
}

fn table(fields: &[Field]) -> String {
    let mut out = String::from("\n| key | value | meaning |\n|---|---|---|\n");
    for Field {
        name,
        shape,
        required,
        doc,
    } in fields
    {
        let required = if *required { ", required" } else { "" };
        let value = shape.values().replace('|', "\\|");
        out.push_str(&format!("| `{name}` | {value}{required} | {doc} |\n"));
    }
    out.push('\n');
    out
}

/// The ranges of a page for tables: `<!-- keys NAME -->` to `<!-- end -->`.
pub fn places(page: &Page) -> BTreeMap<String, Range<usize>> {
    const OPEN: &str = "<!-- keys ";
    let mut places = BTreeMap::new();
    for (at, _) in page.text.match_indices(OPEN) {
        let rest = &page.text[at..];
        let (Some(name_end), Some(end)) = (rest.find(" -->\n"), rest.find("<!-- end -->")) else {
            panic!("{}: a `{OPEN}` without its end", page.name);
        };
        places.insert(
            rest[OPEN.len()..name_end].to_owned(),
            at + name_end + " -->\n".len()..at + end,
        );
    }
    places
}

/// The table of the types of CNI plugins.
pub fn plugins() -> String {
    let mut table = "\n| type | reads `mtu` | since |\n|---|---|---|\n".to_owned();
    for (kind, reads) in plugin_type::types() {
        let reads = match reads {
            ReadsMtu::Number => "as a number",
            ReadsMtu::Text => "as text",
            ReadsMtu::Elsewhere(place) => &format!("no: {place}"),
        };
        let since = plugin_type::since(kind).unwrap_or_default();
        let since = if since.is_empty() {
            " "
        } else {
            &format!(" {since} ")
        };
        table.push_str(&format!("| `{kind}` | {reads} |{since}|\n"));
    }
    table + "\n"
}

/// The place of that table in a page.
pub fn place_of_plugins(page: &Page) -> Range<usize> {
    const BEGIN: &str = "<!-- plugins -->\n";
    let start = page.text.find(BEGIN).unwrap() + BEGIN.len();
    let end = start + page.text[start..].find("<!-- end -->").unwrap();
    start..end
}
