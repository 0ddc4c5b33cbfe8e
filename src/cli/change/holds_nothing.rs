//! The error for an owner that holds nothing.

use std::collections::BTreeSet;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::escape::printable;
use netkeel_core::text::suggest::nearest;
use netkeel_plan::ledger::Ledger;

/// Names the owners that hold something: the name may be misspelt.
pub(crate) fn holds_nothing(owner: &str, ledger: &Ledger) -> Error {
    let owners: BTreeSet<&str> = ledger.claims().map(|claim| claim.owner.as_str()).collect();
    let message = format!("the owner `{}` holds nothing", printable(owner));
    let error = Error::new(ErrorKind::Missing, message);
    if owners.is_empty() {
        return error.hint("no owner holds anything");
    }
    let near = nearest(owner, owners.iter().copied());
    let error = match near {
        Some(near) => error.hint(format!("did you mean `{}`?", printable(near))),
        None => error,
    };
    let names: Vec<_> = owners.into_iter().map(printable).collect();
    error.hint(format!("these owners hold something: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::fact::{Fact, Field};
    use netkeel_core::name::netns::Netns;
    use netkeel_plan::ledger::OwnershipRecord;

    #[test]
    fn the_owners_that_hold_something_are_named() {
        assert_eq!(
            holds_nothing("a", &Ledger::default()).hints,
            ["no owner holds anything"]
        );
        let claim = |owner: &str, link: &str| OwnershipRecord {
            device: None,
            fact: Fact::link(&Netns::CURRENT, link.parse().unwrap(), Field::Mtu),
            owner: owner.into(),
            found: None,
            wrote: None,
            caused_by: None,
        };
        let ledger: Ledger = [claim("net-team", "eth0"), claim("default", "eth1")]
            .into_iter()
            .collect();
        assert_eq!(
            holds_nothing("net-tem", &ledger).hints,
            [
                "did you mean `net-team`?",
                "these owners hold something: default, net-team"
            ]
        );
    }
}
