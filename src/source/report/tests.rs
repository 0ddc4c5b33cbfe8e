//! Tests of rendered diagnostics.

use proptest::prelude::*;

use crate::diagnostic::Diagnostics;
use crate::report::render::render;
use crate::sources::Sources;
use crate::span::{FileId, Span};

fn sources(text: &str) -> Sources {
    let mut sources = Sources::default();
    sources.add("desired.yaml", text);
    sources
}

/// The place of a part of the text.
fn at(text: &str, part: &str) -> Span {
    let start = text.find(part).unwrap();
    Span::new(FileId(0), start, start + part.len())
}

#[test]
fn a_place_a_second_place_and_hints() {
    let text = "link:\n  eth0: {}\n  eth1: {}\n  eth0: {}\n";
    let mut diagnostics = Diagnostics::default();
    diagnostics
        .add(at(text, "eth1"), "link.eth1", "wrong")
        .hint("first")
        .hint("second");
    diagnostics
        .add(at(text, "link"), "", "far apart from what it is about")
        .other(Span::new(FileId(1), 0, 3), "in another file");
    diagnostics.add(None, "version", "the key `version` is missing");
    let mut sources = sources(text);
    sources.add("other.yaml", "über: 1");
    insta::assert_snapshot!(render(&diagnostics, &sources, false), @r#"
    error: the key `version` is missing
      = in version

    error: far apart from what it is about
     --> desired.yaml:1:1
      |
    1 | link:
      | ^^^^
     ::: other.yaml:1:1
      |
    1 | über: 1
      | -- in another file

    error: wrong
     --> desired.yaml:3:3
      |
    3 |   eth1: {}
      |   ^^^^ link.eth1
      |
      = help: first
      = help: second

    3 errors in desired.yaml
    "#);
}

#[test]
fn long_lines_are_cut_and_columns_stay() {
    let text = format!(
        "{}\"wrong\": 1,{}",
        "\"ä\": 1,".repeat(100_000),
        "\"b\": 2,".repeat(100_000)
    );
    let mut diagnostics = Diagnostics::default();
    diagnostics
        .add(at(&text, "\"wrong\""), "wrong", "unknown key `wrong`")
        .other(at(&text, "\"ä\""), "first")
        .hint("did you mean `right`?");
    insta::assert_snapshot!(render(&diagnostics, &sources(&text), false), @r#"
    error: unknown key `wrong`
     --> desired.yaml:1:700001
      |
    1 | "ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä"...
      | --- first
    1 | ...": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"ä": 1,"wrong": 1,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2,"b": 2...
      |                                            ^^^^^^^ wrong
      |
      = help: did you mean `right`?

    1 error in desired.yaml
    "#);
}

#[test]
fn tabs_wide_and_control_characters_keep_the_marks_in_place() {
    let text = "a:\t\t[日本, \u{1b}[31m\u{202e}x\u{9b}]\n";
    let mut diagnostics = Diagnostics::default();
    diagnostics
        .add(at(text, "x"), "a[1]\u{1b}[0m", "wrong: \u{1b}[31m")
        .hint("\u{7}");
    diagnostics.add(at(text, "日本"), "a[0]", "wide\nin two lines");
    insta::assert_snapshot!(render(&diagnostics, &sources(text), false), @r#"
    error: wide\nin two lines
     --> desired.yaml:1:6
      |
    1 | a:        [日本, ␛[31m�x�]
      |            ^^^^ a[0]

    error: wrong: \u{1b}[31m
     --> desired.yaml:1:16
      |
    1 | a:        [日本, ␛[31m�x�]
      |                        ^ a[1]\u{1b}[0m
      |
      = help: \u{7}

    2 errors in desired.yaml
    "#);
}

#[test]
fn colour_only_where_asked() {
    let mut diagnostics = Diagnostics::default();
    diagnostics.add(at("a: 1", "1"), "a", "wrong");
    assert!(render(&diagnostics, &sources("a: 1"), true).contains("\u{1b}["));
    assert!(!render(&diagnostics, &sources("a: 1"), false).contains('\u{1b}'));
}

#[test]
fn counts_what_is_not_kept() {
    let mut diagnostics = Diagnostics::default();
    for index in 0..1500 {
        diagnostics.add(Span::new(FileId(0), index, index + 1), "", "wrong");
    }
    assert_eq!((diagnostics.list.len(), diagnostics.count()), (1000, 1500));
    let report = render(&diagnostics, &sources(&"x\n".repeat(1000)), false);
    assert!(
        report.ends_with("\n\n1500 errors (the first 1000 are shown) in desired.yaml\n"),
        "{report}"
    );
}

proptest! {
    #[test]
    fn any_span_of_any_text_can_be_shown(
        text in "([a-z\u{0}-\u{a0}日😀\u{202e}]{0,30}\n?){0,20}|[ab]{400,700}\u{e9}{0,3}",
        spans in prop::collection::vec((0..800_usize, 0..800_usize, 0..2_u16), 4),
    ) {
        let sources = sources(&text);
        let mut diagnostics = Diagnostics::default();
        for pair in spans.chunks(2) {
            let [first, second] = [pair[0], pair[1]].map(|(start, end, file)| Span::new(FileId(file), start, end));
            diagnostics.add(first, &text, &text).other(second, &text).hint(&text);
        }
        let report = render(&diagnostics, &sources, false);
        prop_assert!(report.chars().all(|char| char == '\n' || !char.is_control()));
    }
}
