//! What is true of every document and every host, on the model kernel. The hosts and documents are
//! the same in each run; NETKEEL_SEED makes others, PROPTEST_CASES more of them.
//!
//! Each property counts how many pairs were planned, refused and applied, and fails where there were too few of
//! any: a generator whose documents are all refused would show nothing.

#[path = "properties/edit.rs"]
mod edit;
#[path = "properties/gaps.rs"]
mod gaps;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/generate_rules.rs"]
mod generate_rules;
#[path = "properties/import.rs"]
mod import;
#[path = "properties/undo.rs"]
mod undo;

use generate::{documents, hosts};
use generate_rules::{CONFIGURATIONS, ENTRIES, PLUGINS};

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use ipnet::IpNet;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Map, Value};

use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::route::Metric;
use netkeel_diagnose::lint::plan::plan;
use netkeel_document::document::Document;
use netkeel_host::model::Model;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_plan::loss::Loss;
use netkeel_plan::outcome::Failure;
use netkeel_plan::plan::{Plan, Step};
use netkeel_render::{json, schema};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::report::render;
use netkeel_source::sources::Sources;

/// How far a generated pair came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    /// There can be no plan.
    Refused,
    /// There is nothing to do.
    InSync,
    /// There is a plan with steps.
    Planned,
    /// The steps, or some of them, were done.
    Applied,
}

/// How many of 100 pairs must come how far, at the least. One that was applied was planned too.
#[derive(Clone, Copy, Debug, Default)]
struct Least {
    refused: usize,
    planned: usize,
    applied: usize,
}

/// Of pairs that are only planned.
const PLANNED: Least = Least {
    refused: 5,
    planned: 25,
    applied: 0,
};

/// Of pairs that are also applied.
const APPLIED: Least = Least {
    applied: 25,
    ..PLANNED
};

/// Of an empty document.
const NOTHING: Least = Least {
    refused: 0,
    planned: 0,
    applied: 0,
};

impl Least {
    /// Holds the pairs of a test to it.
    fn check(self, test: &str, reached: &[Reached]) {
        let count = |is: &dyn Fn(Reached) -> bool| reached.iter().filter(|one| is(**one)).count();
        let refused = count(&|one| one == Reached::Refused);
        let planned = count(&|one| one >= Reached::Planned);
        let applied = count(&|one| one == Reached::Applied);
        let all = reached.len();
        let line = format!("{test}: {all} pairs, {refused} refused, {planned} planned, {applied} applied\n");
        // Past the harness, which hides what a test that passes prints.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        for (is, least) in [
            (refused, self.refused),
            (planned, self.planned),
            (applied, self.applied),
        ] {
            assert!(
                is * 100 >= least * all,
                "too few of some, {self:?} of 100: {line}"
            );
        }
    }
}

/// Runs a property on as many pairs as are asked for.
fn hold(cases: u32, least: Least, property: impl Fn(&Value, &Snapshot) -> Result<Reached, TestCaseError>) {
    let seed = std::env::var("NETKEEL_SEED").map_or(20_261_120, |seed| seed.parse().unwrap());
    let mut config = Config {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let pairs = (documents(), hosts()).prop_map(|(mut document, host)| {
        // Another namespace has no CNI configurations, and a document for it cannot name them.
        if let (None, Value::Object(document)) = (&host.cni, &mut document) {
            document.remove("cni");
        }
        (document, host)
    });
    let reached = RefCell::new(Vec::new());
    let result = TestRunner::new(config).run(&pairs, |(document, host)| {
        reached.borrow_mut().push(property(&document, &host)?);
        Ok(())
    });
    match result {
        Ok(()) => {
            let thread = std::thread::current();
            least.check(thread.name().unwrap_or_default(), &reached.borrow());
        }
        Err(TestError::Fail(why, (document, host))) => {
            let steps = planned(&document, &host).ok().flatten();
            let steps = steps.map_or(Vec::new(), |(_, plan)| plan.steps);
            let show = |step: &Step| {
                let undo: Vec<String> = step.undo.ops.iter().map(ToString::to_string).collect();
                format!("{}    # undo: {}", step.op, undo.join("; "))
            };
            let steps: Vec<String> = steps.iter().map(show).collect();
            let host = serde_json::to_string(&host).unwrap();
            panic!(
                "NETKEEL_SEED={seed}: {why}\n{document}\n{host}\n{}",
                steps.join("\n")
            );
        }
        Err(error) => panic!("{error}"),
    }
}

/// Reads a document that is given in one or several files.
fn read(files: &[&Value], netns: &Netns) -> (Document, Sources) {
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let mut layers = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let text = serde_json::to_vec_pretty(file).unwrap();
        layers.extend(sources.load(&format!("{number}.json"), text, None, &mut diagnostics));
    }
    let document = Document::read(layers, netns.clone(), &mut diagnostics);
    assert!(
        diagnostics.is_empty(),
        "{}",
        render::render(&diagnostics, &sources, false)
    );
    (document, sources)
}

/// The plan, where there can be one.
fn planned(document: &Value, host: &Snapshot) -> Result<Option<(Document, Plan)>, TestCaseError> {
    let (document, _) = read(&[document], &host.netns);
    let Ok(plan) = plan(&document, host) else {
        return Ok(None);
    };
    prop_assert_eq!(&plan.problems, &[], "everything was read");
    Ok(Some((document, plan)))
}

/// Applies as `netkeel apply --allow-lossy` does.
fn run(document: &Document, kernel: &mut ModelKernel) -> Result<usize, Failure> {
    let session = Session {
        kernel,
        log: &mut Unlogged,
        lossy: true,
        watch: &mut Unwatched,
    };
    apply(document, session).outcome.map(|applied| applied.done)
}

#[test]
fn what_can_be_planned_can_be_applied_and_leaves_nothing() {
    hold(500, APPLIED, |document, host| {
        let Some((document, plan)) = planned(document, host)? else {
            return Ok(Reached::Refused);
        };
        let mut kernel = ModelKernel::new(host.clone());
        let done = run(&document, &mut kernel).map_err(because)?;
        prop_assert!(done >= plan.steps.len());
        let again = netkeel_diagnose::lint::plan::plan(&document, &kernel.model.host).map_err(because)?;
        prop_assert!(again.in_sync(), "{again:#?}");
        let second = run(&document, &mut kernel).map_err(because)?;
        prop_assert_eq!(second, 0, "applied again, it writes");
        Ok(reached(&plan, Reached::Applied))
    });
}

#[test]
fn what_the_document_does_not_mention_survives() {
    hold(500, APPLIED, |document, host| {
        let Some((document, plan)) = planned(document, host)? else {
            return Ok(Reached::Refused);
        };
        let wants = document.wants(host);
        let mut model = Model::new(host.clone());
        let mut told = BTreeSet::new();
        for step in &plan.steps {
            told.extend(model.apply(&step.op).into_iter().map(|change| change.fact));
        }
        for fact in facts(host).into_iter().chain(facts(&model.host)) {
            let (before, after) = (placeless(host.get(&fact)), placeless(model.host.get(&fact)));
            // What a device that is made again had is gone with it.
            let made_again = |name: LinkName| told.contains(&Fact::link(&host.netns, name, Field::Kind));
            if before != after && !fact.link_name().is_some_and(made_again) {
                prop_assert!(
                    wants.facts.contains_key(&fact) || told.contains(&fact),
                    "{fact} was {before:?} and is {after:?}"
                );
            }
        }
        Ok(reached(&plan, Reached::Applied))
    });
}

#[test]
fn undoing_any_beginning_of_a_plan_in_reverse_restores() {
    hold(200, APPLIED, |document, host| {
        let Some((_, plan)) = planned(document, host)? else {
            return Ok(Reached::Refused);
        };
        for end in 0..=plan.steps.len() {
            let (done, _) = plan.steps.split_at(end);
            let mut kernel = ModelKernel::new(host.clone());
            for step in done {
                kernel.model.apply(&step.op);
            }
            let ops = done.iter().rev().map(|step| &*step.undo.ops);
            let (_, remaining) = netkeel_apply::engine::apply::undo(&mut kernel, ops);
            prop_assert!(remaining.is_empty(), "{remaining:?}");
            same(host, &kernel.model.host, done)?;
        }
        Ok(reached(&plan, Reached::Applied))
    });
}

#[test]
fn an_apply_that_fails_anywhere_leaves_the_host_as_it_was() {
    hold(200, APPLIED, |document, host| {
        let Some((document, plan)) = planned(document, host)? else {
            return Ok(Reached::Refused);
        };
        for at in 0..plan.steps.len() {
            let refused = Error::new(ErrorKind::Refused, "no");
            let mut kernel = ModelKernel::new(host.clone()).failing(at, refused);
            let Err(Failure::Failed(rollback)) = run(&document, &mut kernel) else {
                return Err(TestCaseError::fail(format!("op {at} fails and apply does not")));
            };
            prop_assert!(rollback.remaining.is_empty(), "{:?}", rollback.remaining);
            let (done, _) = plan.steps.split_at(at);
            same(host, &kernel.model.host, done)?;
        }
        Ok(reached(&plan, Reached::Applied))
    });
}

#[test]
fn a_document_that_says_nothing_plans_nothing() {
    hold(100, NOTHING, |_, host| {
        let (_, plan) = planned(&serde_json::json!({ "version": 1 }), host)?.unwrap();
        prop_assert!(plan.in_sync() && plan.findings.is_empty(), "{plan:#?}");
        Ok(reached(&plan, Reached::Planned))
    });
}

#[test]
fn a_plan_does_not_depend_on_the_order_of_keys_and_files() {
    hold(200, PLANNED, |document, host| {
        let (straight, _) = read(&[document], &host.netns);
        let turned = backwards(document);
        let (turned, _) = read(&[&turned], &host.netns);
        let (one, other) = halves(document);
        let (layered, _) = read(&[&one, &other], &host.netns);
        let (swapped, _) = read(&[&other, &one], &host.netns);
        let expected = essence(&plan(&straight, host));
        for document in [turned, layered, swapped] {
            prop_assert_eq!(&essence(&plan(&document, host)), &expected);
        }
        Ok(outcome(&plan(&straight, host)))
    });
}

#[test]
fn planning_is_deterministic() {
    hold(100, PLANNED, |document, host| {
        let (first, sources) = read(&[document], &host.netns);
        let (second, _) = read(&[document], &host.netns);
        let (first, second) = (plan(&first, host), plan(&second, host));
        prop_assert_eq!(&first, &second);
        if let (Ok(first), Ok(second)) = (&first, &second) {
            let text = |plan: &Plan| json::plan(plan, &sources).to_string();
            prop_assert_eq!(text(first), text(second));
        }
        Ok(outcome(&first))
    });
}

#[test]
fn plans_and_snapshots_are_as_their_schemas_say() {
    let of_plan = jsonschema::validator_for(&schema::plan()).unwrap();
    let of_snapshot = jsonschema::validator_for(&schema::snapshot()).unwrap();
    let check = |validator: &jsonschema::Validator, json: &Value| {
        let wrong: Vec<String> = validator
            .iter_errors(json)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        prop_assert!(wrong.is_empty(), "{wrong:#?}\n{json:#}");
        Ok(())
    };
    hold(200, PLANNED, |document, host| {
        let json = serde_json::to_value(host).unwrap();
        check(&of_snapshot, &json)?;
        // A reader marks a container's own NICs, as a look at a live host does.
        let mut marked = host.clone();
        marked.mark_uplinks();
        prop_assert_eq!(Snapshot::from_json(&json.to_string()).unwrap(), marked);
        let (document, sources) = read(&[document], &host.netns);
        let planned = plan(&document, host);
        if let Ok(plan) = &planned {
            check(&of_plan, &json::plan(plan, &sources))?;
        }
        Ok(outcome(&planned))
    });
}

/// A pair that was planned and came so far, unless there was nothing to do.
fn reached(plan: &Plan, far: Reached) -> Reached {
    if plan.steps.is_empty() {
        Reached::InSync
    } else {
        far
    }
}

/// How far a pair came that is only planned.
fn outcome(plan: &Result<Plan, Box<Diagnostics>>) -> Reached {
    match plan {
        Ok(plan) => reached(plan, Reached::Planned),
        Err(_) => Reached::Refused,
    }
}

#[test]
#[should_panic(expected = "too few")]
fn a_generator_whose_documents_are_all_refused_is_found() {
    PLANNED.check("refused", &[Reached::Refused; 100]);
}

#[test]
#[should_panic(expected = "too few")]
fn a_generator_without_anything_to_refuse_is_found() {
    APPLIED.check("applied", &[Reached::Applied; 100]);
}

#[test]
#[should_panic(expected = "too few")]
fn a_property_that_applies_nothing_is_found() {
    let refused = [Reached::Refused; 50];
    APPLIED.check("planned", &[refused, [Reached::Planned; 50]].concat());
}

fn because(failure: impl std::fmt::Debug) -> TestCaseError {
    TestCaseError::fail(format!("{failure:#?}"))
}

/// All facts that a snapshot holds.
fn facts(host: &Snapshot) -> BTreeSet<Fact> {
    const FIELDS: [Field; 9] = [
        Field::Kind,
        Field::RpFilter,
        Field::Forwarding,
        Field::Forwarding6,
        Field::DisableIpv6,
        Field::Mtu,
        Field::Up,
        Field::TxQueueLength,
        Field::Alias,
    ];
    let mut facts: BTreeSet<Fact> = host
        .sysctls
        .keys()
        .map(|key| Fact::sysctl(&host.netns, key))
        .collect();
    for (name, link) in &host.links {
        let addresses = link.addresses.iter().map(|address| Field::Address(*address));
        let metrics = link.routes.keys().flat_map(|key| {
            let metrics = Metric::ALL.into_iter();
            metrics.map(|metric| Field::RouteMetric(*key, metric))
        });
        facts.extend(
            FIELDS
                .into_iter()
                .chain(addresses)
                .chain(metrics)
                .map(|field| Fact::link(&host.netns, *name, field)),
        );
    }
    facts.extend(host.files.keys().map(|path| Fact::file(path)));
    for (name, group) in ENTRIES {
        facts.insert(Fact::nflog(&host.netns, &name.parse().unwrap()));
        facts.insert(Fact::log_group(&host.netns, group));
    }
    if host.cni.is_some() {
        let of = |file| PLUGINS.map(|kind| Fact::plugin(Path::new(file), kind));
        facts.extend(CONFIGURATIONS.into_iter().flat_map(of));
    }
    facts
}

/// A value of which it does not matter in which place of its chain a rule stands: it moves up when one
/// before it goes.
fn placeless(observed: Lookup) -> Lookup {
    match observed {
        Lookup::Value(netkeel_core::fact::Value::ForeignRules(rules)) => {
            let mut rules = rules.to_vec();
            rules.iter_mut().for_each(|rule| rule.position = 0);
            Lookup::Value(netkeel_core::fact::Value::ForeignRules(rules.into()))
        }
        other => other,
    }
}

/// Compares a host with itself after steps were undone, aside from devices that are lost, which
/// their steps say, and from what was only looked for.
fn same(before: &Snapshot, after: &Snapshot, done: &[Step]) -> Result<(), TestCaseError> {
    let gone: BTreeSet<LinkName> = done
        .iter()
        .flat_map(|step| &step.undo.loses)
        .filter_map(|lost| match lost {
            Loss::Device { link } | Loss::DeviceWith { link, .. } => Some(*link),
            _ => None,
        })
        .collect();
    // Settings that were not read and that the plan says start anew.
    let anew = |fact: &Fact| match (&fact.object, fact.link_name()) {
        (Object::Sysctl(key), Some(name)) => {
            let lost = Loss::Ipv6Settings { link: name };
            key.path().starts_with("net/ipv6/") && done.iter().any(|step| step.undo.loses.contains(&lost))
        }
        _ => false,
    };
    // What somebody has made of netkeel's rules is not to be had again.
    let mended = |fact: &Fact| match &fact.object {
        Object::Nflog(name) => {
            let lost = Loss::ChangedRules { entry: name.clone() };
            done.iter().any(|step| step.undo.loses.contains(&lost))
        }
        _ => false,
    };
    let unrouted = |fact: &Fact| {
        let lost = fact.link_name().map(|link| Loss::Routes { link });
        matches!(fact.field, Field::RouteMetric(..))
            && done
                .iter()
                .any(|step| step.undo.loses.iter().any(|one| Some(one) == lost.as_ref()))
    };
    for fact in facts(before).union(&facts(after)) {
        let link_local =
            matches!(fact.field, Field::Address(IpNet::V6(net)) if net.addr().is_unicast_link_local());
        if link_local
            || fact.link_name().is_some_and(|name| gone.contains(&name))
            || anew(fact)
            || mended(fact)
            || unrouted(fact)
        {
            continue;
        }
        let (was, is) = (before.get(fact), after.get(fact));
        let unread = matches!((&was, &is), (Lookup::Unread, Lookup::Absent));
        prop_assert!(was == is || unread, "{fact} was {was:?} and is {is:?}");
    }
    Ok(())
}

/// What counts of a plan: not the places in the document.
fn essence(plan: &Result<Plan, Box<Diagnostics>>) -> String {
    match plan {
        Ok(plan) => {
            let drift: Vec<_> = plan
                .drift
                .iter()
                .map(|drift| (&drift.fact, &drift.observed, &drift.desired))
                .collect();
            format!("{drift:#?} {:#?}", plan.steps)
        }
        Err(_) => "refused".into(),
    }
}

/// The same with the keys of all maps in reverse.
fn backwards(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries = map
                .iter()
                .rev()
                .map(|(key, value)| (key.clone(), backwards(value)));
            Value::Object(entries.collect())
        }
        other => other.clone(),
    }
}

/// Two documents that together say the same: every second entry of each kind in each of them.
fn halves(document: &Value) -> (Value, Value) {
    let (mut one, mut other) = (Map::new(), Map::new());
    for (kind, entries) in document.as_object().unwrap() {
        let Value::Object(entries) = entries else {
            one.insert(kind.clone(), entries.clone());
            continue;
        };
        for (number, (key, value)) in entries.iter().enumerate() {
            let half = if number % 2 == 0 { &mut one } else { &mut other };
            let entries = half.entry(kind.clone()).or_insert_with(|| Map::new().into());
            entries[key] = value.clone();
        }
    }
    other.insert("version".into(), 1.into());
    (one.into(), other.into())
}
