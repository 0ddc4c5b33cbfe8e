//! Findings on a plan: its side effects, and misconfigurations that it would leave.

use std::collections::BTreeSet;

use crate::lint::host::links;
use crate::lint::{replication, routers, rp_effect, sysctl_d};
use netkeel_core::fact::Fact;
use netkeel_core::finding::Findings;
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::sysctl_d::drop_in;
use netkeel_plan::goal::Goal;
use netkeel_plan::goal::planned::Planned;
use netkeel_plan::plan::Plan;
use netkeel_source::diagnostic::Diagnostics;

/// Plans a document on a host without a ledger, and adds the findings on the plan.
///
/// # Errors
/// As [`Goal::plan`].
pub fn plan(document: &Document, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
    let mut planned = Goal::plan(document, host)?;
    add(Some(document), &mut planned, host);
    Ok(planned.plan)
}

/// Adds the findings on a plan. `host` is the snapshot that the plan was made from. `document` is `None`
/// for a release.
pub fn add(document: Option<&Document>, planned: &mut Planned, host: &Snapshot) {
    let wants = &planned.wants.facts;
    let mut findings = Findings::default();
    if let Some(document) = document {
        let own = document.drop_in.as_deref();
        let own = own.map(|text| (drop_in::path(&document.owner), text));
        let own = own.as_ref().map(|(path, text)| (path.as_path(), *text));
        sysctl_d::document(own, wants, host, &mut findings);
        replication::document(document.replicate.as_ref(), host, &mut findings);
        replication::entries(document.replicate.as_ref(), &document.nflog, &mut findings);
    }
    for step in &planned.plan.steps {
        rp_effect::side_effects(step, wants, &mut findings);
        routers::lost(step, &mut findings);
    }
    if let Some(after) = &planned.after {
        rp_effect::judge_now(host, after, wants, &mut findings);
        rp_effect::felix(host, after, &mut findings);
    }
    let after = planned.after.as_ref().unwrap_or(host);
    rp_effect::judge(after, wants, &mut findings);
    let wanted = wants.keys().filter_map(Fact::link_name);
    let skipped = planned.wants.left_alone.keys().copied();
    let concerned: BTreeSet<LinkName> = wanted.chain(skipped).collect();
    links(after, &|name| concerned.contains(&name), &mut findings);
    findings.extend(std::mem::take(&mut planned.plan.findings));
    planned.plan.findings = findings.into_sorted();
    if let Some(document) = document {
        let findings = &mut planned.plan.findings;
        findings.retain(|finding| !document.allowed.contains_key(&finding.code));
    }
}
