//! Keeps the default routes that routers announced (IPv6 router advertisements) where a document switches IPv6
//! forwarding on: the kernel removes them from each interface whose `accept_ra` is not 2
//! (`rt6_purge_dflt_routers`, net/ipv6/route.c), and a host that loses its default route is cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::goal::planned::Planned;
use crate::ledger::OwnershipRecord;
use crate::loss::Loss;
use crate::ownership::Ownership;
use crate::plan::Plan;
use netkeel_core::fact::{Fact, Object, Value};
use netkeel_core::finding::Code;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_document::document::Document;
use netkeel_document::want::wants::Wants;
use netkeel_document::want::{Origin, Want};
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;
use netkeel_host::sysctl_d::drop_in;
use netkeel_source::diagnostic::Diagnostics;

/// The value with which an interface hears routers although it forwards.
const ALWAYS: &str = "2";

/// The interfaces of which a plan removes announced default routes, each with the switch that does.
pub(crate) type Lost = BTreeMap<LinkName, Fact>;

/// The facts that are wanted only because forwarding is, each with its switch.
pub(crate) type Kept = BTreeMap<Fact, Fact>;

/// Plans, and plans again with what keeps the announced default routes that the first plan would remove. Which
/// writes remove some shows only in a plan: a write can switch forwarding off where another switches it on again.
///
/// # Errors
/// Those of the first plan.
pub(crate) fn keeping(
    host: &Snapshot,
    plan: impl Fn(&Lost) -> Result<Planned, Box<Diagnostics>>,
) -> Result<Planned, Box<Diagnostics>> {
    let planned = plan(&Lost::new())?;
    let lost = lost(&planned, host);
    if lost.is_empty() {
        return Ok(planned);
    }
    // Where `accept_ra` cannot be written, the loss is one.
    Ok(plan(&lost).unwrap_or(planned))
}

/// The interfaces that hear routers, and of which a plan removes default routes by what its document declares.
fn lost(planned: &Planned, host: &Snapshot) -> Lost {
    let hears = |name: &LinkName| {
        let announced = host.announced_routes.as_ref();
        announced.and_then(|announced| *announced.get(name)?) == Some(1)
    };
    let mut lost = Lost::new();
    for step in &planned.plan.steps {
        let declared = step.fact.removes_announced_routes() && planned.wants.facts.contains_key(&step.fact);
        for loss in step.undo.loses.iter().filter(|_| declared) {
            if let Loss::AnnouncedRoutes { link } = loss
                && hears(link)
            {
                lost.entry(*link).or_insert_with(|| step.fact.clone());
            }
        }
    }
    lost
}

/// Wants `accept_ra: 2` of each interface in `lost`, and of those where netkeel set it for that before. Of an
/// interface without an announced route it is not wanted: there, 2 would let anybody on the link, a pod too, become
/// the default router. Facts in `except` are suspended and not written.
pub(crate) fn keep(
    document: &Document,
    wants: &mut Wants,
    ownership: &Ownership<'_>,
    except: &BTreeSet<Fact>,
    lost: &Lost,
    host: &Snapshot,
) -> Kept {
    let is_on = |(fact, want): &(&Fact, &Want)| {
        fact.removes_announced_routes() && **want.value.to_text().reveal() != *"0"
    };
    let Some((switch, _)) = wants.facts.iter().find(is_on) else {
        return Kept::new();
    };
    let switch = switch.clone();
    let held = held(document, ownership, host).into_iter();
    let mut names: BTreeMap<LinkName, Option<&Fact>> = held.map(|name| (name, None)).collect();
    names.extend(lost.iter().map(|(name, switch)| (*name, Some(switch))));
    let (mut kept, mut more) = (Kept::new(), Vec::new());
    for (name, loses) in names {
        let key = SysctlKey::conf("ipv6", name, "accept_ra");
        let fact = Fact::sysctl(&host.netns, &key);
        // The value that this document or another owner declares counts.
        if wants.facts.contains_key(&fact) || is_anothers(&fact, document, ownership) {
            continue;
        }
        let observed = host.get(&fact);
        if matches!(&observed, Lookup::Value(value) if **value.to_text().reveal() == *"0") {
            wants.findings.add(
                Code::NK029,
                name,
                format!(
                    "{key} is 0 by now, so it hears no routers; netkeel had set it to {ALWAYS} and leaves it"
                ),
                format!("declare {key}, to have one value"),
            );
            wants.withheld.insert(fact);
            continue;
        }
        more.push((key.clone(), ALWAYS.to_owned()));
        let is_away = observed == Lookup::Absent && !host.links.contains_key(&name);
        if !is_away && !matches!(observed, Lookup::Value(_)) {
            wants.withheld.insert(fact);
            continue;
        }
        if loses.is_some() && !except.contains(&fact) {
            wants.findings.add(
                Code::NK029,
                name,
                format!(
                    "IPv6 forwarding would remove its default routes that routers announced, so {key} becomes {ALWAYS} first"
                ),
                format!("declare {key}: {ALWAYS}, to have that in the document"),
            );
        }
        let switch = loses.unwrap_or(&switch);
        let Some(by) = wants.facts.get(switch) else {
            continue;
        };
        let want = Want {
            value: Value::Text(ALWAYS.into()),
            origin: origin(by),
        };
        wants.facts.insert(fact.clone(), want);
        kept.insert(fact, switch.clone());
    }
    // At boot forwarding comes before the first announcement.
    let file = Fact::file(&drop_in::path(&document.owner));
    if !more.is_empty()
        && let (Some(want), Some(text)) = (wants.facts.get_mut(&file), document.drop_in_with(host, &more))
    {
        want.value = Value::Text(text.as_str().into());
    }
    kept
}

/// Has the plan record with what it writes which of that only follows forwarding.
pub(crate) fn own(plan: &mut Plan, kept: &Kept) {
    for drift in &plan.drift {
        if let Some(switch) = kept.get(&drift.fact) {
            plan.beside.push(OwnershipRecord {
                device: plan.device(&drift.fact),
                fact: drift.fact.clone(),
                owner: plan.owner.clone(),
                found: drift.observed.clone(),
                wrote: drift.desired.clone(),
                caused_by: Some(Box::new(switch.clone())),
            });
        }
    }
}

/// Whether another owner declared a fact.
fn is_anothers(fact: &Fact, document: &Document, ownership: &Ownership<'_>) -> bool {
    let ledger = ownership.ledger.filter(|_| !ownership.force_ownership);
    let claim = ledger.and_then(|ledger| ledger.get(fact));
    claim.is_some_and(|claim| claim.owner != document.owner && claim.caused_by.is_none())
}

/// The interfaces whose `accept_ra` netkeel set before for forwarding, by the records of the owner and by its
/// drop-in, which has them also before the records of a first apply are written.
fn held(document: &Document, ownership: &Ownership<'_>, host: &Snapshot) -> BTreeSet<LinkName> {
    let claims = ownership
        .ledger
        .into_iter()
        .flat_map(|ledger| ledger.of(&document.owner));
    let mut held: BTreeSet<LinkName> = claims
        .filter(|claim| claim.follows_forwarding())
        .filter_map(|claim| accept_ra(&claim.fact))
        .collect();
    let file = host
        .files
        .get(&drop_in::path(&document.owner))
        .and_then(Option::as_ref);
    let settings = file.iter().flat_map(|file| drop_in::following(&file.content));
    held.extend(settings.filter_map(|(key, _)| key.accept_ra_of()));
    held
}

/// The reason, at the line that switches forwarding on.
fn origin(want: &Want) -> Arc<Origin> {
    let why = "keeps the default routes that routers announced, which IPv6 forwarding would remove";
    Arc::new(Origin {
        named: false,
        derivation: Some(why.into()),
        ..(*want.origin).clone()
    })
}

/// The interface of an `accept_ra`.
pub(crate) fn accept_ra(fact: &Fact) -> Option<LinkName> {
    match &fact.object {
        Object::Sysctl(key) => key.accept_ra_of(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
