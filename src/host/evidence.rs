//! Text files and symbolic links that show who writes a setting.

use std::collections::{BTreeMap, BTreeSet};

/// Traces of the programs that write settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Which of the paths that were asked for exist, such as [`WATCHED`].
    pub paths: BTreeSet<String>,
    /// The text of those that are small files and are read.
    pub texts: BTreeMap<String, String>,
}
