//! Findings on a plan: its side effects, and misconfigurations that it would leave.

use std::collections::BTreeSet;

use crate::lint::host::links;
use crate::lint::{
    combined, encapsulation, forwarding, mtu, replication, rp_effect, rp_filter, side_effect, sysctl_d,
};
use crate::new_pod;
use netkeel_core::fact::{Fact, Field, Object};
use netkeel_core::finding::Findings;
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::sysctl_d::drop_in;
use netkeel_mtu::detect::detect;
use netkeel_mtu::judge::TooLarge;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::planned::Planned;
use netkeel_plan::plan::{Plan, Step};
use netkeel_source::diagnostic::Diagnostics;

/// Plans a document on a host without a ledger, and adds the findings on the plan.
///
/// # Errors
/// As [`Goal::plan`].
pub fn plan(document: &Document, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
    planned(document, host).map(|planned| planned.plan)
}

/// As [`plan()`], with the host as the plan would leave it.
///
/// # Errors
/// As [`Goal::plan`].
pub fn planned(document: &Document, host: &Snapshot) -> Result<Planned, Box<Diagnostics>> {
    let mut planned = Goal::plan(document, host)?;
    add(Some(document), &mut planned, host);
    Ok(planned)
}

/// Adds the findings on a plan. `host` is the snapshot that the plan was made from. `document` is `None`
/// for a release.
pub fn add(document: Option<&Document>, planned: &mut Planned, host: &Snapshot) {
    let wants = &planned.wants.facts;
    let mut findings = Findings::default();
    if let Some(document) = document {
        let path = drop_in::path(&document.owner);
        let own = wants.get(&Fact::file(&path)).map(|want| want.value.to_text());
        let own = own.as_ref().map(|text| (path.as_path(), &**text.reveal()));
        sysctl_d::document(own, wants, host, &mut findings);
        replication::document(document.replicate.as_ref(), host, &mut findings);
        replication::entries(document.replicate.as_ref(), &document.nflog, &mut findings);
    }
    for step in &planned.plan.steps {
        rp_effect::side_effects(step, wants, &mut findings);
        forwarding::lost(step, &mut findings);
    }
    if let Some(after) = &planned.after {
        rp_effect::judge_now(host, after, wants, &mut findings);
        rp_effect::felix(host, after, wants, &mut findings);
    }
    let after = planned.after.as_ref().unwrap_or(host);
    if let Some(document) = document {
        replication::sources::check(document, after, &mut findings);
        replication::ports::check(document, after, &mut findings);
        replication::copies::check(document.replicate.as_ref(), after, wants, &mut findings);
    } else {
        // One end of a veth may stay as another program wrote it.
        let drift = planned.plan.drift.iter();
        let ends = drift.filter(|drift| matches!(drift.fact.field, Field::Mtu | Field::PodMtu));
        let given_back: BTreeSet<LinkName> = ends.filter_map(|drift| drift.fact.link_name()).collect();
        mtu::ends_in_pods(after, &|name| given_back.contains(&name), &mut findings);
    }
    rp_effect::judge(after, wants, &mut findings);
    if wants.keys().any(decides_rp_filter) {
        rp_filter::of_cilium(after, &mut findings);
    }
    if wants.keys().any(decides_forwarding) {
        forwarding::off(after, &mut findings);
    }
    new_pod::contradicted(after, wants, &mut findings);
    combined::check(after, wants, &mut findings);
    let wanted = wants.keys().filter_map(Fact::link_name);
    let skipped = planned.wants.left_alone.keys().copied();
    let beside = side_effect::concerned(&planned.plan, host);
    let concerned: BTreeSet<LinkName> = wanted.chain(skipped).chain(beside).collect();
    side_effect::check(&planned.plan, wants, host, &mut findings);
    newly_too_large(host, planned, &mut findings);
    // A plan names each device that it makes too large.
    let none = TooLarge::default();
    links(after, &|name| concerned.contains(&name), &none, &mut findings);
    findings.extend(std::mem::take(&mut planned.plan.findings));
    planned.plan.findings = findings.into_sorted();
    if let Some(document) = document {
        let findings = &mut planned.plan.findings;
        findings.retain(|finding| !document.allowed.contains_key(&finding.code));
    }
}

/// Whether a fact may decide about rp_filter on an interface.
fn decides_rp_filter(fact: &Fact) -> bool {
    match &fact.object {
        Object::Sysctl(key) => key.path().ends_with("/rp_filter"),
        _ => fact.field == Field::RpFilter,
    }
}

/// Whether a fact may decide about the forwarding of IPv4 on an interface.
fn decides_forwarding(fact: &Fact) -> bool {
    match &fact.object {
        Object::Sysctl(key) => {
            let path = key.as_setting();
            path.path().starts_with("net/ipv4/conf/") && path.path().ends_with("/forwarding")
        }
        _ => fact.field == Field::Forwarding,
    }
}

/// Whether a step changes an MTU of the host.
fn changes_mtu(step: &Step) -> bool {
    step.changes.iter().any(|change| change.fact.field == Field::Mtu)
}

/// Adds the MTUs of pods that the plan makes too large for their underlay. Those that were too large before
/// are findings of the host.
fn newly_too_large(host: &Snapshot, planned: &Planned, findings: &mut Findings) {
    let Some(after) = &planned.after else { return };
    if !planned.plan.steps.iter().any(changes_mtu) {
        return;
    }
    let judged = |host: &Snapshot| {
        let mut found = Findings::default();
        encapsulation::check(host, detect(host).as_ref(), None, &mut found);
        found.into_sorted()
    };
    let then = judged(after);
    if then.is_empty() {
        return;
    }
    let before = judged(host);
    findings.extend(then.into_iter().filter(|finding| !before.contains(finding)));
}
