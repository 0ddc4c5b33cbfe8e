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

/// Directory of documents that is read without `-f`, with those below it (`load/directory.rs`).
pub(crate) const DEFAULT_DOCUMENTS: &str = "/etc/netkeel/desired.d";

/// The documents to read, and the network namespace to work on.
#[derive(Clone, Debug, Args)]
pub(crate) struct Documents {
    /// Document, directory of documents, or - for standard input
    ///
    /// Documents are YAML, JSON or TOML. Repeat the option to layer documents: later ones override earlier ones.
    /// With the default directory, netkeel also reads /run/netkeel/desired.d and /usr/lib/netkeel/desired.d. A file
    /// in an earlier directory hides those of its name in later ones.
    #[arg(short, long = "file", value_name = "FILE|DIR|-", default_value = DEFAULT_DOCUMENTS)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: Origin,
    #[command(flatten)]
    pub place: Place,
}

/// The format of the input files, and the facts that Hiera data need.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Origin {
    /// Input format: native, hiera, ansible or talos
    #[arg(long, value_enum, default_value_t)]
    from: From,
    /// Fact for --from hiera; may be repeated
    ///
    /// `networking.primary=eth0` gives the value of `%{facts.networking.primary}`.
    #[arg(long = "fact", value_name = "NAME=VALUE", value_parser = parse_fact, hide_short_help = true)]
    facts: Vec<(String, String)>,
    /// File of facts for --from hiera
    ///
    /// The file holds what `puppet facts --render-as json` prints. --fact adds facts and overrides those of the file.
    #[arg(long = "facts", value_name = "FILE", hide_short_help = true)]
    facts_file: Option<PathBuf>,
}

/// A format of input files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// netkeel documents
    #[default]
    Native,
    /// Hiera data: the parameters of the class netkeel
    Hiera,
    /// Variables of an Ansible inventory
    Ansible,
    /// Talos Linux machine configuration and patches, 1.7 to 1.14
    Talos,
}

impl Origin {
    /// The dialect that reads this format.
    pub fn dialect(&self) -> Dialect {
        match self.from {
            From::Native => Dialect::Native,
            From::Hiera => Dialect::Hiera,
            From::Ansible => Dialect::Ansible,
            From::Talos => Dialect::Talos,
        }
    }

    /// The facts of `--fact`.
    pub(crate) fn single_facts(&self) -> &[(String, String)] {
        &self.facts
    }

    /// The file of `--facts`.
    pub(crate) fn facts_file(&self) -> Option<&Path> {
        self.facts_file.as_deref()
    }
}

pub(crate) fn parse_fact(text: &str) -> Result<(String, String), Error> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Error::new(ErrorKind::Input, "expected NAME=VALUE")),
    }
}

/// The network namespace to work on.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// Network namespace to work on, as `ip netns` names it
    ///
    /// Interfaces, sysctls, routes and rules are those of this namespace, with the ends of its veths in pods.
    /// Files are those of the host, and no drop-in of sysctl.d is written for another namespace.
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
}

impl Place {
    pub fn netns(&self) -> Netns {
        self.netns.as_deref().map_or(Netns::CURRENT, Netns::named)
    }
}

/// Output formats of verbs that print no plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Output formats of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    #[default]
    Text,
    /// Unified diff
    Diff,
    /// For programs; `netkeel schema` prints the schemas
    Json,
    /// For a review comment
    Markdown,
}

/// How much of a plan to show.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct FullOption {
    /// Show every object, also those with identical changes
    #[arg(long)]
    pub(crate) full: bool,
}

/// The IP version of the outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OuterFamily {
    /// 20-byte header
    Ipv4,
    /// 40-byte header
    Ipv6,
}

impl OuterFamily {
    /// The address family of the MTU budget.
    pub fn family(self) -> Family {
        match self {
            OuterFamily::Ipv4 => Family::Ipv4,
            OuterFamily::Ipv6 => Family::Ipv6,
        }
    }
}

/// How to treat facts that netkeel wrote earlier.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OwnershipArguments {
    /// Also restore settings that the documents no longer declare
    ///
    /// Only settings that netkeel wrote are restored. `plan` and `check` count them, and write nothing.
    #[arg(long)]
    prune: bool,
    /// Take over settings that another owner holds
    #[arg(long)]
    force_ownership: bool,
}

impl OwnershipArguments {
    /// The ownership rules for the planner.
    pub(crate) fn holdings<'a>(&self, ledger: &'a Ledger) -> Ownership<'a> {
        Ownership {
            ledger: Some(ledger),
            prune: self.prune,
            defers_prune: false,
            force_ownership: self.force_ownership,
        }
    }
}

/// How long to wait for the lock.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LockOptions {
    /// How long to wait for the lock, e.g. 30s
    #[arg(long = "lock-timeout", value_name = "DURATION", value_parser = parse_duration, default_value = "0s")]
    pub(crate) timeout: Duration,
}

/// Parses a duration with its unit, such as `30s`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Error> {
    duration::parse(text).map_err(with_hints_inline)
}

/// Longest pause of a service: people forget a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(31 * 86_400);

/// Parses how long a service is to pause.
pub(crate) fn parse_pause(text: &str) -> Result<Duration, Error> {
    match parse_duration(text)? {
        long if long > LONGEST_PAUSE => Err(Error::new(
            ErrorKind::Input,
            "a pause lasts at most 31 days; stop the service, or run it with --mode observe",
        )),
        pause => Ok(pause),
    }
}

/// Moves hints into the message, because clap shows only the message of a rejected option.
fn with_hints_inline(mut error: Error) -> Error {
    for hint in std::mem::take(&mut error.hints) {
        error.message = format!("{}; {hint}", error.message);
    }
    error
}

/// Parses a version of Talos Linux.
pub(crate) fn parse_talos_version(text: &str) -> Result<Version, Error> {
    text.parse().map_err(with_hints_inline)
}
