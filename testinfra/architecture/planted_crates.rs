//! Violations of crates planted in workspaces of their own, and crates like them that must pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::modules::Modules;
use crate::planted_circles::{modules, plant};
use crate::purity::{REQUIRED, forbidden};
use crate::workspace::{Crate, crates};
use crate::{direction, purity, shape};

/// The configurations of clippy as the repository has them.
const PURE: &str = include_str!("../../clippy.toml");

const LOWER: &str = include_str!("../../src/kernel/clippy.toml");

/// A workspace with a package for each name, its manifest's end and the text of its library.
fn workspace(packages: &[(&str, &str, &str)], more: &[(&str, &str)]) -> (TempDir, Vec<Crate>) {
    let directory = plant(&[(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"src/*\"]\n",
    )]);
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for (name, manifest, library) in packages {
        let package = match *name {
            "cli" => "netkeel".to_owned(),
            name => format!("netkeel-{name}"),
        };
        let manifest = format!(
            "[package]\nname = \"{package}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n{manifest}"
        );
        write(&format!("src/{name}/Cargo.toml"), &manifest);
        write(&format!("src/{name}/lib.rs"), library);
    }
    for (path, text) in more {
        write(path, text);
    }
    let found = crates(directory.path());
    assert_eq!(found.len(), packages.len());
    (directory, found)
}

#[test]
fn a_dependency_upward_is_found() {
    let on = |name: &str| format!("[dependencies]\nnetkeel-{name} = {{ path = \"../{name}\" }}\n");
    let (core, host) = (on("core"), on("host"));
    let (_directory, good) = workspace(&[("core", "", ""), ("host", &core, "")], &[]);
    assert_eq!(direction::violations(&good), Vec::<String>::new());
    let (_directory, upward) = workspace(&[("core", &host, ""), ("host", "", "")], &[]);
    assert_eq!(direction::violations(&upward), ["core may not use host"]);
    // `packet` is above `host`, and not for it.
    let (_directory, aside) = workspace(&[("packet", "", ""), ("host", &on("packet"), "")], &[]);
    assert_eq!(direction::violations(&aside), ["host may not use packet"]);
    let target = host.replace("dependencies", "target.'cfg(unix)'.dependencies");
    let build = host.replace("dependencies", "build-dependencies");
    let renamed = "[dependencies]\nh = { package = \"netkeel-host\", path = \"../host\" }\n";
    for hidden in [&target, &build, renamed] {
        let (_directory, found) = workspace(&[("core", hidden, ""), ("host", "", "")], &[]);
        assert_eq!(
            direction::violations(&found),
            ["core may not use host"],
            "{hidden}"
        );
    }
    let for_tests = host.replace("dependencies", "dev-dependencies");
    let (_directory, found) = workspace(&[("core", &for_tests, ""), ("host", "", "")], &[]);
    assert_eq!(direction::violations(&found), Vec::<String>::new());
    let (_directory, unknown) = workspace(&[("attic", "", "")], &[]);
    assert_eq!(
        direction::violations(&unknown),
        ["the crate attic is not in the table"]
    );
    let (_directory, reserved) = workspace(&[("plan", "[dependencies]\nclap = \"4\"\n", "")], &[]);
    assert_eq!(
        direction::violations(&reserved),
        ["plan may not depend on clap: only cli may"]
    );
}

#[test]
fn a_long_file_a_full_directory_and_a_file_without_a_purpose_are_found() {
    let lines = |number: usize| format!("//! Long.\n{}", "// a line\n".repeat(number - 1));
    let (good, long) = (lines(500), lines(501));
    let directory = plant(&[
        ("lib.rs", &good),
        ("deep/a.rs", &long),
        ("deep/b.rs", "struct B;\n"),
    ]);
    assert_eq!(
        shape::violations(directory.path(), &BTreeMap::new()),
        [
            "deep/a.rs has 501 lines; at most 500",
            "deep/b.rs does not begin with `//! ` and its purpose"
        ]
    );
    for (number, expected) in [(16, vec![]), (17, vec!["full/ has 17 files; at most 16"])] {
        let names: Vec<String> = (0..number).map(|number| format!("full/{number}.rs")).collect();
        let mut files: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "//! One.\n")).collect();
        files.push(("full/not-rust.json", "{}"));
        assert_eq!(
            shape::violations(plant(&files).path(), &BTreeMap::new()),
            expected
        );
        // An exception holds up to its number, and for a directory that needs it.
        let known = |most| BTreeMap::from([(Path::new("full"), most)]);
        let (enough, few) = (known(17), known(16));
        let stale = "full/ is listed and has few files";
        let excepted = if number > 16 { vec![] } else { vec![stale] };
        assert_eq!(shape::violations(plant(&files).path(), &enough), excepted);
        let not_excepted = if number > 16 { expected } else { vec![stale] };
        assert_eq!(shape::violations(plant(&files).path(), &few), not_excepted);
    }
}

#[test]
fn io_and_clocks_in_a_pure_crate_are_found() {
    for (code, named) in [
        ("fn f() { std::fs::read(\"x\"); }", "std::fs"),
        ("use std::fs; fn f() { fs::read(\"x\"); }", "std::fs"),
        ("use std::{fmt, fs::{self as files}};", "std::fs"),
        ("use std::env::var as of;", "std::env"),
        ("fn f() -> u32 { ::std::process::id() }", "std::process"),
        (
            "use std::time::Instant; fn f() { Instant::now(); }",
            "std::time::Instant::now",
        ),
        (
            "use std::time; fn f() { time::SystemTime::now(); }",
            "std::time::SystemTime::now",
        ),
        ("use std::net::UdpSocket;", "std::net::UdpSocket"),
        (
            "use std::path::Path; fn f() -> fn(&Path) -> bool { Path::exists }",
            "std::path::Path::exists",
        ),
        (
            "fn f() { println!(\"{}\", std::env::args().count()); }",
            "std::env",
        ),
        ("fn f() { std::thread::yield_now() }", "std::thread"),
        (
            "mod m { pub use std::fs; } fn f() { m::fs::read(\"x\"); }",
            "std::fs",
        ),
        // After the tests of a file, too.
        (
            "#[cfg(test)] mod tests {} fn f() { std::fs::read(\"x\"); }",
            "std::fs",
        ),
    ] {
        let found = purity::code("plan", &modules(&[("lib.rs", code)]));
        assert!(
            found
                .iter()
                .any(|line| line.contains(&format!("names {named}: lib.rs:1"))),
            "{code}: {found:?}"
        );
    }
    for code in [
        "#[cfg(test)] mod tests { fn f() { std::fs::read(\"x\"); } }",
        "use std::time::{Duration, Instant, SystemTime}; fn f(now: Instant, at: SystemTime) {}",
        "use std::net::{IpAddr, Ipv4Addr}; use std::path::Path; use std::io::Write;",
        "mod env { pub fn var() {} } fn f() { env::var(); env!(\"CARGO_PKG_NAME\"); }",
        "use std::os::unix::ffi::OsStrExt;",
        "mod fs; fn f() { fs::read() }",
    ] {
        let files = [("lib.rs", code), ("fs.rs", "pub fn read() {}")];
        assert_eq!(
            purity::code("plan", &modules(&files)),
            Vec::<String>::new(),
            "{code}"
        );
    }
}

#[test]
fn an_impure_dependency_and_a_lax_clippy_are_found() {
    let root = [("clippy.toml", PURE)];
    let (_directory, good) = workspace(&[("plan", "[dependencies]\nserde = \"1\"\n", "")], &root);
    assert_eq!(purity::violations(&good[0]), Vec::<String>::new());
    let (_directory, impure) = workspace(&[("plan", "[dependencies]\nnix = \"0.31\"\n", "")], &root);
    let found = purity::violations(&impure[0]);
    assert_eq!(
        found,
        ["plan is pure and depends on nix, which is not listed as free of I/O"]
    );
    // Its own file is the nearest one, and clippy merges nothing.
    let own = [root[0], ("src/plan/clippy.toml", LOWER)];
    let (_directory, lax) = workspace(&[("plan", "", "")], &own);
    let found = purity::violations(&lax[0]);
    assert!(
        found.iter().any(|line| line.ends_with("allows std::env::var")),
        "{found:?}"
    );
    let (_directory, none) = workspace(&[("plan", "", "")], &[]);
    assert_eq!(purity::violations(&none[0]), ["plan has no clippy.toml"]);
    // The crates that do I/O may have it.
    let (_directory, lower) = workspace(&[("kernel", "[dependencies]\nnix = \"0.31\"\n", "")], &own[..1]);
    assert_eq!(purity::violations(&lower[0]), Vec::<String>::new());
}

#[test]
fn unsafe_code_in_the_wrong_crate_or_without_a_reason_is_found() {
    let count = |name: &str, code: &str| {
        let directory = plant(&[("lib.rs", code)]);
        let root = directory.path().join("lib.rs");
        purity::unsafety(name, &root, &Modules::read(&root), &[]).len()
    };
    let bare = "fn f() {\n    unsafe { g() }\n}\n";
    let reasoned = "fn f() {\n    // SAFETY: g has no conditions.\n    unsafe { g() }\n}\n";
    let documented = "/// # Safety\n///\n/// None.\npub unsafe fn g() {}\n";
    assert_eq!(count("kernel", bare), 1);
    assert_eq!(count("kernel", reasoned), 0);
    assert_eq!(count("kernel", documented), 0);
    assert_eq!(count("plan", reasoned), 1);
    assert_eq!(count("plan", documented), 1);
    assert_eq!(count("plan", "unsafe impl Send for X {}"), 1);
    assert_eq!(
        count("plan", "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }"),
        0
    );
}

/// Clippy itself, with the configuration of pure crates: methods that no path names are refused too.
#[test]
fn clippy_refuses_io_in_a_pure_crate() {
    let list = forbidden(PURE);
    let missing: Vec<&&str> = REQUIRED
        .iter()
        .filter(|path| !list.iter().any(|one| one == **path))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let bad = "//! Planted.\n\nuse std::path::Path;\nuse std::time::{Instant, SystemTime};\n\n\
        pub fn a(path: &Path) -> bool {\n    path.exists() || path.is_file() || path.is_dir() || path.metadata().is_ok()\n}\n\
        pub fn b(path: &Path) -> bool {\n    path.read_dir().is_ok() && path.read_link().is_ok() && path.canonicalize().is_ok()\n}\n\
        pub fn c(at: Instant, time: SystemTime) -> bool {\n    at.elapsed().is_zero() && time.elapsed().is_ok()\n}\n\
        pub fn d() -> std::io::Result<Vec<u8>> {\n    std::fs::read(\"x\")\n}\n\
        pub fn e() -> std::collections::HashMap<u8, u8> {\n    Default::default()\n}\n";
    let good = "//! Planted.\n\npub fn a(a: &std::path::Path) -> bool {\n    a.is_absolute()\n}\n";
    let (code, report) = run_clippy(PURE, good);
    assert_eq!(code, Some(0), "{report}");
    let (code, report) = run_clippy(PURE, bad);
    assert_ne!(code, Some(0), "{report}");
    for path in [
        "Path::exists",
        "Path::is_file",
        "Path::is_dir",
        "Path::metadata",
        "Path::read_dir",
        "Path::read_link",
        "Path::canonicalize",
        "Instant::elapsed",
        "SystemTime::elapsed",
        "fs::read",
        "HashMap",
    ] {
        assert!(
            report.contains(&format!("{path}`")),
            "clippy allows {path}:\n{report}"
        );
    }
    // Crates that do I/O have the rules of order only.
    let (code, report) = run_clippy(LOWER, bad);
    assert_ne!(code, Some(0), "{report}");
    assert!(
        report.contains("HashMap`") && !report.contains("exists`"),
        "{report}"
    );
    assert!(!report.contains("does not refer to"), "{report}");
}

fn run_clippy(configuration: &str, code: &str) -> (Option<i32>, String) {
    let directory = plant(&[
        ("clippy.toml", configuration),
        (
            "Cargo.toml",
            "[package]\nname = \"planted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n[workspace]\n",
        ),
        ("lib.rs", code),
    ]);
    cargo_clippy(directory.path())
}

fn cargo_clippy(directory: &Path) -> (Option<i32>, String) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["clippy", "--quiet", "--offline", "--", "-D", "warnings"])
        .current_dir(directory)
        .env("CARGO_TARGET_DIR", directory.join("target"))
        .env_remove("RUSTFLAGS")
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .expect("this test needs cargo clippy");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), report)
}
