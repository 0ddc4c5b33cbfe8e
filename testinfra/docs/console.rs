//! Runs the commands of `console` blocks again: they follow `$ `, and their output must be the same.
//! They use saved snapshots, so no host is involved. Blocks of a live host say `console live` and are
//! not run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::pages::{Block, Page, root};

/// The text that a block should have: its commands with their current output. `document` is the
/// document that the page shows before the block.
pub fn run_again(block: &Block<'_>, document: Option<&Block<'_>>) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path();
    symlink(root().join("examples"), place.join("examples")).unwrap();
    for snapshot in [
        "host.json",
        "troubled-host.json",
        "cni-host.json",
        "detected-host.json",
    ] {
        symlink(root().join("examples").join(snapshot), place.join(snapshot)).unwrap();
    }
    let commands: Vec<&str> = block
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .collect();
    assert!(!commands.is_empty(), "{} shows no command", block.place);
    let mut words = commands.iter().flat_map(|command| command.split_whitespace());
    if words.any(|word| word == "-f")
        && let Some(name) = words.next().filter(|name| !name.contains('/') && *name != "-")
    {
        let document = document.unwrap_or_else(|| panic!("{}: no document is shown before it", block.place));
        fs::write(place.join(name), document.text).unwrap();
    }
    run(&script(&commands), place)
}

/// Prints each command as it was typed, runs it, and keeps `$?` for the next.
fn script(commands: &[&str]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut script = String::from("s=0\n");
    for command in commands {
        let shown = quoted(&format!("$ {command}"));
        script.push_str(&format!("printf '%s\\n' {shown}\n(exit $s)\n{command}\ns=$?\n"));
    }
    script
}

fn run(script: &str, place: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_netkeel"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("exec 2>&1\n{script}")])
        .current_dir(place)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // Help texts have lines of blanks, which no page should.
    let printed = String::from_utf8(output.stdout).unwrap();
    printed
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// The output of examples/demo.
pub fn demonstration() -> String {
    let output = Command::new(root().join("examples/demo"))
        .env("NETKEEL", env!("CARGO_BIN_EXE_netkeel"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "examples/demo failed:\n{said}{complained}"
    );
    said.into_owned()
}

/// The verbs that `--help` names.
pub fn verbs() -> Vec<String> {
    let help = run("netkeel --help", root());
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .map(str::to_owned)
        .collect()
}

/// The help text of a verb.
pub fn help(verb: &str) -> String {
    run(&format!("netkeel {verb} --help"), root())
}

/// The verbs that `--help` does not name, each of which has a help text of its own.
pub fn hidden_verbs() -> Vec<String> {
    ["ansible-module"]
        .into_iter()
        .inspect(|verb| {
            let help = run(&format!("netkeel {verb} --help"), root());
            assert!(help.contains(&format!("Usage: netkeel {verb} ")), "{help}");
        })
        .map(str::to_owned)
        .collect()
}

/// The verbs that a page names in code, each with its page.
pub fn named(page: &Page) -> Vec<String> {
    let mut named = Vec::new();
    let prose = page.prose();
    let spans = prose.split('`').skip(1).step_by(2);
    let blocks = page.blocks();
    // In a console block the other lines are output, which may begin with the program's name.
    let lines = blocks.iter().flat_map(|block| {
        let console = block.info.starts_with("console");
        let code = console || block.info.starts_with("sh");
        let command = move |line| match str::strip_prefix(line, "$ ") {
            Some(command) => Some(command),
            None => (!console).then_some(line),
        };
        block.text.lines().filter(move |_| code).filter_map(command)
    });
    for code in spans.chain(lines) {
        let mut words = code.split_whitespace();
        if words.next() == Some("netkeel")
            && let Some(verb) = words.next()
            && verb.starts_with(|c: char| c.is_ascii_lowercase())
        {
            named.push(verb.to_owned());
        }
    }
    named
}
