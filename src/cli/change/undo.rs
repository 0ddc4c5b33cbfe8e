//! `netkeel undo`: rolls back an apply that succeeded.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use crate::arguments::{FullOption, LockOptions, Output, Place};
use crate::change::apply::new_drift::end_exit;
use crate::change::failed::failed;
use crate::change::prompt::{Prompt, ask};
use crate::change::recover;
use crate::change::said::Said;
use crate::change::service_holder::{PauseOption, Way, clear_way};
use crate::change::watcher::{Guard, Watcher};
use crate::output::Detail;
use crate::{exit, output};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::recorder::Recorder;
use netkeel_apply::engine::session::Session;
use netkeel_apply::journal::Work;
use netkeel_apply::recover::refuse_pending;
use netkeel_apply::store::Store;
use netkeel_apply::store::actor::actor;
use netkeel_apply::store::history::{HistoryEntry, HistoryEvent};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::{one_line, printable};
use netkeel_diagnose::lint::plan;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::undo::{AppliedValues, UndoApply};
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_plan::plan::Plan;
use netkeel_render::wording::utc::utc;
use netkeel_render::wording::{count, unrestored};
use netkeel_source::sources::Sources;

/// Restore the values from before an apply
///
/// Without an ID, netkeel undoes the last successful apply that is not undone yet. It shows the plan
/// and, on a terminal, asks. Values that were changed since the apply are not replaced, unless --force
/// is given: then nothing is written. The records of owners are restored too. The documents are not
/// changed: the next apply of them writes the values again.
///
/// netkeel keeps the values of the last applies, up to 16 MiB. Writes of the service are not undone.
///
/// Exit status: 0 success; 1 error, nothing was written; 3 failed and rolled back; 4 failed and
/// rolling back failed too, or a setting could not be restored; 5 the writes hold, but another program changed other values of the apply
/// meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// ID of the apply, as `netkeel history` prints it
    id: Option<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    lock: LockOptions,
    /// Show what would be restored; write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace values that were changed since the apply
    #[arg(long)]
    force: bool,
    /// Allow changes that cannot be undone exactly
    #[arg(long)]
    allow_lossy: bool,
    /// Allow changes to the interface of the default route or SSH session
    #[arg(long)]
    allow_management: bool,
    #[command(flatten)]
    pause: PauseOption,
    #[command(flatten)]
    prompt: Prompt,
}

/// Runs the verb.
pub(crate) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let netns = arguments.place.netns();
    let store = Store::open(&netns)?;
    refuse_pending(&store)?;
    let history = store.history()?;
    let known = store.applies_with_values()?;
    let entry = choose(&history, &known, arguments.id.as_deref())?;
    let values = store.values(&entry.apply)?.ok_or_else(|| unknown(entry))?;
    let ledger = store.ledger()?;
    let goal = UndoApply {
        ledger: &ledger,
        values: &values,
        netns: &netns,
        force: arguments.force,
    };
    let of = format!(
        "Undo of {}, {}, owner {}, by {}\n",
        printable(&entry.id),
        utc(entry.time),
        printable(&entry.owner),
        one_line(&entry.actor)
    );
    let sources = Sources::default();
    let host = Live::with(&netns, |kernel| kernel.snapshot(&goal.scope()))??;
    let shown = match goal.plan(&host) {
        Ok(mut planned) => {
            plan::add(None, &mut planned, &host);
            planned.plan
        }
        Err(diagnostics) => {
            output::say(&of);
            output::diagnostics(&diagnostics, &sources);
            return Ok(exit::ERROR);
        }
    };
    output::print(&of)?;
    let detail = Detail {
        commands: arguments.dry_run,
        full: FullOption::default(),
    };
    output::plan(&shown, &sources, Output::Text, detail, output::here())?;
    output::problems(&shown.problems);
    if arguments.dry_run {
        return Ok(if shown.problems.is_empty() {
            exit::OK
        } else {
            exit::ERROR
        });
    }
    if !shown.steps.is_empty() && arguments.prompt.asks() {
        ask("Undo these changes?")?;
    }
    let mut watch = Watcher::new(Guard::of(arguments.allow_management, &netns))?;
    watch.agreed = Some(commands(&shown));
    let way = clear_way(&store, &values.owner, None, &arguments.pause)?;
    match undo(arguments, &store, &goal, watch, &way) {
        Ok(Ok(undone)) => {
            way.tell();
            Ok(report(&undone))
        }
        Ok(Err(failure)) => {
            way.close();
            Ok(failed(failure, &sources))
        }
        Err(error) => {
            way.close();
            Err(error)
        }
    }
}

/// The undo of each apply that was undone, by the name of the apply.
pub(crate) fn undone(history: &[HistoryEntry]) -> BTreeMap<&str, &HistoryEntry> {
    let rolled_back = rolled_back(history);
    history
        .iter()
        .filter(|entry| entry.work == Work::Undo && holds(entry, &rolled_back))
        .map(|entry| (entry.document.as_str(), entry))
        .collect()
}

fn rolled_back(history: &[HistoryEntry]) -> BTreeSet<&str> {
    history
        .iter()
        .filter(|entry| entry.event == HistoryEvent::RolledBack)
        .map(|entry| entry.apply.as_str())
        .collect()
}

/// Whether the writes of an entry hold.
fn holds(entry: &HistoryEntry, rolled_back: &BTreeSet<&str>) -> bool {
    match entry.event {
        HistoryEvent::Applied | HistoryEvent::Confirmed | HistoryEvent::Resumed => {
            !rolled_back.contains(entry.apply.as_str())
        }
        HistoryEvent::Unconfirmed | HistoryEvent::RolledBack | HistoryEvent::NotRolledBack => false,
    }
}

/// The apply to undo: the named one, or the last one by hand, whose values are `known`.
fn choose<'a>(
    history: &'a [HistoryEntry],
    known: &BTreeSet<String>,
    id: Option<&str>,
) -> Result<&'a HistoryEntry, Error> {
    let (rolled_back, undone) = (rolled_back(history), undone(history));
    let Some(id) = id else {
        let last = history.iter().rev().find(|entry| {
            entry.work == Work::Apply
                && known.contains(&entry.apply)
                && holds(entry, &rolled_back)
                && !undone.contains_key(entry.apply.as_str())
        });
        return last.ok_or_else(|| {
            Error::new(ErrorKind::Missing, "there is no apply to undo")
                .hint("`netkeel history` lists all applies; those that were rolled back are as undone")
        });
    };
    let shown = printable(id);
    let Some(named) = history
        .iter()
        .rev()
        .find(|entry| entry.id == id || entry.apply == id)
    else {
        let message = format!("there is no entry `{shown}` in the history");
        return Err(Error::new(ErrorKind::Missing, message).hint("`netkeel history` lists all entries"));
    };
    if undone.contains_key(named.apply.as_str()) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{shown} was undone already"),
        ));
    }
    let of_it = |entry: &&HistoryEntry| entry.apply == named.apply && holds(entry, &rolled_back);
    history.iter().rev().find(of_it).ok_or_else(|| {
        let message = format!("{shown} is {}, so there is nothing to undo", named.event);
        Error::new(ErrorKind::Refused, message)
    })
}

/// The error for an apply whose values were not kept.
fn unknown(entry: &HistoryEntry) -> Error {
    let message = format!(
        "the values from before {} are not known: netkeel keeps those of the last applies by hand",
        printable(&entry.id)
    );
    Error::new(ErrorKind::Missing, message)
        .hint("`netkeel release` restores the values from before netkeel's first write")
}

fn undo(
    arguments: &Arguments,
    store: &Store,
    goal: &UndoApply<'_>,
    mut watch: Watcher,
    way: &Way<'_>,
) -> Result<Result<Applied, Failure>, Error> {
    let netns = &arguments.place.netns();
    let actor = actor();
    let mut said = Said::default();
    let patience = watch.patience(arguments.lock.timeout);
    let settled = recover::settle(store, netns, &actor, patience, &mut said)?;
    way.is_still_clear(&goal.values.owner, None)?;
    let AppliedValues {
        apply: name, owner, ..
    } = goal.values;
    if undone(&store.history()?).contains_key(name.as_str()) {
        return Err(Error::new(ErrorKind::Refused, "the apply was undone meanwhile"));
    }
    let ledger = store.ledger()?;
    let goal = &UndoApply {
        ledger: &ledger,
        ..*goal
    };
    let log = Recorder::new(&settled, netns.clone(), owner, name, &actor);
    let mut log = log.work(Work::Undo);
    log.compacts = ledger.wants_compacting();
    log.forgets = true;
    let lossy = arguments.allow_lossy;
    let outcome = Live::with(netns, |kernel| {
        apply(
            goal,
            Session {
                kernel,
                log: &mut log,
                lossy,
                watch: &mut watch,
            },
        )
        .outcome
    })?;
    drop(log);
    // No boot brings back what was restored. Where there was nothing to write, nothing was committed.
    if outcome.is_ok()
        && let Err(error) = store.forget_accepted(owner)
    {
        said.add(&output::error_text(&error));
    }
    drop(settled);
    drop(said);
    watch.clear();
    Ok(outcome)
}

/// The writes of a plan, as text.
fn commands(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| step.op.to_string()).collect()
}

fn report(undone: &Applied) -> u8 {
    let verified = match undone.planned.plan.unrestored.len() {
        0 => "verified".to_owned(),
        left => unrestored(left),
    };
    output::print_done(&format!(
        "Undone: {}; {verified}. The documents are unchanged: the next apply of them writes the values again.\n",
        count(undone.done, "write")
    ));
    end_exit(undone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, apply: &str, event: HistoryEvent, work: Work) -> HistoryEntry {
        HistoryEntry {
            id: id.into(),
            apply: apply.into(),
            time: 0,
            boot: "b".into(),
            since_boot_ms: 0,
            actor: "root".into(),
            owner: "default".into(),
            document: if work == Work::Undo {
                "t2".into()
            } else {
                "d".into()
            },
            work,
            event,
            why: None,
            changes: Vec::new(),
            commands: vec!["ip link set dev eth0 mtu 1400".into()],
        }
    }

    #[test]
    fn the_last_apply_that_holds_and_is_not_undone_is_chosen() {
        use HistoryEvent::{Applied, Confirmed, RolledBack, Unconfirmed};
        let mut history = vec![
            entry("a", "t1", Applied, Work::Apply),
            entry("b", "t2", Unconfirmed, Work::Apply),
            entry("c", "t2", Confirmed, Work::Apply),
            entry("d", "t3", Unconfirmed, Work::Apply),
            entry("e", "t3", RolledBack, Work::Apply),
            entry("f", "t4", Applied, Work::Release),
        ];
        // The service wrote after them.
        history.insert(6, entry("s", "t6", Applied, Work::Apply));
        let known: BTreeSet<String> = ["t1", "t2", "t3", "t4", "t5"].map(str::to_owned).into();
        let id = |history: &[HistoryEntry], id| choose(history, &known, id).map(|entry| entry.id.clone());
        assert_eq!(id(&history, None).unwrap(), "c");
        assert_eq!(id(&history, Some("b")).unwrap(), "c");
        assert_eq!(id(&history, Some("t1")).unwrap(), "a");
        assert_eq!(id(&history, Some("f")).unwrap(), "f");
        let refused = id(&history, Some("d")).unwrap_err().message;
        assert!(refused.contains("nothing to undo"), "{refused}");
        history.push(entry("g", "t5", Applied, Work::Undo));
        assert_eq!(id(&history, None).unwrap(), "a");
        let refused = id(&history, Some("c")).unwrap_err().message;
        assert_eq!(refused, "c was undone already");
        assert!(id(&history[3..5], None).is_err());
    }
}
