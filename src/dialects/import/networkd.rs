//! systemd-networkd: MTUs, reverse path filters and metrics of routes of `.network` files, tunnels with `External=`
//! of `.netdev` files, and MTUs and queue lengths of `.link` files.

mod matching;
mod section;

use std::collections::{BTreeMap, BTreeSet};

use netkeel_document::draft::{SYSCTL, TUNNEL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::span::Span;

use crate::import::importer::{Importer, Route, Target, Text, bytes, value};
use crate::import::networkd::matching::{Earlier, Match};
use crate::import::networkd::section::{Section, Setting};

pub(super) fn read(files: &[Text], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let mut parsed: Vec<(&Text, Vec<Section>)> = Vec::new();
    for file in in_order(files, into) {
        parsed.push((file, sections(file, diagnostics)));
    }
    let of_kind = |end: &'static str| parsed.iter().filter(move |(file, _)| file.name.ends_with(end));
    // The tunnels first: a .network file has their addresses.
    let (mut tunnels, mut made) = (BTreeMap::new(), BTreeSet::new());
    for (_, sections) in of_kind(".netdev") {
        netdev(sections, &mut tunnels, &mut made, into);
    }
    // A .network file overrides a .link file.
    let (mut earlier, mut renamed) = (Earlier::default(), BTreeSet::new());
    for (file, sections) in of_kind(".link") {
        link(file, sections, &mut earlier, &mut renamed, into);
    }
    let mut earlier = Earlier::default();
    for (file, sections) in of_kind(".network") {
        network(file, sections, &tunnels, &mut earlier, into);
    }
    for (file, _) in &parsed {
        let is_known = [".netdev", ".link", ".network"]
            .iter()
            .any(|end| file.name.ends_with(end));
        if let (false, Some(line)) = (is_known, file.lines.first()) {
            into.note(line.span, "neither a .network, a .netdev nor a .link file");
        }
    }
}

/// The directories of systemd, the first one with the highest priority (systemd.network(5)).
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd/network/",
    "/run/systemd/network/",
    "/usr/local/lib/systemd/network/",
    "/lib/systemd/network/",
];

/// The files in the order of their names without directories. Of several files of a name, systemd reads one.
fn in_order<'a>(files: &'a [Text], into: &mut Importer<'_>) -> Vec<&'a Text> {
    let priority = |file: &Text| {
        let found = DIRECTORIES
            .iter()
            .position(|directory| file.name.contains(directory));
        found.unwrap_or_default()
    };
    let mut by_name: BTreeMap<&str, &Text> = BTreeMap::new();
    for file in files {
        let name = file.name.rsplit('/').next().unwrap_or(&file.name);
        let (kept, masked) = match by_name.get(name) {
            Some(known) if priority(known) <= priority(file) => (*known, Some(file)),
            Some(known) => (file, Some(*known)),
            None => (file, None),
        };
        by_name.insert(name, kept);
        if let Some(line) = masked.and_then(|masked| masked.lines.first()) {
            into.note(
                line.span,
                &format!("systemd reads {} instead, which has the same name", kept.name),
            );
        }
    }
    by_name.into_values().collect()
}

fn sections(file: &Text, diagnostics: &mut Diagnostics) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in &file.lines {
        let name = line
            .text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = name {
            sections.push(Section {
                name: name.to_owned(),
                span: line.span,
                settings: Vec::new(),
            });
            continue;
        }
        match (line.text.split_once('='), sections.last_mut()) {
            (Some((key, value)), Some(section)) => section.settings.push(Setting {
                key: key.trim().to_owned(),
                value: value.trim().to_owned(),
                span: line.span,
            }),
            (Some(_), None) => {
                diagnostics
                    .add(line.span, "", "this setting is in no section")
                    .hint("a section starts with its name: [Match]");
            }
            (None, _) => {
                diagnostics
                    .add(line.span, "", "this is neither a section nor a setting")
                    .hint("write KEY=VALUE");
            }
        }
    }
    sections
}

/// The settings that netkeel does not manage, as `Network.Gateway`.
fn note_others(sections: &[Section], ours: &[(&str, &[&str])], into: &mut Importer<'_>) {
    let mut others: Vec<String> = Vec::new();
    for section in sections {
        let known = ours.iter().find(|(name, _)| *name == section.name);
        for setting in &section.settings {
            let name = format!("{}.{}", section.name, setting.key);
            if !known.is_some_and(|(_, keys)| keys.contains(&setting.key.as_str())) && !others.contains(&name)
            {
                others.push(name);
            }
        }
    }
    if let Some(first) = sections.first() {
        into.note_keys(first.span, "this file", &others);
    }
}

/// Collects the names of external tunnels with their modes.
fn netdev(
    sections: &[Section],
    tunnels: &mut BTreeMap<String, Span>,
    made: &mut BTreeSet<String>,
    into: &mut Importer<'_>,
) {
    let of = |name: &str| sections.iter().find(|section| section.name == name);
    let Some(device) = of("NetDev") else {
        if let Some(first) = sections.first() {
            into.note(first.span, "this file has no [NetDev]");
        }
        return;
    };
    let (Some(name), kind) = (device.last("Name"), device.last("Kind")) else {
        into.note(device.span, "this [NetDev] has no Name=");
        return;
    };
    if !made.insert(name.value.clone()) {
        let text = format!("{}: an earlier .netdev file makes it", name.value);
        into.note(device.span, &text);
        return;
    }
    let external = of("Tunnel")
        .and_then(|tunnel| tunnel.last("External"))
        .is_some_and(|setting| is_on(&setting.value));
    let kind = kind.map(|kind| kind.value.as_str()).unwrap_or_default();
    let mtu = device.last("MTUBytes");
    let mtu = mtu.and_then(|setting| Some((size(setting, into)?, setting.span)));
    let tunnel: &[&str] = match kind {
        "ipip" | "ip6tnl" if external => {
            into.set(TUNNEL, &name.value, ("mode", kind.to_owned()), name.span);
            if let Some((mtu, span)) = mtu {
                into.set(TUNNEL, &name.value, ("mtu", mtu.to_string()), span);
            }
            tunnels.insert(name.value.clone(), name.span);
            &["External"]
        }
        _ => {
            if matches!(kind, "ipip" | "ip6tnl" | "sit") {
                let text = format!(
                    "{}: a tunnel without External=yes, which netkeel does not make",
                    name.value
                );
                into.note(device.span, &text);
            }
            if let Some((mtu, span)) = mtu {
                let target = Target::of_name(&name.value);
                into.set_link(&target, ("mtu", mtu.to_string()), span);
            }
            &[]
        }
    };
    note_others(
        sections,
        &[("NetDev", &["Name", "Kind", "MTUBytes"]), ("Tunnel", tunnel)],
        into,
    );
}

/// A number of bytes. None with a note if the text is not a number.
fn size(setting: &Setting, into: &mut Importer<'_>) -> Option<u64> {
    let size = bytes(&setting.value);
    if size.is_none() {
        let text = format!("{}: `{}` is no number of bytes", setting.key, setting.value);
        into.note(setting.span, &text);
    }
    size
}

fn network(
    file: &Text,
    sections: &[Section],
    tunnels: &BTreeMap<String, Span>,
    earlier: &mut Earlier,
    into: &mut Importer<'_>,
) {
    let matching = Match::read(sections, "Name", into);
    let Some(matching) = matching else {
        note_others(sections, &[("Match", &[])], into);
        return;
    };
    if !matching.is_known() {
        note_others(sections, &[("Match", &[])], into);
        earlier.add(&file.name, matching);
        return;
    }
    let targets = earlier.targets(sections, &matching, into);
    earlier.add(&file.name, matching);
    if targets.is_empty() {
        return;
    }
    let is_tunnel = |target: &Target| tunnels.contains_key(&target.key);
    for section in sections {
        match section.name.as_str() {
            "Link" => {
                if let Some(setting) = section.last("MTUBytes") {
                    mtu(&targets, tunnels, setting, into);
                }
            }
            "Network" => {
                if let Some(setting) = section.last("IPv4ReversePathFilter") {
                    rp_filter(&targets, tunnels, setting, into);
                }
                if let Some(setting) = section.last("IPv6MTUBytes") {
                    ipv6_mtu(&targets, setting, into);
                }
                let addresses: Vec<String> = section
                    .settings
                    .iter()
                    .filter(|setting| setting.key == "Address" && !setting.value.is_empty())
                    .map(|setting| quoted(&setting.value))
                    .collect();
                for target in targets
                    .iter()
                    .filter(|target| is_tunnel(target) && !addresses.is_empty())
                {
                    let addresses = format!("[{}]", addresses.join(", "));
                    into.set(TUNNEL, &target.key, ("addresses", addresses), section.span);
                }
            }
            "Route" => route(section, into),
            _ => {}
        }
    }
    let of_network: &[&str] = match targets.iter().all(is_tunnel) {
        true => &["IPv4ReversePathFilter", "IPv6MTUBytes", "Address"],
        false => &["IPv4ReversePathFilter", "IPv6MTUBytes"],
    };
    let ours: [(&str, &[&str]); 4] = [
        (
            "Match",
            &["Name", "MACAddress", "PermanentMACAddress", "Driver", "Kind"],
        ),
        ("Link", &["MTUBytes"]),
        ("Network", of_network),
        (
            "Route",
            &[
                "Destination",
                "Table",
                "Metric",
                "MTUBytes",
                "TCPAdvertisedMaximumSegmentSize",
            ],
        ),
    ];
    note_others(sections, &ours, into);
}

fn ipv6_mtu(targets: &[Target], setting: &Setting, into: &mut Importer<'_>) {
    let Some(mtu) = size(setting, into) else { return };
    for target in targets {
        if target.condition.is_some() {
            let text = format!(
                "{}: IPv6MTUBytes= of a rule: a sysctl names one interface",
                target.key
            );
            into.note(setting.span, &text);
            continue;
        }
        let key = format!("net/ipv6/conf/{}/mtu", target.key);
        into.set(SYSCTL, &key, ("", mtu.to_string()), setting.span);
    }
}

fn mtu(targets: &[Target], tunnels: &BTreeMap<String, Span>, setting: &Setting, into: &mut Importer<'_>) {
    let Some(mtu) = size(setting, into) else { return };
    for target in targets {
        match tunnels.contains_key(&target.key) {
            true => into.set(TUNNEL, &target.key, ("mtu", mtu.to_string()), setting.span),
            false => into.set_link(target, ("mtu", mtu.to_string()), setting.span),
        }
    }
}

fn rp_filter(
    targets: &[Target],
    tunnels: &BTreeMap<String, Span>,
    setting: &Setting,
    into: &mut Importer<'_>,
) {
    let word = match setting.value.as_str() {
        "loose" => "loose",
        "strict" => "strict",
        text if is_on(text) => "strict",
        "no" | "false" | "off" | "0" | "n" | "f" => "off",
        other => {
            into.note(setting.span, &format!("`{other}` is no reverse path filter"));
            return;
        }
    };
    for target in targets {
        match tunnels.contains_key(&target.key) {
            true => into.set(TUNNEL, &target.key, ("rp_filter", word.to_owned()), setting.span),
            false => into.set_link(target, ("rp_filter", word.to_owned()), setting.span),
        }
    }
}

/// Whether a text is a true of systemd (`parse_boolean`).
fn is_on(text: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"].contains(&text.to_ascii_lowercase().as_str())
}

fn route(section: &Section, into: &mut Importer<'_>) {
    let mut route = Route::default();
    for setting in section
        .settings
        .iter()
        .filter(|setting| !setting.value.is_empty())
    {
        let text = &setting.value;
        match setting.key.as_str() {
            "Destination" => route.destination = Some(text.clone()),
            "Table" if text == "main" => {}
            "Table" => route.place.push(("table", value(text))),
            "Metric" => route.place.push(("metric", value(text))),
            "MTUBytes" => route
                .metrics
                .extend(size(setting, into).map(|mtu| ("mtu", mtu.to_string()))),
            "TCPAdvertisedMaximumSegmentSize" => {
                route
                    .metrics
                    .extend(size(setting, into).map(|mss| ("advmss", mss.to_string())));
            }
            _ => {}
        }
    }
    // A route with a gateway alone is the default route; its family is that of the gateway.
    let gateway = section.last("Gateway").map(|setting| setting.value.as_str());
    if let (None, Some(gateway)) = (&route.destination, gateway) {
        let ipv6 = gateway.contains(':') || gateway == "_ipv6ra";
        route.destination = Some(if ipv6 { "::/0" } else { "0.0.0.0/0" }.to_owned());
    }
    into.add_route(route, section.span);
}

fn link(
    file: &Text,
    sections: &[Section],
    earlier: &mut Earlier,
    renamed: &mut BTreeSet<String>,
    into: &mut Importer<'_>,
) {
    let Some(matching) = Match::read(sections, "OriginalName", into) else {
        note_others(sections, &[("Match", &[])], into);
        return;
    };
    let mut targets = earlier.targets(sections, &matching, into);
    let is_first = !targets.is_empty();
    let name = sections
        .iter()
        .filter(|section| section.name == "Link")
        .find_map(|section| section.last("Name"));
    match name {
        // The name selects the interface, whatever the file matches.
        Some(name) if is_first && renamed.insert(name.value.clone()) => {
            targets = vec![Target {
                key: name.value.clone(),
                condition: None,
            }];
        }
        Some(name) if is_first => {
            let text = format!("{}: an earlier file gives an interface this name", name.value);
            into.note(name.span, &text);
            targets.clear();
        }
        None if !matching.is_known() => {
            targets.clear();
            note_others(sections, &[("Match", &[])], into);
        }
        Some(_) | None => {}
    }
    earlier.add(&file.name, matching);
    if targets.is_empty() {
        return;
    }
    for section in sections.iter().filter(|section| section.name == "Link") {
        if let Some(setting) = section.last("MTUBytes") {
            mtu(&targets, &BTreeMap::new(), setting, into);
        }
        if let Some(setting) = section.last("TransmitQueueLength") {
            for target in &targets {
                into.set_link(target, ("txqueuelen", value(&setting.value)), setting.span);
            }
        }
    }
    let matched = [
        "OriginalName",
        "MACAddress",
        "PermanentMACAddress",
        "Driver",
        "Kind",
    ];
    let matched: &[&str] = &matched;
    note_others(
        sections,
        &[
            ("Match", matched),
            ("Link", &["Name", "MTUBytes", "TransmitQueueLength"]),
        ],
        into,
    );
}
