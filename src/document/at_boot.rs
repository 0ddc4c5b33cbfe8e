//! The drop-in of a document on a host.

use crate::document::Document;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::on_host;
use netkeel_host::sysctl_d::drop_in;

impl Document {
    /// The text of the drop-in on a host, which names interfaces by their own names: /proc/sys has no others.
    pub fn drop_in_on(&self, host: &Snapshot) -> Option<String> {
        let text = self.drop_in.clone()?;
        let named = |key: &SysctlKey| on_host(key, &host.links);
        if self.at_boot.iter().all(|(key, _)| named(key).is_none()) {
            return Some(text);
        }
        let settings = self.at_boot.iter();
        let settings: Vec<_> = settings
            .map(|(key, value)| (named(key).unwrap_or_else(|| key.clone()), value.clone()))
            .collect();
        Some(drop_in::render(&self.owner, &settings).unwrap_or(text))
    }
}
