//! The drop-in of a document on a host.

use crate::document::Document;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::reading::SysctlReading;
use netkeel_host::snapshot::scope::on_host;
use netkeel_host::sysctl_d::drop_in;

impl Document {
    /// The text of the drop-in on a host, which names interfaces by their own names: /proc/sys has no others.
    pub fn drop_in_on(&self, host: &Snapshot) -> Option<String> {
        self.drop_in_with(host, &[])
    }

    /// The same, with settings that follow from those of the document.
    pub fn drop_in_with(&self, host: &Snapshot, more: &[(SysctlKey, String)]) -> Option<String> {
        let text = self.drop_in.clone()?;
        let named = |key: &SysctlKey| on_host(key, &host.links);
        // Everybody can read the drop-in. The host knows of more secrets than the list of known keys.
        let secret = |key: &SysctlKey| match host.sysctls.get(key.path()) {
            Some(SysctlReading::Value { value, .. }) => value.is_secret(),
            Some(SysctlReading::Hidden { .. }) => true,
            Some(SysctlReading::Absent) | None => false,
        };
        // A long name that no interface has is no file of /proc/sys.
        let unknown = |key: &SysctlKey| key.long_name().is_some() && named(key).is_none();
        let plain = |key: &SysctlKey| named(key).is_none() && !secret(key) && !unknown(key);
        if more.is_empty() && self.at_boot.iter().all(|(key, _)| plain(key)) {
            return Some(text);
        }
        let settings = self
            .at_boot
            .iter()
            .filter(|(key, _)| !secret(key) && !unknown(key));
        let settings: Vec<_> = settings
            .map(|(key, value)| (named(key).unwrap_or_else(|| key.clone()), value.clone()))
            .collect();
        if settings.is_empty() && more.is_empty() {
            return None;
        }
        Some(drop_in::render(&self.owner, &settings, more).unwrap_or(text))
    }
}
