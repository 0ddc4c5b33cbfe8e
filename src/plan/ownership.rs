//! What netkeel holds on a host, and what becomes of it when a document no longer names it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ledger::{Ledger, OwnershipRecord};
use crate::plan::Drift;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_document::want::request::SkippedPod;
use netkeel_document::want::{Origin, Want};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_source::diagnostic::Diagnostics;

/// What is held, and what a document may do about it.
#[derive(Clone, Copy, Debug)]
pub struct Ownership<'a> {
    /// Who holds what; none when nobody knows.
    pub ledger: Option<&'a Ledger>,
    /// What left the document is put back.
    pub prune: bool,
    /// Facts of other owners may be taken.
    pub take_over: bool,
}

impl Ownership<'_> {
    /// Nothing is known.
    pub const NONE: Ownership<'static> = Ownership {
        ledger: None,
        prune: false,
        take_over: false,
    };
}

/// What giving back takes.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// The facts that must change for it.
    pub drift: Vec<Drift>,
    /// The facts that are held no longer.
    pub released: Vec<Fact>,
}

/// A fact that another owner holds is an error that names the owner.
pub(crate) fn refuse_foreign(
    wants: &BTreeMap<Fact, Want>,
    owner: &str,
    holdings: &Ownership<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(ledger) = holdings.ledger.filter(|_| !holdings.take_over) else {
        return;
    };
    let mut told = BTreeMap::new();
    for (fact, want) in wants {
        let Some(claim) = ledger
            .get(fact)
            .filter(|claim| claim.owner != owner && claim.caused_by.is_none())
        else {
            continue;
        };
        let place = *told
            .entry((want.origin.span, claim.owner.as_str()))
            .or_insert(diagnostics.list.len());
        if let Some(told) = diagnostics.list.get_mut(place) {
            told.concerns(fact);
        } else {
            let message = format!("{fact} is held by the owner {}", claim.owner);
            diagnostics
                .add(want.origin.span, &*want.origin.path, message)
                .concerns(fact)
                .hint(format!(
                    "take it out of that owner's document, or let it go: netkeel release --owner {}",
                    claim.owner
                ))
                .hint("--take-over makes it this owner's");
        }
    }
}

/// The claims of an owner that its document no longer wants.
pub(crate) fn undeclared<'a>(
    wants: &'a BTreeMap<Fact, Want>,
    owner: &'a str,
    holdings: &Ownership<'a>,
) -> impl Iterator<Item = &'a OwnershipRecord> {
    let claims = holdings
        .ledger
        .into_iter()
        .flat_map(move |ledger| ledger.of(owner));
    claims.filter(move |claim| {
        let with = claim.caused_by.as_deref();
        !wants.contains_key(&claim.fact) && with.is_none_or(|with| !wants.contains_key(with))
    })
}

/// Reports what is no longer declared, where it is not put back.
pub(crate) fn report<'a>(claims: impl Iterator<Item = &'a OwnershipRecord>, findings: &mut Findings) {
    // What the kernel changed with a fact goes with it.
    for claim in claims.filter(|claim| claim.caused_by.is_none()) {
        findings.add(
            Code::NK010,
            &claim.fact,
            "netkeel wrote it and the document no longer declares it",
            "apply --prune, or `prune: true` in the document, puts back what was there before; netkeel release gives up everything",
        );
    }
}

/// Whether a claim is on the end of a veth in a pod that somebody else keeps by now, and so is not
/// written, neither to have it as wanted nor to give it back.
pub(crate) fn is_kept_elsewhere(claim: &OwnershipRecord, host: &Snapshot) -> bool {
    let of_pod = matches!(claim.fact.field, Field::PodMtu | Field::PodRouteMtu(_));
    let link = claim.fact.link_name().filter(|_| of_pod);
    let pod = link.and_then(|name| host.links.get(&name)?.pod.as_ref());
    pod.is_some_and(|pod| pod.left_alone().is_some())
}

/// Whether netkeel itself has set this end of a veth to what the pod at the other end does not go with,
/// and it went with what was there before: so it is where the pod was looked at after that was written,
/// or somebody keeps it since.
pub(crate) fn does_harm(
    claim: &OwnershipRecord,
    host: &Snapshot,
    left_alone: &BTreeMap<LinkName, SkippedPod>,
) -> bool {
    let withheld = |name| left_alone.get(&name).is_some_and(|left| left.withheld.is_some());
    let (Field::Mtu, Some(name)) = (claim.fact.field, claim.fact.link_name()) else {
        return false;
    };
    let Some(pod) = host.links.get(&name).and_then(|link| link.pod.as_ref()) else {
        return false;
    };
    matches!(claim.found, Some(Value::Number(found)) if withheld(name) && pod.goes_with(found))
}

/// What must change so that claims hold nothing any more. A value that is not what netkeel wrote
/// is somebody else's by now, and stays.
pub(crate) fn give_back<'a>(
    claims: impl Iterator<Item = &'a OwnershipRecord>,
    host: &Snapshot,
    findings: &mut Findings,
) -> Back {
    let claims: Vec<&OwnershipRecord> = claims.collect();
    let goes =
        |claim: &&OwnershipRecord| claim.fact.field == Field::Kind && !can_be_made(claim.found.as_ref());
    let made: BTreeSet<LinkName> = claims
        .iter()
        .copied()
        .filter(goes)
        .filter_map(|claim| claim.fact.link_name())
        .collect();
    let mut back = Back::default();
    let nowhere = Arc::<Origin>::default();
    for claim in claims {
        back.released.push(claim.fact.clone());
        let with_its_device = claim.fact.field != Field::Kind
            && claim.fact.link_name().is_some_and(|name| made.contains(&name));
        if with_its_device {
            continue;
        }
        let observed = match host.get(&claim.fact) {
            Lookup::Value(value) => Some(value),
            Lookup::Absent | Lookup::Unread => None,
        };
        let gone = claim
            .fact
            .link_name()
            .is_some_and(|name| !host.links.contains_key(&name));
        if gone || observed == claim.found || (observed == claim.wrote && cannot_come_back(claim)) {
            continue;
        }
        if observed != claim.wrote && claim.caused_by.is_some() {
            continue;
        }
        if observed != claim.wrote {
            let message = "it is neither what netkeel wrote nor what was there before: it stays as it is";
            findings.add(
                Code::NK011,
                &claim.fact,
                message,
                "somebody else has written it since; mend it by hand if need be",
            );
            continue;
        }
        // The device that a tunnel took the place of cannot be made again: the tunnel goes.
        let desired = claim.found.clone().filter(|_| !goes(&claim));
        back.drift.push(Drift {
            fact: claim.fact.clone(),
            observed,
            desired,
            origin: nowhere.clone(),
        });
    }
    back
}

/// What stood there was no copy that its source and an MTU would make again.
fn cannot_come_back(claim: &OwnershipRecord) -> bool {
    matches!(&claim.found, Some(Value::Copy(state)) if !state.can_be_made())
}

/// A device of this kind is one that netkeel makes.
fn can_be_made(kind: Option<&Value>) -> bool {
    matches!(kind, Some(Value::Device(kind)) if kind.tunnel_mode().is_some())
}
