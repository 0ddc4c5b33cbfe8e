//! Circles planted in directories of their own, and code like them that must pass.

use std::fs;

use tempfile::TempDir;

use crate::circles::{circles, describe, edges, hold};
use crate::modules::Modules;

/// Writes files by name and text.
pub fn plant(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

pub fn modules(files: &[(&str, &str)]) -> Modules {
    let directory = plant(files);
    Modules::read(&directory.path().join("lib.rs"))
}

/// The files of the circles, and how the first of them is described.
fn circles_of(files: &[(&str, &str)]) -> (Vec<Vec<String>>, String) {
    let edges = edges(&modules(files));
    let found = circles(&edges);
    let text = found
        .first()
        .map_or(String::new(), |circle| describe(&edges, circle));
    let names = |circle: &std::collections::BTreeSet<std::path::PathBuf>| {
        circle.iter().map(|path| path.display().to_string()).collect()
    };
    (found.iter().map(names).collect(), text)
}

#[track_caller]
fn circle(files: &[(&str, &str)], expected: &[&str], text: &str) {
    let (found, described) = circles_of(files);
    assert_eq!(found, [expected], "{described}");
    assert!(described.contains(text), "{described}");
}

#[track_caller]
fn no_circle(files: &[(&str, &str)]) {
    let (found, described) = circles_of(files);
    assert!(found.is_empty(), "{described}");
}

#[test]
fn a_circle_of_two_files_is_found() {
    circle(
        &[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::Two; pub struct One(Two);"),
            ("b.rs", "pub struct Two; pub fn of(one: super::a::One) {}"),
        ],
        &["a.rs", "b.rs"],
        "a.rs takes Two from b.rs",
    );
}

#[test]
fn a_circle_through_re_exports_is_found_where_the_names_are_defined() {
    circle(
        &[
            ("lib.rs", "mod face; mod third;"),
            (
                "face.rs",
                "mod a; mod b; pub use a::{One, other as another}; pub(crate) use b::*;",
            ),
            (
                "face/a.rs",
                "use super::Two; pub struct One(Two); pub fn other() {}",
            ),
            (
                "face/b.rs",
                "use crate::third; pub struct Two; fn f() { third::of() }",
            ),
            ("third.rs", "pub fn of() { crate::face::another() }"),
        ],
        &["face/a.rs", "face/b.rs", "third.rs"],
        "third.rs takes other from face/a.rs",
    );
}

#[test]
fn a_circle_is_found_in_code_macros_attributes_and_bodies() {
    for back in [
        "fn f() { use crate::a::One; let _ = One; }",
        "fn f() -> Vec<crate::a::One> { Vec::new() }",
        "fn f() { println!(\"{}\", crate::a::one()); }",
        "fn f() { vec![super::a::One; 2]; }",
        "use crate::a; fn f() { assert!(a::one() == 1); }",
        "#[derive(X)] struct T { #[serde(with = \"crate::a::one\")] x: u8 }",
        "impl crate::a::Does for u8 {}",
        "#[cfg(any(test, fuzzing))] use crate::a::One;",
        "use crate::a::Does as _;",
        "pub use crate::a::One;",
        "mod inline { pub fn f() { super::super::a::one(); } }",
        "use crate::*; fn f() { println!(\"{}\", one()); }",
        "use crate::a::*; struct S(One);",
        "fn f() { matches!(1, crate::a::LIMIT); }",
    ] {
        let b = format!("{back} pub struct Two;");
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::one;"),
            (
                "a.rs",
                "use crate::b::Two; pub struct One(Two); pub trait Does {} pub fn one() -> u8 { 1 } pub const LIMIT: u8 = 1;",
            ),
            ("b.rs", &*b),
        ];
        let (found, _) = circles_of(&files);
        assert_eq!(found, [["a.rs", "b.rs"]], "{back}");
    }
}

#[test]
fn what_is_for_tests_closes_no_circle() {
    for back in [
        "#[cfg(test)] use crate::a::One;",
        "#[cfg(all(test, unix))] use crate::a::One;",
        "#[cfg(test)] mod tests { use crate::a::One; }",
        "#[cfg(test)] mod tests;",
        "#[test] fn t() { crate::a::one(); }",
        "struct T { #[cfg(test)] x: crate::a::One }",
        "impl Two { #[cfg(test)] fn t() { crate::a::one(); } }",
        "fn f() { #[cfg(test)] let x = crate::a::one(); }",
    ] {
        let b = format!("{back} pub struct Two;");
        no_circle(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::Two; pub struct One(Two); pub fn one() {}"),
            ("b.rs", &b),
            ("b/tests.rs", "use crate::a::One;"),
        ]);
    }
}

#[test]
fn a_face_and_its_children_are_no_circle_and_one_that_uses_them_is() {
    let child = (
        "face/a.rs",
        "use super::Shared; pub struct One; fn f(_: Shared, _: crate::face::Two) {}",
    );
    let other = ("face/b.rs", "pub struct Two; pub struct Shared;");
    no_circle(&[
        ("lib.rs", "pub mod face;"),
        (
            "face.rs",
            "mod a; mod b; pub use a::One; pub use b::{Shared, Two};",
        ),
        child,
        other,
    ]);
    circle(
        &[
            ("lib.rs", "pub mod face;"),
            (
                "face.rs",
                "mod a; mod b; use a::One; pub use b::Two; pub struct Shared(One);",
            ),
            child,
            ("face/b.rs", "pub struct Two;"),
        ],
        &["face/a.rs", "face.rs"],
        "face/a.rs takes Shared from face.rs",
    );
}

#[test]
fn names_alike_are_told_apart() {
    // A module and a function of one name, another crate's name, a module that is only on the way, and a
    // variable with the name of a function.
    no_circle(&[
        ("lib.rs", "pub mod plan; mod other; mod kept;"),
        (
            "plan.rs",
            "pub mod parts; pub use parts::plan; pub use other_crate::kept; pub struct P; fn f(plan: u8) -> u8 { plan + 1 }",
        ),
        (
            "plan/parts.rs",
            "pub fn plan() {} use super::P; use ::other::Thing; use crate::kept::K;",
        ),
        (
            "other.rs",
            "use crate::plan; pub struct Thing; fn f() { plan::plan(); }",
        ),
        (
            "kept.rs",
            "pub struct K; use std::fmt::Display; fn plan(plan: u8) -> u8 { plan }",
        ),
    ]);
}

#[test]
fn known_circles_may_only_shrink() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "pub struct One(crate::b::Two);"),
        ("b.rs", "pub struct Two; use crate::a::One;"),
    ];
    let edges = edges(&modules(&files));
    assert_eq!(hold("x", &edges, &[2]), Ok(()));
    let new = hold("x", &edges, &[]).unwrap_err();
    assert!(new.contains("b.rs takes One from a.rs"), "{new}");
    let shrunk = hold("x", &edges, &[3, 2]).unwrap_err();
    assert!(shrunk.contains("set it to [2]"), "{shrunk}");
}
