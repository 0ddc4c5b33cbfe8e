//! ifupdown: the `mtu` of `iface` stanzas, and the MTUs, tunnels, addresses of tunnels and sysctls that their commands
//! set with ip(8), ifconfig(8) and sysctl(8).

use std::collections::BTreeSet;

use netkeel_core::text::glob::Glob;
use netkeel_document::draft::{SYSCTL, TUNNEL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::span::Span;

use crate::import::importer::{Importer, Target, Text, value};

/// The options with a command.
const COMMANDS: [&str; 6] = ["up", "pre-up", "post-up", "down", "pre-down", "post-down"];

/// The words that begin a stanza.
const STANZAS: [&str; 8] = [
    "auto",
    "iface",
    "mapping",
    "source",
    "source-directory",
    "template",
    "rename",
    "no-auto-down",
];

/// The tunnels that the commands of all files make.
#[derive(Default)]
struct Tunnels {
    names: BTreeSet<String>,
    addresses: Vec<(String, String)>,
}

pub(super) fn read(files: &[Text], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let mut tunnels = Tunnels::default();
    for file in files {
        // The interface whose stanza is open, and what it has that netkeel does not manage.
        let mut open: Option<Stanza> = None;
        for line in &file.lines {
            let (word, rest) = line
                .text
                .split_once(char::is_whitespace)
                .map_or((line.text.as_str(), ""), |(word, rest)| (word, rest.trim()));
            if STANZAS.contains(&word) || word.starts_with("allow-") {
                close(open.take(), into);
                open = stanza(word, rest, line.span, files, into, diagnostics);
                continue;
            }
            let Some(stanza) = &mut open else {
                diagnostics
                    .add(line.span, "", format!("`{word}` is in no stanza"))
                    .hint("a stanza begins with `iface NAME FAMILY METHOD`");
                continue;
            };
            if rest.is_empty() {
                diagnostics
                    .add(line.span, "", format!("`{word}` has no value"))
                    .hint("write OPTION VALUE");
                continue;
            }
            option(stanza, word, rest, line.span, &mut tunnels, into);
        }
        close(open, into);
    }
    for (name, address) in &tunnels.addresses {
        if tunnels.names.contains(name) {
            let known =
                |entry: &&mut netkeel_document::draft::Entry| entry.section == TUNNEL && entry.key == *name;
            if let Some(entry) = into.draft.entries.iter_mut().find(known) {
                let all = match entry.fields.iter().find(|(field, _)| *field == "addresses") {
                    Some((_, list)) => format!("{}, {address}]", list.trim_end_matches(']')),
                    None => format!("[{address}]"),
                };
                entry.fields.retain(|(field, _)| *field != "addresses");
                entry.fields.push(("addresses", all));
            }
        }
    }
}

struct Stanza {
    /// The interface; none for a stanza that netkeel does not read.
    name: Option<String>,
    span: Span,
    others: Vec<String>,
}

fn close(stanza: Option<Stanza>, into: &mut Importer<'_>) {
    if let Some(stanza) = stanza {
        let what = stanza.name.as_deref().unwrap_or("this stanza");
        into.note_keys(stanza.span, what, &stanza.others);
    }
}

fn stanza(
    word: &str,
    rest: &str,
    span: Span,
    files: &[Text],
    into: &mut Importer<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Stanza> {
    let named = |name: Option<String>| {
        Some(Stanza {
            name,
            span,
            others: Vec::new(),
        })
    };
    match word {
        "iface" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            match words.as_slice() {
                [name, _, _, ..] => named(Some((*name).to_owned())),
                // ifupdown-ng and ifupdown2 take a name alone.
                [name] => named(Some((*name).to_owned())),
                _ => {
                    diagnostics
                        .add(span, "", "this `iface` is incomplete")
                        .hint("write `iface NAME FAMILY METHOD`, as `iface eth0 inet static`");
                    None
                }
            }
        }
        "source" | "source-directory" => {
            let pattern = rest.trim_end_matches('/');
            let pattern = match word {
                "source" => pattern.to_owned(),
                _ => format!("{pattern}/*"),
            };
            let glob = Glob::new(&pattern).ok();
            let given = |file: &Text| {
                let tail = pattern.rsplit('/').take(2).collect::<Vec<_>>();
                let own = file.name.rsplit('/').take(2).collect::<Vec<_>>();
                glob.as_ref()
                    .is_some_and(|glob| glob.matches(file.name.as_bytes()))
                    || (tail.len() == 2
                        && tail.get(1) == own.get(1)
                        && tail.first().zip(own.first()).is_some_and(|(pattern, name)| {
                            Glob::new(pattern).is_ok_and(|glob| glob.matches(name.as_bytes()))
                        }))
            };
            if !files.iter().any(given) {
                into.note(
                    span,
                    &format!("`{word} {rest}`: none of these files was read; name them with -f"),
                );
            }
            None
        }
        "mapping" | "template" => named(None),
        _ => None,
    }
}

fn option(
    stanza: &mut Stanza,
    word: &str,
    rest: &str,
    span: Span,
    tunnels: &mut Tunnels,
    into: &mut Importer<'_>,
) {
    let Some(name) = stanza.name.clone() else {
        stanza.others.push(word.to_owned());
        return;
    };
    match word {
        "mtu" => into.set_link(&Target::of_name(&name), ("mtu", value(rest)), span),
        "up" | "pre-up" | "post-up" => {
            let commands = rest.replace("${IFACE}", &name).replace("$IFACE", &name);
            for list in lists(&commands) {
                // Whether a command runs whatever the others return.
                let mut is_certain = true;
                for (operator, command) in chain(list) {
                    if operator == Some(Operator::Or) && ["true", ":"].contains(&command) {
                        continue;
                    }
                    is_certain &= operator != Some(Operator::Or) && is_plain(&commands);
                    is_certain = is_certain && run(command, &name, span, tunnels, into);
                    if !is_certain {
                        into.note(
                            span,
                            &format!("{name}: netkeel does not manage `{word} {command}`"),
                        );
                    }
                }
            }
        }
        word if COMMANDS.contains(&word) => {
            // netkeel restores what it changed when it lets go of it.
            into.note(span, &format!("{name}: netkeel does not manage `{word} {rest}`"));
        }
        other => {
            if !stanza.others.iter().any(|known| known == other) {
                stanza.others.push(other.to_owned());
            }
        }
    }
}

/// The operator before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

/// The lists of commands between semicolons.
fn lists(text: &str) -> impl Iterator<Item = &str> {
    text.split(';').map(str::trim).filter(|list| !list.is_empty())
}

/// The commands of a list with the operators before them.
fn chain(list: &str) -> Vec<(Option<Operator>, &str)> {
    let mut chain = Vec::new();
    let (mut rest, mut operator) = (list, None);
    loop {
        let next = [("&&", Operator::And), ("||", Operator::Or)];
        let found = next.map(|(text, operator)| (rest.split_once(text), operator));
        let first = found
            .into_iter()
            .filter_map(|(split, next)| split.map(|split| (split, next)))
            .min_by_key(|((command, _), _)| command.len());
        let command = first.map_or(rest, |((command, _), _)| command).trim();
        if !command.is_empty() {
            chain.push((operator, command));
        }
        match first {
            Some(((_, after), next)) => (rest, operator) = (after, Some(next)),
            None => return chain,
        }
    }
}

/// Whether every list runs, with the words that the text has: no variables, compound commands or `exit`.
fn is_plain(text: &str) -> bool {
    const COMPOUND: [&str; 14] = [
        "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "case", "{", "(", "exit", "exec",
    ];
    let first = |command: &str| {
        let word = command.split_whitespace().next().unwrap_or_default();
        COMPOUND.contains(&word) || word.starts_with('(')
    };
    !text.contains(['$', '`'])
        && !lists(text).any(|list| chain(list).iter().any(|(_, command)| first(command)))
}

/// Takes over what a command does. False if it does something that netkeel does not manage.
fn run(command: &str, stanza: &str, span: Span, tunnels: &mut Tunnels, into: &mut Importer<'_>) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let (program, words) = match words.as_slice() {
        [program, rest @ ..] => (program.rsplit('/').next().unwrap_or_default(), rest),
        [] => return true,
    };
    match (program, words) {
        ("ip", ["link" | "l", "set", rest @ ..]) => link_set(rest, stanza, span, tunnels, into),
        ("ip", ["link" | "l", "add", rest @ ..]) => link_add(rest, span, tunnels, into),
        (
            "ip",
            [
                "addr" | "address" | "a",
                "add" | "a" | "replace",
                address,
                "dev",
                name,
            ],
        )
        | (
            "ip",
            [
                "-6" | "-4",
                "addr" | "address" | "a",
                "add" | "a" | "replace",
                address,
                "dev",
                name,
            ],
        ) if tunnels.names.contains(*name) => {
            let address = match (address.contains('/'), address.contains(':')) {
                (true, _) => (*address).to_owned(),
                (false, true) => format!("{address}/128"),
                (false, false) => format!("{address}/32"),
            };
            tunnels.addresses.push(((*name).to_owned(), quoted(&address)));
            true
        }
        ("ifconfig", [name, "mtu", mtu]) => {
            into.set_link(&Target::of_name(name), ("mtu", value(mtu)), span);
            true
        }
        ("sysctl", [options @ .., setting])
            if options
                .iter()
                .all(|word| ["-w", "-q", "-qw", "-e"].contains(word)) =>
        {
            let Some((key, text)) = setting.split_once('=') else {
                return false;
            };
            into.set(
                SYSCTL,
                key.trim(),
                ("", value(text.trim().trim_matches(['"', '\'']))),
                span,
            );
            true
        }
        ("echo", [text, ">", path]) => match path.strip_prefix("/proc/sys/") {
            Some(key) => {
                into.set(SYSCTL, key, ("", value(text)), span);
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// `ip link set [dev] NAME [mtu N] [txqueuelen N] [up]`.
fn link_set(words: &[&str], stanza: &str, span: Span, tunnels: &Tunnels, into: &mut Importer<'_>) -> bool {
    let (name, mut rest) = match words {
        // ip(8) takes the name last too.
        ["up", "dev", name] | ["up", name] => (*name, &["up"][..]),
        ["dev", name, rest @ ..] => (*name, rest),
        [name, rest @ ..] => (*name, rest),
        [] => return false,
    };
    let mut fields = Vec::new();
    loop {
        rest = match rest {
            [] => break,
            ["mtu", mtu, rest @ ..] => {
                fields.push(("mtu", value(mtu)));
                rest
            }
            ["txqueuelen" | "qlen" | "txqlen", length, rest @ ..] => {
                fields.push(("txqueuelen", value(length)));
                rest
            }
            // An interface of a stanza comes up with it.
            ["up", rest @ ..] if tunnels.names.contains(name) || name == stanza => rest,
            _ => return false,
        };
    }
    for field in fields {
        match tunnels.names.contains(name) {
            true if field.0 == "mtu" => into.set(TUNNEL, name, field, span),
            _ => into.set_link(&Target::of_name(name), field, span),
        }
    }
    true
}

/// `ip link add [name] NAME type ipip external`.
fn link_add(words: &[&str], span: Span, tunnels: &mut Tunnels, into: &mut Importer<'_>) -> bool {
    let words = match words {
        ["name" | "dev", rest @ ..] => rest,
        rest => rest,
    };
    match words {
        [name, "type", mode @ ("ipip" | "ip6tnl"), "external"] => {
            into.set(TUNNEL, name, ("mode", (*mode).to_owned()), span);
            tunnels.names.insert((*name).to_owned());
            true
        }
        _ => false,
    }
}
