//! The command line, a contract: the only place that knows clap. Results go to stdout, everything
//! else to stderr.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind as Usage;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::change::{ansible_module, apply, confirm, recover, release, wireguard_mtu};
use crate::inspect::{check, explain, history, lint, mtu, observe, plan, pods};
use crate::print::{completions, man, render, schema};
use crate::serve::{pause, replicate_worker, run, status};
use crate::{exit, output};

/// Keeps a Linux host's network path settings true to a declared state: MTUs, rp_filter, ipip
/// tunnels, sysctls.
#[derive(Debug, Parser)]
#[command(
    name = "netkeel",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

// The options of twenty verbs take longer to write out than those of one to be read.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    Plan(plan::Arguments),
    Check(check::Arguments),
    Apply(apply::Arguments),
    Confirm(confirm::Arguments),
    Recover(recover::Arguments),
    Release(release::Arguments),
    Run(run::Arguments),
    Status(status::Arguments),
    Pause(pause::Arguments),
    Explain(explain::Arguments),
    History(history::Arguments),
    Lint(lint::Arguments),
    Mtu(mtu::Arguments),
    #[command(name = "wireguard-mtu")]
    WireguardMtu(wireguard_mtu::Arguments),
    Observe(observe::Arguments),
    Pods(pods::Arguments),
    Render(render::Arguments),
    Schema(schema::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    #[command(name = ansible_module::VERB, hide = true)]
    AnsibleModule(ansible_module::Arguments),
    #[command(hide = true)]
    ReplicateWorker,
}

/// Parses, runs, and tells the exit code.
pub fn main() -> ExitCode {
    exit_on_panic();
    let cli = match parse(ansible_module::with_verb(std::env::args_os().collect())) {
        Ok(cli) => cli,
        Err(error) => {
            // clap exits with 2 on a usage error; here that would read as drift.
            let asked = matches!(error.kind(), Usage::DisplayHelp | Usage::DisplayVersion);
            let _ = error.print();
            return ExitCode::from(if asked { exit::OK } else { exit::ERROR });
        }
    };
    let code = match cli.verb {
        Verb::Plan(arguments) => plan::run(&arguments),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::Apply(arguments) => apply::run(&arguments),
        Verb::Confirm(arguments) => confirm::run(&arguments),
        Verb::Recover(arguments) => recover::run(&arguments),
        Verb::Release(arguments) => release::run(&arguments),
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Status(arguments) => status::run(&arguments),
        Verb::Pause(arguments) => pause::run(&arguments),
        Verb::Lint(arguments) => lint::run(&arguments),
        Verb::Mtu(arguments) => mtu::run(&arguments),
        Verb::WireguardMtu(arguments) => wireguard_mtu::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::History(arguments) => history::run(&arguments),
        Verb::Observe(arguments) => observe::run(&arguments),
        Verb::Pods(arguments) => pods::run(&arguments),
        Verb::Render(arguments) => render::run(&arguments),
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments, written_out()),
        Verb::Man(arguments) => man::run(&arguments, written_out()),
        Verb::AnsibleModule(arguments) => ansible_module::run(&arguments),
        Verb::ReplicateWorker => replicate_worker::run(),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        output::error(&error);
        exit::ERROR
    }))
}

/// Reads a command line.
fn parse(line: Vec<OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    // Whoever names no verb is told of all of them.
    if !matches!(line.get(1), Some(verb) if command.find_subcommand(verb).is_some()) {
        command = written_out();
    }
    let mut matches = command.try_get_matches_from_mut(line)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The command line with the options of every verb.
fn written_out() -> Command {
    let mut command = Cli::command();
    command.get_subcommands_mut().for_each(Command::build);
    command
}

/// A panic, on whichever thread, ends the process with 101 once it was told: a service that lacks a
/// thread is worse than one that is started again, and what an apply left is in its journal.
fn exit_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(exit::BUG.into());
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn whoever_names_no_verb_is_told_of_all_of_them() {
        let told = super::parse(vec!["netkeel".into(), "--help".into()])
            .unwrap_err()
            .to_string();
        let command = super::written_out();
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let about = verb.get_about().expect("what it does").to_string();
            let begins: String = about.chars().take(16).collect();
            assert!(told.contains(&begins), "{}: {told}", verb.get_name());
        }
    }

    /// In a process of its own, which is this test again.
    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_101() {
        const CHILD: &str = "NETKEEL_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            super::exit_on_panic();
            let _ = std::thread::spawn(|| panic!("a bug")).join();
            return;
        }
        let test = std::env::current_exe().expect("the path of this test");
        let child = Command::new(test)
            .args([
                "--exact",
                "--nocapture",
                "command_line::tests::a_panic_of_any_thread_ends_the_process_with_101",
            ])
            .env(CHILD, "1")
            .output()
            .expect("this test starts");
        assert_eq!(child.status.code(), Some(101));
        assert!(String::from_utf8_lossy(&child.stderr).contains("a bug"));
    }
}
