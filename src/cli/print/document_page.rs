//! The manual page netkeel.yaml(5): the keys of a document, from the shape that documents are checked against.

use clap_mangen::roff::{Roff, bold, italic, roman};

use netkeel_document::document::SHAPE;
use netkeel_document::shape::{Field, Shape};

/// The name of the page.
pub(crate) const NAME: &str = "netkeel.yaml";

/// File formats.
pub(crate) const SECTION: &str = "5";

const EXAMPLE: &str = "version: 1
sysctl:
  net.core.rmem_max: 134217728
link:
  pods: { match: { name: 'cali*', kind: veth }, mtu: 1460 }";

/// The page in roff, with its date, source and manual.
pub(crate) fn text([date, source, manual]: [&str; 3]) -> String {
    let mut page = Roff::new();
    page.control("TH", [NAME, SECTION, date, source, manual]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{NAME} - desired network path settings of a host"))]);
    page.control("SH", ["DESCRIPTION"]);
    for (index, paragraph) in DESCRIPTION.iter().enumerate() {
        if index > 0 {
            page.control("PP", []);
        }
        page.text([roman(*paragraph)]);
    }
    page.control("SH", ["KEYS"]);
    if let Shape::Map(fields) = &*SHAPE {
        keys("", fields, &mut page);
    }
    page.control("SH", ["EXAMPLE"]);
    page.control("EX", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("EE", []);
    page.control("SH", ["SEE ALSO"]);
    page.text([roman(
        "netkeel(8), netkeel-plan(8), netkeel-schema(8), sysctl.d(5)",
    )]);
    page.render()
}

const DESCRIPTION: &[&str] = &[
    "A document is YAML, JSON or TOML. netkeel reads the files of its directories in the order of their names and \
     merges them into one document: maps key by key, and other values of a later file in place of an earlier one. \
     null withdraws a key.",
    "Below, NAME is a key of your choice, and [] is an entry of a list. An MTU that is a budget is a map with the \
     keys of mtu.",
];

/// Adds the keys of a map, each with those below it.
fn keys(path: &str, fields: &[Field], page: &mut Roff) {
    for field in fields {
        let name = match path {
            "" => field.name.to_owned(),
            _ => format!("{path}.{}", field.name),
        };
        page.control("TP", []);
        let required = if field.required { ", required" } else { "" };
        let values = format!("{}{required}", field.shape.values());
        page.text([bold(name.as_str()), roman(": "), italic(values)]);
        page.text([roman(field.doc)]);
        below(&name, &field.shape, page);
    }
}

/// Adds the keys below a value.
fn below(name: &str, shape: &Shape, page: &mut Roff) {
    match shape {
        Shape::Map(fields) => keys(name, fields, page),
        Shape::Table { value, .. } => below(&format!("{name}.NAME"), value, page),
        Shape::List(item) => below(&format!("{name}[]"), item, page),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| below(name, shape, page)),
        Shape::Integer { .. }
        | Shape::Switch
        | Shape::Choice(_)
        | Shape::Word(_)
        | Shape::Text { .. }
        | Shape::Vector => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_on_the_page_with_its_values() {
        let page = text([" ", "netkeel 1", "manual"]);
        assert!(page.starts_with(".ie"), "{page}");
        for key in [
            "version",
            "link.NAME.match.name",
            "tunnel.NAME.mode",
            "replicate.limits",
        ] {
            let key = key.replace('-', "\\-");
            assert!(page.contains(&format!("\\fB{key}\\fR: ")), "{key}: {page}");
        }
        assert!(page.contains("required"));
    }
}
