//! How Talos selects interfaces, as conditions of a `match`: `deviceSelector` of the older form, and the
//! expression of a `LinkAliasConfig`.

use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;

/// Conditions of a `match`, each with its key and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions(Vec<(&'static str, String)>);

impl Conditions {
    /// The conditions of a `deviceSelector`.
    ///
    /// # Errors
    /// Why netkeel cannot select the same interfaces.
    pub fn of_selector(selector: &Node) -> Result<Conditions, String> {
        let mut conditions = Vec::new();
        let mut physical = false;
        for entry in selector.entries() {
            let text = entry.value.scalar().unwrap_or_default();
            // Go treats an empty text as unset.
            if entry.value.is_null() || text.is_empty() {
                continue;
            }
            let key = match entry.key.as_str() {
                "hardwareAddr" => "mac",
                "permanentAddr" => "permanent_mac",
                "driver" => "driver",
                "busPath" => "bus",
                "physical" => match entry.value.switch() {
                    Some(true) => {
                        physical = true;
                        continue;
                    }
                    _ => return Err("netkeel cannot select what is not hardware".to_owned()),
                },
                other => return Err(format!("netkeel selects no interface by `{other}`")),
            };
            if key.ends_with("mac") && text.contains(|c: char| c.is_ascii_uppercase()) {
                return Err(format!(
                    "Talos compares addresses in lower case, so that `{text}` selects no interface"
                ));
            }
            conditions.push((key, glob(&text)));
        }
        if physical {
            conditions.push(("kind", "physical".to_owned()));
            // `lo` has no kind either; only hardware has an address.
            if !conditions.iter().any(|(key, _)| *key == "mac") {
                conditions.push(("mac", "*".to_owned()));
            }
        }
        if conditions.is_empty() {
            return Err("it selects no interface".to_owned());
        }
        Ok(Conditions(conditions))
    }

    /// The conditions of a `LinkAliasConfig`'s expression, where at most one interface can have them: Talos
    /// gives no alias when several have them. `None` for any other expression.
    pub fn of_expression(expression: &str) -> Option<Conditions> {
        // Talos gives aliases to hardware only.
        let mut conditions = vec![("kind", "physical".to_owned())];
        let mut only_one = false;
        for term in expression.split("&&") {
            let (key, value, equal) = comparison(term.trim())?;
            // Talos compares addresses in lower case.
            if key.ends_with("mac") && value.contains(|c: char| c.is_ascii_uppercase()) {
                return None;
            }
            only_one |= equal && matches!(key, "permanent_mac" | "bus");
            let value = if equal { escaped(&value) } else { glob(&value) };
            conditions.push((key, value));
        }
        only_one.then_some(Conditions(conditions))
    }

    /// The condition on the name.
    pub fn of_name(name: &str) -> Conditions {
        Conditions(vec![("name", escaped(name))])
    }

    /// A label for the rule. Equal conditions have equal labels.
    pub fn label(&self) -> String {
        let label = |(key, value): &(&str, String)| format!("{key} {value}");
        self.0.iter().map(label).collect::<Vec<_>>().join(", ")
    }

    /// The conditions as the value of `match`.
    pub fn node(&self, span: Span) -> Node {
        let entry = |(key, value): &(&'static str, String)| entry(key, text(value), span);
        map(self.0.iter().map(entry).collect(), span)
    }

    /// The conditions of a VLAN of the interface as the value of `match`.
    pub fn vlan(&self, id: i64, span: Span) -> Node {
        let entries = vec![
            entry("kind", text("vlan"), span),
            entry("vlan", Data::Integer(id), span),
            Entry {
                value: self.node(span),
                ..entry("lower", Data::Null, span)
            },
        ];
        map(entries, span)
    }
}

/// One comparison of an expression (Common Expression Language): a key of `match`, a value, and whether
/// the value is compared as it is; else it is a glob.
fn comparison(term: &str) -> Option<(&'static str, String, bool)> {
    if let Some((left, right)) = term.split_once("==") {
        let (left, right) = (left.trim(), right.trim());
        return match (field(left), literal(right)) {
            (Some(key), Some(value)) => Some((key, value, true)),
            _ => Some((field(right)?, literal(left)?, true)),
        };
    }
    let arguments = term.strip_prefix("glob(")?.strip_suffix(')')?;
    let (pattern, value) = arguments.split_once(',')?;
    Some((field(value.trim())?, literal(pattern.trim())?, false))
}

/// The key of `match` for an attribute of the interface.
fn field(text: &str) -> Option<&'static str> {
    match text {
        "mac(link.hardware_addr)" => Some("mac"),
        "mac(link.permanent_addr)" => Some("permanent_mac"),
        "link.driver" => Some("driver"),
        "link.bus_path" => Some("bus"),
        _ => None,
    }
}

/// A text in quotes, without escapes.
fn literal(text: &str) -> Option<String> {
    let quoted = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner: &str = quoted('"').or_else(|| quoted('\''))?;
    (!inner.is_empty() && !inner.contains(['"', '\'', '\\'])).then(|| inner.to_owned())
}

/// A glob of Talos, in which only `*` has a meaning.
fn glob(pattern: &str) -> String {
    let parts: Vec<String> = pattern.split('*').map(escaped).collect();
    parts.join("*")
}

/// A glob that matches one text only.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn entry(key: &str, data: Data, span: Span) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: span,
        value: Node { span, data },
    }
}

fn text(value: &str) -> Data {
    Data::Text {
        value: value.to_owned(),
        plain: false,
    }
}

fn map(entries: Vec<Entry>, span: Span) -> Node {
    Node {
        span,
        data: Data::Map(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml;

    fn of_selector(text: &str) -> String {
        match Conditions::of_selector(&yaml(text)) {
            Ok(conditions) => conditions.label(),
            Err(why) => format!("no: {why}"),
        }
    }

    #[test]
    fn a_selector_of_the_older_form() {
        assert_eq!(
            of_selector("{hardwareAddr: '02:00:5e:*', driver: virtio_net}"),
            "mac 02:00:5e:*, driver virtio_net"
        );
        assert_eq!(
            of_selector("{busPath: '0[0]*', permanentAddr: ''}"),
            r"bus 0\[0]*"
        );
        assert_eq!(of_selector("{physical: true}"), "kind physical, mac *");
        assert_eq!(
            of_selector("{hardwareAddr: '02:*', physical: true}"),
            "mac 02:*, kind physical"
        );
        for text in [
            "{}",
            "{physical: false}",
            "{pciID: '8086:*'}",
            "{hardwareAddr: '02:00:5E:*'}",
        ] {
            assert!(of_selector(text).starts_with("no: "), "{text}");
        }
    }

    #[test]
    fn an_expression_that_finds_at_most_one_interface() {
        let of = |text: &str| Conditions::of_expression(text).map(|conditions| conditions.label());
        let found = Some("kind physical, permanent_mac 02:00:5e:12:34:56".to_owned());
        for text in [
            "mac(link.permanent_addr) == \"02:00:5e:12:34:56\"",
            "mac(link.permanent_addr) == '02:00:5e:12:34:56'",
            "'02:00:5e:12:34:56'==mac(link.permanent_addr)",
        ] {
            assert_eq!(of(text), found, "{text}");
        }
        assert_eq!(
            of("glob('virtio*', link.driver) && link.bus_path == '0000:00:05.0'").as_deref(),
            Some("kind physical, driver virtio*, bus 0000:00:05.0")
        );
        for text in [
            "",
            "link.driver == 'e1000'",
            "glob('02:*', mac(link.permanent_addr))",
            "mac(link.hardware_addr) == '02:00:5e:12:34:56'",
            "mac(link.permanent_addr) == '02:00:5e:12:34:56' || true",
            "!(link.bus_path == '0000:00:05.0')",
            "link.bus_path == '0' && link.mtu == 1500u",
            "link.bus_path == 'a\\'b'",
            "link.bus_path != '0'",
            "mac(link.permanent_addr) == '02:00:5E:12:34:56'",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
