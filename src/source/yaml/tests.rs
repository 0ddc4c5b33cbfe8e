//! YAML: accepted texts, rejected texts, and the places of errors.

use crate::testing::{outline, read, spans, yaml};
use crate::text::format::Format;

fn tree(text: &str) -> String {
    outline(&yaml(text))
}

fn report(text: &str) -> String {
    read(Format::Yaml, text).1
}

#[test]
fn scalars_by_the_core_schema() {
    for (text, value) in [
        ("1460", "1460"),
        ("-1", "-1"),
        ("0", "0"),
        ("'1460'", "\"1460\""),
        ("true", "true"),
        ("FALSE", "false"),
        ("on", "<on>"),
        ("No", "<No>"),
        ("~", "null"),
        ("Null", "null"),
        ("", "null"),
        ("nULL", "<nULL>"),
        ("017", "<017>"),
        ("0x1F", "<0x1F>"),
        ("0o17", "<0o17>"),
        ("1:30", "<1:30>"),
        ("1e3", "<1e3>"),
        ("1.5", "<1.5>"),
        ("1_000", "<1_000>"),
        ("+1", "<+1>"),
        (".inf", "<.inf>"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "<9223372036854775808>"),
        ("cali*", "<cali*>"),
        ("e[0]", "<e[0]>"),
        ("a b # c", "<a b>"),
        ("\"a\\tb\\u00fc\"", "\"a\\tbü\""),
        ("'it''s'", "\"it's\""),
        ("|\n  a\n  b\n", "\"a\\nb\\n\""),
        (">-\n  a\n  b\n", "\"a b\""),
        ("!!str 017", "\"017\""),
        ("!!str", "\"\""),
        ("!!int '5'", "5"),
        ("!!bool true", "true"),
        ("!!null ''", "null"),
        ("!!seq [1]", "[1]"),
        ("!!map {a: 1}", "{a: 1}"),
        ("2024-01-01", "<2024-01-01>"),
    ] {
        assert_eq!(tree(&format!("k: {text}")), format!("{{k: {value}}}"), "{text}");
    }
}

#[test]
fn keys_are_their_text() {
    assert_eq!(
        tree("1: a\non: b\ntrue: c\n~: d\n1.5: e\n'<<': f\n\"a b\": g\n? x\n: y"),
        "{1: <a>, on: <b>, true: <c>, ~: <d>, 1.5: <e>, <<: <f>, a b: <g>, x: <y>}"
    );
    assert_eq!(
        tree("a:\n- 1\n-\n- - 2\n  - {b: [], c: {}}"),
        "{a: [1, null, [2, {b: [], c: {}}]]}"
    );
    assert_eq!(tree("%YAML 1.2\n--- # comment\na: 1\n..."), "{a: 1}");
    assert_eq!(tree("{\"a\":1,\"b\":[2]}"), "{a: 1, b: [2]}");
}

#[test]
fn spans_cover_what_is_meant() {
    let text =
        "ä: [ü, 'x']\nblock:\n  - k: \"é\"\n  # comment\n\nlast: |\n  ö\nnone:\nflow: {a: 1,\n  b: 2}\n";
    let mut out = String::new();
    spans(&yaml(text), text, &mut out);
    insta::assert_snapshot!(out, @r#"
    {ä: [<ü>, "x"], block: [{k: "é"}], last: "ö\n", none: null, flow: {a: 1, b: 2}} = "ä: [ü, 'x']\nblock:\n  - k: \"é\"\n  # comment\n\nlast: |\n  ö\nnone:\nflow: {a: 1,\n  b: 2}"
    ä: "ä"
    [<ü>, "x"] = "[ü, 'x']"
    <ü> = "ü"
    "x" = "'x'"
    block: "block"
    [{k: "é"}] = "- k: \"é\""
    {k: "é"} = "k: \"é\""
    k: "k"
    "é" = "\"é\""
    last: "last"
    "ö\n" = "ö\n"
    none: "none"
    null = ""
    flow: "flow"
    {a: 1, b: 2} = "{a: 1,\n  b: 2}"
    a: "a"
    1 = "1"
    b: "b"
    2 = "2"
    "#);
}

#[test]
fn aliases_are_what_they_name() {
    assert_eq!(
        tree("a: &x {m: 1}\nb: *x\nc: &y [*x, &z 017, *z]\nd: *y\n&k e: *k"),
        "{a: {m: 1}, b: {m: 1}, c: [{m: 1}, <017>, <017>], d: [{m: 1}, <017>, <017>], e: \"e\"}"
    );
    assert_eq!(tree("a: &x 1\nb: &x 2\nc: *x"), "{a: 1, b: 2, c: 2}");
    let node = yaml("a: &x {m: 1}\nb: *x");
    let b = &node.entries()[1].value;
    assert_eq!((b.span.start, b.span.end), (16, 18));
    assert_eq!(b.entries()[0].key_span.start, 7);
}

#[test]
fn aliases_have_a_budget() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..30 {
        let below = format!("*a{},", level - 1).repeat(10);
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(report(&laughs).contains("has more than 2000000 values, aliases expanded"));
    let text = format!("a: &a {}\nb: [{}]", "x".repeat(1 << 20), "*a,".repeat(17));
    assert!(report(&text).contains("aliases expand to more than 16 MiB of text"));
    let deep: String = (1..100)
        .map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1))
        .collect();
    assert!(report(&format!("a0: &a0 1\n{deep}")).contains("nested more than 64 levels deep"));
    assert!(report("a: &a [*a]").contains("an alias inside its own anchor"));
}

#[test]
fn brackets_have_a_limit_unless_they_are_json() {
    let json = format!("{{\"a\": [{}1]}}", "1, ".repeat(1 << 19));
    assert_eq!(report(&json), "");
    let flow = json.replace("\"a\"", "a");
    assert!(report(&flow).contains("a map or list in brackets has more than 1 MiB"));
}
