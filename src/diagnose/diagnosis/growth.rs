//! The growth of a counter, and the share of the packets that it is.

use schemars::JsonSchema;
use serde::Serialize;

use netkeel_core::finding::Severity;
use netkeel_host::counters::counter::Counter;

/// From this share of the packets on, a loss is no accident.
pub(crate) const SHARE: f64 = 1e-5;

/// From this share of the packets on, a loss is critical.
pub(crate) const CRITICAL: f64 = 1e-3;

/// Fewer packets than this may be an accident, whatever their share.
pub(crate) const FEW: u64 = 10;

/// The growth of a counter over the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Growth {
    /// The counter, as the kernel names it.
    #[serde(serialize_with = "name")]
    #[schemars(with = "String")]
    pub counter: Counter,
    /// Packets or events.
    pub by: u64,
    /// The packets among which they were counted and that were not lost, where the kernel counts those.
    pub of: Option<u64>,
}

impl Growth {
    /// The growth is more than an accident: not few packets, and not a tiny share of them.
    pub(crate) fn is_ample(&self) -> bool {
        self.by >= FEW && self.share().is_none_or(|share| share >= SHARE)
    }

    /// The severity of its share: an error from 0.1 % of the packets on, a warning from 0.001 % on. Few packets, and
    /// a share that is not known, are a note.
    pub fn severity(&self) -> Severity {
        match self.share() {
            Some(share) if self.by >= FEW && share >= CRITICAL => Severity::Error,
            Some(share) if self.by >= FEW && share >= SHARE => Severity::Warning,
            Some(_) | None => Severity::Note,
        }
    }

    /// The lost share of the packets; none where the packets are not known.
    pub fn share(&self) -> Option<f64> {
        let all = self.of?.checked_add(self.by)?;
        (all > 0).then(|| self.by as f64 / all as f64)
    }
}

fn name<S: serde::Serializer>(counter: &Counter, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(counter)
}
