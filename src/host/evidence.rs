//! Text files and symbolic links that show who writes a setting.

use std::collections::{BTreeMap, BTreeSet};

/// Traces of the programs that write settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The requested paths that exist, such as `WATCHED`.
    pub paths: BTreeSet<String>,
    /// The text of those paths that are small files.
    pub texts: BTreeMap<String, String>,
}
