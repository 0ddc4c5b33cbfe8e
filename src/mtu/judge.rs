//! Reports MTUs of pods that are larger than the encapsulation of their CNI leaves of the underlay.

use std::collections::BTreeSet;

use crate::budget::Derivation;
use crate::detect::{Detected, Verdict};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;

/// The report on the MTUs of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TooLarge {
    /// Some are too large.
    pub is_reported: bool,
    /// The CNI's own tunnels that are too large with them: the CNI sets both MTUs.
    pub tunnels: BTreeSet<LinkName>,
}

impl Detected {
    /// Reports MTUs that are too large, all in one finding: they have one cause.
    pub fn judge(&self, host: &Snapshot, answer: &Derivation, findings: &mut Findings) -> TooLarge {
        let over = self.found.iter().filter_map(|found| match found.verdict(answer) {
            Verdict::Over(bytes) => Some((found, bytes)),
            Verdict::Fits | Verdict::Less(_) => None,
        });
        let over: Vec<_> = over.collect();
        let mtus: BTreeSet<i64> = over.iter().map(|(found, _)| found.mtu).collect();
        let limit = over.iter().map(|(found, bytes)| found.mtu - bytes).min();
        let (Some(limit), Some(largest)) = (limit, mtus.last()) else {
            return TooLarge::default();
        };
        let tunnels: BTreeSet<LinkName> = self
            .tunnels(host)
            // One that takes its headers from each packet has the underlay's MTU.
            .filter(|(_, link)| !link.external && (limit + 1..=*largest).contains(&i64::from(link.mtu)))
            .map(|(name, _)| name)
            .collect();
        let message = self.message(&mtus, limit, answer, &tunnels);
        // A convention may subtract less than the headers have.
        let remedy = match answer.exact_mtu < answer.mtu {
            true => format!("give pods {}: the headers leave no more", answer.exact_mtu),
            false => format!("give pods {}; netkeel mtu --detect derives it", answer.mtu),
        };
        for (found, _) in over {
            findings.add(Code::NK047, &found.what, message.as_str(), remedy.as_str());
        }
        TooLarge {
            is_reported: true,
            tunnels,
        }
    }

    fn message(
        &self,
        mtus: &BTreeSet<i64>,
        limit: i64,
        answer: &Derivation,
        tunnels: &BTreeSet<LinkName>,
    ) -> String {
        let given = match mtus.len() {
            1 => "it gives pods an MTU of ",
            _ => "it gives pods MTUs of ",
        };
        let list: Vec<String> = mtus.iter().map(ToString::to_string).collect();
        let bytes = mtus.last().map_or(0, |largest| largest - limit);
        let up_to = if mtus.len() > 1 { "up to " } else { "" };
        let from = match answer.steps.first().map(|step| step.why.as_str()) {
            None | Some("") => String::new(),
            Some(from) => format!(" ({from})"),
        };
        let names: Vec<String> = tunnels.iter().map(ToString::to_string).collect();
        let too = match names.as_slice() {
            [] => String::new(),
            names => format!(", as are those of {}", names.join(", ")),
        };
        format!(
            "{given}{}, and {} leaves {limit} of {}{from}: full packets are {up_to}{bytes} bytes too large{too}",
            list.join(" and "),
            self.layers.join(" "),
            answer.underlay,
        )
    }
}
