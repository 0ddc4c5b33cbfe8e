//! The pace of a rollout: how many nodes may change at one time.

use crate::shape::wrong;
use netkeel_core::error::Error;

/// The number of nodes that may be changing, or may have failed to, at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// A number of nodes, at least 1.
    Nodes(u32),
    /// A share of the nodes with a living agent, 1 to 100 %.
    Percent(u8),
}

impl Default for MaxUnavailable {
    /// A share, so that dead nodes do not hold up the rest.
    fn default() -> Self {
        MaxUnavailable::Percent(30)
    }
}

impl MaxUnavailable {
    /// Reads a number of nodes or a share (`30%`).
    pub(crate) fn read(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(share) => {
                let share: u8 = plain(share)?.parse().ok()?;
                (1..=100)
                    .contains(&share)
                    .then_some(MaxUnavailable::Percent(share))
            }
            None => {
                let number: u32 = plain(text)?.parse().ok()?;
                (number > 0).then_some(MaxUnavailable::Nodes(number))
            }
        }
    }

    /// The number of nodes for so many with a living agent: a share is rounded down, and at least 1.
    pub fn allowed(self, living: usize) -> u32 {
        match self {
            MaxUnavailable::Nodes(number) => number,
            MaxUnavailable::Percent(share) => {
                let living = u64::try_from(living).unwrap_or(u64::MAX);
                let number = living.saturating_mul(u64::from(share)) / 100;
                u32::try_from(number).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

/// Digits without a leading zero or a sign.
fn plain(text: &str) -> Option<&str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && !text.starts_with('0')).then_some(text)
}

/// Checks a share.
pub(crate) fn share(text: &str) -> Result<(), Error> {
    match MaxUnavailable::read(text) {
        Some(MaxUnavailable::Percent(_)) => Ok(()),
        _ => Err(wrong(text, "a share of the nodes").hint("1% to 100%, or a number of nodes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_nodes_is_rounded_down_and_at_least_one() {
        for (text, living, allowed) in [
            ("2", 1000, 2),
            ("30%", 0, 1),
            ("30%", 3, 1),
            ("30%", 7, 2),
            ("30%", 5000, 1500),
            ("100%", 20, 20),
        ] {
            let max = MaxUnavailable::read(text).unwrap();
            assert_eq!(max.allowed(living), allowed, "{text} of {living}");
        }
        for text in ["0", "-1", "0%", "101%", "+1", "01", "%", "", "1.5", "30 %"] {
            assert_eq!(MaxUnavailable::read(text), None, "{text}");
        }
    }
}
