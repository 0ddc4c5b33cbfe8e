//! Explains one setting of an interface that is no sysctl.

use serde::Serialize;

use crate::explain::declared::Declared;
use crate::explain::holder::{Held, held};
use crate::explain::inputs::Inputs;
use crate::explain::link;
use netkeel_core::fact::{Fact, Field};
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::lookup::Lookup;

/// The explanation of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldExplained {
    /// The interface.
    pub link: LinkName,
    /// The setting, by its key of a document.
    pub field: &'static str,
    /// Its value; null if there is none, or it could not be read.
    pub live: Option<String>,
    /// The smallest and the largest MTU that the device accepts, bytes; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(u32, u32)>,
    /// The line of the document that wants it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared: Option<Declared>,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Notes, a sentence each.
    pub notes: Vec<String>,
}

/// The settings of an interface, by their keys of a document.
const FIELDS: [(&str, Field); 6] = [
    ("mtu", Field::Mtu),
    ("pod_mtu", Field::PodMtu),
    ("rp_filter", Field::RpFilter),
    ("up", Field::Up),
    ("txqueuelen", Field::TxQueueLength),
    ("alias", Field::Alias),
];

/// An interface and one of its settings: `eth0.mtu`.
///
/// `None` if the text does not end in a dot and the name of a setting. The name before it may contain dots.
pub fn parse(text: &str) -> Option<(&str, Field)> {
    let (link, word) = text.rsplit_once('.')?;
    let (_, field) = FIELDS.iter().find(|(name, _)| *name == word)?;
    (!link.is_empty() && !link.contains('/')).then_some((link, *field))
}

/// The names of the settings.
pub fn names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// Explains a setting; `None` if the interface does not exist.
pub fn field(host: &Inputs<'_>, name: LinkName, field: Field) -> Option<FieldExplained> {
    let of = host.snapshot.links.get(&name)?;
    let fact = Fact::link(&host.snapshot.netns, name, field);
    let device = link::device(host, of);
    Some(FieldExplained {
        link: name,
        field: FIELDS.iter().find(|(_, known)| *known == field)?.0,
        live: match host.snapshot.get(&fact) {
            Lookup::Value(value) => Some(fact.show(Some(&value))),
            Lookup::Absent | Lookup::Unread => None,
        },
        range: (field == Field::Mtu).then_some((of.min_mtu, of.max_mtu)),
        declared: host.declaring.and_then(|documents| documents.of(&fact)),
        held: held(&host.kept, &fact),
        notes: match field {
            Field::Mtu => link::notes(name, &device),
            _ => Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_an_interface_a_dot_and_a_key() {
        assert_eq!(parse("eth0.mtu"), Some(("eth0", Field::Mtu)));
        assert_eq!(
            parse("eth0.100.txqueuelen"),
            Some(("eth0.100", Field::TxQueueLength))
        );
        for other in [
            "eth0",
            "eth0.100",
            ".mtu",
            "mtu",
            "net/ipv4/x.mtu",
            "net.core.rmem_max",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
