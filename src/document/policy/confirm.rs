//! The probes that confirm an apply of a policy.

use crate::kinds::probes::probe;
use netkeel_core::probe::Probe;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::node::path::KeyPath;

/// The most probes: the agent asks them all at one time, twice for an apply.
const MOST: usize = 8;

/// Reads `confirm`, whose shape was checked.
pub(crate) fn probes(confirm: Option<&Node>, diagnostics: &mut Diagnostics) -> Vec<Probe> {
    let Some(list) = confirm.and_then(|confirm| confirm.get("probes")) else {
        return Vec::new();
    };
    let spec = KeyPath::ROOT.key("spec");
    let confirm = spec.key("confirm");
    let path = confirm.key("probes");
    if list.items().len() > MOST {
        let message = format!("{} probes are more than {MOST}", list.items().len());
        diagnostics.add(list.span, path, message);
    }
    let items = list.items().iter().enumerate();
    items
        .filter_map(|(number, item)| probe(&path.index(number), item, diagnostics))
        .collect()
}
