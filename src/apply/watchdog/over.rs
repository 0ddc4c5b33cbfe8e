//! Whether an apply is over, by what its watchdog can see of it while it goes on.

/// An apply as its watchdog sees it. Each call looks at another moment.
pub(crate) trait Seen {
    /// Whether its process has ended.
    fn has_died(&self) -> bool;

    /// The length of the copy of its live journal, bytes; `None` if that cannot be read.
    fn length(&self) -> Option<u64>;

    /// Whether it may have written anything: what cannot be read may say so.
    fn may_have_written(&self) -> bool;

    /// Whether its journal was emptied, or is a later apply's.
    fn is_settled(&self) -> bool;
}

/// Whether the apply was confirmed or undone, or has ended without a write. `begun` keeps between the calls whether its
/// first line was seen.
pub(crate) fn is_over(apply: &impl Seen, begun: &mut bool) -> bool {
    // Before the look at its journals: one that writes and is killed between the two would look like one that was
    // killed before it wrote.
    let died = apply.has_died();
    match apply.length() {
        Some(0) => return *begun || died,
        Some(_) => *begun = true,
        None => {}
    }
    if !apply.may_have_written() {
        return died;
    }
    apply.is_settled()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The states of an apply, one after the other: `(died, length, written, settled)`.
    type State = (bool, u64, bool, bool);

    /// An apply that goes on by one state before each look from the look number `from`.
    struct Going<'a> {
        states: &'a [State],
        from: usize,
        looks: Cell<usize>,
    }

    impl Going<'_> {
        fn state(&self) -> State {
            let look = self.looks.get();
            self.looks.set(look + 1);
            let at = (look + 1).saturating_sub(self.from);
            self.states[at.min(self.states.len() - 1)]
        }
    }

    impl Seen for Going<'_> {
        fn has_died(&self) -> bool {
            self.state().0
        }
        fn length(&self) -> Option<u64> {
            Some(self.state().1)
        }
        fn may_have_written(&self) -> bool {
            self.state().2
        }
        fn is_settled(&self) -> bool {
            self.state().3
        }
    }

    fn over(states: &[State], from: usize, begun: bool) -> bool {
        let looks = Cell::new(0);
        let mut begun = begun;
        is_over(&Going { states, from, looks }, &mut begun)
    }

    const NEW: State = (false, 0, false, false);
    const LISTED: State = (false, 9, false, false);
    const WRITING: State = (false, 9, true, false);
    const KILLED: State = (true, 9, true, false);

    /// The apply does one or several things between two looks.
    #[test]
    fn an_apply_that_writes_and_is_killed_between_two_looks_is_not_over() {
        let ways: [&[State]; 7] = [
            &[NEW, KILLED],
            &[NEW, LISTED, KILLED],
            &[NEW, LISTED, WRITING, KILLED],
            &[LISTED, KILLED],
            &[LISTED, WRITING, KILLED],
            &[WRITING, KILLED],
            &[KILLED],
        ];
        for states in ways {
            for from in 1..6 {
                assert!(
                    !over(states, from, states[0].1 > 0),
                    "{states:?} from look {from}"
                );
            }
        }
    }

    #[test]
    fn an_apply_is_over_that_ended_without_a_write_or_was_settled() {
        let died_before = [(true, 0, false, false), (true, 9, false, false)];
        let settled = [(false, 9, true, true), (true, 9, true, true)];
        for state in died_before.into_iter().chain(settled) {
            assert!(over(&[state], 9, false), "{state:?}");
        }
        // It was undone by itself, and said so.
        assert!(over(&[(false, 0, false, false)], 9, true));
        assert!(!over(&[NEW], 9, false) && !over(&[LISTED], 9, true));
    }
}
