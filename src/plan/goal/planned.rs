//! What planning returns: the plan, the wants, the host afterwards, and what was observed.

use std::collections::BTreeMap;

use crate::plan::{Drift, Plan};
use netkeel_core::name::link::LinkName;
use netkeel_document::want::wants::Wants;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::Problem;

/// What planning came to.
#[derive(Debug)]
pub struct Planned {
    /// What is to be done.
    pub plan: Plan,
    /// What was wanted when the plan was made.
    pub wants: Wants,
    /// The host after the last op; none where the plan has no op.
    pub after: Option<Snapshot>,
    /// What was seen beside the plan, where a service keeps a document.
    pub observation: Option<Observation>,
}

/// What a look saw beside the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Each interface's index.
    pub links: BTreeMap<LinkName, u32>,
    /// The MTUs that are wanted, bytes.
    pub mtus: BTreeMap<LinkName, i64>,
    /// The interface whose MTU is the least of the default routes', with that MTU in bytes, where a
    /// budget stands on them.
    pub underlay: Option<(LinkName, i64)>,
    /// All that differs, also what is left alone.
    pub drift: Vec<Drift>,
    /// How many facts are wanted.
    pub wanted: usize,
    /// The pods, by the host's ends of their veths, that do not go with what is wanted and are left
    /// alone, each with whether this end is therefore left alone too. Of a part they are not known.
    pub stale: BTreeMap<LinkName, bool>,
    /// What could not be read. It is not written either, and the others are kept all the same.
    pub problems: Vec<Problem>,
}
