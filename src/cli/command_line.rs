//! Parses the command line and dispatches to the verbs. Results go to stdout, everything else to stderr.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind as Usage};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::change::{ansible_module, apply, confirm, edit, recover, release, undo, wireguard_mtu};
use crate::commands::Verbs;
use crate::inspect::{
    check, doctor, explain, history, import, lint, mtu, observe, owners, path, plan, pods, probe, review,
    validate,
};
use crate::print::{complete, completions, man, render, schema};
use crate::serve::{pause, replicate_worker, run, status};
use crate::{commands, exit, output, short_help};
use netkeel_core::text::escape::printable;
use netkeel_kernel::process::inherited;

/// The id of the option that names a namespace.
const NETNS: &str = "netns";

/// Keep a Linux host's network path in sync with a declarative config
#[derive(Debug, Parser)]
#[command(
    name = "netkeel",
    version,
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

// Deferred: building the options of all verbs takes longer than parsing those of one.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    Plan(plan::Arguments),
    Review(review::Arguments),
    Check(check::Arguments),
    Apply(apply::Arguments),
    Confirm(confirm::Arguments),
    Recover(recover::Arguments),
    Undo(undo::Arguments),
    Release(release::Arguments),
    Run(run::Arguments),
    Status(status::Arguments),
    Pause(pause::Arguments),
    Explain(explain::Arguments),
    History(history::Arguments),
    Owners(owners::Arguments),
    Lint(lint::Arguments),
    Validate(validate::Arguments),
    Edit(edit::Arguments),
    Mtu(mtu::Arguments),
    #[command(name = "wireguard-mtu")]
    WireguardMtu(wireguard_mtu::Arguments),
    Import(import::Arguments),
    Observe(observe::Arguments),
    Pods(pods::Arguments),
    Probe(probe::Arguments),
    Path(path::Arguments),
    Doctor(doctor::Arguments),
    Render(render::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    #[command(name = ansible_module::VERB, hide = true)]
    AnsibleModule(ansible_module::Arguments),
    #[command(name = complete::VERB, hide = true)]
    Complete(complete::Arguments),
    #[command(hide = true)]
    ReplicateWorker,
}

/// Parses the command line, runs the verb and returns the exit code.
pub fn main() -> ExitCode {
    exit_on_panic();
    commands::know(verbs_of_namespaces);
    if let Err(errno) = inherited::settle() {
        output::say(&format!(
            "warning: the inherited signals stay blocked or ignored: {errno}\n"
        ));
    }
    let cli = match parse(ansible_module::with_verb(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap exits with 2 on a usage error; here that would read as drift.
            let asked = matches!(error.kind(), Usage::DisplayHelp | Usage::DisplayVersion);
            let words = || std::env::args_os().map(|word| word.to_string_lossy().into_owned());
            match short_help::asked(&error, words()) {
                true => output::print(&short_help::of_line(&full_command(), words())).unwrap_or_default(),
                false => error.print().unwrap_or_default(),
            }
            if let Some(tip) = tip(&error) {
                output::say(&tip);
            }
            return ExitCode::from(if asked { exit::OK } else { exit::ERROR });
        }
    };
    let code = match cli.verb {
        Verb::Plan(arguments) => plan::run(&arguments),
        Verb::Review(arguments) => review::run(&arguments),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Apply(arguments) => apply::run(&arguments),
        Verb::Confirm(arguments) => confirm::run(&arguments),
        Verb::Recover(arguments) => recover::run(&arguments),
        Verb::Undo(arguments) => undo::run(&arguments),
        Verb::Release(arguments) => release::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Pause(arguments) => pause::run(&arguments),
        Verb::Edit(arguments) => edit::run(&arguments),
        Verb::Validate(arguments) => validate::run(&arguments),
        Verb::Lint(arguments) => lint::run(&arguments),
        Verb::Mtu(arguments) => mtu::run(&arguments),
        Verb::WireguardMtu(arguments) => wireguard_mtu::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Owners(arguments) => owners::run(&arguments),
        Verb::History(arguments) => history::run(&arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Observe(arguments) => observe::run(&arguments),
        Verb::Pods(arguments) => pods::run(&arguments),
        Verb::Probe(arguments) => probe::run(&arguments),
        Verb::Path(arguments) => path::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Render(arguments) => render::run(&arguments),
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments, Cli::command()),
        Verb::Complete(arguments) => complete::run(&arguments, &full_command()),
        Verb::Man(arguments) => man::run(&arguments, full_command()),
        Verb::AnsibleModule(arguments) => ansible_module::run(&arguments),
        Verb::ReplicateWorker => replicate_worker::run(),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        output::error(&error);
        exit::ERROR
    }))
}

/// Parses a command line.
fn parse(line: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    // The help of all verbs needs their options.
    if !matches!(line.get(1), Some(verb) if command.find_subcommand(verb).is_some()) {
        command = full_command();
    }
    let mut matches = command.try_get_matches_from_mut(line)?;
    if let Some(netns) = named_namespace(&matches) {
        commands::name(netns);
    }
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The namespace that a command line names.
fn named_namespace(matches: &ArgMatches) -> Option<&str> {
    let (_, verb) = matches.subcommand()?;
    match verb.try_get_one::<String>(NETNS) {
        Ok(Some(netns)) => Some(netns),
        Ok(None) | Err(_) => named_namespace(verb),
    }
}

/// The verbs that take a namespace; those of a group as `probe pmtu`.
fn verbs_of_namespaces() -> Verbs {
    let takes = |command: &Command| command.get_arguments().any(|argument| argument.get_id() == NETNS);
    let mut verbs = Verbs::new();
    for verb in full_command().get_subcommands() {
        if takes(verb) {
            verbs.insert(verb.get_name().to_owned());
        }
        let of_group = verb.get_subcommands().filter(|of_group| takes(of_group));
        verbs.extend(of_group.map(|of_group| format!("{} {}", verb.get_name(), of_group.get_name())));
    }
    verbs
}

/// The remedy for a slip that is common: a document without its option, and options of other programs.
fn tip(error: &clap::Error) -> Option<String> {
    let context = [ContextKind::InvalidArg, ContextKind::InvalidValue];
    let words: Vec<&String> = context
        .iter()
        .filter_map(|kind| match error.get(*kind) {
            Some(ContextValue::String(word)) => Some(word),
            _ => None,
        })
        .collect();
    let is_document = |word: &&&String| {
        let ends = [".yaml", ".yml", ".json", ".toml"];
        ends.iter().any(|end| word.ends_with(end))
    };
    let unknown = error.kind() == Usage::UnknownArgument;
    if !unknown && error.kind() != Usage::ValueValidation {
        return None;
    }
    if let Some(word) = words.iter().find(is_document) {
        return Some(format!(
            "\ntip: name a document with -f: -f {}\n",
            printable(word)
        ));
    }
    let tip = match words.first()?.as_str() {
        _ if !unknown => return None,
        "--dry-run" => "`netkeel plan` writes nothing",
        "-o" | "--format" | "--json" | "--diff" => "set the format with --output",
        _ => return None,
    };
    Some(format!("\ntip: {tip}\n"))
}

/// The clap command with the options of every verb.
pub(crate) fn full_command() -> Command {
    let mut command = Cli::command();
    command.get_subcommands_mut().for_each(Command::build);
    command
}

/// How long the message of a panic may take to be written.
const LONGEST_MESSAGE: Duration = Duration::from_secs(2);

/// Makes a panic on any thread end the process with status 101, after the message is printed. A service
/// that lost a thread is worse than a restarted one, and the journal holds any unfinished apply.
fn exit_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A reader of standard error that does not read must not keep the process.
        let _ = std::thread::Builder::new().spawn(end_later);
        print(panic);
        std::process::exit(exit::BUG.into());
    }));
}

fn end_later() {
    std::thread::sleep(LONGEST_MESSAGE);
    std::process::exit(exit::BUG.into());
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use nix::fcntl::{FcntlArg, OFlag, fcntl};

    #[test]
    fn help_without_a_verb_lists_all_verbs() {
        let help = super::parse(vec!["netkeel".into(), "--help".into()])
            .unwrap_err()
            .to_string();
        let command = super::full_command();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let about = verb.get_about().expect("an about text").to_string();
            let begins: String = about.chars().take(16).collect();
            assert!(help.contains(&begins), "{}: {help}", verb.get_name());
        }
    }

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        let fits = |help: &str, name: &str| {
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        };
        let mut command = super::full_command();
        let help = command.render_help().to_string();
        fits(&help, "netkeel");
        assert!(help.lines().count() <= 40, "{help}");
        for verb in command.get_subcommands_mut() {
            let name = verb.get_name().to_owned();
            fits(&verb.render_long_help().to_string(), &name);
        }
    }

    /// The test runs itself in a child process.
    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_101() {
        const CHILD: &str = "NETKEEL_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            super::exit_on_panic();
            let _ = std::thread::spawn(|| panic!("a bug")).join();
            return;
        }
        let test = std::env::current_exe().expect("the path of this test");
        let mut command = Command::new(test);
        command.env(CHILD, "1").args([
            "--exact",
            "--nocapture",
            "command_line::tests::a_panic_of_any_thread_ends_the_process_with_101",
        ]);
        let child = command.output().expect("this test starts");
        assert_eq!(child.status.code(), Some(101));
        assert!(String::from_utf8_lossy(&child.stderr).contains("a bug"));
        // Nobody reads the message.
        let (_reader, writer) = std::io::pipe().expect("a pipe");
        let set = |flags| fcntl(&writer, FcntlArg::F_SETFL(flags)).expect("flags of a pipe");
        set(OFlag::O_NONBLOCK);
        while (&writer).write(&[b'x'; 4096]).is_ok() {}
        set(OFlag::empty());
        let status = command.stderr(writer).status().expect("this test starts");
        assert_eq!(status.code(), Some(101));
    }
}
