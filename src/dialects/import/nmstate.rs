//! nmstate: `interfaces` with their `mtu`, and the metrics of `routes.config`.

use netkeel_document::draft::quoted;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;

use crate::import::importer::{Importer, Route, Target, scalar, value};

/// Keys of an interface that name it.
const NAMING: [&str; 5] = ["name", "type", "state", "identifier", "mac-address"];

pub(super) fn read(files: &[Node], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    for file in files {
        let is_map = matches!(file.data, netkeel_source::node::Data::Map(_));
        if !is_map {
            diagnostics
                .add(file.span, "", "this is not a state of nmstate")
                .hint("it is a map with `interfaces`: `nmstatectl show` prints one");
        }
        for entry in file.entries() {
            match entry.key.as_str() {
                "interfaces" => {
                    for interface in entry.value.items() {
                        read_interface(interface, into, diagnostics);
                    }
                }
                "routes" => {
                    for part in entry.value.entries() {
                        match part.key.as_str() {
                            "config" => part
                                .value
                                .items()
                                .iter()
                                .for_each(|route| read_route(route, into)),
                            // The routes in force now. `config` has those of them that stay.
                            "running" => {}
                            other => into.note_keys(part.key_span, "routes", &[other.to_owned()]),
                        }
                    }
                }
                other => into.note_keys(entry.key_span, "this file", &[other.to_owned()]),
            }
        }
    }
}

fn read_interface(interface: &Node, into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let text = |key: &str| interface.get(key).and_then(scalar);
    let Some(name) = text("name") else {
        diagnostics
            .add(interface.span, "interfaces", "this interface has no `name`")
            .hint("add its name");
        return;
    };
    if let Some(state @ ("absent" | "ignore" | "down")) = text("state").as_deref() {
        into.note(interface.span, &format!("{name}: its state is {state}"));
        return;
    }
    let target = match (text("identifier").as_deref(), text("mac-address")) {
        (Some("mac-address"), Some(mac)) => Target {
            condition: Some(format!("mac: {}", quoted(&mac.to_ascii_lowercase()))),
            key: name.clone(),
        },
        _ => Target {
            key: name.clone(),
            condition: None,
        },
    };
    let mut others = Vec::new();
    for entry in interface.entries() {
        match (entry.key.as_str(), scalar(&entry.value)) {
            ("mtu", Some(mtu)) => into.set_link(&target, ("mtu", value(&mtu)), entry.value.span),
            (key, _) if NAMING.contains(&key) => {}
            // The limits of the device, which `nmstatectl show` prints.
            ("min-mtu" | "max-mtu", _) => {}
            (key, _) => others.push(key.to_owned()),
        }
    }
    into.note_keys(interface.span, &name, &others);
}

fn read_route(node: &Node, into: &mut Importer<'_>) {
    let mut route = Route::default();
    let mut others = Vec::new();
    for entry in node.entries() {
        let text = scalar(&entry.value).unwrap_or_default();
        match entry.key.as_str() {
            "destination" => route.destination = Some(text),
            "table-id" if matches!(text.as_str(), "0" | "254") => {}
            "table-id" => route.place.push(("table", value(&text))),
            // -1 is the default.
            "metric" if text.starts_with('-') => {}
            "metric" => route.place.push(("metric", value(&text))),
            "mtu" => route.metrics.push(("mtu", value(&text))),
            "advmss" => route.metrics.push(("advmss", value(&text))),
            other => others.push(other.to_owned()),
        }
    }
    let what = format!(
        "the route to {}",
        route.destination.as_deref().unwrap_or("nothing")
    );
    into.note_keys(node.span, &what, &others);
    into.add_route(route, node.span);
}
