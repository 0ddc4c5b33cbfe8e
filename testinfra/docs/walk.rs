//! Runs the walk of a page: its blocks `sh walk` and `console walk`, one after another, in one directory and in
//! namespaces of its own. Needs root, iproute2 and util-linux.

use std::path::Path;
use std::process::{Command, Stdio};

use super::pages::{Block, Page};

/// Begins the output of a block.
const MARK: &str = "\u{1}block ";

/// What the walk may see of the machine: no state of netkeel, and no network namespaces.
const WORLD: &str =
    "mount --make-rprivate /\nmount -t tmpfs tmpfs /run\nmount -t tmpfs tmpfs /var/lib\nip link set lo up\n";

/// Each `console walk` block with the text that it should have.
pub fn run_again<'a>(page: &'a Page) -> Vec<(Block<'a>, String)> {
    let blocks: Vec<Block<'a>> = page
        .blocks()
        .into_iter()
        .filter(|block| is_walk(block.info))
        .collect();
    let mut script = String::from(WORLD);
    for (number, block) in blocks.iter().enumerate() {
        script.push_str(&format!("printf '\\n{MARK}{number}\\n'\n"));
        match block.info.starts_with("sh") {
            true => script.push_str(&format!("set -e\n{}set +e\n", block.text)),
            false => {
                for command in commands(block) {
                    let shown = format!("$ {command}").replace('\'', r"'\''");
                    script.push_str(&format!("printf '%s\\n' '{shown}'\n{command}\n"));
                }
            }
        }
    }
    let printed = run(&script);
    let mark = format!("\n{MARK}");
    let mut parts = printed.split(&mark).skip(1);
    let mut found = Vec::new();
    for (number, block) in blocks.into_iter().enumerate() {
        let part = parts
            .next()
            .unwrap_or_else(|| panic!("the walk ends at {}:\n{printed}", block.place));
        let text = part.strip_prefix(&format!("{number}\n")).unwrap();
        match block.info.starts_with("sh") {
            true => assert_eq!(text, "", "{}", block.place),
            false => found.push((block, plain(text))),
        }
    }
    found
}

/// Whether a block is a part of a walk.
pub fn is_walk(info: &str) -> bool {
    matches!(info, "sh walk" | "console walk")
}

/// The commands of a console block.
pub fn commands<'a>(block: &Block<'a>) -> Vec<&'a str> {
    block
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect()
}

fn run(script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_netkeel"));
    let scratch = tempfile::tempdir().unwrap();
    let path = format!(
        "{}:/usr/sbin:/usr/bin:/sbin:/bin",
        binary.parent().unwrap().display()
    );
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "/bin/sh",
            "-c",
        ])
        .arg(format!("exec 2>&1\n{script}"))
        .current_dir(scratch.path())
        .env_clear()
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("this test needs unshare: {error}"));
    String::from_utf8(output.stdout).unwrap()
}

/// The text without what differs in each run: times, names of applies and documents, and processes.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        for word in line.trim_end().split(' ') {
            let bare = word.trim_end_matches([',', '.', ':', ')']);
            let end = word.get(bare.len()..).unwrap_or_default();
            let after_pid = words.last().is_some_and(|last| last.ends_with("pid"));
            let like = |form: &str| {
                bare.len() == form.len()
                    && bare.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                        b'9' => byte.is_ascii_digit(),
                        form => byte == form,
                    })
            };
            let is_name = bare.len() == 12
                && bare
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            let shown = match () {
                () if like("9999-99-99") => "2026-01-01",
                () if like("99:99:99") => "12:00:00",
                () if is_name => "0123456789ab",
                () if after_pid && bare.parse::<u32>().is_ok() => "42",
                () => bare,
            };
            words.push(format!("{shown}{end}"));
        }
        out.push_str(&format!("{}\n", words.join(" ")));
    }
    // A block ends with one line end.
    format!("{}\n", out.trim_end())
}

#[test]
fn what_differs_in_each_run_is_left_out() {
    assert_eq!(
        plain("Undo of 2e31b5d6cfa9, 2026-11-29 14:22:34 UTC, pid 43: x (pid 7) 14:22\n\n"),
        "Undo of 0123456789ab, 2026-01-01 12:00:00 UTC, pid 42: x (pid 42) 14:22\n"
    );
}
