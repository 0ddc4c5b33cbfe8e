//! Document fragments of remedies.

use crate::diagnosis::fix::Fix;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// Interfaces that a fragment names one by one.
pub(crate) const NAMED: usize = 3;

/// Characters that the names of pods' interfaces of one CNI have in common at least: `lxc`, `cali`.
const PREFIX: usize = 3;

/// A fragment that doubles a sysctl, to a usual value at least. One whose value was not read gets no number: it may be
/// larger already.
pub(crate) fn raised(host: &Snapshot, key: &str, least: i64) -> Fix {
    match host.sysctl_number(&key.replace('.', "/")) {
        Some(now) => Fix::Document(format!(
            "sysctl: {{ {key}: {} }}",
            now.saturating_mul(2).max(least)
        )),
        None => Fix::Elsewhere(format!("raise {key}: its present value is not known")),
    }
}

/// A fragment with a setting of some interfaces, one by one or by the beginning of their names. Those of pods get
/// other names when pods are created again.
pub(crate) fn of_links(host: &Snapshot, links: &[LinkName], setting: &str) -> Vec<Fix> {
    let names: Vec<String> = links.iter().map(ToString::to_string).collect();
    let first = names.first().cloned().unwrap_or_default();
    let prefix = names.iter().skip(1).fold(first, |prefix, name| {
        let common = prefix
            .chars()
            .zip(name.chars())
            .take_while(|(one, other)| one == other);
        common.map(|(char, _)| char).collect()
    });
    let are_pods = links
        .iter()
        .all(|link| host.link(*link).is_some_and(Link::leads_into_a_pod));
    let is_plain = prefix
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "-_.".contains(char));
    let of_match = |of: &str| Fix::Document(format!("link: {{ pods: {{ match: {{ {of} }}, {setting} }} }}"));
    match names.len() {
        2.. if are_pods && prefix.len() >= PREFIX && is_plain && covers_only(host, links, &prefix) => {
            vec![of_match(&format!("name: \"{prefix}*\""))]
        }
        count => {
            links
                .iter()
                .take(NAMED)
                .map(|link| Fix::Document(format!("link: {{ {}: {{ {setting} }} }}", key(*link))))
                .chain((count > NAMED).then(|| {
                    Fix::Elsewhere(format!("declare the same for {} more interfaces", count - NAMED))
                }))
                .collect()
        }
    }
}

/// Whether a fragment for the names that begin so changes these interfaces and no other.
fn covers_only(host: &Snapshot, links: &[LinkName], prefix: &str) -> bool {
    let mut others = host.links.keys().filter(|name| !links.contains(name));
    !others.any(|name| name.to_string().starts_with(prefix))
}

/// The name of an interface as a key of YAML.
pub(crate) fn key(link: LinkName) -> String {
    let text = link.to_string();
    let plain = text
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "-_".contains(char));
    match plain && text.starts_with(|char: char| char.is_ascii_alphabetic()) {
        true => text,
        false => quoted(&text),
    }
}

/// A text of YAML in quotes.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
