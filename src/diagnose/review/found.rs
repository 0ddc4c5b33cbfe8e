//! Findings of one code on the hosts of a group. Only some are kept, so that the memory does not grow with the hosts.

use std::collections::{BTreeMap, BTreeSet};

use netkeel_core::finding::{Code, Finding};

/// The most findings of a code that are kept. They are the first ones in their order, whatever the order of the hosts.
const KEPT: usize = 8;

/// Hosts with the same finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    /// Their number.
    pub hosts: usize,
    /// The first one by name.
    pub first: String,
}

/// Findings of one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The first findings with their hosts.
    pub kept: BTreeMap<Finding, On>,
    /// The number of all findings on all hosts.
    pub total: usize,
}

impl Found {
    /// The findings of a host, by code.
    pub(super) fn of(host: &str, findings: BTreeSet<Finding>) -> BTreeMap<Code, Found> {
        let mut all: BTreeMap<Code, Found> = BTreeMap::new();
        for finding in findings {
            let found = all.entry(finding.code).or_default();
            found.total += 1;
            let first = host.to_owned();
            found.add(finding, On { hosts: 1, first });
        }
        all
    }

    /// Adds the findings of other hosts.
    pub(super) fn extend(&mut self, other: Found) {
        self.total += other.total;
        for (finding, on) in other.kept {
            self.add(finding, on);
        }
    }

    /// The number of findings that are not kept, each counted once for each of its hosts.
    pub fn left_out(&self) -> usize {
        let kept = self.kept.values().map(|on| on.hosts).sum();
        self.total.saturating_sub(kept)
    }

    fn add(&mut self, finding: Finding, on: On) {
        match self.kept.get_mut(&finding) {
            Some(known) => {
                known.hosts += on.hosts;
                if on.first < known.first {
                    known.first = on.first;
                }
            }
            None => {
                self.kept.insert(finding, on);
            }
        }
        // A finding that goes here is later than all that stay, so that the kept ones are always complete.
        if self.kept.len() > KEPT {
            self.kept.pop_last();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_host(host: &str, subjects: &[&str]) -> Found {
        let findings = subjects.iter().map(|subject| Finding {
            code: Code::NK005,
            subjects: vec![(*subject).to_owned()],
            message: "m".to_owned(),
            remedy: "r".to_owned(),
        });
        let mut all = Found::of(host, findings.collect());
        all.remove(&Code::NK005).unwrap()
    }

    #[test]
    fn each_finding_has_its_hosts() {
        let mut found = on_host("h2", &["eth1"]);
        found.extend(on_host("h1", &["eth1", "eth2"]));
        let shown: Vec<_> = found.kept.iter().collect();
        let shown = shown
            .iter()
            .map(|(finding, on)| (finding.subjects[0].as_str(), on.hosts, on.first.as_str()));
        assert_eq!(shown.collect::<Vec<_>>(), [("eth1", 2, "h1"), ("eth2", 1, "h1")]);
        assert_eq!((found.total, found.left_out()), (3, 0));
    }

    #[test]
    fn findings_have_a_bound_in_any_order() {
        let hosts: Vec<Found> = (0..40)
            .map(|number| on_host(&format!("h{number:02}"), &["a", &format!("eth{number:02}")]))
            .collect();
        let sum = |order: &mut dyn Iterator<Item = &Found>| {
            let mut all = Found::default();
            order.for_each(|found| all.extend(found.clone()));
            all
        };
        let all = sum(&mut hosts.iter());
        assert_eq!(all, sum(&mut hosts.iter().rev()));
        assert_eq!((all.kept.len(), all.total, all.left_out()), (KEPT, 80, 33));
    }
}
