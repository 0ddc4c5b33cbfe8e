//! The words that can complete a command line, for the scripts of `netkeel completions`.

use std::fs;
use std::path::Path;

use clap::{Arg, Args, Command};

use crate::{exit, output};
use netkeel_apply::store::Store;
use netkeel_core::error::Error;
use netkeel_core::finding::Code;
use netkeel_core::name::netns::Netns;
use netkeel_core::text::escape::printable;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;

/// The verb of the scripts.
pub(crate) const VERB: &str = "complete";

/// Where `ip netns` has its namespaces.
const NAMESPACES: &str = "/run/netns";

/// Most names of one kind: a shell lists no more.
const MOST: usize = 500;

/// Print the words that can complete a command line
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The words after the program; the last one is to be completed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// A word, and what it means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    text: String,
    about: String,
}

impl Word {
    fn new(text: impl Into<String>, about: impl Into<String>) -> Self {
        Word {
            text: text.into(),
            about: about.into(),
        }
    }
}

/// Names that depend on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Namespaces,
    Owners,
    History,
    Interfaces,
    Codes,
}

/// Runs the verb. `command` has the options of every verb.
pub(crate) fn run(arguments: &Arguments, command: &Command) -> Result<u8, Error> {
    let words = joined(&arguments.words);
    let mut out = String::new();
    for word in complete(command, &words, &names) {
        out.push_str(&format!(
            "{}\t{}\n",
            printable(&word.text),
            printable(&word.about)
        ));
    }
    output::print(&out)?;
    Ok(exit::OK)
}

/// The words of the line. In bash, `--option=value` is three words; without the value, the last one is `=`.
fn joined(words: &[String]) -> Vec<&str> {
    let mut joined: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "=")
        .collect();
    if words.last().is_some_and(|word| word == "=") {
        joined.push("");
    }
    joined
}

/// The words that can take the place of the last one.
fn complete(command: &Command, words: &[&str], names: &dyn Fn(Names, &Netns) -> Vec<Word>) -> Vec<Word> {
    let (current, before) = words
        .split_last()
        .map_or(("", &[][..]), |(last, rest)| (*last, rest));
    let (mut verb, mut positional, mut netns) = (command, 0, Netns::CURRENT);
    // The option whose value is next.
    let mut open: Option<&Arg> = None;
    for word in before {
        if let Some(option) = open.take() {
            if option.get_id() == "netns" {
                netns = Netns::named(word);
            }
            continue;
        }
        match (option_of(verb, word), verb.find_subcommand(word)) {
            (Some((option, None)), _) if option.get_action().takes_values() => open = Some(option),
            (Some((option, Some(value))), _) if option.get_id() == "netns" => netns = Netns::named(value),
            (Some(_), _) => {}
            (None, Some(below)) if positional == 0 => verb = below,
            (None, _) => positional += 1,
        }
    }
    let mut found = Vec::new();
    if let Some(option) = open {
        found = values(option, &netns, names);
    } else if let Some((option, Some(_))) = option_of(verb, current) {
        let name = current.split_once('=').map_or(current, |(name, _)| name);
        found = values(option, &netns, names);
        for word in &mut found {
            word.text = format!("{name}={}", word.text);
        }
    } else if current.starts_with('-') {
        for option in verb.get_opts().chain(
            verb.get_arguments()
                .filter(|arg| !arg.get_action().takes_values()),
        ) {
            if let (Some(long), false) = (option.get_long(), option.is_hide_set()) {
                found.push(Word::new(format!("--{long}"), about(option.get_help())));
            }
        }
    } else {
        let verbs = verb
            .get_subcommands()
            .filter(|below| positional == 0 && !below.is_hide_set());
        for below in verbs {
            found.push(Word::new(below.get_name(), about(below.get_about())));
        }
        // A list of names has one argument.
        if let Some(argument) = verb
            .get_positionals()
            .nth(positional)
            .or(verb.get_positionals().last())
        {
            found.extend(values(argument, &netns, names));
        }
    }
    found.retain(|word| word.text.starts_with(current));
    found.sort();
    found.dedup();
    found
}

/// The option that a word names, and the value in the same word.
fn option_of<'a, 'w>(verb: &'a Command, word: &'w str) -> Option<(&'a Arg, Option<&'w str>)> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let option = match (name.strip_prefix("--"), name.strip_prefix('-')) {
        (Some(long), _) => verb.get_arguments().find(|arg| arg.get_long() == Some(long)),
        (None, Some(short)) => verb
            .get_arguments()
            .find(|arg| arg.get_short().is_some_and(|own| short == own.to_string())),
        (None, None) => None,
    };
    option.map(|option| (option, value))
}

/// The values of an argument. None for a file: the shell completes it.
fn values(argument: &Arg, netns: &Netns, names: &dyn Fn(Names, &Netns) -> Vec<Word>) -> Vec<Word> {
    let possible = argument.get_possible_values();
    if !possible.is_empty() {
        let visible = possible.iter().filter(|value| !value.is_hide_set());
        return visible
            .map(|value| Word::new(value.get_name(), about(value.get_help())))
            .collect();
    }
    let mut kinds = Vec::new();
    match argument.get_id().as_str() {
        "netns" => kinds.push(Names::Namespaces),
        "owner" => kinds.push(Names::Owners),
        "id" => kinds.push(Names::History),
        _ => {}
    }
    for name in argument.get_value_names().unwrap_or_default() {
        for part in name.split('|') {
            match part {
                "IFACE" | "INTERFACE" | "SELECTOR" | "UNDERLAY" => kinds.push(Names::Interfaces),
                "CODE" => kinds.push(Names::Codes),
                _ => {}
            }
        }
    }
    kinds.into_iter().flat_map(|kind| names(kind, netns)).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// The names on this host. A completion has no place for an error, so names that cannot be read are not offered.
fn names(kind: Names, netns: &Netns) -> Vec<Word> {
    let mut words = match kind {
        Names::Codes => Code::ALL
            .iter()
            .map(|code| Word::new(code.to_string(), code.severity().to_string()))
            .collect(),
        Names::Namespaces => namespaces(Path::new(NAMESPACES)),
        Names::Owners => owners(netns).unwrap_or_default(),
        Names::History => history(netns).unwrap_or_default(),
        Names::Interfaces => interfaces(netns).unwrap_or_default(),
    };
    words.truncate(MOST);
    words
}

fn namespaces(directory: &Path) -> Vec<Word> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| Word::new(entry.file_name().to_string_lossy(), "network namespace"))
        .collect()
}

fn owners(netns: &Netns) -> Result<Vec<Word>, Error> {
    let ledger = Store::open_to_read(netns)?.ledger()?;
    let mut names: Vec<String> = ledger.claims().map(|claim| claim.owner.clone()).collect();
    names.sort();
    names.dedup();
    Ok(names.into_iter().map(|name| Word::new(name, "owner")).collect())
}

fn history(netns: &Netns) -> Result<Vec<Word>, Error> {
    let entries = Store::open_to_read(netns)?.history()?;
    let newest = entries.iter().rev();
    Ok(newest
        .map(|entry| Word::new(entry.id.clone(), format!("{} of {}", entry.event, entry.owner)))
        .collect())
}

fn interfaces(netns: &Netns) -> Result<Vec<Word>, Error> {
    let host = Live::with(netns, |kernel| kernel.snapshot(&Scope::default()))??;
    let links = host.links.iter();
    Ok(links
        .map(|(name, link)| {
            Word::new(
                name.to_string(),
                format!("{}, mtu {}", link.kind_name(), link.mtu),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::full_command;

    fn words(line: &[&str]) -> Vec<String> {
        let names = |kind: Names, netns: &Netns| match kind {
            Names::Interfaces if *netns == Netns::named("red") => vec![Word::new("veth9", "")],
            Names::Interfaces => vec![Word::new("eth0", ""), Word::new("cali1", "")],
            Names::Codes => vec![Word::new("NK013", "")],
            Names::Namespaces => vec![Word::new("red", "")],
            Names::Owners => vec![Word::new("default", "")],
            Names::History => vec![Word::new("20261129-1", "")],
        };
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let found = complete(&full_command(), &joined(&line), &names);
        found.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn each_place_has_its_words() {
        for (line, expected) in [
            (&["und"][..], &["undo"][..]),
            (&["undo", ""], &["20261129-1"]),
            (&["undo", "--forc"], &["--force"]),
            (&["owners", "d"], &["default"]),
            (&["release", "--owner", ""], &["default"]),
            (&["plan", "--netns", ""], &["red"]),
            (&["plan", "--netns=r"], &["--netns=red"]),
            (&["plan", "--netns", "="], &["red"]),
            (&["plan", "--netns", "=", "r"], &["red"]),
            (&["plan", "--output", "ma"], &["markdown"]),
            (&["plan", "-f", ""], &[]),
            (&["explain", ""], &["NK013", "cali1", "eth0"]),
            (&["explain", "--netns", "red", "v"], &["veth9"]),
            (&["import", "eth0", "c"], &["cali1"]),
            (&["import", "--from", "net"], &["netplan", "networkd"]),
            (&["probe", "ip"], &["ipip"]),
            (&["completions", "ba"], &["bash"]),
            (&["nothing", "else", ""], &[]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
        let verbs = words(&[""]);
        assert!(
            verbs.contains(&"plan".to_owned()) && !verbs.contains(&VERB.to_owned()),
            "{verbs:?}"
        );
    }
}
