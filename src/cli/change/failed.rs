//! Reports an apply that wrote nothing or was rolled back.

use crate::{commands, exit, output};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_plan::outcome::{AGAIN, Failure, Rollback};
use netkeel_plan::plan::Plan;
use netkeel_render::plan::lossy::refusals;
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// How many undone writes are listed.
const SHOWN: usize = 10;

/// The errors of an apply that wrote nothing or was rolled back.
pub(crate) fn reasons(failure: &Failure) -> Vec<Error> {
    let mut reasons = match failure {
        Failure::Invalid(diagnostics) => errors(diagnostics),
        Failure::Unread(problems) => {
            let told = problems.iter().map(ToString::to_string);
            told.map(|message| Error::new(ErrorKind::Unreadable, message))
                .collect()
        }
        Failure::NotBegun(error) => vec![error.clone()],
        Failure::Lossy(plan) => vec![loses(plan)],
        Failure::Failed(rollback) => vec![rollback.cause.clone()],
    };
    for error in &mut reasons {
        *error = commands::error_here(error).into_owned();
    }
    reasons
}

/// The diagnostics as errors without a place.
pub(crate) fn errors(diagnostics: &Diagnostics) -> Vec<Error> {
    let of = |path: &str, message: &str| match path {
        "" => message.to_owned(),
        path => format!("{path}: {message}"),
    };
    let diagnostics = commands::diagnostics_here(diagnostics);
    let errors = diagnostics.sorted().into_iter().map(|diagnostic| Error {
        kind: ErrorKind::Input,
        message: of(&diagnostic.path, &diagnostic.message),
        hints: diagnostic.hints.clone(),
    });
    errors.collect()
}

fn loses(plan: &Plan) -> Error {
    let error = Error::new(
        ErrorKind::Refused,
        "the plan has changes that cannot be undone exactly; nothing was written",
    );
    let lossy = refusals(plan).into_iter().fold(error, Error::hint);
    lossy.hint("allow them with --allow-lossy")
}

/// Reports a failure and returns the exit code.
pub(crate) fn failed(failure: Failure, sources: &Sources) -> u8 {
    match failure {
        Failure::Invalid(diagnostics) => output::diagnostics(&diagnostics, sources),
        Failure::Unread(problems) => output::problems(&problems),
        Failure::NotBegun(error) => output::error(&error),
        Failure::Lossy(plan) => output::error(&loses(&plan)),
        Failure::Failed(rollback) => return rolled_back(&rollback),
    }
    exit::ERROR
}

fn rolled_back(rollback: &Rollback) -> u8 {
    let Rollback {
        cause,
        undone,
        remaining,
        lost,
        blamed: _,
    } = rollback;
    output::error(cause);
    let writes = count(undone.len(), "write");
    output::say(&match remaining.len() {
        0 if undone.is_empty() => "nothing was written: the host is as before\n".to_owned(),
        0 => format!("rolled back: {writes} undone, the host is as before\n"),
        left => format!(
            "NOT rolled back: {writes} undone, {} left\n",
            count(left, "write")
        ),
    });
    if !undone.is_empty() {
        output::say("Commands that rolled it back:\n");
    }
    for op in undone.iter().take(SHOWN) {
        output::say(&format!("  {op}\n"));
    }
    if let more @ 1.. = undone.len().saturating_sub(SHOWN) {
        output::say(&format!("  and {more} more\n"));
    }
    if !remaining.is_empty() {
        output::say("Commands that remain to be run:\n");
    }
    for (op, error) in remaining {
        let failed = if error.message == AGAIN { "" } else { "failed: " };
        output::say(&format!("  {}    # {failed}{error}\n", op.command()));
    }
    for lost in lost {
        output::say(&format!("  not restored: {lost}\n"));
    }
    if remaining.is_empty() {
        exit::ROLLED_BACK
    } else {
        exit::NOT_ROLLED_BACK
    }
}
