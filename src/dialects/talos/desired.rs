//! A machine configuration as a document: sysctls, MTUs, and the native documents in netkeel's
//! extension service.

use std::collections::{BTreeMap, BTreeSet};

use crate::talos::configuration::Configuration;
use crate::talos::conflict::About;
use crate::talos::cozystack;
use crate::talos::cozystack::PodMtus;
use crate::talos::keys::{DIRECTORY, KUBESPAN, KUBESPAN_KIND, SERVICE};
use crate::talos::links::Aliases;
use crate::talos::selector::Conditions;
use crate::version::document;
use netkeel_core::finding::Code;
use netkeel_core::name::link;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::number;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

/// The longest name of an interface whose VLANs Talos names after it in full, in bytes (`VLANLinkName`).
const MAX_VLAN_BASE: usize = 10;

/// The layers of a document: the settings that Talos applies, then netkeel's own documents. Talos
/// sets its sysctls at boot, so no drop-in is needed.
pub fn layers(
    configuration: &Configuration,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Vec<Node> {
    let start = configuration
        .documents()
        .first()
        .map(|document| document.span)
        .unwrap_or_default();
    let mut reader = Reader {
        diagnostics,
        links: Vec::new(),
        places: BTreeMap::new(),
        unplaced: Vec::new(),
    };
    let mut entries = vec![entry("persist", Data::Bool(false), start)];
    let sysctls = reader.sysctls(configuration);
    let outside = |entry: &Entry| !entry.key.starts_with("net.") && !entry.key.starts_with("net/");
    if sysctls.iter().any(outside) {
        entries.push(entry("allow_any_sysctl", Data::Bool(true), start));
    }
    if !sysctls.is_empty() {
        entries.push(entry("sysctl", Data::Map(sysctls), start));
    }
    reader.conflicts(configuration);
    reader.legacy_links(configuration);
    reader.links(configuration);
    let pods = PodMtus::read(configuration, sources, reader.diagnostics);
    match pods.of_all() {
        Ok(stated) => stated.into_iter().for_each(|stated| reader.pods(&stated.mtu)),
        Err(subnet) => {
            let stated = subnet.stated.as_ref().or(pods.values());
            let span = stated.map_or(start, |stated| stated.mtu.span);
            let why = format!(
                "pods of the Subnet {} have another MTU than other pods, and their interfaces have no distinct names",
                subnet.name
            );
            reader.unplaced.push(Unplaced {
                key: "mtu",
                span,
                why,
                remedy: "give all Subnets of pods one MTU",
            });
        }
    }
    let unplaced = std::mem::take(&mut reader.unplaced);
    if !reader.links.is_empty() {
        entries.push(entry("link", Data::Map(reader.links), start));
    }
    for Unplaced {
        key,
        span,
        why,
        remedy,
    } in unplaced
    {
        diagnostics.findings.add(
            Code::NK076,
            format!("{key} ({})", sources.locate(span)),
            format!("netkeel cannot tell which interfaces this is for, and does not set it: {why}"),
            remedy,
        );
    }
    let mut layers = vec![document(entries, start)];
    for service in configuration.of_kind("ExtensionServiceConfig") {
        if service.get("name").and_then(Node::text) == Some(SERVICE) {
            own_documents(service, sources, diagnostics, &mut layers);
        }
    }
    layers
}

/// The documents in the extension service. They are layered by file name, as in the service.
fn own_documents(
    service: &Node,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
    layers: &mut Vec<Node>,
) {
    let mut files = BTreeMap::new();
    for file in service.get("configFiles").map(Node::items).unwrap_or_default() {
        let text = |key: &str| file.get(key).and_then(|node| Some((node.scalar()?, node.span)));
        if let (Some((path, _)), Some((content, span))) = (text("mountPath"), text("content"))
            && path.starts_with(DIRECTORY)
        {
            files.insert(path.into_owned(), (content.into_owned(), span));
        }
    }
    for (path, (content, span)) in files {
        let name = format!("{}:{path}", sources.name(span.file));
        layers.extend(sources.load(&name, content.into_bytes(), None, diagnostics));
    }
}

fn entry(key: &str, data: Data, span: Span) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: span,
        value: Node { span, data },
    }
}

/// A setting that netkeel cannot assign to an interface.
struct Unplaced {
    key: &'static str,
    span: Span,
    why: String,
    remedy: &'static str,
}

struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
    links: Vec<Entry>,
    /// The index of each link by its name.
    places: BTreeMap<String, usize>,
    /// Settings that netkeel cannot assign to interfaces.
    unplaced: Vec<Unplaced>,
}

impl Reader<'_> {
    /// `SysctlConfig` wins over `machine.sysctls`, whatever the spelling of a key.
    fn sysctls(&mut self, configuration: &Configuration) -> Vec<Entry> {
        let parameters = configuration
            .of_kind("SysctlConfig")
            .filter_map(|config| config.get("params"));
        let sources = parameters.chain(configuration.legacy_at(&["machine", "sysctls"]));
        let mut taken: Vec<Entry> = Vec::new();
        let mut said: BTreeSet<String> = BTreeSet::new();
        for map in sources {
            let above = said.clone();
            for entry in map.entries() {
                // The path below /proc/sys is the same for all spellings of a key.
                let key = entry.key.parse::<SysctlKey>();
                let key = key.map_or_else(|_| entry.key.clone(), |key| key.path().to_owned());
                if !above.contains(&key) {
                    taken.extend(self.sysctl(entry));
                }
                said.insert(key);
            }
        }
        taken
    }

    /// The value is the text that Talos writes, in the form in which the kernel shows it.
    fn sysctl(&mut self, entry: &Entry) -> Option<Entry> {
        let empty = match &entry.value.data {
            Data::Null => Some("without a value, Talos writes an empty text"),
            Data::Text { value, .. } if value.trim().is_empty() => {
                Some("Talos writes this text, which contains no value")
            }
            _ => None,
        };
        if let Some(message) = empty {
            self.diagnostics
                .add(entry.key_span, KeyPath::of(&["sysctls", &entry.key]), message)
                .hint("leave the key out, or delete it with `$patch: delete`");
            return None;
        }
        let data = match &entry.value.data {
            Data::Bool(value) => Data::Text {
                value: value.to_string(),
                plain: false,
            },
            Data::Text { value, .. } => Data::Text {
                value: shown(value),
                plain: false,
            },
            data => data.clone(),
        };
        let span = entry.value.span;
        Some(Entry {
            key: entry.key.clone(),
            key_span: entry.key_span,
            value: Node { span, data },
        })
    }

    fn legacy_links(&mut self, configuration: &Configuration) {
        let aliases = configuration.aliases();
        let interfaces = configuration.legacy_at(&["machine", "network", "interfaces"]);
        for interface in interfaces.map(Node::items).unwrap_or_default() {
            let vlans = interface.get("vlans").map(Node::items).unwrap_or_default();
            let name = interface.get("interface").and_then(Node::text);
            match name.filter(|name| !name.is_empty()) {
                Some(name) => {
                    self.named(name, &aliases, interface, &["mtu"]);
                    vlans.iter().for_each(|vlan| self.vlan(name, &aliases, vlan));
                }
                None => self.selected(interface, vlans),
            }
        }
        if let Some(kubespan) = configuration.legacy_at(&["machine", "network", KUBESPAN]) {
            self.kubespan(configuration, kubespan);
        }
    }

    fn links(&mut self, configuration: &Configuration) {
        let aliases = configuration.aliases();
        for link in configuration.links() {
            if link.found() {
                self.named(link.name, &aliases, link.settings, &["mtu", "up"]);
            } else if !link.name.is_empty() {
                self.settings(link.name, link.settings, &["mtu", "up"]);
            }
        }
        for document in configuration.of_kind(KUBESPAN_KIND) {
            self.kubespan(configuration, document);
        }
    }

    /// Settings of an existing interface by its name. A name may be an alias: then its selector finds the
    /// interface, or else the alias on the host.
    fn named(&mut self, name: &str, aliases: &Aliases<'_>, from: &Node, keys: &[&'static str]) {
        if name.is_empty() {
            return;
        }
        match aliases.expression(name).and_then(Conditions::of_expression) {
            Some(conditions) => self.matched(&conditions.label(), conditions.node(from.span), from, keys),
            None => self.settings(name, from, keys),
        }
    }

    /// A VLAN of a named interface. Talos derives its name from the one in the configuration, alias or not.
    fn vlan(&mut self, name: &str, aliases: &Aliases<'_>, vlan: &Node) {
        let Some(id) = vlan.get("vlanId").and_then(Node::integer) else {
            return;
        };
        if name.len() <= MAX_VLAN_BASE {
            return self.settings(&format!("{name}.{id}"), vlan, &["mtu"]);
        }
        // Talos shortens the name, with a hash.
        let conditions = match aliases.contain(name) {
            true => aliases.expression(name).and_then(Conditions::of_expression),
            false => Some(Conditions::of_name(name)),
        };
        match conditions {
            Some(conditions) => {
                let label = format!("{}, vlan {id}", conditions.label());
                self.matched(&label, conditions.vlan(id, vlan.span), vlan, &["mtu"]);
            }
            None => self.unplaced(vlan, &["mtu"], "an alias selects the interface below this VLAN"),
        }
    }

    /// Reports conflicts: Talos would refuse the configuration, and netkeel does not pick one of
    /// two.
    fn conflicts(&mut self, configuration: &Configuration) {
        for conflict in configuration.conflicts() {
            let hint = match conflict.about {
                About::Link => "keep one document for an interface: the one that makes it takes its mtu too",
                About::KubeSpan => {
                    "keep one of the two; `machine: { network: { kubespan: { $patch: delete } } }` takes the older one away"
                }
                About::Older => continue,
            };
            let message = format!("Talos refuses this together with {}", conflict.other);
            let diagnostic = self.diagnostics.add(conflict.span, conflict.what, message);
            diagnostic
                .other(conflict.other_span, "this is there already")
                .hint(hint);
        }
    }

    /// Where KubeSpan is off, settings of its interface have no effect.
    fn kubespan(&mut self, configuration: &Configuration, node: &Node) {
        if configuration.kubespan_on(node) {
            self.settings(KUBESPAN, node, &["mtu"]);
        }
    }

    /// Settings of the interfaces that a selector finds, and of their VLANs.
    fn selected(&mut self, interface: &Node, vlans: &[Node]) {
        let selector = interface.get("deviceSelector");
        let conditions = match selector.map(Conditions::of_selector) {
            Some(Ok(conditions)) => conditions,
            Some(Err(why)) => {
                let holders = std::iter::once(interface).chain(vlans);
                holders.for_each(|holder| self.unplaced(holder, &["mtu"], &why));
                return;
            }
            None => return,
        };
        let span = selector.map_or(interface.span, |selector| selector.span);
        let label = conditions.label();
        self.matched(&label, conditions.node(span), interface, &["mtu"]);
        for vlan in vlans {
            if let Some(id) = vlan.get("vlanId").and_then(Node::integer) {
                let label = format!("{label}, vlan {id}");
                self.matched(&label, conditions.vlan(id, span), vlan, &["mtu"]);
            }
        }
    }

    /// Settings of the interfaces that a match selects.
    fn matched(&mut self, label: &str, matching: Node, from: &Node, keys: &[&str]) {
        self.add_settings(label, from, keys);
        let known = self.places.get(label).and_then(|at| self.links.get_mut(*at));
        if let Some(Data::Map(settings)) = known.map(|link| &mut link.value.data)
            && settings.iter().all(|setting| setting.key != "match")
        {
            let span = matching.span;
            let matching = Entry {
                value: matching,
                ..entry("match", Data::Null, span)
            };
            settings.push(matching);
        }
    }

    /// Records settings of an interface that netkeel cannot find.
    fn unplaced(&mut self, holder: &Node, keys: &[&'static str], why: &str) {
        for key in keys {
            let setting = holder.get(key).filter(|setting| !setting.is_null());
            if let Some(setting) = setting.filter(|setting| setting.data != Data::Integer(0)) {
                self.unplaced.push(Unplaced {
                    key,
                    span: setting.span,
                    why: why.to_owned(),
                    remedy: "name the interface, or select it by `hardwareAddr`, `permanentAddr`, `busPath` or `driver`",
                });
            }
        }
    }

    /// Pods of kube-ovn, whose MTU is set when they are created.
    fn pods(&mut self, mtu: &Node) {
        let span = mtu.span;
        let name = Data::Text {
            value: cozystack::PODS.to_owned(),
            plain: false,
        };
        let kind = Data::Text {
            value: "veth".to_owned(),
            plain: true,
        };
        let matches = Data::Map(vec![entry("name", name, span), entry("kind", kind, span)]);
        let settings = vec![
            entry("match", matches, span),
            entry("mtu", mtu.data.clone(), span),
        ];
        self.links.push(entry("kube-ovn", Data::Map(settings), span));
    }

    /// Settings of an interface by its name on the host.
    fn settings(&mut self, name: &str, from: &Node, keys: &[&'static str]) {
        match name.parse::<LinkName>() {
            Ok(_) => self.add_settings(name, from, keys),
            Err(_) if link::is_long(name) => self.add_settings(name, from, keys),
            Err(error) => self.unplaced(from, keys, &error.message),
        }
    }

    /// Later settings win: the documents over the form that they replace.
    fn add_settings(&mut self, name: &str, from: &Node, keys: &[&str]) {
        let mut settings: Vec<Entry> = Vec::new();
        for key in keys {
            let found = from.entries().iter().find(|entry| entry.key == *key);
            let Some(setting) = found.filter(|setting| !setting.value.is_null()) else {
                continue;
            };
            if matches!(setting.value.data, Data::Text { .. }) {
                self.diagnostics
                    .add(
                        setting.value.span,
                        KeyPath::of(&[name, key]),
                        "Talos refuses this as text",
                    )
                    .hint("write it without quotes");
            }
            settings.push(setting.clone());
        }
        // Go treats zero as unset.
        settings.retain(|setting| setting.value.data != Data::Integer(0));
        if settings.is_empty() {
            return;
        }
        let known = self.places.get(name).and_then(|at| self.links.get_mut(*at));
        match known.map(|link| &mut link.value.data) {
            Some(Data::Map(before)) => {
                before.retain(|setting| settings.iter().all(|new| new.key != setting.key));
                before.extend(settings);
            }
            _ => {
                self.places.insert(name.to_owned(), self.links.len());
                self.links.push(entry(name, Data::Map(settings), from.span));
            }
        }
    }
}

/// The kernel parses a text with 0x as a number and shows it in decimal.
fn shown(text: &str) -> String {
    let words = text.split(' ').map(|word| match number::form(word) {
        Some(number::Form::Other {
            what: number::HEXADECIMAL,
            meant,
        }) => meant.into_iter().next(),
        form => form.map(|_| word.to_owned()),
    });
    // Among other words it is text, or a value that the kernel rejects.
    let words: Option<Vec<String>> = words.collect();
    words.map_or_else(|| text.to_owned(), |words| words.join(" "))
}
