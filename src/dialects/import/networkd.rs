//! systemd-networkd: MTUs, reverse path filters and metrics of routes of `.network` files, tunnels with `External=`
//! of `.netdev` files, and MTUs and queue lengths of `.link` files.

use std::collections::BTreeMap;

use netkeel_document::draft::{SYSCTL, TUNNEL, quoted};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::span::Span;

use crate::import::{Importer, Route, Target, Text, bytes, is_pattern, label, value};

/// A section of a file. A name can occur several times.
struct Section {
    name: String,
    span: Span,
    settings: Vec<Setting>,
}

struct Setting {
    key: String,
    value: String,
    span: Span,
}

impl Section {
    /// The last value of a key; an empty one resets it.
    fn last(&self, key: &str) -> Option<&Setting> {
        let mut settings = self.settings.iter().rev();
        settings
            .find(|setting| setting.key == key)
            .filter(|setting| !setting.value.is_empty())
    }
}

pub(super) fn read(files: &[Text], into: &mut Importer<'_>, diagnostics: &mut Diagnostics) {
    let mut parsed: Vec<(&Text, Vec<Section>)> = Vec::new();
    for file in files {
        parsed.push((file, sections(file, diagnostics)));
    }
    // The tunnels first: a .network file has their addresses.
    let mut tunnels = BTreeMap::new();
    for (file, sections) in &parsed {
        if file.name.ends_with(".netdev") {
            netdev(sections, &mut tunnels, into);
        }
    }
    for (file, sections) in &parsed {
        match file.name.rsplit_once('.').map(|(_, end)| end) {
            Some("netdev") => {}
            Some("network") => network(sections, &tunnels, into),
            Some("link") => link(sections, into),
            _ => {
                if let Some(line) = file.lines.first() {
                    into.note(line.span, "neither a .network, a .netdev nor a .link file");
                }
            }
        }
    }
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
fn netdev(sections: &[Section], tunnels: &mut BTreeMap<String, Span>, into: &mut Importer<'_>) {
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
    let external = of("Tunnel")
        .and_then(|tunnel| tunnel.last("External"))
        .is_some_and(|setting| is_on(&setting.value));
    let kind = kind.map(|kind| kind.value.as_str()).unwrap_or_default();
    let mtu = device
        .last("MTUBytes")
        .and_then(|setting| Some((bytes(&setting.value)?, setting.span)));
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

/// The interfaces of a `[Match]`. None with a note if netkeel cannot select them.
fn targets(sections: &[Section], name_key: &str, into: &mut Importer<'_>) -> Option<Vec<Target>> {
    let mut names: Vec<String> = Vec::new();
    let mut conditions = Vec::new();
    let mut at = sections.first()?.span;
    for section in sections.iter().filter(|section| section.name == "Match") {
        at = section.span;
        for setting in section
            .settings
            .iter()
            .filter(|setting| !setting.value.is_empty())
        {
            let words: Vec<&str> = setting.value.split_whitespace().collect();
            let one = match words.as_slice() {
                [one] if !one.starts_with('!') => Some(*one),
                _ => None,
            };
            let condition = match (setting.key.as_str(), one) {
                (key, _) if key == name_key && !words.iter().any(|word| word.starts_with('!')) => {
                    names.extend(words.iter().map(|word| (*word).to_owned()));
                    continue;
                }
                ("MACAddress", Some(mac)) => format!("mac: {}", quoted(&mac.to_ascii_lowercase())),
                ("PermanentMACAddress", Some(mac)) => {
                    format!("permanent_mac: {}", quoted(&mac.to_ascii_lowercase()))
                }
                ("Driver", Some(driver)) => format!("driver: {}", quoted(driver)),
                ("Kind", Some(kind)) if !is_pattern(kind) => format!("kind: {}", quoted(kind)),
                (key, _) => {
                    let text = format!("netkeel has no condition for {key}={}", setting.value);
                    into.note(setting.span, &text);
                    return None;
                }
            };
            conditions.push(condition);
        }
    }
    if names.is_empty() && conditions.is_empty() {
        into.note(at, "this file has no [Match], which finds every interface");
        return None;
    }
    let conditions = conditions.join(", ");
    if names.is_empty() {
        return Some(vec![Target {
            key: label(&conditions),
            condition: Some(conditions),
        }]);
    }
    let target = |name: &String| {
        let mut target = Target::of_name(name);
        if !conditions.is_empty() {
            target.key = label(&format!("{name} {conditions}"));
            target.condition = Some(format!("name: {}, {conditions}", quoted(name)));
        }
        target
    };
    Some(names.iter().map(target).collect())
}

fn network(sections: &[Section], tunnels: &BTreeMap<String, Span>, into: &mut Importer<'_>) {
    let Some(targets) = targets(sections, "Name", into) else {
        note_others(sections, &[("Match", &[])], into);
        return;
    };
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
                    for target in targets.iter().filter(|target| target.condition.is_none()) {
                        let key = format!("net/ipv6/conf/{}/mtu", target.key);
                        into.set(SYSCTL, &key, ("", value(&setting.value)), setting.span);
                    }
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

fn mtu(targets: &[Target], tunnels: &BTreeMap<String, Span>, setting: &Setting, into: &mut Importer<'_>) {
    let Some(mtu) = bytes(&setting.value) else {
        into.note(
            setting.span,
            &format!("`{}` is no number of bytes", setting.value),
        );
        return;
    };
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
    for setting in &section.settings {
        let text = &setting.value;
        match setting.key.as_str() {
            "Destination" => route.destination = Some(text.clone()),
            "Table" if text == "main" => {}
            "Table" => route.place.push(("table", value(text))),
            "Metric" => route.place.push(("metric", value(text))),
            "MTUBytes" => route
                .metrics
                .extend(bytes(text).map(|mtu| ("mtu", mtu.to_string()))),
            "TCPAdvertisedMaximumSegmentSize" => {
                route
                    .metrics
                    .extend(bytes(text).map(|mss| ("advmss", mss.to_string())));
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

fn link(sections: &[Section], into: &mut Importer<'_>) {
    let renamed = sections
        .iter()
        .filter(|section| section.name == "Link")
        .find_map(|section| section.last("Name"));
    let targets = match renamed {
        Some(name) => Some(vec![Target {
            key: name.value.clone(),
            condition: None,
        }]),
        None => targets(sections, "OriginalName", into),
    };
    if let Some(targets) = targets {
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
