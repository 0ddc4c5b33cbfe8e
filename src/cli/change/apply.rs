//! `netkeel apply`: plan, execute, verify; all or nothing.

pub(crate) mod new_drift;
mod result;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::arguments::{Documents, FullOption, LockOptions, Output, OwnershipArguments, parse_duration};
use crate::change::apply::result::{Form, files, report};
use crate::change::failed::{errors, failed, reasons};
use crate::change::prompt::{Prompt, ask};
use crate::change::said::Said;
use crate::change::service_holder::{PauseOption, Way, clear_way};
use crate::change::watcher::{Guard, Watcher};
use crate::change::{confirm, countdown, fall_back, recover};
use crate::fail_on::FailOnArguments;
use crate::inspect::plan as preview;
use crate::load::documents::{Host, Invalid, Loaded, read, read_saved};
use crate::load::file::read_printed;
use crate::output::Detail;
use crate::{commands, exit, output, taken};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Finding;
use netkeel_diagnose::lint::plan;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::probe::reach::Target;
use netkeel_plan::goal::saved::{Exactly, SavedPlan};
use netkeel_plan::goal::{Declared, Goal};
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_render::json;
use netkeel_source::sources::Sources;

/// Make the changes, or none
///
/// netkeel reads the host again after the writes. When a write fails, or a value does not persist,
/// netkeel rolls back all writes in reverse order.
///
/// On a terminal netkeel shows the plan and asks before it writes, unless --yes is given. Without a terminal it
/// does not ask. With --confirm-within it then waits: Enter keeps the changes, Ctrl-C rolls them back.
///
/// A running service that enforces another document of the same owner would revert the changes, so
/// that the apply is refused, unless --pause pauses the service.
///
/// Exit status: 0 success; 1 error, nothing was written; 3 failed and rolled back; 4 failed and
/// rolling back failed too; 5 the writes hold, but another program changed other declared facts
/// meanwhile; with --detailed-exitcode 2 when something changed.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    documents: Documents,
    #[command(flatten)]
    lock: LockOptions,
    /// Allow changes that cannot be undone exactly
    ///
    /// Examples: an MTU below 1280 deletes IPv6 addresses; some changes recreate a device.
    #[arg(long)]
    allow_lossy: bool,
    #[command(flatten)]
    ownership: OwnershipArguments,
    /// Apply a plan saved by `netkeel plan --save`; - is standard input
    ///
    /// Nothing is written when a fact that the plan depends on has changed. The plan names its network namespace, so
    /// that --netns is not given.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "netns"])]
    plan: Option<PathBuf>,
    /// Roll back unless `netkeel confirm` runs within this time, e.g. 60s
    ///
    /// The rollback also happens when the session or netkeel itself dies.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    confirm_within: Option<Duration>,
    /// Roll back if this target becomes unreachable; may be repeated
    ///
    /// netkeel tests with a TCP connection if a port is given, otherwise with ping. A target that does not answer
    /// before the apply is an error.
    #[arg(long, value_name = "HOST[:PORT]")]
    verify_reach: Vec<String>,
    #[command(flatten)]
    fail_on: FailOnArguments,
    /// Apply a document that was rolled back before
    ///
    /// netkeel rejects a document that was not confirmed, in time or at all, or that made a --verify-reach target
    /// unreachable.
    #[arg(long)]
    retry_rejected: bool,
    /// Apply the last accepted document if this one was rolled back before
    ///
    /// That is the last document of the owner that was applied, and confirmed if it had to be. The boot unit does so
    /// after a power cut before a confirmation.
    #[arg(long, conflicts_with_all = ["plan", "retry_rejected", "dry_run"])]
    fall_back: bool,
    /// Allow changes to the interface of the default route or SSH session
    ///
    /// This covers direct changes and indirect ones through `all`, `default` or its lower device. With --netns there
    /// is no such check: neither the host's default route nor a session goes through another namespace.
    #[arg(long)]
    allow_management: bool,
    /// Apply the rest if what an entry with `required: true` names is missing
    ///
    /// At boot an interface may appear later. The missing one is a finding then, and no error.
    #[arg(long)]
    allow_missing: bool,
    #[command(flatten)]
    pause: PauseOption,
    #[command(flatten)]
    prompt: Prompt,
    /// Show the plan and write nothing, as `netkeel plan` does
    #[arg(long, conflicts_with_all = ["plan", "confirm_within", "verify_reach", "yes"])]
    dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    full: FullOption,
    /// Exit with status 2 when something changed
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    if arguments.dry_run {
        return preview::run(&preview::Arguments::of_apply(
            arguments.documents.clone(),
            arguments.ownership,
            arguments.fail_on,
            arguments.output,
            arguments.full,
            arguments.detailed_exitcode,
        ));
    }
    let print_json = |outcome: &serde_json::Value| {
        if arguments.output == Output::Json {
            output::print_done(&output::pretty(outcome));
        }
    };
    match execute(arguments) {
        Ok(Ok((Ok((applied, transaction)), sources))) => {
            let form = Form {
                output: arguments.output,
                full: arguments.full,
                confirm_within: arguments.confirm_within,
                was_shown: arguments.prompt.asks() && arguments.plan.is_none(),
                detailed_exitcode: arguments.detailed_exitcode,
            };
            let code = report(&applied, &sources, &form);
            match arguments.confirm_within {
                Some(_) if writes(&applied) > 0 => unconfirmed(arguments, &applied, &transaction, code),
                _ => Ok(code),
            }
        }
        Ok(Ok((Err(failure), sources))) => {
            print_json(&match &failure {
                Failure::Failed(rollback) => json::rolled_back(rollback),
                Failure::Invalid(invalid) => {
                    json::invalid(&reasons(&failure), &commands::diagnostics_here(invalid), &sources)
                }
                other => json::refused(&reasons(other)),
            });
            Ok(failed(failure, &sources))
        }
        Ok(Err(invalid)) => {
            let Invalid { diagnostics, sources } = *invalid;
            print_json(&json::invalid(
                &errors(&diagnostics),
                &commands::diagnostics_here(&diagnostics),
                &sources,
            ));
            output::diagnostics(&diagnostics, &sources);
            Ok(exit::ERROR)
        }
        Err(error) => {
            print_json(&json::refused(&[commands::error_here(&error).into_owned()]));
            Err(error)
        }
    }
}

/// The result of an apply with its name in the history, and the sources of its document.
type Outcome = (Result<(Applied, String), Failure>, Sources);

/// What was written, and what follows when the apply is confirmed.
fn writes(applied: &Applied) -> usize {
    applied.done + files(applied)
}

/// Waits for the confirmation on a terminal. Returns the code of the apply, unless the changes were rolled back: when
/// nobody confirmed them in time, or before the result was printed.
fn unconfirmed(arguments: &Arguments, applied: &Applied, transaction: &str, code: u8) -> Result<u8, Error> {
    let netns = &applied.planned.plan.netns;
    let end = if arguments.prompt.asks() {
        countdown::wait(netns, transaction, arguments.lock)?
    } else if countdown::left(netns, transaction)?.is_some() {
        exit::OK
    } else {
        // Somebody may have confirmed it already.
        confirm::ended(&Store::open(netns)?, transaction)?
    };
    Ok(match end {
        exit::OK => code,
        over => over,
    })
}

/// Applies without printing the result.
fn execute(arguments: &Arguments) -> Result<Result<Outcome, Box<Invalid>>, Error> {
    let saved = arguments.plan.as_deref().map(read_plan).transpose()?;
    let loaded = match &saved {
        Some((name, saved)) => read_saved(saved, name),
        None => read(
            &arguments.documents,
            arguments.documents.place.netns(),
            Host::Live,
        )?,
    };
    let mut loaded = match loaded {
        Ok(loaded) => loaded,
        Err(invalid) => return Ok(Err(invalid)),
    };
    if arguments.fall_back {
        loaded = fall_back::unless_rejected(loaded, arguments.lock)?;
    }
    let Loaded {
        mut document,
        sources,
    } = loaded;
    document.allow_missing = arguments.allow_missing;
    // A saved plan names its namespace itself.
    commands::name_of(&document.netns);
    let targets = arguments
        .verify_reach
        .iter()
        .map(|text| Target::resolve(text))
        .collect::<Result<Vec<_>, _>>()?;
    let store = Store::open(&document.netns)?;
    if let Some((name, saved)) = &saved
        && saved.boot != store.boot
    {
        let message = format!("{name}: the plan was saved before the host rebooted");
        return Err(Error::new(ErrorKind::Refused, message).hint("run `netkeel plan --save` again"));
    }
    let asks = saved.is_none() && arguments.prompt.asks();
    let agreed = match asks {
        true => show(arguments, &store, &document, &sources)?,
        false => None,
    };
    let allowed = arguments.allow_management || arguments.confirm_within.is_some();
    let mut watch = Watcher::new(Guard::of_apply(allowed, &document.netns))?;
    // Nobody agreed to anything where there was nothing to ask.
    watch.agreed = (asks && agreed.is_none()).then(Vec::new);
    let pause = arguments.pause.after(arguments.confirm_within);
    let way = clear_way(&store, &document.owner, Some(&document.hash), &pause)?;
    let exactly = saved.as_ref().map(|(_, saved)| saved).or(agreed.as_ref());
    let written = write(arguments, &store, &document, targets, exactly, watch, &way);
    match written {
        Ok(Ok(applied)) => {
            way.tell();
            Ok(Ok((Ok(applied), sources)))
        }
        Ok(Err(failure)) => {
            way.close();
            Ok(Ok((Err(failure), sources)))
        }
        Err(error) => {
            way.close();
            Err(error)
        }
    }
}

/// Shows the plan on a terminal and asks whether to apply it. Returns the plan that was agreed to; `None` where there
/// is nothing to ask: no writes, or an apply that is refused anyway and says why.
///
/// # Errors
/// When the answer is no.
fn show(
    arguments: &Arguments,
    store: &Store,
    document: &Document,
    sources: &Sources,
) -> Result<Option<SavedPlan>, Error> {
    // The lock is not held while somebody reads.
    let mut said = Said::default();
    drop(recover::settle(
        store,
        &document.netns,
        &actor(),
        arguments.lock.timeout,
        &mut said,
    )?);
    drop(said);
    let (host, planned) = preview::live(document, &arguments.ownership)?;
    let Ok(plan) = planned else { return Ok(None) };
    let refused = !plan.problems.is_empty()
        || !arguments.allow_lossy && plan.lossy().next().is_some()
        || arguments.fail_on.check(&plan.findings).is_err();
    if refused || plan.steps.is_empty() {
        return Ok(None);
    }
    let detail = Detail {
        commands: false,
        full: arguments.full,
    };
    let text = output::shown(&plan, sources, Output::Text, detail, output::here());
    match arguments.output {
        Output::Text => output::print(&text)?,
        Output::Diff | Output::Json | Output::Markdown => output::say(&text),
    }
    ask("Apply these changes?")?;
    SavedPlan::new(document, &host, &plan, &store.boot).map(Some)
}

/// Plans and writes under the lock.
fn write(
    arguments: &Arguments,
    store: &Store,
    document: &Document,
    targets: Vec<Target>,
    saved: Option<&SavedPlan>,
    mut watch: Watcher,
    way: &Way<'_>,
) -> Result<Result<(Applied, String), Failure>, Error> {
    let actor = actor();
    let mut said = Said::default();
    let patience = watch.patience(arguments.lock.timeout);
    let settled = recover::settle(store, &document.netns, &actor, patience, &mut said)?;
    way.is_still_clear(&document.owner, Some(&document.hash))?;
    refuse_rejected(store, document, arguments.retry_rejected)?;
    let ledger = store.ledger()?;
    let declared = Declared {
        document,
        holdings: arguments.ownership.holdings(&ledger),
    };
    let exactly = saved.map(|saved| Exactly::new(declared, saved));
    let goal: &dyn Goal = exactly.as_ref().map_or(&declared, |exactly| exactly);
    let mut log = Recorder::new(
        &settled,
        document.netns.clone(),
        &document.owner,
        &document.hash,
        &actor,
    );
    log.confirm_within = arguments.confirm_within;
    log.compacts = ledger.wants_compacting();
    log.undoable = Some(&ledger);
    watch.budget = store.writes_left(document.limits.changes_per_minute)?;
    let lossy = arguments.allow_lossy;
    if arguments.confirm_within.is_some() {
        store.keep_waiting(&document.owner, &document.hash, &document.canonical)?;
    }
    if arguments.fail_on.is_given() {
        arguments.fail_on.check(&findings(document, goal)?)?;
    }
    let outcome = Live::with(&document.netns, |kernel| {
        watch.must_reach(targets)?;
        Ok::<_, Error>(
            apply(
                goal,
                Session {
                    kernel,
                    log: &mut log,
                    lossy,
                    watch: &mut watch,
                },
            )
            .outcome,
        )
    })??;
    let outcome = outcome.map(|mut applied| {
        plan::add(Some(document), &mut applied.planned, &applied.before);
        commands::findings_here(&mut applied.planned.plan.findings);
        applied
    });
    // Otherwise the question named them.
    if let (Ok(applied), false) = (&outcome, arguments.prompt.asks()) {
        said.add(&taken::note(&applied.planned.plan, &ledger));
    }
    let recorded = match &outcome {
        Ok(_) if matches!(store.pending(), Ok(None)) => store
            .accept(&document.hash)
            .and_then(|()| store.keep_accepted(&document.owner, &document.canonical)),
        Err(_) if watch.cut_off => store.reject(&document.hash, "it made a target unreachable"),
        _ => Ok(()),
    };
    // A failure to record the result does not change the result.
    if let Err(error) = recorded {
        said.add(&output::error_text(&error));
    }
    let outcome = outcome.map(|applied| (applied, log.id().to_owned()));
    drop(log);
    drop(settled);
    drop(said);
    watch.clear();
    Ok(outcome)
}

/// The findings of the plan that an apply would make; none where there is no plan, which the apply reports.
fn findings(document: &Document, goal: &dyn Goal) -> Result<Vec<Finding>, Error> {
    let host = Live::with(&document.netns, |kernel| kernel.snapshot(&goal.scope()))??;
    let Ok(mut planned) = goal.plan(&host) else {
        return Ok(Vec::new());
    };
    plan::add(Some(document), &mut planned, &host);
    Ok(planned.plan.findings)
}

fn read_plan(path: &Path) -> Result<(String, SavedPlan), Error> {
    let name = path.display().to_string();
    let text = read_printed(path)?;
    let saved = SavedPlan::read(&text).map_err(|error| error.context(&name))?;
    Ok((name, saved))
}

/// Rejects a document that was rolled back before, so that the next run of a configuration manager
/// does not cut the host off again.
fn refuse_rejected(store: &Store, document: &Document, retry_rejected: bool) -> Result<(), Error> {
    match store.rejection(Some(&document.hash))? {
        Some(rejection) if !retry_rejected => {
            let message = format!("this document was rolled back before: {}", rejection.reason);
            Err(Error::new(ErrorKind::Refused, message)
                .hint("change the document, or apply it with --retry-rejected")
                .hint("`netkeel history` shows when"))
        }
        _ => Ok(()),
    }
}
