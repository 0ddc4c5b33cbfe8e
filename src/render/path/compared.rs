//! The paths of a host before and after a change, for a page.

use crate::path::svg;
use netkeel_diagnose::path::drawing::Path;

/// The paths of a host before and after a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// The paths before.
    pub before: Vec<Path>,
    /// The paths after.
    pub after: Vec<Path>,
}

impl Compared {
    /// Both drawings as HTML; empty if the change does not concern the paths.
    pub(crate) fn html(&self) -> String {
        if self.before == self.after {
            return String::new();
        }
        format!(
            "<h3>Path before</h3>\n{}<h3>Path after</h3>\n{}",
            svg::paths(&self.before, false),
            svg::paths(&self.after, true)
        )
    }
}
