//! The help of `-h`: one screen of 24 lines and 80 columns. It names the options that have no room there; `--help` shows
//! all of them.

use clap::error::ErrorKind as Usage;
use clap::{Arg, Command};

/// Lines of a terminal.
const LINES: usize = 24;

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// The widest name of an option before its text.
const WIDEST: usize = 30;

/// The verbs that a first-time user needs, in the order in which they are shown.
const FIRST: [&str; 14] = [
    "plan", "apply", "check", "undo", "run", "status", "import", "edit", "validate", "lint", "explain",
    "doctor", "path", "mtu",
];

/// Whether an error of clap is the answer to `-h`.
pub(crate) fn asked(error: &clap::Error, mut line: impl Iterator<Item = String>) -> bool {
    error.kind() == Usage::DisplayHelp && line.any(|word| word == "-h")
}

/// The help of the verb in a command line.
pub(crate) fn of_line(command: &Command, line: impl Iterator<Item = String>) -> String {
    let mut verb = command;
    let mut path = vec![command.get_name().to_owned()];
    for word in line.skip(1) {
        if let Some(below) = verb.find_subcommand(&word) {
            verb = below;
            path.push(word);
        }
    }
    short_help(verb, &path.join(" "))
}

/// A row of the table: a name, and its text.
struct Row {
    name: String,
    text: String,
    /// It has no room if others need it.
    spare: bool,
}

/// The help of one verb. `path` is how it is called.
fn short_help(verb: &Command, path: &str) -> String {
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = verb.clone().render_usage().to_string();
    let usage = usage
        .trim_start_matches("Usage: ")
        .replacen(verb.get_name(), path, 1);
    let usage = match usage.starts_with(path) {
        true => usage,
        false => format!("{path} [OPTIONS]"),
    };
    let mut lines = wrapped(&about, COLUMNS, 0);
    lines.push(String::new());
    lines.extend(wrapped(&format!("Usage: {usage}"), COLUMNS, 7));
    lines.push(String::new());
    let rows = rows(verb);
    let end = format!("`{path} --help` explains everything.");
    // A line for the names of the rest, one for the end, and a blank one before them.
    let room = LINES.saturating_sub(lines.len() + 1);
    lines.extend(table(&rows, room));
    lines.push(end);
    lines
        .iter()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn rows(verb: &Command) -> Vec<Row> {
    let mut rows = Vec::new();
    let visible: Vec<&Command> = verb
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .collect();
    let rank = |name: &str| FIRST.iter().position(|first| *first == name);
    let mut ordered = visible.clone();
    ordered.sort_by_key(|below| rank(below.get_name()).unwrap_or(FIRST.len()));
    let many = visible.len() > FIRST.len();
    for below in ordered {
        rows.push(Row {
            name: below.get_name().to_owned(),
            text: below.get_about().map(ToString::to_string).unwrap_or_default(),
            spare: many && rank(below.get_name()).is_none(),
        });
    }
    for argument in verb.get_arguments().filter(|arg| !arg.is_hide_set()) {
        if matches!(argument.get_id().as_str(), "help" | "version") {
            continue;
        }
        rows.push(Row {
            name: name(argument),
            text: argument.get_help().map(ToString::to_string).unwrap_or_default(),
            spare: argument.is_hide_short_help_set(),
        });
    }
    rows
}

/// The spelling of an argument: `-f, --file FILE|DIR|-`.
fn name(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .map(|names| names.join(" ").to_string());
    let Some(long) = argument.get_long() else {
        return format!(
            "<{}>",
            value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase())
        );
    };
    let short = argument
        .get_short()
        .map_or("    ".to_owned(), |short| format!("-{short}, "));
    match value.filter(|_| argument.get_action().takes_values()) {
        Some(value) => format!("{short}--{long} {value}"),
        None => format!("{short}--{long}"),
    }
}

/// The rows in so many lines: each in one line with a shortened text, longer texts whole as long as there is room, and
/// the names of those that have none.
fn table(rows: &[Row], room: usize) -> Vec<String> {
    let shown: Vec<&Row> = rows.iter().filter(|row| !row.spare).collect();
    let spare: Vec<&str> = rows.iter().filter(|row| row.spare).map(bare).collect();
    let mut number = shown.len();
    loop {
        let (fits, rest) = shown.split_at(number);
        let names: Vec<&str> = rest
            .iter()
            .map(|row| bare(row))
            .chain(spare.iter().copied())
            .collect();
        let also = match names.is_empty() {
            true => Vec::new(),
            false => wrapped(&format!("Also: {}", names.join(", ")), COLUMNS, 6),
        };
        if fits.len() + also.len() > room && number > 0 {
            number -= 1;
            continue;
        }
        let mut left = room.saturating_sub(fits.len() + also.len());
        let width = fits
            .iter()
            .map(|row| row.name.len())
            .filter(|width| *width <= WIDEST)
            .max();
        let width = width.unwrap_or_default();
        let mut lines = Vec::new();
        for row in fits {
            let head = format!("  {:width$}  ", row.name);
            let whole = wrapped(&format!("{head}{}", row.text), COLUMNS, width + 4);
            if whole.len() <= left + 1 {
                left -= whole.len() - 1;
                lines.extend(whole);
            } else {
                lines.push(cut(&format!("{head}{}", row.text)));
            }
        }
        lines.extend(also);
        return lines;
    }
}

/// The name of a row without its value.
fn bare(row: &Row) -> &str {
    let name = row.name.trim_start();
    let long = name.find("--").and_then(|at| name.get(at..)).unwrap_or(name);
    long.split(' ').next().unwrap_or(long)
}

/// A text in lines of at most so many columns, the later ones with blanks before.
fn wrapped(text: &str, columns: usize, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // The blanks within the first line place its text.
    for word in text.split_inclusive(' ') {
        let blank = line.trim().is_empty();
        if !blank && line.chars().count() + word.trim_end().chars().count() > columns {
            lines.push(line.trim_end().to_owned());
            line = " ".repeat(indent);
        }
        line.push_str(word);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The beginning of a text that has room in one line.
fn cut(text: &str) -> String {
    if text.chars().count() <= COLUMNS {
        return text.to_owned();
    }
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        if line.chars().count() + word.trim_end().chars().count() + 4 > COLUMNS {
            break;
        }
        line.push_str(word);
    }
    format!("{} ...", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::full_command;

    #[test]
    fn short_help_is_one_screen_and_names_everything() {
        fn check(verb: &Command, path: &str) {
            let help = short_help(verb, path);
            assert!(help.lines().count() <= LINES, "{help}");
            for line in help.lines() {
                assert!(line.chars().count() <= COLUMNS, "{path}: {line}");
            }
            for argument in verb.get_arguments().filter(|arg| !arg.is_hide_set()) {
                if let Some(long) = argument
                    .get_long()
                    .filter(|long| !["help", "version"].contains(long))
                {
                    assert!(help.contains(&format!("--{long}")), "{path} --{long}: {help}");
                }
            }
            for below in verb.get_subcommands().filter(|below| !below.is_hide_set()) {
                assert!(
                    help.contains(below.get_name()),
                    "{path} {}: {help}",
                    below.get_name()
                );
                check(below, &format!("{path} {}", below.get_name()));
            }
        }
        check(&full_command(), "netkeel");
        for first in FIRST {
            assert!(full_command().find_subcommand(first).is_some(), "{first}");
        }
    }

    #[test]
    fn a_line_of_words_leads_to_its_verb() {
        let of = |line: &[&str]| of_line(&full_command(), line.iter().map(ToString::to_string));
        assert!(of(&["netkeel", "-h"]).contains("Usage: netkeel"));
        let help = of(&["netkeel", "apply", "-h"]);
        assert!(
            help.contains("Usage: netkeel apply [OPTIONS]") && help.contains("--confirm-within DURATION"),
            "{help}"
        );
        assert!(of(&["netkeel", "probe", "ipip", "-h"]).contains("Usage: netkeel probe ipip"));
    }
}
