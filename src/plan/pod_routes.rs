//! Raises the routes of pods that netkeel has lowered, when a larger MTU is wanted for their interfaces.

use crate::ownership::{Ownership, is_kept_elsewhere};
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_document::want::Want;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;

/// Wants for each lowered route the MTU that was found, limited by the MTU wanted for its interface. A
/// document does not name routes: they follow the MTU of the pod's end.
pub(crate) fn follow(wants: &mut Wants, owner: &str, ownership: &Ownership<'_>, host: &Snapshot) {
    // Routes follow the pod's end, so without a want for it there is nothing to do.
    if !wants.facts.keys().any(|fact| fact.field == Field::PodMtu) {
        return;
    }
    let claims = ownership.ledger.into_iter().flat_map(|ledger| ledger.of(owner));
    let of_routes = claims.filter(|claim| matches!(claim.fact.field, Field::PodRouteMtu(_)));
    for claim in of_routes {
        let pod = Fact {
            field: Field::PodMtu,
            ..claim.fact.clone()
        };
        let (Some(want), Some(Value::Number(found))) = (wants.facts.get(&pod), &claim.found) else {
            continue;
        };
        let Value::Number(mtu) = want.value else { continue };
        // If another program has written the route since, netkeel does not change it.
        let is_ours = claim.wrote.clone().map(Lookup::Value) == Some(host.get(&claim.fact));
        if is_ours && !is_kept_elsewhere(claim, host) && !wants.facts.contains_key(&claim.fact) {
            let want = Want {
                value: Value::Number(mtu.min(*found)),
                ..want.clone()
            };
            wants.facts.insert(claim.fact.clone(), want);
        }
    }
}
