//! Sysctls that the kernel bounds by the value of another one, which the document declares or the host has.

use netkeel_core::fact::Fact;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_host::sysctl_form::bound::Bound;

/// Adds the other key of a pair.
pub(super) fn scope(key: &SysctlKey, scope: &mut Scope) {
    scope.sysctls.extend(Bound::of(key).map(|bound| bound.other));
}

/// Why the kernel refuses a value, given the value of the other key; the end of a sentence that begins with the key.
/// `declared` gives the value that the document has for a key.
pub(super) fn refusal<'a>(
    key: &SysctlKey,
    value: &str,
    declared: impl Fn(&SysctlKey) -> Option<&'a str>,
    host: &Snapshot,
    netns: &Netns,
) -> Option<String> {
    let bound = Bound::of(key)?;
    let (other, from) = match declared(&bound.other) {
        Some(value) => (value.to_owned(), "is declared"),
        None => {
            let fact = Fact::sysctl(netns, &bound.other);
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
