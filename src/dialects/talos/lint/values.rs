//! Values that violate Talos's schema, or that Talos refuses.

use crate::talos::keys::{KUBESPAN, KUBESPAN_KIND};
use crate::talos::lint::findings::Lint;
use netkeel_core::finding::Code;
use netkeel_core::text::number;
use netkeel_source::node::{Data, Node};

/// The smallest MTU that Talos accepts for KubeSpan (its `KubeSpanLinkMinimumMTU`), in bytes: the
/// minimum of IPv6.
const LEAST_KUBESPAN: i64 = 1280;

/// The maps whose values are written to the kernel.
const WRITTEN: [&str; 4] = ["machine.sysctls", "machine.sysfs", "SysctlConfig", "SysfsConfig"];

pub(crate) fn look(lint: &mut Lint<'_>) {
    for (path, map) in lint.text_maps() {
        // Labels, annotations and taints may be empty.
        let written = WRITTEN.iter().any(|written| path.starts_with(written));
        for entry in map.entries() {
            let path = format!("{path}.{}", entry.key);
            let (code, span, message, remedy) = match &entry.value.data {
                Data::Null if written => (
                    Code::NK051,
                    entry.key_span,
                    "without a value, Talos uses an empty text",
                    "leave the key out, or remove it with `$patch: delete`",
                ),
                Data::Text { value, .. } if written && value.trim().is_empty() => (
                    Code::NK051,
                    entry.value.span,
                    "Talos writes this text, which contains no value",
                    "leave the key out, or remove it with `$patch: delete`",
                ),
                Data::Null => (
                    Code::NK050,
                    entry.key_span,
                    "there is no value: Talos reads an empty text, but its schema rejects it",
                    "write \"\" for an empty text",
                ),
                data if !is_text(data) => (
                    Code::NK050,
                    entry.value.span,
                    "the value is not text: Talos accepts it, but its schema does not",
                    "put it into quotes",
                ),
                _ => continue,
            };
            lint.add(code, path, span, message.to_owned(), remedy);
        }
    }
    mtus(lint);
}

fn is_text(data: &Data) -> bool {
    match data {
        Data::Text { value, plain } => !plain || number::form(value).is_none(),
        _ => false,
    }
}

fn mtus(lint: &mut Lint<'_>) {
    let configuration = lint.configuration;
    let interfaces = configuration.legacy_at(&["machine", "network", "interfaces"]);
    for interface in interfaces.map(Node::items).unwrap_or_default() {
        mtu(lint, "machine.network.interfaces", interface, 0);
        for vlan in interface.get("vlans").map(Node::items).unwrap_or_default() {
            mtu(lint, "machine.network.interfaces.vlans", vlan, 0);
        }
    }
    if let Some(kubespan) = configuration.legacy_at(&["machine", "network", KUBESPAN]) {
        mtu(lint, "machine.network.kubespan", kubespan, LEAST_KUBESPAN);
    }
    for document in configuration.of_kind(KUBESPAN_KIND) {
        mtu(lint, KUBESPAN_KIND, document, LEAST_KUBESPAN);
    }
    for link in configuration.links() {
        mtu(lint, link.place(), link.settings, 0);
    }
}

fn mtu(lint: &mut Lint<'_>, path: &str, holder: &Node, least: i64) {
    let Some(mtu) = holder.get("mtu") else { return };
    let path = format!("{path}.mtu");
    match &mtu.data {
        Data::Text { .. } => lint.add(
            Code::NK057,
            path,
            mtu.span,
            "Talos refuses a number in quotes".to_owned(),
            "write it without",
        ),
        // Zero means unset.
        Data::Integer(value) if *value != 0 && *value < least => lint.add(
            Code::NK057,
            path,
            mtu.span,
            format!("Talos refuses an MTU of KubeSpan below {least}, which IPv6 needs"),
            "raise it, and lower what goes over it",
        ),
        _ => {}
    }
}
