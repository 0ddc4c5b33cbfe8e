//! Routes of pods that netkeel has lowered, when what is wanted of their interfaces is larger again.

use crate::ownership::Ownership;
use netkeel_core::fact::{Fact, Field, Value};
use netkeel_document::want::Want;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::lookup::Lookup;

/// Wants each route as large as it was found, as far as its interface is wanted so. A document names no
/// routes: they go with the pod's end of the veth, down and up.
pub(crate) fn follow(wants: &mut Wants, owner: &str, holdings: &Ownership<'_>, host: &Snapshot) {
    // Without such a want there is nothing to follow, whatever is held.
    if !wants.facts.keys().any(|fact| fact.field == Field::PodMtu) {
        return;
    }
    let claims = holdings.ledger.into_iter().flat_map(|ledger| ledger.of(owner));
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
        // What somebody else has written since is somebody else's.
        let is_ours = claim.wrote.clone().map(Lookup::Value) == Some(host.get(&claim.fact));
        if is_ours && !wants.facts.contains_key(&claim.fact) {
            let want = Want {
                value: Value::Number(mtu.min(*found)),
                ..want.clone()
            };
            wants.facts.insert(claim.fact.clone(), want);
        }
    }
}
