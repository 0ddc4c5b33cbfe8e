//! Ownership of facts, and the release of facts that a document no longer names.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::ledger::place::{Place, Places};
use crate::ledger::{Ledger, OwnershipRecord};
use crate::plan::Drift;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::text::shell::Quoted;
use netkeel_document::want::request::SkippedPod;
use netkeel_document::want::{Origin, Want};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_source::diagnostic::Diagnostics;

/// The ownership records, and how a document may use them.
#[derive(Clone, Copy, Debug)]
pub struct Ownership<'a> {
    /// The records; `None` if they are unknown.
    pub ledger: Option<&'a Ledger>,
    /// Facts that left the document are restored.
    pub prune: bool,
    /// Facts that left the document stay, although the document has `prune: true`.
    pub defers_prune: bool,
    /// The document may take facts of other owners.
    pub force_ownership: bool,
}

impl Ownership<'_> {
    /// No ownership is known.
    pub const NONE: Ownership<'static> = Ownership {
        ledger: None,
        prune: false,
        defers_prune: false,
        force_ownership: false,
    };

    /// Whether facts that left a document are restored; `declared` is the document's `prune`.
    pub(crate) fn prunes(&self, declared: bool) -> bool {
        self.prune || (declared && !self.defers_prune)
    }
}

/// The changes that a release needs.
#[derive(Debug, Default)]
pub(crate) struct Back {
    /// The facts that must change.
    pub drift: Vec<Drift>,
    /// The facts of the drift that netkeel never wrote: the kernel changed them together with another one.
    pub followers: BTreeSet<Fact>,
    /// The facts that are no longer owned.
    pub released: Vec<Fact>,
    /// The facts that another program has written since.
    pub kept: Vec<Kept>,
    /// The facts that cannot be restored, each with the reason. They stay owned.
    pub unrestored: BTreeMap<Fact, String>,
}

/// A fact that stays as another program wrote it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The fact now, and with the value from before netkeel as the desired one.
    pub back: Drift,
    /// The value that netkeel wrote.
    pub wrote: Option<Value>,
}

/// Reports an error, with the owner's name, for each wanted fact of another owner.
pub(crate) fn refuse_foreign(
    wants: &BTreeMap<Fact, Want>,
    owner: &str,
    holdings: &Ownership<'_>,
    diagnostics: &mut Diagnostics,
) {
    let Some(ledger) = holdings.ledger.filter(|_| !holdings.force_ownership) else {
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
            let message = format!("{fact} is owned by {}", claim.owner);
            let all = ledger.of(&claim.owner).count();
            let all = match all {
                1 => "the only fact".to_owned(),
                _ => format!("all {all} facts"),
            };
            diagnostics
                .add(want.origin.span, &*want.origin.path, message)
                .concerns(fact)
                .hint(format!(
                    "remove it from that owner's document and apply that with --prune; `netkeel release --owner {}` gives back {all} of that owner",
                    Quoted(&claim.owner)
                ))
                .hint("--force-ownership makes it this owner's");
        }
    }
}

/// The records of an owner whose facts its document no longer wants.
pub(crate) fn undeclared<'a>(
    wants: &'a BTreeMap<Fact, Want>,
    owner: &'a str,
    holdings: &Ownership<'a>,
) -> impl Iterator<Item = &'a OwnershipRecord> {
    let claims = holdings
        .ledger
        .into_iter()
        .flat_map(move |ledger| ledger.of(owner));
    claims.filter(move |claim| !claim.is_declared_by(|fact| wants.contains_key(fact)))
}

/// Reports facts that are no longer declared, if the plan does not restore them.
pub(crate) fn report<'a>(claims: impl Iterator<Item = &'a OwnershipRecord>, findings: &mut Findings) {
    // Side effects are released with the fact that caused them.
    for claim in claims.filter(|claim| claim.caused_by.is_none()) {
        findings.add(
            Code::NK010,
            &claim.fact,
            "netkeel wrote it, and the document no longer declares it",
            "restore its earlier value with `apply --prune` or `prune: true` in the document; `netkeel release` restores everything",
        );
    }
}

/// Whether another program by now controls the pod's end of the veth in this record. netkeel then neither
/// writes nor restores it.
pub(crate) fn is_kept_elsewhere(claim: &OwnershipRecord, host: &Snapshot) -> bool {
    let of_pod = matches!(claim.fact.field, Field::PodMtu | Field::PodRouteMtu(_));
    let link = claim.fact.link_name().filter(|_| of_pod);
    let pod = link.and_then(|name| host.links.get(&name)?.pod.as_ref());
    pod.is_some_and(|pod| {
        let unwritable = match claim.fact.field {
            Field::PodRouteMtu(key) => pod.routes.get(&key).and_then(|route| route.unwritable),
            _ => None,
        };
        unwritable.is_some() || pod.left_alone().is_some()
    })
}

/// Whether netkeel itself broke this veth. netkeel set the host's end to an MTU that the pod's end does not
/// fit, and the earlier MTU did fit. That happens if the pod was scanned only after the write, or if another
/// program controls the pod's end since.
pub(crate) fn does_harm(
    claim: &OwnershipRecord,
    host: &Snapshot,
    left_alone: &BTreeMap<LinkName, SkippedPod>,
) -> bool {
    let withheld = |name| left_alone.get(&name).is_some_and(|left| left.withheld.is_some());
    let (Field::Mtu, Some(name)) = (claim.fact.field, claim.fact.link_name()) else {
        return false;
    };
    let Some(link) = host.links.get(&name) else {
        return false;
    };
    let Some(pod) = &link.pod else {
        // netkeel wrote this end alone, before it found that it cannot reach the other one.
        return link.peer_netns.is_some() && withheld(name);
    };
    matches!(claim.found, Some(Value::Number(found)) if withheld(name) && pod.goes_with(found))
}

/// The changes that release these records. A value that another program has written since is not changed.
pub(crate) fn give_back<'a>(
    claims: impl Iterator<Item = &'a OwnershipRecord>,
    host: &Snapshot,
    findings: &mut Findings,
) -> Back {
    let mut back = Back::default();
    let claims = located(claims, host, &mut back, findings);
    let claims: Vec<&OwnershipRecord> = claims.iter().map(AsRef::as_ref).collect();
    let goes =
        |claim: &&OwnershipRecord| claim.fact.field == Field::Kind && !can_be_made(claim.found.as_ref());
    let made: BTreeSet<LinkName> = claims
        .iter()
        .copied()
        .filter(goes)
        .filter_map(|claim| claim.fact.link_name())
        .collect();
    let nowhere = Arc::<Origin>::default();
    for claim in claims {
        let with_its_device = claim.fact.field != Field::Kind
            && claim.fact.link_name().is_some_and(|name| made.contains(&name));
        if with_its_device {
            continue;
        }
        let observed = host.get(&claim.fact).value();
        let gone = claim
            .fact
            .link_name()
            .is_some_and(|name| !host.links.contains_key(&name));
        if gone || observed == claim.found || (observed == claim.wrote && cannot_come_back(claim)) {
            continue;
        }
        let is_side_effect = claim.caused_by.is_some() && !claim.follows_forwarding();
        if observed != claim.wrote && is_side_effect {
            continue;
        }
        if observed != claim.wrote {
            back.kept.push(Kept {
                back: Drift {
                    fact: claim.fact.clone(),
                    observed,
                    desired: claim.found.clone(),
                    origin: nowhere.clone(),
                    cause: None,
                },
                wrote: claim.wrote.clone(),
            });
            continue;
        }
        // A device that a tunnel replaced cannot be created again, so the release only deletes the tunnel.
        let desired = claim.found.clone().filter(|_| !goes(&claim));
        if claim.caused_by.is_some() {
            back.followers.insert(claim.fact.clone());
        }
        back.drift.push(Drift {
            fact: claim.fact.clone(),
            observed,
            desired,
            origin: nowhere.clone(),
            cause: None,
        });
    }
    back
}

/// The records that can be given back, by the names that their interfaces have now. Those of interfaces that are gone are
/// only released; one whose interface or value is not known stays, with a finding.
pub(crate) fn located<'a>(
    claims: impl Iterator<Item = &'a OwnershipRecord>,
    host: &Snapshot,
    back: &mut Back,
    findings: &mut Findings,
) -> Vec<Cow<'a, OwnershipRecord>> {
    let places = Places::new(host);
    let (mut here, mut renamed) = (Vec::new(), Vec::new());
    for claim in claims {
        match places.of(claim) {
            Place::Here if host.get(&claim.fact) == Lookup::Unread => {
                back.stays(claim, None, "its value was not read", host, findings);
            }
            Place::Here => here.push(Cow::Borrowed(claim)),
            Place::Renamed(now) => renamed.push((claim, now)),
            Place::Gone => back.released.push(claim.fact.clone()),
            Place::Unknown => {
                let why = "its record does not say which interface it was";
                back.stays(claim, None, why, host, findings);
            }
        }
    }
    let known: BTreeSet<Fact> = here.iter().map(|claim| claim.fact.clone()).collect();
    back.released.extend(known.iter().cloned());
    for (claim, now) in renamed {
        if host.get(&now) == Lookup::Unread {
            let why = "its interface was renamed, and its value by the new name was not read";
            back.stays(claim, Some(&now), why, host, findings);
            continue;
        }
        back.released.push(claim.fact.clone());
        // A record by the new name says what that one says.
        if !known.contains(&now) {
            back.released.push(now.clone());
            here.push(Cow::Owned(OwnershipRecord {
                fact: now,
                ..claim.clone()
            }));
        }
    }
    here
}

impl Back {
    /// Reports a fact that stays as it is.
    fn stays(
        &mut self,
        claim: &OwnershipRecord,
        now: Option<&Fact>,
        why: &str,
        host: &Snapshot,
        findings: &mut Findings,
    ) {
        let fact = &claim.fact;
        let value = match host.get(now.unwrap_or(fact)) {
            Lookup::Value(value) => fact.summary(Some(&value)),
            Lookup::Absent => "absent".to_owned(),
            Lookup::Unread => "unknown".to_owned(),
        };
        let by = now.map(|now| format!(" as {now}")).unwrap_or_default();
        let message = format!(
            "netkeel does not restore it and keeps its record: {why}; it is {value} now{by}, and was {} before",
            fact.summary(claim.found.as_ref())
        );
        let remedy = "give the interface its earlier name, or restore it by hand";
        findings.add(Code::NK011, fact, message.as_str(), remedy);
        self.unrestored.insert(fact.clone(), message);
    }
}

/// netkeel cannot restore the earlier file: it was not a private copy of its source.
pub(crate) fn cannot_come_back(claim: &OwnershipRecord) -> bool {
    matches!(&claim.found, Some(Value::Copy(state)) if !state.can_be_made())
}

/// Whether netkeel creates devices of this kind.
pub(crate) fn can_be_made(kind: Option<&Value>) -> bool {
    matches!(kind, Some(Value::Device(kind)) if kind.tunnel_mode().is_some())
}
