//! Counts of refused packets by reason.

use netkeel_core::replication::refusal::Refusal;

/// A counter per reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusalCounts([u64; Refusal::ALL.len()]);

impl RefusalCounts {
    /// Counts one packet.
    pub fn count(&mut self, refusal: Refusal) {
        if let Some(counter) = self.0.get_mut(refusal as usize) {
            *counter += 1;
        }
    }

    /// The count of a reason.
    pub fn of(&self, refusal: Refusal) -> u64 {
        self.0.get(refusal as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count.
    pub fn each(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_name_and_a_counter_of_its_own() {
        let mut refused = RefusalCounts::default();
        for (place, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, place);
            assert_eq!(
                serde_json::to_value(refusal).unwrap(),
                serde_json::Value::from(refusal.name())
            );
            for _ in 0..=place {
                refused.count(refusal);
            }
        }
        let counts: Vec<u64> = refused.each().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=22).collect::<Vec<u64>>());
    }
}
