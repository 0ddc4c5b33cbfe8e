//! The slots that a node wants, and those that it has.

use std::collections::BTreeMap;

use crate::policy::rollout::MaxUnavailable;
use crate::policy::selector::NodeSelector;
use crate::policy::slots::Phase;

/// The slots that a node wants. It gives the others back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// The UID of the Node.
    pub node_uid: String,
    /// One for each policy, by UID.
    pub slots: BTreeMap<String, Wish>,
}

/// A slot that a node wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The name of the policy.
    pub policy: String,
    /// The hash of the document to which the node changes.
    pub document: String,
    /// The generation of the policy's object.
    pub generation: i64,
    /// The number of nodes that may have a slot.
    pub max: MaxUnavailable,
    /// The nodes that the policy selects.
    pub selector: NodeSelector,
    /// The progress of the node, which others see.
    pub phase: Phase,
    /// Why the change failed.
    pub why: Option<String>,
}

/// The state of a slot that a node wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// The node holds it, and the server knows this of it.
    Held {
        /// The hash of the document.
        document: String,
        /// The progress.
        phase: Phase,
        /// Why the change failed before, as the server has it and the node did not know.
        failed: Option<String>,
    },
    /// Why the node has no slot. One line.
    Waiting(String),
}

/// News of the slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotNews {
    /// The state of each slot that is wanted, by the UID of the policy.
    pub states: BTreeMap<String, SlotState>,
    /// Why they cannot be followed now. One line.
    pub trouble: Option<String>,
}
