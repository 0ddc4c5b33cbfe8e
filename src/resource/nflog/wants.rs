//! What an `nflog` section wants of a host: its rules, as far as nobody else's do the same.

use crate::link_name::LinkName;
use crate::netns::Netns;
use crate::nflog::{Entry, EntryName};
use crate::resource::Section;
use crate::snapshot::{Scope, Snapshot};
use crate::source::{Path, Span};
use crate::sysctl_key::SysctlKey;
use crate::want::Wants;

/// The section.
#[derive(Debug)]
pub(super) struct Logging {
    pub(super) netns: Netns,
    pub(super) entries: Vec<(EntryName, Entry, Span)>,
}

impl Section for Logging {
    fn scope(&self, _scope: &mut Scope) {}

    fn wants(&self, _host: &Snapshot, wants: &mut Wants) {
        for (name, _, span) in &self.entries {
            let path = Path::of(&["nflog", &name.to_string()]);
            let message = "this netkeel checks rules of NFLOG and cannot make them yet";
            wants.diagnostics.add(*span, path, message);
        }
        let _ = (&self.netns, None::<LinkName>);
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        Vec::new()
    }
}
