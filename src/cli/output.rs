//! Writes to standard output and standard error. A closed pipe is not an error; only terminals get colours.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::geteuid;
use serde::Serialize;

use crate::arguments::{FullOption, Output};
use crate::commands;
use netkeel_core::error::Error;
use netkeel_core::text::escape::{is_deceptive, printable};
use netkeel_host::snapshot::problem::{Problem, summarize};
use netkeel_kernel::namespace::identity;
use netkeel_plan::plan::Plan;
use netkeel_render::json;
use netkeel_render::paint::Paint;
use netkeel_render::plan::of::Of;
use netkeel_render::plan::{diff, markdown, text};
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// Prints a result. A closed pipe is not an error.
pub(crate) fn print(result: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::new(
            netkeel_core::error::ErrorKind::Refused,
            format!("cannot write the result: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Prints the result of a change that is made. An output error is only a warning: it does not undo the change.
pub(crate) fn print_done(result: &str) {
    if let Err(error) = print(result) {
        say(&format!("warning: {error}\n"));
    }
}

/// Writes a message to standard error, unless nobody reads it: then a write would wait for ever.
pub(crate) fn say_if_read(message: &str) {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let writable = |fds: &[PollFd<'_>]| {
        let events = fds.first().and_then(PollFd::revents);
        events.is_some_and(|events| events.contains(PollFlags::POLLOUT))
    };
    if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..)) && writable(&fds) {
        say(message);
    }
}

/// Writes a message to standard error.
pub(crate) fn say(message: &str) {
    // There is nowhere to report that stderr is closed.
    let _ = io::stderr().lock().write_all(message.as_bytes());
}

/// Reports an error with its hints.
pub(crate) fn error(error: &Error) {
    say(&error_text(error));
}

/// An error with its hints.
pub(crate) fn error_text(error: &Error) -> String {
    let paint = Paint(stderr_colour());
    let shown = |text: &str| text.lines().map(printable).collect::<Vec<_>>().join("\n");
    let mut message = format!("{} {}\n", paint.red("error:"), shown(&error.message));
    for hint in &commands::error_here(error).hints {
        message.push_str(&format!("  help: {}\n", shown(hint)));
    }
    message
}

/// Reports the diagnostics of documents.
pub(crate) fn diagnostics(diagnostics: &Diagnostics, sources: &Sources) {
    let diagnostics = commands::diagnostics_here(diagnostics);
    say(&render::render(&diagnostics, sources, stderr_colour()));
}

/// Reports the diagnostics of documents, and with `--output json` prints them as the result too.
pub(crate) fn invalid(diagnostics: &Diagnostics, sources: &Sources, as_json: bool) -> Result<(), Error> {
    self::diagnostics(diagnostics, sources);
    if as_json {
        let diagnostics = commands::diagnostics_here(diagnostics);
        print(&pretty(&json::diagnostics::report(&diagnostics, sources)))?;
    }
    Ok(())
}

/// Reports the parts of the host that could not be read. Without root, the last report says that root may help.
pub(crate) fn problems(problems: &[Problem]) {
    let mut lines = summarize(problems).into_iter().peekable();
    while let Some(line) = lines.next() {
        let mut report = Error::new(netkeel_core::error::ErrorKind::Unreadable, line);
        if lines.peek().is_none() && !geteuid().is_root() {
            report = report.hint("run it as root: other users cannot read every part of a host");
        }
        error(&report);
    }
}

/// The end of a summary: the number of parts of the host that could not be read, if there are any.
pub(crate) fn unread(problems: &[Problem]) -> String {
    match problems.len() {
        0 => String::new(),
        number => format!("; {} of the host could not be read", count(number, "part")),
    }
}

/// Whether a live plan is for the host or for another namespace.
pub(crate) fn here() -> Of {
    match identity::is_of_a_host() {
        Some(true) => Of::Here,
        Some(false) => Of::Namespace,
        None => Of::Unknown,
    }
}

/// How much of a plan to show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detail {
    /// Show the commands that an operator would type.
    pub(crate) commands: bool,
    /// Show every object, also those with identical changes.
    pub(crate) full: FullOption,
}

/// Prints a plan.
pub(crate) fn plan(
    plan: &Plan,
    sources: &Sources,
    output: Output,
    detail: Detail,
    of: Of,
) -> Result<(), Error> {
    print(&shown(plan, sources, output, detail, of))
}

/// Formats a plan.
pub(crate) fn shown(plan: &Plan, sources: &Sources, output: Output, detail: Detail, of: Of) -> String {
    let plan = &*of_here(plan);
    let style = text::Style {
        colour: stdout_colour(),
        commands: detail.commands,
        full: detail.full.full,
        of,
    };
    match output {
        Output::Text => text::plan(plan, sources, style),
        Output::Diff => diff::plan(plan, style.grouping()),
        Output::Json => pretty(&json::plan(plan, sources)),
        Output::Markdown => markdown::plan(plan, sources, of),
    }
}

/// A plan whose findings name commands that hold here.
fn of_here(plan: &Plan) -> Cow<'_, Plan> {
    let mut plan = Cow::Borrowed(plan);
    if commands::is_named() && !plan.findings.is_empty() {
        commands::findings_here(&mut plan.to_mut().findings);
    }
    plan
}

/// Indented JSON with a final newline.
pub(crate) fn pretty(json: &serde_json::Value) -> String {
    format!("{}\n", plain_json(&format!("{json:#}")))
}

/// A document of a verb as indented JSON.
pub(crate) fn json(document: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_value(document).map_err(|error| {
        Error::new(
            netkeel_core::error::ErrorKind::Unreadable,
            format!("cannot convert the result to JSON: {error}"),
        )
    })?;
    Ok(pretty(&json))
}

/// JSON text whose strings have no character that a terminal acts on: the same value with more escapes.
pub(crate) fn plain_json(json: &str) -> Cow<'_, str> {
    let acts = |char: char| char != '\n' && is_deceptive(char);
    if json.is_ascii() || !json.contains(acts) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for char in json.chars() {
        match acts(char) {
            true => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
            false => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// Whether standard output takes colours.
pub(crate) fn stdout_colour() -> bool {
    colour(io::stdout().is_terminal())
}

/// Whether standard error takes colours.
fn stderr_colour() -> bool {
    colour(io::stderr().is_terminal())
}

fn colour(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_character_that_a_terminal_acts_on() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{1b}[31m", "\u{7f}\u{9b}\u{feff}", "日本 é"]});
        let shown = pretty(&value);
        assert!(
            !shown.contains(|char| char != '\n' && is_deceptive(char)),
            "{shown}"
        );
        assert!(shown.contains("日本 é"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
