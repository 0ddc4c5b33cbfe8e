//! Why a source of counters was not read.

use crate::netlink::refusal::Refusal;
use netkeel_core::error::Error;

/// A source was not read: its counters are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotRead {
    /// The kernel does not have it here, and nothing failed.
    pub(super) absent: bool,
    /// The reason.
    pub(super) why: String,
}

impl NotRead {
    /// The kernel does not have it.
    pub(super) fn absent(why: impl ToString) -> Self {
        NotRead {
            absent: true,
            why: why.to_string(),
        }
    }

    /// It may be there, and reading it failed.
    pub(super) fn failed(why: impl ToString) -> Self {
        NotRead {
            absent: false,
            why: why.to_string(),
        }
    }
}

impl From<Refusal> for NotRead {
    fn from(refusal: Refusal) -> Self {
        NotRead::failed(Error::from(refusal).message)
    }
}
