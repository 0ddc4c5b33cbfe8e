//! The wants of a document on a host, fact by fact.

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
    /// The value, in the kernel's form.
    pub value: Value,
    /// The origin; one for all interfaces of a match.
    pub origin: Arc<Origin>,
}

/// The part of a document that wants something, and its properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The place in the document.
    pub span: Span,
    /// The section that says so; none where no document does.
    pub section: Option<SectionName>,
    /// The resource that says so, as a path: `link.pods.mtu`.
    pub path: Arc<str>,
    /// The interface is named, not matched: it is reported when it is missing.
    pub named: bool,
    /// The document allows the loss of IPv6 for this.
    pub permits_ipv6_loss: bool,
    /// The derivation of the value, if the document gives a budget: `1450 - 80 wireguard = 1370`. The reason, if the
    /// document does not give the value: it follows from another one.
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
    /// A want with an origin of its own.
    pub fn new(value: Value, origin: Origin) -> Self {
        let origin = Arc::new(origin);
        Want { value, origin }
    }
}
