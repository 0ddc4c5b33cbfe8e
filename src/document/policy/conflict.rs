//! Two policies that declare one setting differently.

use std::fmt;

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node, canonical};

/// A setting that two policies declare differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The name of the other policy.
    pub with: String,
    /// The path of the key, or the fact on this host.
    pub what: String,
    /// The value of this policy and that of the other one.
    pub values: (String, String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, other) = &self.values;
        write!(
            formatter,
            "{} is {own} here and {other} in the policy {}",
            self.what, self.with
        )
    }
}

impl Conflict {
    /// The same conflict as the other policy sees it; `name` is that of this policy.
    #[must_use]
    pub fn turned(&self, name: &str) -> Conflict {
        let (own, other) = self.values.clone();
        Conflict {
            with: name.to_owned(),
            what: self.what.clone(),
            values: (other, own),
        }
    }
}

/// The first key to which two documents give different values; `with` is the name of the second policy. The same value
/// is no conflict, and neither are different keys of one entry.
pub fn between(one: &Node, other: &Node, with: &str) -> Option<Conflict> {
    differ(one, other, &KeyPath::ROOT, with)
}

fn differ(one: &Node, other: &Node, path: &KeyPath<'_>, with: &str) -> Option<Conflict> {
    let (Data::Map(entries), Data::Map(others)) = (&one.data, &other.data) else {
        let (own, theirs) = (canonical::spell(one), canonical::spell(other));
        return (own != theirs).then(|| Conflict {
            with: with.to_owned(),
            what: path.to_string(),
            values: (own, theirs),
        });
    };
    entries.iter().find_map(|entry| {
        let second = others.iter().find(|second| is_same(entry, second))?;
        differ(&entry.value, &second.value, &path.key(&entry.key), with)
    })
}

/// Whether two keys are one. A sysctl has two spellings.
fn is_same(one: &Entry, other: &Entry) -> bool {
    let sysctl = |entry: &Entry| entry.key.parse::<SysctlKey>().ok();
    one.key == other.key || sysctl(one).is_some_and(|key| sysctl(other) == Some(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    fn found(one: &str, other: &str) -> Option<String> {
        between(&yaml(one), &yaml(other), "b").map(|conflict| conflict.to_string())
    }

    #[test]
    fn only_different_values_of_one_key_are_a_conflict() {
        let pods = "version: 1\nlink: { pods: { match: { name: cali* }, mtu: 1440 } }";
        assert_eq!(found(pods, pods), None);
        let filter = "version: 1\nlink: { pods: { match: { name: 'cali*' }, rp_filter: strict } }";
        assert_eq!(found(pods, filter), None);
        let smaller = "link: { pods: { match: { name: cali* }, mtu: 1400 } }";
        assert_eq!(
            found(pods, smaller).unwrap(),
            r#"link.pods.mtu is "1440" here and "1400" in the policy b"#
        );
        let spelled = [
            "sysctl: { net.ipv4.ip_forward: 1 }",
            "sysctl: { net/ipv4/ip_forward: 0 }",
        ];
        assert!(found(spelled[0], spelled[1]).is_some());
        assert_eq!(found(spelled[0], "sysctl: { net/ipv4/ip_forward: '1' }"), None);
    }

    #[test]
    fn a_conflict_has_two_sides() {
        let conflict = between(&yaml("a: 1"), &yaml("a: 2"), "b").unwrap();
        let turned = conflict.turned("a");
        assert_eq!(turned.to_string(), r#"a is "2" here and "1" in the policy a"#);
        assert_eq!(turned.turned("b"), conflict);
    }
}
