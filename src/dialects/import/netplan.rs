//! Netplan: `mtu` and `ipv6-mtu` of devices, and metrics of their `routes` (netplan(5)).

use std::net::IpAddr;

use netkeel_document::draft::{SYSCTL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::span::Span;

use crate::import::importer::{Importer, Route, Target, scalar, value};

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

/// A device as all files define it: netplan merges the files by the IDs of devices.
struct Device<'a> {
    section: &'a str,
    id: &'a str,
    /// The first definition.
    span: Span,
    match_span: Option<Span>,
    /// The conditions of `match`; a later value of a condition replaces an earlier one.
    conditions: Vec<&'a Entry>,
    /// The other keys; a later value replaces an earlier one.
    keys: Vec<&'a Entry>,
    /// The routes of all files.
    routes: Vec<&'a Node>,
}

pub(super) fn read(files: &[Node], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let mut devices = Vec::new();
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
        for section in map(network, "network", diagnostics) {
            match section.key.as_str() {
                "version" | "renderer" => {}
                key if DEVICES.contains(&key) => {
                    for device in map(&section.value, key, diagnostics) {
                        // The renderer of all devices of the section.
                        if device.key != "renderer" {
                            merge(key, device, &mut devices, diagnostics);
                        }
                    }
                }
                key => into.note_keys(section.key_span, "network", &[key.to_owned()]),
            }
        }
    }
    for device in &devices {
        read_device(device, into, diagnostics);
    }
}

/// The entries of a map. Anything else is an error, but nothing is an empty map.
fn map<'a>(node: &'a Node, path: &str, diagnostics: &mut Diagnostics) -> &'a [Entry] {
    if !matches!(node.data, Data::Map(_) | Data::Null) {
        diagnostics
            .add(node.span, path, format!("`{path}` is not a map"))
            .hint("see netplan(5)");
    }
    node.entries()
}

/// Adds the definition of a device in a file to those of earlier files.
fn merge<'a>(
    section: &'a str,
    entry: &'a Entry,
    devices: &mut Vec<Device<'a>>,
    diagnostics: &mut Diagnostics,
) {
    let known = |device: &Device| device.section == section && device.id == entry.key;
    let number = match devices.iter().position(known) {
        Some(number) => number,
        None => {
            devices.push(Device {
                section,
                id: &entry.key,
                span: entry.key_span,
                match_span: None,
                conditions: Vec::new(),
                keys: Vec::new(),
                routes: Vec::new(),
            });
            devices.len() - 1
        }
    };
    let Some(device) = devices.get_mut(number) else {
        return;
    };
    let path = format!("{section}.{}", entry.key);
    for key in map(&entry.value, &path, diagnostics) {
        match (key.key.as_str(), &key.value.data) {
            ("match", _) => {
                device.match_span = Some(key.key_span);
                for condition in map(&key.value, &format!("{path}.match"), diagnostics) {
                    replace(&mut device.conditions, condition);
                }
            }
            ("routes", Data::List(routes)) => device.routes.extend(routes),
            ("routes", Data::Null) => {}
            ("routes", _) => {
                diagnostics
                    .add(key.value.span, format!("{path}.routes"), "`routes` is not a list")
                    .hint("write a list of routes, each a map with `to`");
            }
            _ => replace(&mut device.keys, key),
        }
    }
}

/// Puts an entry in the place of the one with its key.
fn replace<'a>(entries: &mut Vec<&'a Entry>, new: &'a Entry) {
    match entries.iter_mut().find(|entry| entry.key == new.key) {
        Some(entry) => *entry = new,
        None => entries.push(new),
    }
}

fn read_device(device: &Device<'_>, into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let what = format!("{}.{}", device.section, device.id);
    let target = target(device, into);
    let mut others = Vec::new();
    for entry in &device.keys {
        let (node, key) = (&entry.value, entry.key.as_str());
        match (key, scalar(node), &target) {
            ("set-name" | "renderer", _, _) => {}
            ("mtu" | "ipv6-mtu", None, _) if node.is_null() => {}
            ("mtu" | "ipv6-mtu", None, _) => {
                diagnostics.add(
                    node.span,
                    format!("{what}.{key}"),
                    format!("`{key}` is not a number"),
                );
            }
            // A note has the reason already.
            ("mtu" | "ipv6-mtu", Some(_), None) => others.push(key.to_owned()),
            ("mtu", Some(mtu), Some(target)) => into.set_link(target, ("mtu", value(&mtu)), node.span),
            ("ipv6-mtu", Some(mtu), Some(target)) if target.condition.is_none() => {
                // A name can have dots.
                let key = format!("net/ipv6/conf/{}/mtu", target.key);
                into.set(SYSCTL, &key, ("", value(&mtu)), node.span);
            }
            ("ipv6-mtu", Some(_), Some(_)) => into.note(
                node.span,
                &format!("{what}: ipv6-mtu of the interfaces of a `match`: a sysctl names one interface"),
            ),
            (key, _, _) => others.push(key.to_owned()),
        }
    }
    into.note_keys(device.span, &what, &others);
    for route in &device.routes {
        match route.data {
            Data::Map(_) => read_route(device.id, route, into),
            _ => {
                diagnostics
                    .add(route.span, format!("{what}.routes"), "this route is not a map")
                    .hint("write a map with `to`");
            }
        }
    }
}

/// The interfaces of a device. None if netkeel cannot select them, with a note.
fn target(device: &Device<'_>, into: &mut Importer<'_>) -> Option<Target> {
    let name = device.id;
    let renamed = device.keys.iter().find(|entry| entry.key == "set-name");
    if let Some(renamed) = renamed.and_then(|entry| scalar(&entry.value)) {
        return Some(Target {
            key: renamed,
            condition: None,
        });
    }
    let Some(match_span) = device.match_span else {
        return Some(Target {
            key: name.to_owned(),
            condition: None,
        });
    };
    let mut all = Vec::new();
    for condition in &device.conditions {
        let value = match condition.value.items() {
            [only] => scalar(only),
            _ => scalar(&condition.value),
        };
        let ours = match condition.key.as_str() {
            "name" => value.map(|value| format!("name: {}", quoted(&value))),
            // The permanent address, unless the device lacks one.
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
        into.note(match_span, &format!("{name}: `match` without a condition"));
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
    let mut via = None;
    for entry in node.entries() {
        let span = entry.value.span;
        let key = entry.key.as_str();
        match (key, scalar(&entry.value)) {
            ("to" | "via" | "table" | "metric" | "mtu" | "advertised-mss", None) => {
                into.note(span, &format!("{name}: `{key}` of a route has no value"));
                // Without one of these, the rest may be another route.
                if matches!(key, "to" | "table" | "metric") {
                    return;
                }
            }
            ("to", Some(text)) => route.destination = Some(text),
            ("table", Some(text)) => route.place.push(("table", value(&text))),
            ("metric", Some(text)) => route.place.push(("metric", value(&text))),
            ("mtu", Some(text)) => route.metrics.push(("mtu", value(&text))),
            ("advertised-mss", Some(text)) => route.metrics.push(("advmss", value(&text))),
            (other, text) => {
                if other == "via" {
                    via = text;
                }
                others.push(other.to_owned());
            }
        }
    }
    let destination = route.destination.as_deref().unwrap_or("nothing");
    let what = format!("{name}, the route to {destination}");
    into.note_keys(node.span, &what, &others);
    // `default` has the family of its gateway.
    if destination == "default" && !route.metrics.is_empty() {
        let gateway = via.and_then(|via| via.parse::<IpAddr>().ok());
        let Some(gateway) = gateway else {
            into.note(
                node.span,
                &format!("{what}: without the address of a gateway, its family is not known"),
            );
            return;
        };
        let all = if gateway.is_ipv6() { "::/0" } else { "0.0.0.0/0" };
        route.destination = Some(all.to_owned());
    }
    into.add_route(route, node.span);
}
