//! A pattern that the names of a group have in common: `cali*`.

use netkeel_core::fact::{Field, Object};
use netkeel_core::name::route::Metric;

/// The pattern of the names of several objects of one kind, escaped for a terminal: `cali*`,
/// `net.ipv4.conf.cali*.accept_local`. `None` for a single object, and for names that do not begin alike. Other
/// objects may have such a name too.
pub fn pattern<'a>(mut objects: impl Iterator<Item = &'a Object>) -> Option<String> {
    let first = objects.next()?;
    let of_first = name(first);
    let mut head = of_first.as_str();
    let mut others = 0;
    for object in objects {
        head = common(head, &name(object));
        others += 1;
    }
    if others == 0 {
        return None;
    }
    let leaf = match first {
        Object::Sysctl(_) => of_first.rfind('.').and_then(|dot| of_first.get(dot..)),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Link(_)
        | Object::Nflog(_)
        | Object::LogGroup(_) => None,
    };
    let head = without_number(head);
    (!head.is_empty()).then(|| format!("{head}*{}", leaf.unwrap_or_default()))
}

/// The name of an object without its kind, escaped for a terminal.
pub fn name(object: &Object) -> String {
    let words = object.to_string();
    match object {
        Object::LogGroup(group) => group.to_string(),
        Object::File(_)
        | Object::Plugin(_)
        | Object::Wireguard(_)
        | Object::Sysctl(_)
        | Object::Link(_)
        | Object::Nflog(_) => words
            .split_once(' ')
            .map_or(words.clone(), |(_, name)| name.to_owned()),
    }
}

/// The name of a field without the route or address that it is about: `pod route mtu`.
pub fn field(field: Field) -> &'static str {
    match field {
        Field::Content => "content",
        Field::Value => "value",
        Field::Kind => "kind",
        Field::Address(_) => "address",
        Field::RpFilter => "rp_filter",
        Field::Forwarding => "forwarding",
        Field::Forwarding6 => "ipv6 forwarding",
        Field::DisableIpv6 => "disable_ipv6",
        Field::Mtu => "mtu",
        Field::PodMtu => "pod mtu",
        Field::PodRouteMtu(_) => "pod route mtu",
        Field::PodAddress(_) => "pod address",
        Field::RouteMetric(_, Metric::Mtu) => "route mtu",
        Field::RouteMetric(..) => "route metric",
        Field::Up => "state",
        Field::TxQueueLength => "txqueuelen",
        Field::Alias => "alias",
        Field::Rules => "rules",
    }
}

/// The common start of two texts.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    let bytes: usize = same.map(|(char, _)| char.len_utf8()).sum();
    a.get(..bytes).unwrap_or_default()
}

/// A start without the digits at its end: `cali1` of `cali10` and `cali11` says no more than `cali`.
fn without_number(start: &str) -> &str {
    start.trim_end_matches(|char: char| char.is_ascii_digit())
}
