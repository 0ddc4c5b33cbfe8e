//! A machine configuration as a document: sysctls, MTUs, and the native documents in netkeel's
//! extension service.

use std::collections::{BTreeMap, BTreeSet};

use crate::talos::configuration::Configuration;
use crate::talos::conflict::About;
use crate::talos::cozystack;
use crate::talos::keys::{DIRECTORY, KUBESPAN, KUBESPAN_KIND, SERVICE};
use crate::version::document;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::number;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::path::KeyPath;
use netkeel_source::node::{Data, Entry, Node};
use netkeel_source::sources::Sources;
use netkeel_source::span::Span;

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
    if let Some(mtu) = cozystack::pod_mtu(configuration, sources, reader.diagnostics) {
        reader.pods(mtu);
    }
    if !reader.links.is_empty() {
        entries.push(entry("link", Data::Map(reader.links), start));
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

struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
    links: Vec<Entry>,
    /// The index of each link by its name.
    places: BTreeMap<String, usize>,
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
            let name = interface
                .get("interface")
                .and_then(Node::text)
                .filter(|name| !name.is_empty());
            let vlans = interface.get("vlans").map(Node::items).unwrap_or_default();
            match name {
                Some(name) if aliases.contain(name) => {
                    let holders = std::iter::once(interface).chain(vlans);
                    holders.for_each(|holder| self.aliased(name, holder, &["mtu"]));
                    continue;
                }
                Some(name) => self.settings(name, interface, &["mtu"]),
                None if interface.get("mtu").is_some() => self.selected(interface),
                None => {}
            }
            for vlan in vlans {
                if let (Some(name), Some(id)) = (name, vlan.get("vlanId").and_then(Node::integer)) {
                    self.settings(&format!("{name}.{id}"), vlan, &["mtu"]);
                }
            }
        }
        if let Some(kubespan) = configuration.legacy_at(&["machine", "network", KUBESPAN]) {
            self.kubespan(configuration, kubespan);
        }
    }

    fn links(&mut self, configuration: &Configuration) {
        let aliases = configuration.aliases();
        for link in configuration.links() {
            if link.found() && aliases.contain(link.name) {
                self.aliased(link.name, link.settings, &["mtu", "up"]);
            } else if !link.name.is_empty() {
                self.settings(link.name, link.settings, &["mtu", "up"]);
            }
        }
        for document in configuration.of_kind(KUBESPAN_KIND) {
            self.kubespan(configuration, document);
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

    /// Only the machine knows which interface a selector finds; netkeel can find one by its driver
    /// only.
    fn selected(&mut self, interface: &Node) {
        let selector = interface
            .get("deviceSelector")
            .map(Node::entries)
            .unwrap_or_default();
        let span = interface.get("mtu").map_or(interface.span, |mtu| mtu.span);
        if let [only] = selector
            && only.key == "driver"
            && let Some(driver) = only.value.text()
        {
            let rule = format!("driver-{driver}");
            self.settings(&rule, interface, &["mtu"]);
            let matches = vec![Entry {
                key: "driver".to_owned(),
                ..only.clone()
            }];
            let found = self.places.get(&rule).and_then(|at| self.links.get_mut(*at));
            if let Some(Data::Map(settings)) = found.map(|link| &mut link.value.data) {
                settings.push(entry("match", Data::Map(matches), only.value.span));
            }
            return;
        }
        self.diagnostics
            .add(
                span,
                "machine.network.interfaces",
                "only the machine knows which interface has this MTU: a selector finds it",
            )
            .hint("name the interface; or select by `driver` alone, which netkeel can do too");
    }

    /// Only the machine knows which interface has an alias.
    fn aliased(&mut self, name: &str, holder: &Node, keys: &[&str]) {
        for key in keys {
            if let Some(setting) = holder.get(key).filter(|setting| !setting.is_null()) {
                let message = format!(
                    "only the machine knows which interface this is for: `{name}` is an alias, which a selector gives it"
                );
                self.diagnostics
                    .add(setting.span, KeyPath::of(&[name, key]), message)
                    .hint("name the interface itself");
            }
        }
    }

    /// Pods of kube-ovn, whose MTU is set when they are created, from CozyStack's ConfigMap.
    fn pods(&mut self, mtu: Node) {
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
        let settings = vec![entry("match", matches, span), entry("mtu", mtu.data, span)];
        self.links.push(entry("kube-ovn", Data::Map(settings), span));
    }

    /// Later settings win: the documents over the form that they replace.
    fn settings(&mut self, name: &str, from: &Node, keys: &[&str]) {
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
