//! The names of facts and objects in JSON.

use crate::json::output;
use crate::json::output::Object as Kind;
use netkeel_core::fact::{Fact, Field, Object};

/// A fact.
pub(super) fn fact(fact: &Fact) -> output::Fact {
    let (object, name) = object(&fact.object);
    output::Fact {
        object,
        name,
        field: field(fact.field),
    }
}

/// An object, by its kind and its name.
pub(crate) fn object(object: &Object) -> (output::Object, String) {
    match object {
        Object::File(path) => (Kind::File, path.display().to_string()),
        Object::Plugin(plugin) => (Kind::Cni, format!("{} {}", plugin.file.display(), plugin.kind)),
        Object::Wireguard(wireguard) => (Kind::Wireguard, wireguard.copy.display().to_string()),
        Object::Sysctl(key) => (Kind::Sysctl, key.path().to_owned()),
        Object::Link(name) => (Kind::Link, name.stored().into_owned()),
        Object::Nflog(name) => (Kind::Nflog, name.to_string()),
        Object::LogGroup(group) => (Kind::NflogGroup, group.to_string()),
    }
}

/// The name of a field.
pub(super) fn field(field: Field) -> String {
    match field {
        Field::Up => "up".into(),
        Field::Address(address) => format!("address {address}"),
        other => other.to_string(),
    }
}
