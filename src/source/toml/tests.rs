//! TOML: accepted texts, rejected texts, and the places of errors.

use crate::testing::{outline, read, spans};
use crate::text::format::Format;

fn report(text: &str) -> String {
    read(Format::Toml, text).1
}

fn tree(text: &str) -> String {
    let (node, report) = read(Format::Toml, text);
    assert_eq!(report, "");
    outline(&node.unwrap())
}

#[test]
fn tables_in_all_their_forms() {
    assert_eq!(
        tree(
            "v = 1\n[link.eth0]\nmtu = 1460\n[link]\nx.y = 2\nx.z = 3\n[link.x.w]\n[[l]]\na = 1\n[l.b]\nc = 2\n[[l]]\n"
        ),
        "{v: 1, link: {eth0: {mtu: 1460}, x: {y: 2, z: 3, w: {}}}, l: [{a: 1, b: {c: 2}}, {}]}"
    );
    assert_eq!(
        tree("\"net.core\".a = 1\n'b c' = { d.e = 1, d.f = [ { g = 1 }, # x\n 2, ], h = {} }"),
        "{net.core: {a: 1}, b c: {d: {e: 1, f: [{g: 1}, 2]}, h: {}}}"
    );
}

#[test]
fn a_table_that_is_only_implied_can_be_added_to() {
    assert_eq!(
        tree("[a.b.c]\nz = 9\n[a]\nb.d = 1\n[a.b.e]\n"),
        "{a: {b: {c: {z: 9}, d: 1, e: {}}}}"
    );
    // Its place is that of its first mention.
    assert_eq!(
        tree("[l.a.m]\nx = 1\n[l.b]\n[l.a]\ny = 2\n"),
        "{l: {a: {m: {x: 1}, y: 2}, b: {}}}"
    );
}

/// The library allows dotted keys of 80 steps in each of 80 inline tables.
#[test]
fn nesting_by_dots_and_braces_is_bounded() {
    let key = ["a"; 79].join(".");
    let text = format!("{key} = {}1{}", format!("{{{key} = ").repeat(78), "}".repeat(78));
    let (node, report) = read(Format::Toml, &text);
    assert!(
        node.is_none() && report.contains("nested more than 64 levels deep"),
        "{report}"
    );
}

#[test]
fn many_errors_are_reported_as_they_are_few() {
    let text = "[t]\nkey = 1\n".to_owned() + &"key = 1\nx = off\n".repeat(20_000);
    let (node, report) = read(Format::Toml, &text);
    assert!(
        node.is_none() && report.contains("59999 errors"),
        "{}",
        report.len()
    );
}

#[test]
fn scalars() {
    for (text, value) in [
        ("1460", "1460"),
        ("-1", "-1"),
        ("+1", "<+1>"),
        ("1_000", "<1_000>"),
        ("0x1F", "<0x1F>"),
        ("0o17", "<0o17>"),
        ("017", "<017>"),
        ("1e3", "<1e3>"),
        ("1.5", "<1.5>"),
        ("inf", "<inf>"),
        ("2024-01-01T00:00:00Z", "<2024-01-01T00:00:00Z>"),
        ("01:30:00", "<01:30:00>"),
        ("true", "true"),
        ("\"a\\u00fc\"", "\"aü\""),
        ("'a\\'", "\"a\\\\\""),
        ("\"\"\"\na\n b\"\"\"", "\"a\\n b\""),
        ("'''x'''", "\"x\""),
    ] {
        assert_eq!(tree(&format!("k = {text}")), format!("{{k: {value}}}"), "{text}");
    }
}

#[test]
fn spans_cover_what_is_meant() {
    let text = "ä = 1\n".replace('ä', "\"ä\"") + "a.b = [1, { c = \"ü\" }]\n[d.e]\nf = true\n[[g]]\nh = ''\n";
    let mut out = String::new();
    spans(&read(Format::Toml, &text).0.unwrap(), &text, &mut out);
    insta::assert_snapshot!(out, @r#"
    {ä: 1, a: {b: [1, {c: "ü"}]}, d: {e: {f: true}}, g: [{h: ""}]} = "\"ä\" = 1\na.b = [1, { c = \"ü\" }]\n[d.e]\nf = true\n[[g]]\nh = ''\n"
    ä: "\"ä\""
    1 = "1"
    a: "a"
    {b: [1, {c: "ü"}]} = "a"
    b: "b"
    [1, {c: "ü"}] = "[1, { c = \"ü\" }]"
    1 = "1"
    {c: "ü"} = "{ c = \"ü\" }"
    c: "c"
    "ü" = "\"ü\""
    d: "d"
    {e: {f: true}} = "d"
    e: "e"
    {f: true} = "[d.e]"
    f: "f"
    true = "true"
    g: "g"
    [{h: ""}] = "[[g]]"
    {h: ""} = "[[g]]"
    h: "h"
    "" = "''"
    "#);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    insta::assert_snapshot!(report("\
a = 1
a = 2
b = off
c =
[d]
e = { f = 1, f = 2 }
e.g = 3
[d]
h = yes
[a.x]
[[d]]
[[l]]
[l]
i.j = 1
i.j.k = 2
m = \"x
"), @r#"
    error: not valid TOML: duplicate key
     --> input:2:1
      |
    1 | a = 1
      | - also given here
    2 | a = 2
      | ^ a

    error: not valid TOML: string values must be quoted
     --> input:3:5
      |
    3 | b = off
      |     ^^^
      |
      = help: TOML has `true` and `false`; other words need quotes

    error: not valid TOML: a value is missing
     --> input:4:4
      |
    4 | c =
      |    ^

    error: not valid TOML: duplicate key
     --> input:6:14
      |
    6 | e = { f = 1, f = 2 }
      |              ^ d.e.f
      |       - also given here

    error: not valid TOML: cannot extend value of type inline table with a dotted key
     --> input:7:1
      |
    6 | e = { f = 1, f = 2 }
      | - also given here
    7 | e.g = 3
      | ^ d.e

    error: not valid TOML: duplicate key
     --> input:8:2
      |
    5 | [d]
      |  - also given here
    6 | e = { f = 1, f = 2 }
    7 | e.g = 3
    8 | [d]
      |  ^ d

    error: not valid TOML: string values must be quoted
     --> input:9:5
      |
    9 | h = yes
      |     ^^^
      |
      = help: TOML has `true` and `false`; other words need quotes

    error: not valid TOML: cannot extend value of type integer with a dotted key
      --> input:10:2
       |
     1 | a = 1
       | - also given here
    ...
    10 | [a.x]
       |  ^ a

    error: not valid TOML: duplicate key
      --> input:11:3
       |
     8 | [d]
       |  - also given here
     9 | h = yes
    10 | [a.x]
    11 | [[d]]
       |   ^ d

    error: not valid TOML: duplicate key
      --> input:13:2
       |
    12 | [[l]]
       |   - also given here
    13 | [l]
       |  ^ l

    error: not valid TOML: cannot extend value of type integer with a dotted key
      --> input:15:3
       |
    14 | i.j = 1
       |   - also given here
    15 | i.j.k = 2
       |   ^ l.i.j

    error: not valid TOML: invalid basic string, expected `"`
      --> input:16:7
       |
    16 | m = "x
       |       ^

    12 errors in input
    "#);
}

#[test]
fn tables_are_not_extended_behind_their_back() {
    for text in [
        "[a.b.c]\nz = 9\n[a]\nb.c.t = 1\n",
        "[a.b.c.d]\nz = 9\n[a]\nb.c.d.k.t = 1\n",
        "[a.b.c.d]\nz = 9\n[a]\nb.c.k = 1\n[a.b.c]\n",
        "[fruit]\napple.color = 1\n[fruit.apple]\n",
        "[fruit]\napple.taste.sweet = true\n[fruit.apple.taste]\n",
        "a = { b = 1 }\na.c = 2\n",
        "a = { b = 1 }\n[a.c]\n",
        "a = [{ b = 1 }]\n[[a]]\n",
        "a = [{ b = 1 }]\n[a.c]\n",
        "[a]\n[[a]]\n",
        "[[a.b]]\n[a]\nb.y = 2\n",
        "a.b = 1\na = 2\n",
        "a = { b.c = 1, b = 2 }\n",
    ] {
        let (node, report) = read(Format::Toml, text);
        assert!(
            node.is_none() && report.contains("not valid TOML"),
            "{text}{report}"
        );
    }
}

#[test]
fn syntax_errors_have_places() {
    let all: Vec<String> = [
        "a",
        "a =",
        "= 1",
        "[a",
        "[]",
        "a = [1 2]",
        "a = {b}",
        "a = 'x",
        "a = 1 b = 2",
        "a: 1",
        "a = {,}",
        "a = \"\\q\"",
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
    a
    error: not valid TOML: key with no value, expected `=`
     --> input:1:2
      |
    1 | a
      |  ^

    a =
    error: not valid TOML: a value is missing
     --> input:1:4
      |
    1 | a =
      |    ^

    = 1
    error: not valid TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
     --> input:1:1
      |
    1 | = 1
      | ^

    [a
    error: not valid TOML: unclosed table, expected `]`
     --> input:1:3
      |
    1 | [a
      |   ^

    []
    error: not valid TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
     --> input:1:2
      |
    1 | []
      |  ^

    a = [1 2]
    error: not valid TOML: string values must be quoted
     --> input:1:6
      |
    1 | a = [1 2]
      |      ^^^

    a = {b}
    error: not valid TOML: a value is missing
     --> input:1:7
      |
    1 | a = {b}
      |       ^

    a = 'x
    error: not valid TOML: invalid literal string, expected `'`
     --> input:1:7
      |
    1 | a = 'x
      |       ^

    a = 1 b = 2
    error: not valid TOML: string values must be quoted
     --> input:1:5
      |
    1 | a = 1 b = 2
      |     ^^^

    error: not valid TOML: unexpected key or value, expected newline, `#`
     --> input:1:9
      |
    1 | a = 1 b = 2
      |         ^

    a: 1
    error: not valid TOML: invalid unquoted key, expected letters, numbers, `-`, `_`
     --> input:1:2
      |
    1 | a: 1
      |  ^

    error: not valid TOML: key with no value, expected `=`
     --> input:1:4
      |
    1 | a: 1
      |    ^

    a = {,}
    error: not valid TOML: extra comma in inline table, expected key
     --> input:1:6
      |
    1 | a = {,}
      |      ^

    a = "\q"
    error: not valid TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
     --> input:1:7
      |
    1 | a = "\q"
      |       ^
    "#);
}
