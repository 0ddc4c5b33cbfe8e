//! The host that a plan is for.

use netkeel_core::name::netns::Netns;

/// The host that a plan is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Of {
    /// The host on which netkeel runs.
    #[default]
    Here,
    /// Another network namespace, in which netkeel was started.
    Namespace,
    /// The network namespace in which netkeel was started: nothing tells whether it is the host's.
    Unknown,
    /// The host of a saved snapshot.
    Snapshot,
}

impl Of {
    /// The host for a summary: `this host`, `netns pod`, `saved snapshot`.
    pub(super) fn place(self, netns: &Netns) -> String {
        match (self, netns.name()) {
            (Of::Namespace, None) => "this network namespace, which is not the host's".to_owned(),
            (Of::Unknown, None) => "this network namespace".to_owned(),
            (Of::Here | Of::Namespace | Of::Unknown, _) => netns.to_string(),
            (Of::Snapshot, Some(_)) => format!("saved snapshot, {netns}"),
            (Of::Snapshot, None) => "saved snapshot".to_owned(),
        }
    }
}
