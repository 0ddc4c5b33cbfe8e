//! JSON: accepted texts, rejected texts, and the places of errors.

use proptest::prelude::*;

use crate::testing::{outline, read, spans};
use crate::text::format::Format;

fn report(text: &str) -> String {
    read(Format::Json, text).1
}

fn tree(text: &str) -> String {
    let (node, report) = read(Format::Json, text);
    assert_eq!(report, "");
    outline(&node.unwrap())
}

#[test]
fn values_and_their_places() {
    assert_eq!(
        tree(r#"{"a": [1, -2, 1.5, 1e3, 99999999999999999999, "1460", true, null, {}], "b\u00fc\n": ""}"#),
        "{a: [1, -2, <1.5>, <1e3>, <99999999999999999999>, \"1460\", true, null, {}], bü\n: \"\"}"
    );
    let text = r#"{"ü": [1, "é"], "a": {}}"#;
    let mut out = String::new();
    spans(&read(Format::Json, text).0.unwrap(), text, &mut out);
    insta::assert_snapshot!(out, @r#"
    {ü: [1, "é"], a: {}} = "{\"ü\": [1, \"é\"], \"a\": {}}"
    ü: "\"ü\""
    [1, "é"] = "[1, \"é\"]"
    1 = "1"
    "é" = "\"é\""
    a: "\"a\""
    {} = "{}"
    "#);
}

#[test]
fn all_that_is_relaxed_is_told_at_once() {
    insta::assert_snapshot!(report("\
// one
{
  a: 1, 'b': 'x', /* two */
  \"c\": [1, 2,],
  \"d\": 0x10 \"e\": +5,
  \"f\": .5, \"g\": NaN, \"h\": \"\\x41\",
}
"), @r#"
    error: JSON has no comments
     --> input:1:1
      |
    1 | // one
      | ^^^^^^
      |
      = help: YAML and TOML have them

    error: a word without quotes
     --> input:3:3
      |
    3 |   a: 1, 'b': 'x', /* two */
      |   ^
      |
      = help: JSON requires double quotes

    error: text in single quotes
     --> input:3:9
      |
    3 |   a: 1, 'b': 'x', /* two */
      |         ^^^
      |
      = help: JSON requires double quotes

    error: text in single quotes
     --> input:3:14
      |
    3 |   a: 1, 'b': 'x', /* two */
      |              ^^^
      |
      = help: JSON requires double quotes

    error: JSON has no comments
     --> input:3:19
      |
    3 |   a: 1, 'b': 'x', /* two */
      |                   ^^^^^^^^^
      |
      = help: YAML and TOML have them

    error: a comma after the last value
     --> input:4:13
      |
    4 |   "c": [1, 2,],
      |             ^

    error: a number in a form that JSON does not have
     --> input:5:8
      |
    5 |   "d": 0x10 "e": +5,
      |        ^^^^
      |
      = help: write it in decimal

    error: a comma is missing before this
     --> input:5:13
      |
    5 |   "d": 0x10 "e": +5,
      |             ^^^

    error: a number in a form that JSON does not have
     --> input:5:18
      |
    5 |   "d": 0x10 "e": +5,
      |                  ^^
      |
      = help: write it in decimal

    error: a number in a form that JSON does not have
     --> input:6:8
      |
    6 |   "f": .5, "g": NaN, "h": "\x41",
      |        ^^
      |
      = help: write it in decimal

    error: a number in a form that JSON does not have
     --> input:6:17
      |
    6 |   "f": .5, "g": NaN, "h": "\x41",
      |                 ^^^
      |
      = help: write it in decimal

    error: an escape that JSON does not have
     --> input:6:27
      |
    6 |   "f": .5, "g": NaN, "h": "\x41",
      |                           ^^^^^^
      |
      = help: JSON has \" \\ \/ \b \f \n \r \t \u0000

    error: a comma after the last value
     --> input:6:33
      |
    6 |   "f": .5, "g": NaN, "h": "\x41",
      |                                 ^

    13 errors in input
    "#);
}

#[test]
fn syntax_errors_have_places() {
    let all: Vec<String> = [
        "{\"a\": }",
        "{\"a\" 1}",
        "{\"a\": 1",
        "[1, 2",
        "{\"a\": \"x}",
        "{} {}",
        "{\"a\": tru}",
        "{\"a\": 017}",
        "{\"a\": -}",
        "{\"a\": \"\\ud800\"}",
        "{\"a\": 1}}",
        "{\"a\": 1, \"b\": 2, \"a\": 3}",
        "{\u{a0}\"a\": 1}",
        "{\"a\":: 1}",
        "{\"a\": 1 /* ",
    ]
    .iter()
    .map(|text| {
        format!(
            "{text}\n{}",
            report(text)
                .rsplit_once("\n\n")
                .map_or("no error", |(report, _)| report)
        )
    })
    .collect();
    insta::assert_snapshot!(all.join("\n\n"), @r#"
    {"a": }
    error: not valid JSON: unexpected close brace
     --> input:1:7
      |
    1 | {"a": }
      |       ^

    {"a" 1}
    error: not valid JSON: expected colon after the string or word in object property
     --> input:1:6
      |
    1 | {"a" 1}
      |      ^

    {"a": 1
    error: not valid JSON: unterminated object
     --> input:1:1
      |
    1 | {"a": 1
      | ^^^^^^^

    [1, 2
    error: not valid JSON: unterminated array
     --> input:1:1
      |
    1 | [1, 2
      | ^^^^^

    {"a": "x}
    error: not valid JSON: unterminated string literal
     --> input:1:7
      |
    1 | {"a": "x}
      |       ^^^

    {} {}
    error: not valid JSON: text cannot contain more than one JSON value
     --> input:1:4
      |
    1 | {} {}
      |    ^

    {"a": tru}
    error: not valid JSON: unexpected token
     --> input:1:7
      |
    1 | {"a": tru}
      |       ^^^

    {"a": 017}
    error: a number with a leading zero
     --> input:1:7
      |
    1 | {"a": 017}
      |       ^^^

    {"a": -}
    error: not valid JSON: expected digit following negative sign
     --> input:1:8
      |
    1 | {"a": -}
      |        ^

    {"a": "\ud800"}
    error: not valid JSON: invalid unicode escape sequence. 'd800 (unpaired high surrogate)' is not a valid UTF8 character
     --> input:1:8
      |
    1 | {"a": "\ud800"}
      |        ^^^^^^^

    {"a": 1}}
    error: not valid JSON: text cannot contain more than one JSON value
     --> input:1:9
      |
    1 | {"a": 1}}
      |         ^

    {"a": 1, "b": 2, "a": 3}
    error: the key `a` is given twice
     --> input:1:18
      |
    1 | {"a": 1, "b": 2, "a": 3}
      |                  ^^^ a
      |  --- first given here

    { "a": 1}
    error: a blank that is not ASCII outside of quotes
     --> input:1:2
      |
    1 | { "a": 1}
      |  ^

    {"a":: 1}
    error: not valid JSON: unexpected colon
     --> input:1:6
      |
    1 | {"a":: 1}
      |      ^

    {"a": 1 /* 
    error: not valid JSON: unterminated comment block
     --> input:1:9
      |
    1 | {"a": 1 /*
      |         ^^^
    "#);
}

proptest! {
    /// The parser accepts exactly the texts that serde_json accepts. Two exceptions: serde_json accepts
    /// duplicate keys, and it rejects floats that are too large.
    #[test]
    fn takes_what_is_json(text in "([{}\\[\\]:,]|\"[a-z]\"|\"\\\\[a-z\"/\\\\u0]{1,3}\"|[0-9+\\-.e]{1,3}|true|null|[ \n'/*]){0,12}") {
        let strict = serde_json::from_str::<serde_json::Value>(&text);
        let (node, report) = read(Format::Json, &text);
        // 1e309 is valid JSON too; a reader that needs a number reports that it is too large.
        let is_too_large = |error: &serde_json::Error| error.to_string().starts_with("number out of range");
        let too_large = strict.as_ref().is_err_and(is_too_large);
        if text.trim().is_empty() || report.contains("given twice") || too_large {
            return Ok(());
        }
        prop_assert_eq!(node.is_some() && report.is_empty(), strict.is_ok(), "{}: {}", text, report);
    }
}
