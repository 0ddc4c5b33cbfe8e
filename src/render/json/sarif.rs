//! The errors of documents as SARIF 2.1.0 (OASIS), which code hosts show at the lines of a change.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use netkeel_source::diagnostic::{Diagnostic, Diagnostics};
use netkeel_source::report::location::Locator;
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

/// The id of the one rule.
const RULE: &str = "invalid-document";

/// A SARIF log with one run. `version` is that of netkeel.
pub fn log(diagnostics: &Diagnostics, sources: &Sources, version: &str) -> Json {
    let mut locator = Locator::new(sources);
    let sorted = diagnostics.sorted().into_iter();
    let results: Vec<Json> = sorted.map(|found| result(found, &mut locator)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "netkeel",
                "semanticVersion": version,
                "rules": [{
                    "id": RULE,
                    "shortDescription": { "text": "The document is invalid" },
                    "defaultConfiguration": { "level": "error" },
                }],
            } },
            // netkeel counts columns in characters; SARIF's default is UTF-16 code units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(found: &Diagnostic, locator: &mut Locator<'_>) -> Json {
    let mut text = found.message.clone();
    for hint in &found.hints {
        let _ = write!(text, "\nhelp: {hint}");
    }
    let mut result = json!({
        "ruleId": RULE,
        "ruleIndex": 0,
        "level": "error",
        "message": { "text": text },
    });
    if let Some(span) = found.span {
        let mut location = physical(span, locator);
        if !found.path.is_empty()
            && let Some(location) = location.as_object_mut()
        {
            let path = json!([{ "fullyQualifiedName": found.path }]);
            location.insert("logicalLocations".to_owned(), path);
        }
        result["locations"] = json!([location]);
    }
    if let Some((span, label)) = &found.other {
        let mut location = physical(*span, locator);
        location["message"] = json!({ "text": label });
        result["relatedLocations"] = json!([location]);
    }
    result
}

fn physical(span: Span, locator: &mut Locator<'_>) -> Json {
    let start = locator.locate(span);
    let end = locator.locate(Span {
        start: span.end,
        ..span
    });
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri(&start.file) },
        "region": {
            "startLine": start.line,
            "startColumn": start.column,
            "endLine": end.line,
            "endColumn": end.column,
        },
    } })
}

/// A path as a URI (RFC 3986): relative as it was given, with `file://` if it is absolute.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(byte.into())
            }
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri() {
        assert_eq!(uri("sites/a b%.yaml"), "sites/a%20b%25.yaml");
        assert_eq!(uri("/etc/netkeel/ä.yaml"), "file:///etc/netkeel/%C3%A4.yaml");
    }

    #[test]
    fn an_error_has_its_region_its_path_and_its_help() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "version: 1\nlink: { é: { mtu: 1x } }\n");
        let mut diagnostics = Diagnostics::default();
        diagnostics
            .add(Span::new(file, 30, 32), "link.é.mtu", "`1x` is no number")
            .hint("use 1400")
            .other(Span::new(file, 0, 7), "the version");
        diagnostics.add(None, "", "no place");
        let log = log(&diagnostics, &sources, "1.2.3");
        let results = &log["runs"][0]["results"];
        // An error without a place is first.
        assert_eq!(results[0]["message"]["text"], "no place");
        assert!(results[0].get("locations").is_none());
        assert_eq!(results[1]["message"]["text"], "`1x` is no number\nhelp: use 1400");
        let location = &results[1]["locations"][0];
        assert_eq!(
            location["physicalLocation"]["region"],
            json!({ "startLine": 2, "startColumn": 19, "endLine": 2, "endColumn": 21 })
        );
        assert_eq!(
            location["logicalLocations"][0]["fullyQualifiedName"],
            "link.é.mtu"
        );
        assert_eq!(
            results[1]["relatedLocations"][0]["message"]["text"],
            "the version"
        );
    }
}
