//! Sysctls that the kernel bounds by the value of another one, which the document declares or the host has.

use super::Entry;
use netkeel_core::fact::{Fact, Object};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_form::bound::Bound;

/// Adds the other key of a pair.
pub(super) fn scope(key: &SysctlKey, scope: &mut Scope) {
    scope.sysctls.extend(Bound::of(key).map(|bound| bound.other));
}

/// Why the kernel refuses a value beside that of the other key, as the end of a sentence that begins with the key.
pub(super) fn refusal(
    key: &SysctlKey,
    value: &str,
    entries: &[Entry],
    host: &Snapshot,
    netns: &Netns,
) -> Option<String> {
    let bound = Bound::of(key)?;
    let declared = entries.iter().find(|entry| entry.key == bound.other);
    let (other, from) = match declared {
        Some(entry) => (entry.value.clone(), "is declared"),
        None => {
            let fact = Fact::sysctl(netns, &bound.other);
            let Object::Sysctl(_) = &fact.object else {
                return None;
            };
            (host.get(&fact).value()?.to_text().to_string(), "is")
        }
    };
    if bound.allows(value, &other) {
        return None;
    }
    let limit = if bound.is_lesser { "at most" } else { "at least" };
    Some(format!(
        "takes {limit} the value of {}, which {from} {other}, and not {value}",
        bound.other
    ))
}
