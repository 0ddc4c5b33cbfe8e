//! Facts of a host as Puppet prints them, by the dotted names that Hiera data use.

use std::collections::BTreeMap;

use netkeel_source::node::{Data, Node};

/// Facts by dotted name, such as `networking.primary`.
pub type Facts = BTreeMap<String, String>;

/// The facts in the output of `puppet facts --render-as json`, or of `puppet facts find`, which
/// nests them below `values`. List items are named by their index.
pub fn named(file: &Node) -> Facts {
    let facts = file
        .get("values")
        .filter(|values| file.get("name").is_some() && !values.entries().is_empty());
    let mut named = Facts::new();
    for entry in facts.unwrap_or(file).entries() {
        name(&entry.key, &entry.value, &mut named);
    }
    named
}

pub(crate) fn name(path: &str, node: &Node, named: &mut Facts) {
    match &node.data {
        Data::Map(entries) if !entries.is_empty() => {
            for entry in entries {
                name(&format!("{path}.{}", entry.key), &entry.value, named);
            }
        }
        Data::List(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                name(&format!("{path}.{index}"), item, named);
            }
        }
        // Puppet reads an empty text where a fact is null.
        _ => {
            let value = node.scalar().unwrap_or_default();
            named.insert(path.to_owned(), value.into_owned());
        }
    }
}

/// The items of a fact that is a list, or its one value. The list is empty for an empty value;
/// `None` for an unknown fact.
pub(crate) fn each<'a>(facts: &'a Facts, name: &str) -> Option<Vec<&'a str>> {
    if let Some(value) = facts.get(name) {
        let value = Some(value.as_str()).filter(|value| !value.is_empty());
        return Some(value.into_iter().collect());
    }
    let items = (0..).map_while(|index| facts.get(&format!("{name}.{index}")));
    let items: Vec<&str> = items.map(String::as_str).collect();
    Some(items).filter(|items| !items.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    #[test]
    fn each_value_has_its_dotted_name() {
        let facts = named(&yaml(
            "{os: {family: Debian, release: {major: '12'}}, up: true, load: 0.5, mtu: 1500, roles: [lb, a], none: [], nil: ~}",
        ));
        let facts: Vec<String> = facts
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            facts,
            [
                "load=0.5",
                "mtu=1500",
                "nil=",
                "none=",
                "os.family=Debian",
                "os.release.major=12",
                "roles.0=lb",
                "roles.1=a",
                "up=true"
            ]
        );
        let found = named(&yaml("{name: web1, values: {kernel: Linux}, timestamp: x}"));
        assert_eq!(found.get("kernel").map(String::as_str), Some("Linux"));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_list_is_each_of_its_items() {
        let facts = named(&yaml("{roles: [lb, a], none: [], one: x}"));
        assert_eq!(each(&facts, "roles"), Some(vec!["lb", "a"]));
        assert_eq!(each(&facts, "none"), Some(vec![]));
        assert_eq!(each(&facts, "one"), Some(vec!["x"]));
        assert_eq!(each(&facts, "other"), None);
    }
}
