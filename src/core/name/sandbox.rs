//! The network namespace of a pod, as the kernel identifies it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network namespace other than the one of the plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Sandbox {
    /// A file that refers to the namespace: below /run/netns, or /proc/PID/ns/net.
    pub path: Arc<Path>,
    /// The namespace's inode. It shows when the path later refers to another namespace.
    pub inode: u64,
}

impl Sandbox {
    /// The sandbox with this file and inode.
    pub fn new(path: PathBuf, inode: u64) -> Self {
        Sandbox {
            path: path.into(),
            inode,
        }
    }
}
