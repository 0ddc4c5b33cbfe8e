//! Standard output and error: a closed pipe ends quietly, colours are for terminals.

use std::io::{self, ErrorKind, IsTerminal, Write};

use super::arguments::Output;
use crate::error::{Diagnostics, Error};
use crate::kernel::namespace;
use crate::plan::Plan;
use crate::render::paint::Paint;
use crate::render::text::Of;
use crate::render::{diff, json, markdown, text};
use crate::snapshot::Problem;
use crate::source::text::printable;
use crate::source::{Sources, report};

/// Prints a result. Nobody listening any more is no error.
pub fn print(result: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(result.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::new(
            crate::error::ErrorKind::Refused,
            format!("cannot write the result: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Says something that is not a result.
pub fn say(message: &str) {
    // When stderr is gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(message.as_bytes());
}

/// Reports an error with its hints.
pub fn error(error: &Error) {
    let paint = Paint(stderr_colour());
    let shown = |text: &str| text.lines().map(printable).collect::<Vec<_>>().join("\n");
    let mut message = format!("{} {}\n", paint.red("error:"), shown(&error.message));
    for hint in &error.hints {
        message.push_str(&format!("  help: {}\n", shown(hint)));
    }
    say(&message);
}

/// Reports all that is wrong in documents.
pub fn diagnostics(diagnostics: &Diagnostics, sources: &Sources) {
    say(&report::render(diagnostics, sources, stderr_colour()));
}

/// Reports what could not be read.
pub fn problems(problems: &[Problem]) {
    for problem in problems {
        error(&Error::new(
            crate::error::ErrorKind::Unreadable,
            format!("{}: {}", problem.what, problem.why),
        ));
    }
}

/// Which host a plan is for that was made here.
pub fn here() -> Of {
    if namespace::is_of_a_host() {
        Of::Here
    } else {
        Of::Namespace
    }
}

/// Prints a plan.
pub fn plan(plan: &Plan, sources: &Sources, output: Output, commands: bool, of: Of) -> Result<(), Error> {
    print(&shown(plan, sources, output, commands, of))
}

/// A plan as it is printed.
pub fn shown(plan: &Plan, sources: &Sources, output: Output, commands: bool, of: Of) -> String {
    match output {
        Output::Text => text::plan(
            plan,
            sources,
            text::Style {
                colour: stdout_colour(),
                commands,
                of,
            },
        ),
        Output::Diff => diff::plan(plan),
        Output::Json => pretty(&json::plan(plan, sources)),
        Output::Markdown => markdown::plan(plan, sources, of),
    }
}

/// JSON as people read it.
pub fn pretty(json: &serde_json::Value) -> String {
    format!("{json:#}\n")
}

/// Standard output takes colours.
pub fn stdout_colour() -> bool {
    colour(io::stdout().is_terminal())
}

/// Standard error takes colours.
pub fn stderr_colour() -> bool {
    colour(io::stderr().is_terminal())
}

fn colour(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
