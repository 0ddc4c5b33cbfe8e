//! What a document wants of a host, fact by fact.

pub mod pending;
pub mod request;
mod settle_budgets;
mod settle_pods;
pub mod wants;

use std::sync::Arc;

use crate::section_name::SectionName;
use netkeel_core::fact::Value;
use netkeel_source::span::Span;

/// The value that a fact should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// In the kernel's words.
    pub value: Value,
    /// What says so; one for all interfaces that a match finds.
    pub origin: Arc<Origin>,
}

/// The line of a document that wants something, and what goes with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Where the document says so.
    pub span: Span,
    /// The section that says so; none where no document does.
    pub section: Option<SectionName>,
    /// The resource that says so, as a path: `link.pods.mtu`.
    pub path: Arc<str>,
    /// The interface is named, not matched: it is missed when it is gone.
    pub named: bool,
    /// The document allows that IPv6 is lost for this.
    pub permits_ipv6_loss: bool,
    /// How the value was derived, where the document gives a budget: `1450 - 80 wireguard = 1370`.
    pub derivation: Option<Arc<str>>,
}

impl Origin {
    /// A line that names what it is for.
    pub fn named(span: Span, section: SectionName, path: impl Into<Arc<str>>) -> Self {
        Origin {
            span,
            section: Some(section),
            path: path.into(),
            named: true,
            ..Origin::default()
        }
    }
}

impl Want {
    /// What a line wants.
    pub fn new(value: Value, origin: Origin) -> Self {
        let origin = Arc::new(origin);
        Want { value, origin }
    }
}
