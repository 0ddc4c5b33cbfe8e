//! Which side of a difference changed since netkeel wrote the fact: the document or the host.

use crate::ledger::Ledger;
use netkeel_core::fact::{Fact, Value};

/// The reason why a fact that netkeel wrote before differs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The side that changed.
    pub changed: Side,
    /// When netkeel wrote the fact last: Unix seconds. `None` if the ledger does not hold the time.
    pub written: Option<u64>,
}

/// The side of a difference that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The host has the value that netkeel wrote last; the document wants another one.
    Document,
    /// The document wants the value that netkeel wrote last; another program changed it on the host.
    Host,
    /// The document wants another value, and another program changed the host too.
    Both,
}

impl Side {
    /// Compares both sides with the value that netkeel wrote last.
    fn of(observed: Option<&Value>, desired: Option<&Value>, wrote: Option<&Value>) -> Self {
        match (observed == wrote, desired == wrote) {
            (true, _) => Side::Document,
            (false, true) => Side::Host,
            (false, false) => Side::Both,
        }
    }
}

impl Cause {
    /// The side of a difference that changed; `None` if the ledger does not hold the fact, whose value before is
    /// then unknown.
    pub(crate) fn of(
        fact: &Fact,
        observed: Option<&Value>,
        desired: Option<&Value>,
        ledger: &Ledger,
    ) -> Option<Self> {
        let record = ledger.get(fact)?;
        Some(Cause {
            changed: Side::of(observed, desired, record.wrote.as_ref()),
            written: ledger.written_at(fact),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_written_last_tells_which_side_changed() {
        let side = |observed, desired, wrote| {
            Side::of(
                Some(&Value::Number(observed)),
                Some(&Value::Number(desired)),
                Some(&Value::Number(wrote)),
            )
        };
        assert_eq!(side(1460, 1400, 1460), Side::Document);
        assert_eq!(side(1500, 1460, 1460), Side::Host);
        assert_eq!(side(1500, 1400, 1460), Side::Both);
        let one = Value::Number(1);
        assert_eq!(Side::of(None, Some(&one), Some(&one)), Side::Host);
    }
}
