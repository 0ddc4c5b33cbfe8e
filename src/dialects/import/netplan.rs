//! Netplan: `mtu` and `ipv6-mtu` of devices, and metrics of their `routes` (netplan(5)).

use netkeel_document::draft::{SYSCTL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Entry, Node};

use crate::import::{Importer, Route, Target, scalar, value};

/// The sections of devices.
const DEVICES: [&str; 10] = [
    "ethernets",
    "modems",
    "wifis",
    "bridges",
    "bonds",
    "vlans",
    "tunnels",
    "vrfs",
    "dummy-devices",
    "virtual-ethernets",
];

pub(super) fn read(files: &[Node], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    for file in files {
        let Some(network) = file.get("network") else {
            diagnostics
                .add(
                    file.span,
                    "",
                    "this is not a file of netplan: it has no `network`",
                )
                .hint("netplan's files are in /etc/netplan, /run/netplan and /lib/netplan");
            continue;
        };
        for section in network.entries() {
            match section.key.as_str() {
                "version" | "renderer" => {}
                key if DEVICES.contains(&key) => {
                    for device in section.value.entries() {
                        read_device(key, device, into);
                    }
                }
                key => into.note_keys(section.key_span, "network", &[key.to_owned()]),
            }
        }
    }
}

fn read_device(section: &str, device: &Entry, into: &mut Importer<'_>) {
    let name = device.key.as_str();
    let Some(target) = target(device, into) else {
        return;
    };
    let mut others = Vec::new();
    for entry in device.value.entries() {
        let span = entry.value.span;
        match (entry.key.as_str(), scalar(&entry.value)) {
            ("match" | "set-name" | "renderer", _) => {}
            ("mtu", Some(mtu)) => into.set_link(&target, ("mtu", value(&mtu)), span),
            ("ipv6-mtu", Some(mtu)) if target.condition.is_none() => {
                // A name can have dots.
                let key = format!("net/ipv6/conf/{}/mtu", target.key);
                into.set(SYSCTL, &key, ("", value(&mtu)), span);
            }
            ("routes", _) => entry
                .value
                .items()
                .iter()
                .for_each(|route| read_route(name, route, into)),
            (key, _) => others.push(key.to_owned()),
        }
    }
    let what = format!("{section}.{name}");
    into.note_keys(device.key_span, &what, &others);
}

/// The interfaces of a device. None if netkeel cannot select them, with a note.
fn target(device: &Entry, into: &mut Importer<'_>) -> Option<Target> {
    let name = device.key.as_str();
    if let Some(renamed) = device.value.get("set-name").and_then(scalar) {
        return Some(Target {
            key: renamed,
            condition: None,
        });
    }
    let Some(conditions) = device.value.get("match") else {
        return Some(Target {
            key: name.to_owned(),
            condition: None,
        });
    };
    let mut all = Vec::new();
    for condition in conditions.entries() {
        let value = match condition.value.items() {
            [only] => scalar(only),
            _ => scalar(&condition.value),
        };
        let ours = match condition.key.as_str() {
            "name" => value.map(|value| format!("name: {}", quoted(&value))),
            // The address that the hardware was made with, unless the device has none.
            "macaddress" => value.map(|value| format!("mac: {}", quoted(&value.to_ascii_lowercase()))),
            "driver" => value.map(|value| format!("driver: {}", quoted(&value))),
            _ => None,
        };
        match ours {
            Some(ours) => all.push(ours),
            None => {
                let text = format!(
                    "{name}: netkeel has no condition for `{}` of `match`",
                    condition.key
                );
                into.note(condition.key_span, &text);
                return None;
            }
        }
    }
    if all.is_empty() {
        // Without conditions, every device of the section.
        into.note(device.key_span, &format!("{name}: `match` without a condition"));
        return None;
    }
    Some(Target {
        key: name.to_owned(),
        condition: Some(all.join(", ")),
    })
}

fn read_route(name: &str, node: &Node, into: &mut Importer<'_>) {
    let mut route = Route::default();
    let mut others = Vec::new();
    for entry in node.entries() {
        let text = scalar(&entry.value).unwrap_or_default();
        match entry.key.as_str() {
            "to" => route.destination = Some(text),
            "table" => route.place.push(("table", value(&text))),
            "metric" => route.place.push(("metric", value(&text))),
            "mtu" => route.metrics.push(("mtu", value(&text))),
            "advertised-mss" => route.metrics.push(("advmss", value(&text))),
            other => others.push(other.to_owned()),
        }
    }
    let destination = route.destination.as_deref().unwrap_or("nothing");
    let what = format!("{name}, the route to {destination}");
    into.note_keys(node.span, &what, &others);
    into.add_route(route, node.span);
}
