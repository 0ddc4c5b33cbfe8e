//! Findings on a plan: what it changes that nobody named, and what it would leave wrong.

use std::collections::BTreeSet;

use super::{effects, links, replication, sysctl_d};
use crate::document::Document;
use crate::error::Diagnostics;
use crate::fact::Fact;
use crate::finding::Findings;
use crate::link_name::LinkName;
use crate::persist;
use crate::plan::{Goal, Plan, Planned};
use crate::snapshot::Snapshot;

/// Plans for a document on a host of which nothing else is known, with the findings on the plan.
///
/// # Errors
/// As [`Goal::plan`].
pub fn plan(document: &Document, host: &Snapshot) -> Result<Plan, Box<Diagnostics>> {
    let mut planned = Goal::plan(document, host)?;
    add(Some(document), &mut planned, host);
    Ok(planned.plan)
}

/// Adds the findings on a plan to those that it has. `host` is the snapshot that it was made for; a release
/// has no document.
pub fn add(document: Option<&Document>, planned: &mut Planned, host: &Snapshot) {
    let wants = &planned.wants.facts;
    let mut findings = Findings::default();
    if let Some(document) = document {
        let own = document.drop_in.as_deref();
        let own = own.map(|text| (persist::path(&document.owner), text));
        let own = own.as_ref().map(|(path, text)| (path.as_path(), *text));
        sysctl_d::document(own, wants, host, &mut findings);
        replication::document(document.replicate.as_ref(), host, &mut findings);
        replication::entries(document.replicate.as_ref(), &document.nflog, &mut findings);
    }
    for step in &planned.plan.steps {
        effects::told(step, wants, &mut findings);
    }
    if let Some(after) = &planned.after {
        effects::judge_now(host, after, wants, &mut findings);
        effects::felix(host, after, &mut findings);
    }
    let after = planned.after.as_ref().unwrap_or(host);
    effects::judge(after, wants, &mut findings);
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
