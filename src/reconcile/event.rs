//! Events, actions and outcomes of the reconciler.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_plan::goal::part::Extent;

/// A moment: the time since the service began, by a clock that only goes forward.
pub type Now = Duration;

/// What a document has to do with events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// The devices that it makes.
    pub made: BTreeSet<LinkName>,
    /// It cannot be judged by parts: it limits how many interfaces a match may find.
    pub whole: bool,
    /// It wants something of the other ends of veths, in pods.
    pub pods: bool,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// Look at everything.
    Everything,
    /// Look at what belongs to no interface: a file that netkeel owns changed.
    Rest,
    /// Files of the document changed.
    DocumentTouched,
    /// It was told to read the document now.
    Reload,
    /// Another document holds from now on.
    Loaded(Interest),
    /// Nothing is written until then.
    Paused(Now),
    /// It is written again.
    Resumed,
    /// A look at this part begins: it answers what was heard until now.
    Looking(Extent),
    /// A pass over this part is over.
    Ended(Extent, Outcome),
}

/// What a pass came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Everything is as it is wanted; these facts were written, with the index of their interface.
    Kept(Vec<(Fact, Option<u32>)>),
    /// It was looked at, and nothing was to be written.
    Looked,
    /// It failed at these facts.
    Blamed(Vec<Blamed>),
    /// It failed, and at what is not told.
    Failed,
    /// It could not be begun, which has nothing to do with the facts.
    Blocked,
}

/// A fact that a pass failed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blamed {
    /// The fact.
    pub fact: Fact,
    /// The index of its interface.
    pub index: Option<u32>,
    /// Why.
    pub why: Arc<str>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the document.
    Load,
    /// Look at a part of the host and, when `writes`, put it right.
    Pass {
        /// The part.
        extent: Extent,
        /// Facts that are left as they are.
        except: BTreeSet<Fact>,
        /// Whether to write.
        writes: bool,
    },
}
