//! The network namespace of a pod, as the kernel identifies it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network namespace that is not the one a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Sandbox {
    /// A file that leads into it: below /run/netns, or /proc/PID/ns/net.
    pub path: Arc<Path>,
    /// The namespace's inode, so that what the path leads to later is not taken for it.
    pub inode: u64,
}

impl Sandbox {
    /// A sandbox by its file.
    pub fn new(path: PathBuf, inode: u64) -> Self {
        Sandbox {
            path: path.into(),
            inode,
        }
    }
}
