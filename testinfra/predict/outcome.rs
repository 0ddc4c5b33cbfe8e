//! Tries a document on a host: it is read, planned, applied, planned again and undone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use netkeel_apply::engine::apply::{apply, undo};
use netkeel_apply::engine::session::{Log, Session, Watch};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::finding::Code;
use netkeel_core::name::device::DeviceId;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::op::Op;
use netkeel_diagnose::lint::plan::plan;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_form::bound::Bound;
use netkeel_host::sysctl_form::handler::Handler;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::outcome::{Applied, Failure};
use netkeel_plan::plan::{Plan, Step};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

use crate::world::World;

/// The outcome of a document.
#[derive(Debug)]
pub enum Outcome {
    /// It is no valid document.
    Rejected,
    /// It cannot be planned for this host.
    Refused(String),
    /// There is nothing to do.
    InSync,
    /// It was applied, nothing was left to plan, and the undo restored the host.
    Applied {
        /// The ops done.
        ops: usize,
    },
    /// The apply failed for something that its plan cannot know, and restored the host.
    Unknown {
        /// An entry of `UNKNOWN`.
        what: &'static str,
        /// The error.
        why: String,
    },
    /// It must not be so.
    Wrong(String),
}

/// Notes the op that is done; none after the last one.
struct Last<'a>(&'a RefCell<Option<Op>>);

impl Watch for Last<'_> {
    fn progress(&mut self, done: usize, all: usize) {
        if done == all {
            self.0.take();
        }
    }
}

impl Log for Last<'_> {
    fn begin(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn add(&mut self, _: &Plan) -> Result<(), Error> {
        Ok(())
    }
    fn mark(&mut self, step: &Step) -> Result<(), Error> {
        self.0.replace(Some(step.op.clone()));
        Ok(())
    }
    fn commit(&mut self, _: &[&Plan], _: &BTreeMap<LinkName, DeviceId>) -> Result<(), Error> {
        Ok(())
    }
    fn undoing(&mut self) -> Result<(), Error> {
        Ok(())
    }
    fn undone(&mut self, _: &[&Plan], _: &Error) -> Result<(), Error> {
        Ok(())
    }
}

/// Tries a document. Also says whether the host is as it was.
pub fn attempt(text: &str, kernel: &mut Live, _: &World) -> (Outcome, bool) {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let layer = sources.load("document.json", text.as_bytes().to_vec(), None, &mut diagnostics);
    let document = Document::read(layer.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    if !diagnostics.is_empty() {
        return (Outcome::Rejected, true);
    }
    let mut scope = Scope::wide();
    scope.extend(document.scope());
    let before = kernel.snapshot(&scope).unwrap();
    let planned = plan(&document, &before);
    // Steps whose loss the document or the op permits need no option; here all others are permitted too.
    let last = RefCell::new(None);
    let session = Session {
        kernel,
        log: &mut Last(&last),
        lossy: true,
        watch: &mut Last(&last),
    };
    let outcome = apply(&document, session).outcome;
    let (planned, loses) = match planned {
        Ok(planned) => {
            let loses = planned.steps.iter().any(|step| !step.undo.loses.is_empty());
            (Ok(planned), loses)
        }
        Err(diagnostics) => (Err(render::render(&diagnostics, &sources, false)), false),
    };
    let pins_a_bridge = planned.as_ref().is_ok_and(|planned| {
        planned
            .steps
            .iter()
            .any(|step| sets_mtu_of_a_bridge(&step.op, &before))
    });
    let outcome = match (planned, outcome) {
        (Err(why), Err(Failure::Invalid(_))) => Outcome::Refused(why),
        (Err(why), other) => Outcome::Wrong(format!("plan refuses it: {why}\napply: {other:#?}")),
        (Ok(planned), Err(Failure::Unread(problems))) if planned.problems == problems => {
            Outcome::Wrong(format!("it cannot be read: {problems:?}"))
        }
        (Ok(_), Ok(applied)) if applied.done == 0 => Outcome::InSync,
        (Ok(_), Ok(applied)) => hold(&document, kernel, &scope, &applied),
        (Ok(planned), Err(Failure::Failed(rollback))) => {
            let restored = rollback.remaining.is_empty();
            let why = format!("{} {:?}", rollback.cause, rollback.cause.hints);
            match last
                .borrow()
                .as_ref()
                .and_then(|op| unknown(op, &rollback.cause, &planned))
            {
                Some(what) if restored => Outcome::Unknown { what, why },
                _ => Outcome::Wrong(format!(
                    "plan shows {} ops, and apply fails: {why}\nremaining: {:?}",
                    planned.steps.len(),
                    rollback.remaining
                )),
            }
        }
        (Ok(planned), Err(failure)) => Outcome::Wrong(format!(
            "plan shows {} ops, and apply fails: {failure:#?}",
            planned.steps.len()
        )),
    };
    let after = kernel.snapshot(&scope).unwrap();
    let (was, is) = (comparable(&before), comparable(&after));
    // A bridge whose MTU was ever set follows its ports no more, and the kernel does not show that.
    let restored = was == is && !pins_a_bridge;
    if was == is || loses || matches!(outcome, Outcome::Wrong(_)) {
        return (outcome, restored);
    }
    let difference = similar::TextDiff::from_lines(&was, &is)
        .unified_diff()
        .to_string();
    let why = format!("nothing is lost by the plan, and undone the host is not as before:\n{difference}");
    (Outcome::Wrong(why), false)
}

fn sets_mtu_of_a_bridge(op: &Op, host: &Snapshot) -> bool {
    let Op::SetMtu { target, .. } = op else {
        return false;
    };
    host.link(target.name)
        .is_some_and(|link| link.kind_name() == "bridge")
}

/// Checks an apply: planned again nothing is left, and its undo can be done.
fn hold(document: &Document, kernel: &mut Live, scope: &Scope, applied: &Applied) -> Outcome {
    let now = kernel.snapshot(scope).unwrap();
    let again = match plan(document, &now) {
        Ok(again) if again.in_sync() && applied.new_drift.is_empty() => None,
        Ok(again) => Some(format!(
            "applied, something is left: {:#?} {:?}",
            again.drift, applied.new_drift
        )),
        Err(diagnostics) => Some(format!("applied, it is refused: {diagnostics:?}")),
    };
    let steps = applied.planned.plan.steps.iter().rev();
    let (_, remaining) = undo(kernel, steps.map(|step| &*step.undo.ops));
    match (again, remaining.is_empty()) {
        (None, true) => Outcome::Applied { ops: applied.done },
        (again, _) => Outcome::Wrong(format!("{}\nremaining: {remaining:?}", again.unwrap_or_default())),
    }
}

/// The kernel limits a key that is listed in [`VARYING`].
pub const LISTED: &str = "a range that differs between kernels, or follows another key";

/// Keys whose range is not in the table of ranges. `*` is `all`, `default` or an interface.
const VARYING: &[&str] = &[
    // 2 needs a secret in `stable_secret`.
    "net/ipv6/conf/*/addr_gen_mode",
    // Later updates of a stable kernel took numbers away.
    "net/ipv6/conf/*/rpl_seg_enabled",
    // Without limits until Linux 6.12.
    "net/ipv4/tcp_max_reordering",
    "net/ipv4/tcp_reordering",
    // The greatest number follows from the size of a packet's memory.
    "net/ipv4/neigh/*/unres_qlen",
    "net/ipv6/neigh/*/unres_qlen",
];

/// The reason of a refusal that a plan cannot know.
fn unknown(op: &Op, cause: &Error, planned: &Plan) -> Option<&'static str> {
    let (key, value) = match op {
        Op::WriteSysctl { key, value, .. } => (key, value),
        Op::CreateTunnel { .. } if cause.kind == ErrorKind::Unsupported => {
            // The plan says that it does not know.
            let said = planned.findings.iter().any(|found| found.code == Code::NK075);
            return said.then_some("modules of a kernel without /lib/modules");
        }
        _ => return None,
    };
    let number = |word: &str| word.parse::<i128>().is_ok();
    let numbers = !value.is_empty() && value.split(' ').all(number);
    match (Handler::of(key), cause.kind) {
        (Handler::CongestionControl | Handler::CongestionControls | Handler::Qdisc, ErrorKind::Missing) => {
            Some("a module that does not load")
        }
        // The name is that of a logger, or the document is refused.
        (Handler::Text, ErrorKind::Missing) => Some("a module that does not load"),
        // Keys with two numbers, or with a bound, are known exactly.
        (Handler::Groups | Handler::Ports, _) => None,
        (_, ErrorKind::Refused) if numbers && Bound::of(key).is_none() && varies(key) => Some(LISTED),
        _ => None,
    }
}

/// Whether the range of a key is not in the table of ranges.
fn varies(key: &SysctlKey) -> bool {
    let path = match key.per_interface() {
        Some(parts) => format!("net/{}/{}/*/{}", parts.family, parts.table, parts.leaf),
        None => key.path().to_owned(),
    };
    VARYING.contains(&&*path)
}

/// A host as text, without what the kernel gives anew: link-local addresses.
fn comparable(host: &Snapshot) -> String {
    let mut host = host.clone();
    for link in host.links.values_mut().map(Arc::make_mut) {
        let kept: BTreeSet<IpNet> = link
            .addresses
            .iter()
            .filter(|address| !matches!(address, IpNet::V6(net) if net.addr().is_unicast_link_local()))
            .copied()
            .collect();
        link.addresses = kept;
    }
    serde_json::to_string_pretty(&host).unwrap()
}
