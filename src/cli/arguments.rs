//! The options that several verbs share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::text::duration;
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::talos::version::Version;
use netkeel_mtu::layer::Family;
use netkeel_plan::ledger::Ledger;
use netkeel_plan::ownership::Ownership;

/// Where documents are looked for when none is named.
pub(crate) const DEFAULT_DOCUMENTS: &str = "/etc/netkeel/desired.d";

/// Which documents, and for which namespace.
#[derive(Clone, Debug, Args)]
pub(crate) struct Documents {
    /// A document (YAML, JSON or TOML), a directory of documents, or - for standard input.
    /// May be given several times: later ones are layered over earlier ones.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", default_value = DEFAULT_DOCUMENTS)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    #[command(flatten)]
    pub place: Place,
}

/// Whose words the files speak.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Origin {
    /// What the files are: documents of netkeel's own, or the data that others keep.
    #[arg(long, value_enum, default_value_t)]
    from: From,
    /// A fact that the files ask for, with --from hiera: `networking.primary=eth0` for
    /// `%{facts.networking.primary}`. May be given several times.
    #[arg(long = "fact", value_name = "NAME=VALUE", value_parser = parse_fact, hide_short_help = true)]
    facts: Vec<(String, String)>,
    /// The facts of a host as `puppet facts --render-as json` prints them, with --from hiera; --fact
    /// gives others beside them.
    #[arg(long = "facts", value_name = "FILE", hide_short_help = true)]
    facts_file: Option<PathBuf>,
}

/// Whose words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// Documents.
    #[default]
    Native,
    /// Data of Hiera: the parameters of the class netkeel.
    Hiera,
    /// Variables of an Ansible inventory.
    Ansible,
    /// A machine configuration of Talos Linux and its patches, 1.7 to 1.14.
    Talos,
}

impl Origin {
    /// The same for a reader.
    pub fn dialect(&self) -> Dialect {
        match self.from {
            From::Native => Dialect::Native,
            From::Hiera => Dialect::Hiera,
            From::Ansible => Dialect::Ansible,
            From::Talos => Dialect::Talos,
        }
    }

    /// The facts that are given one by one.
    pub(crate) fn single_facts(&self) -> &[(String, String)] {
        &self.facts
    }

    /// A file of facts.
    pub(crate) fn facts_file(&self) -> Option<&Path> {
        self.facts_file.as_deref()
    }
}

pub(crate) fn parse_fact(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new(ErrorKind::Input, "write NAME=VALUE")),
    }
}

/// Which namespace.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The network namespace to work on, as `ip netns` names it. Nothing outside it is written.
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
}

impl Place {
    /// The namespace.
    pub fn netns(&self) -> Netns {
        self.netns.as_deref().map_or(Netns::CURRENT, Netns::named)
    }
}

/// How to show what is no plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

/// How to show a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For a person.
    #[default]
    Text,
    /// A unified diff.
    Diff,
    /// For a program; `netkeel schema plan` describes what `plan` prints, `netkeel schema applied` what
    /// `apply` does.
    Json,
    /// For a review comment.
    Markdown,
}

/// The family of outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OuterFamily {
    /// 20 bytes.
    Ipv4,
    /// 40 bytes.
    Ipv6,
}

impl OuterFamily {
    /// The same for a budget.
    pub fn family(self) -> Family {
        match self {
            OuterFamily::Ipv4 => Family::Ipv4,
            OuterFamily::Ipv6 => Family::Ipv6,
        }
    }
}

/// What to do about facts that netkeel wrote before.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OwnershipArguments {
    /// Put back what netkeel wrote and the documents no longer declare.
    #[arg(long)]
    prune: bool,
    /// Take facts that another owner holds.
    #[arg(long)]
    take_over: bool,
}

impl OwnershipArguments {
    /// The same for the planner.
    pub(crate) fn holdings<'a>(&self, ledger: &'a Ledger) -> Ownership<'a> {
        Ownership {
            ledger: Some(ledger),
            prune: self.prune,
            take_over: self.take_over,
        }
    }
}

/// How long to wait for another netkeel.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LockOptions {
    /// How long to wait while another netkeel writes, as 30s or 2m.
    #[arg(long = "lock-timeout", value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub(crate) timeout: Duration,
}

/// A duration with its unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Error> {
    duration::parse(text).map_err(in_one)
}

/// An error with its hints in its message: of a wrong option only that is shown.
fn in_one(mut error: Error) -> Error {
    for hint in std::mem::take(&mut error.hints) {
        error.message = format!("{}; {hint}", error.message);
    }
    error
}

/// A version of Talos Linux.
pub(crate) fn parse_talos_version(text: &str) -> Result<Version, Error> {
    text.parse().map_err(in_one)
}
