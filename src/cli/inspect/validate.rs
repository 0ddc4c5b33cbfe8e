//! `netkeel validate`: checks documents without a host.

use clap::{Args, ValueEnum};

use crate::arguments::Documents;
use crate::load::documents::{Host, read};
use crate::{exit, output};
use netkeel_core::error::Error;
use netkeel_render::json::{diagnostics, sarif};
use netkeel_render::wording::count;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::github;
use netkeel_source::sources::Sources;

/// Check documents for errors, without a host
///
/// netkeel reads only the documents and needs no privileges. It reports all errors at once. Errors that only a
/// host shows, such as an MTU above that of a driver, come from `netkeel plan`.
///
/// Exit status: 0 valid; 1 invalid, or a document that cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Form,
}

/// Output formats of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people; errors go to standard error
    #[default]
    Text,
    /// For programs; `netkeel schema diagnostics` prints the schema
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions
    Github,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.documents.place.netns();
    let read = match read(&arguments.documents, netns, Host::Saved) {
        Ok(read) => read,
        Err(error) => {
            // A program that reads the result gets this error as well.
            let mut unread = Diagnostics::default();
            unread
                .add(None, "", &error.message)
                .hints
                .clone_from(&error.hints);
            if arguments.output != Form::Text {
                output::print(&shown(&unread, &Sources::default(), arguments.output))?;
            }
            return Err(error);
        }
    };
    match read {
        Ok(loaded) => {
            output::print(&match arguments.output {
                Form::Text => {
                    let files = count(loaded.sources.files.len(), "file");
                    format!("Valid: {files}, owner {}.\n", loaded.document.owner)
                }
                other => shown(&Diagnostics::default(), &loaded.sources, other),
            })?;
            Ok(exit::OK)
        }
        Err(invalid) => {
            match arguments.output {
                Form::Text => output::diagnostics(&invalid.diagnostics, &invalid.sources),
                other => output::print(&shown(&invalid.diagnostics, &invalid.sources, other))?,
            }
            Ok(exit::ERROR)
        }
    }
}

/// Errors as a result on standard output; as text they are messages, on standard error.
fn shown(found: &Diagnostics, sources: &Sources, form: Form) -> String {
    match form {
        Form::Text => String::new(),
        Form::Json => output::pretty(&diagnostics::report(found, sources)),
        Form::Sarif => output::pretty(&sarif::log(found, sources, env!("CARGO_PKG_VERSION"))),
        Form::Github => github::render(found, sources),
    }
}
