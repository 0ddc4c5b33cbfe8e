//! Events, actions and outcomes of the reconciler.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_plan::goal::part::Extent;

/// A point in time: the time since the service started, by a clock that nobody sets.
pub type Now = Duration;

/// The properties of a document that decide which events matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The devices that the document creates.
    pub made: BTreeSet<LinkName>,
    /// The document limits how many interfaces a match may find, so only full scans can judge it.
    pub whole: bool,
    /// The document has wants for the ends of veths in pods.
    pub pods: bool,
}

/// An event for the reconciler.
#[derive(Clone, Debug)]
pub enum Event {
    /// Scan the whole host.
    Everything,
    /// Scan the objects other than interfaces: a file that netkeel owns changed.
    Rest,
    /// Files of the document changed.
    DocumentTouched,
    /// A request to reload the document now.
    Reload,
    /// A new document is in force.
    Loaded(Interest),
    /// Writes are paused until this time.
    Paused(Now),
    /// The pause is over.
    Resumed,
    /// A scan of this part starts. It covers all events received so far.
    Looking(Extent),
    /// The pass over this part has ended.
    Ended(Extent, Outcome),
}

/// The outcome of a pass.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The part is in sync. These facts were written, each with the index of its interface.
    Kept(Vec<(Fact, Option<u32>)>),
    /// The part was scanned, and nothing was to be written.
    Looked,
    /// The pass failed at these facts.
    Blamed(Vec<Blamed>),
    /// The pass failed, and the error names no facts.
    Failed,
    /// The pass could not start, for a reason that does not concern the facts.
    Blocked,
    /// The pass could not start since another netkeel holds the lock.
    Waits,
}

/// A fact at which a pass failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The fact.
    pub fact: Fact,
    /// The index of its interface.
    pub index: Option<u32>,
    /// The error.
    pub why: Arc<str>,
}

/// An action of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the document.
    Load,
    /// Scan a part of the host and, if `writes` is set, correct its drift.
    Pass {
        /// The part.
        extent: Extent,
        /// Suspended facts. The pass does not change them.
        except: BTreeSet<Fact>,
        /// Whether to write.
        writes: bool,
    },
}
