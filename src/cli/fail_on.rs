//! The option `--fail-on`: findings that make a command fail.

use clap::{Args, ValueEnum};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::{Finding, Severity};
use netkeel_render::wording::count;

/// A severity, as an option names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    Error,
    Warning,
    Note,
}

impl FailOn {
    pub(crate) fn severity(self) -> Severity {
        match self {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
            FailOn::Note => Severity::Note,
        }
    }
}

/// The option of commands that plan.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FailOnArguments {
    /// Fail with status 1 on a finding of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
}

impl FailOnArguments {
    /// Whether the option was given.
    pub(crate) fn is_given(&self) -> bool {
        self.fail_on.is_some()
    }

    /// The error for findings that are bad enough.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when a finding has at least the severity of the option.
    pub(crate) fn check(&self, findings: &[Finding]) -> Result<(), Error> {
        let Some(limit) = self.fail_on.map(FailOn::severity) else {
            return Ok(());
        };
        // The most severe is the least.
        let found: Vec<&Finding> = findings
            .iter()
            .filter(|finding| finding.code.severity() <= limit)
            .collect();
        if found.is_empty() {
            return Ok(());
        }
        let mut error = Error::new(
            ErrorKind::Refused,
            format!("{} of severity {limit} or worse", count(found.len(), "finding")),
        );
        for finding in found {
            error = error.hint(format!(
                "{} {}: {}; {}",
                finding.code,
                finding.subjects.join(", "),
                finding.message,
                finding.remedy
            ));
        }
        Err(error)
    }
}
