//! Hiera data of Wikimedia's Puppet tree (operations/puppet): the parameters of `profile::base` on reverse path
//! filtering, of `profile::lvs::realserver::ipip`, of `profile::lvs::interface_tweaks`, and the MTU in
//! `kubernetes::clusters`.

use std::collections::BTreeMap;

use netkeel_document::draft::{CNI, LINK, SYSCTL, TUNNEL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Entry, Node};

use crate::import::importer::{Importer, scalar, value};

/// The class of a realserver behind IPIP load balancers.
const IPIP: &str = "profile::lvs::realserver::ipip::";

pub(super) fn read(files: &[Node], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    // The value of a key is that of the last file that has it.
    let mut last: BTreeMap<&str, (usize, &Entry)> = BTreeMap::new();
    for (number, file) in files.iter().enumerate() {
        if !matches!(file.data, Data::Map(_)) {
            diagnostics.add(file.span, "", "Hiera data are a map of keys and their values");
        }
        for entry in file.entries() {
            last.insert(&entry.key, (number, entry));
        }
    }
    let cluster = last
        .get("profile::kubernetes::cluster_name")
        .and_then(|(_, entry)| scalar(&entry.value));
    for (number, file) in files.iter().enumerate() {
        let (mut others, mut replaced) = (Vec::new(), Vec::new());
        for entry in file.entries() {
            let key = entry.key.as_str();
            if last.get(key).is_some_and(|(last, _)| *last != number) {
                replaced.push(key);
                continue;
            }
            match key {
                "profile::base::enable_rp_filter" => rp_filter(entry, into, diagnostics),
                "profile::lvs::interface_tweaks" => tweaks(&entry.value, into),
                "kubernetes::clusters" => clusters(&entry.value, cluster.as_deref(), into),
                "profile::kubernetes::cluster_name" => {}
                key => match key.strip_prefix(IPIP) {
                    Some(parameter) => realserver(parameter, entry, into),
                    None => others.push(key.to_owned()),
                },
            }
        }
        into.note_keys(file.span, "this file", &others);
        if !replaced.is_empty() {
            let text = format!("this file: a later file replaces {}", replaced.join(", "));
            into.note(file.span, &text);
        }
    }
}

/// A boolean for both keys, or a map of both.
fn rp_filter(entry: &Entry, into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let key = |slot: &str| format!("net.ipv4.conf.{slot}.rp_filter");
    match (entry.value.switch(), &entry.value.data) {
        (Some(on), _) => {
            for slot in ["all", "default"] {
                into.set(
                    SYSCTL,
                    &key(slot),
                    ("", i32::from(on).to_string()),
                    entry.value.span,
                );
            }
        }
        (None, Data::Map(entries)) => {
            for part in entries {
                match (part.key.strip_suffix("_rp_filter"), scalar(&part.value)) {
                    (Some(slot @ ("all" | "default")), Some(text)) => {
                        into.set(SYSCTL, &key(slot), ("", value(&text)), part.value.span);
                    }
                    _ => into.note_keys(part.key_span, &entry.key, std::slice::from_ref(&part.key)),
                }
            }
        }
        _ => {
            diagnostics
                .add(
                    entry.value.span,
                    entry.key.as_str(),
                    "expected a boolean or a map",
                )
                .hint("the map has `all_rp_filter` and `default_rp_filter`");
        }
    }
}

fn realserver(parameter: &str, entry: &Entry, into: &mut Importer<'_>) {
    let span = entry.value.span;
    match parameter {
        "enabled" if entry.value.switch() == Some(true) => {
            for (name, mode, address) in [("ipip0", "ipip", true), ("ipip60", "ip6tnl", false)] {
                into.set(TUNNEL, name, ("mode", mode.to_owned()), span);
                if address {
                    let addresses = format!("[{}]", quoted("127.0.0.42/32"));
                    into.set(TUNNEL, name, ("addresses", addresses), span);
                }
                into.set(TUNNEL, name, ("rp_filter", "off".to_owned()), span);
            }
            into.note(
                span,
                "the class also sets rp_filter to 0 on the primary interface, which the data do not name",
            );
        }
        "enabled" if entry.value.switch() == Some(false) => into.note(span, "IPIP is disabled: no tunnels"),
        "enabled" => into.note(
            span,
            &format!("{IPIP}enabled is no boolean, so that it is not known whether there are tunnels"),
        ),
        "ipv4_mss" | "ipv6_mss" | "clamping_enabled" | "interfaces" => into.note(
            span,
            &format!("{IPIP}{parameter}: netkeel does not clamp the MSS; `netkeel mtu` computes an MTU for pods instead"),
        ),
        other => into.note_keys(entry.key_span, IPIP.trim_end_matches(':'), &[other.to_owned()]),
    }
}

fn tweaks(node: &Node, into: &mut Importer<'_>) {
    for interface in node.entries() {
        let mut others = Vec::new();
        for tweak in interface.value.entries() {
            match (tweak.key.as_str(), scalar(&tweak.value)) {
                ("txqlen", Some(length)) if length != "false" => {
                    into.set(
                        LINK,
                        &interface.key,
                        ("txqueuelen", value(&length)),
                        tweak.value.span,
                    );
                }
                (key, _) => others.push(key.to_owned()),
            }
        }
        into.note_keys(interface.key_span, &interface.key, &others);
    }
}

/// The plugins of one cluster: the named one, or the only one.
fn clusters(node: &Node, cluster: Option<&str>, into: &mut Importer<'_>) {
    let all: Vec<&Entry> = node
        .entries()
        .iter()
        .flat_map(|group| group.value.entries())
        .filter(|entry| entry.value.get("cni_config").is_some())
        .collect();
    let chosen: Vec<&&Entry> = match (cluster, all.as_slice()) {
        (Some(name), _) => all.iter().filter(|entry| entry.key == name).collect(),
        (None, [_]) => all.iter().collect(),
        (None, _) => Vec::new(),
    };
    for entry in &all {
        if !chosen.iter().any(|chosen| std::ptr::eq(**chosen, *entry)) {
            let why = match cluster {
                Some(name) => format!("cni_config of the cluster {}: the host is of {name}", entry.key),
                None => format!(
                    "cni_config of the cluster {}: no profile::kubernetes::cluster_name chooses one",
                    entry.key
                ),
            };
            into.note(entry.key_span, &why);
        }
    }
    for entry in chosen {
        let plugins = entry
            .value
            .get("cni_config")
            .and_then(|config| config.get("plugins"));
        for plugin in plugins.map(Node::items).unwrap_or_default() {
            let kind = plugin.get("type").and_then(scalar);
            let mtu = plugin.get("mtu");
            if let (Some(kind), Some(mtu)) = (kind, mtu)
                && let Some(text) = scalar(mtu)
            {
                into.set(CNI, &kind, ("plugin", quoted(&kind)), mtu.span);
                into.set(CNI, &kind, ("mtu", value(&text)), mtu.span);
            }
        }
    }
}
