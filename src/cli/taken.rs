//! The facts that `--force-ownership` takes from other owners.

use std::collections::BTreeMap;

use netkeel_core::text::escape::printable;
use netkeel_plan::ledger::Ledger;
use netkeel_plan::plan::Plan;
use netkeel_render::wording::count;

/// How many facts of an owner are listed.
const SHOWN: usize = 5;

/// A note for each owner that holds facts which a plan writes; empty without one.
pub(crate) fn note(plan: &Plan, ledger: &Ledger) -> String {
    let mut taken: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for drift in plan.drift.iter().filter(|drift| !drift.origin.path.is_empty()) {
        let claim = ledger.get(&drift.fact);
        if let Some(claim) = claim.filter(|claim| claim.owner != plan.owner && claim.caused_by.is_none()) {
            let wrote = drift.fact.summary(claim.wrote.as_ref());
            let fact = format!("{} (wrote {wrote})", drift.fact);
            taken.entry(&claim.owner).or_default().push(fact);
        }
    }
    let mut out = String::new();
    for (owner, facts) in taken {
        let shown: Vec<&str> = facts.iter().take(SHOWN).map(String::as_str).collect();
        let more = match facts.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        out.push_str(&format!(
            "taken from the owner {}: {}: {}{more}; the next apply of its document is refused while that declares them\n",
            printable(owner),
            count(facts.len(), "fact"),
            shown.join(", ")
        ));
    }
    out
}
