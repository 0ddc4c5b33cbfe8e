//! The commands that messages and the pages of findings tell an operator to run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::pages::{pages, root};
use super::{complain, console};

/// Programs other than netkeel that a message may name. Those that are marked must be on the machine that tests.
const PROGRAMS: &[(&str, bool)] = &[
    ("ethtool", false),
    ("ip", true),
    ("ip6tables-legacy", false),
    ("iptables-legacy", false),
    ("kubectl", false),
    ("modprobe", false),
    ("nft", true),
    ("sysctl", true),
    ("systemctl", false),
    ("talosctl", false),
    ("wg", false),
    ("wg-quick", false),
];

#[test]
fn commands_of_remedies_exist() {
    let mut commands = BTreeMap::new();
    of_messages(&root().join("src"), &mut commands);
    for page in pages() {
        if page.name.starts_with("docs/reference/findings/NK") {
            let remedy = page.text.split("**Remedy.**").nth(1).unwrap_or_default();
            add(
                remedy.split("```").next().unwrap_or_default(),
                &page.name,
                &mut commands,
            );
        }
    }
    assert!(commands.len() > 30, "{commands:#?}");
    let mut helps = BTreeMap::new();
    let mut found = Vec::new();
    for (command, place) in &commands {
        let wrong = match command.strip_prefix("netkeel ") {
            Some(rest) => of_netkeel(rest, &mut helps),
            None => of_another(command),
        };
        found.extend(wrong.map(|why| format!("{place}: `{command}`: {why}")));
    }
    complain("commands that an operator cannot run", found);
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    let mut helps = BTreeMap::new();
    let mut netkeel = |rest: &str| of_netkeel(rest, &mut helps).is_some();
    assert!(!netkeel("plan --save") && !netkeel("apply --prune -f DOCUMENT"));
    assert!(netkeel("plann") && netkeel("plan --sav") && netkeel("history --prune"));
    assert!(of_another("ip link show").is_none());
    assert!(of_another("nft 'list").is_some() && of_another("no-such-program x").is_some());
}

/// The commands in the messages of all source files.
fn of_messages(directory: &Path, commands: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            of_messages(&path, commands);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let place = path.strip_prefix(root()).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap();
            // Comments are for those who read the source.
            for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
                add(line, &place, commands);
            }
        }
    }
}

/// Adds what stands between backquotes and begins with the name of a program.
fn add(text: &str, place: &str, commands: &mut BTreeMap<String, String>) {
    for code in text.split('`').skip(1).step_by(2) {
        let program = code.split(' ').next().unwrap_or_default();
        let known = program == "netkeel" || PROGRAMS.iter().any(|(name, _)| *name == program);
        if known && code.contains(' ') {
            // What a message fills in, and the dots of an example.
            let mut filled = String::new();
            for (number, part) in code.split(['{', '}']).enumerate() {
                filled.push_str(if number % 2 == 0 { part } else { "x" });
            }
            commands
                .entry(filled.replace(" ...", ""))
                .or_insert_with(|| place.to_owned());
        }
    }
}

/// Why a verb with its options cannot be run.
fn of_netkeel(rest: &str, helps: &mut BTreeMap<String, String>) -> Option<String> {
    let mut words = rest.split_whitespace();
    let verb = words.next()?;
    let known = console::verbs().iter().any(|known| known == verb);
    if !known {
        return Some("no such verb".to_owned());
    }
    let help = helps
        .entry(verb.to_owned())
        .or_insert_with(|| console::help(verb));
    let options = words.filter(|word| word.starts_with('-') && word.len() > 1);
    for option in options {
        let name = option.split('=').next().unwrap_or_default();
        let shown = help.split([' ', ',', '\n', '[', ']']).any(|word| word == name);
        if !shown {
            return Some(format!("no option {name}"));
        }
    }
    None
}

/// Why a command of another program cannot be run.
fn of_another(command: &str) -> Option<String> {
    let program = command.split(' ').next()?;
    let Some((_, must_be_here)) = PROGRAMS.iter().find(|(name, _)| *name == program) else {
        return Some("not a known program".to_owned());
    };
    let shell = |script: &str, arguments: &[&str]| {
        let mut shell = Command::new("/bin/sh");
        shell.args(arguments).arg(script).stderr(Stdio::null());
        shell.stdout(Stdio::null()).status().unwrap().success()
    };
    if !shell(command, &["-n", "-c"]) {
        return Some("the shell cannot parse it".to_owned());
    }
    if *must_be_here
        && !shell(
            &format!("PATH=$PATH:/usr/sbin:/sbin; command -v {program}"),
            &["-c"],
        )
    {
        return Some(format!("{program} is not on this machine"));
    }
    None
}
