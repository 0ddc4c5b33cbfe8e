//! Values that are not what Talos's schema asks for, or that Talos refuses.

use super::Lint;
use crate::finding::Code;
use crate::source::talos::{KUBESPAN, LINKS, kind};
use crate::source::{Data, Node, number};

/// The least MTU that Talos takes for KubeSpan (its `KubeSpanLinkMinimumMTU`), in bytes: that of
/// IPv6.
const LEAST_KUBESPAN: i64 = 1280;

pub(super) fn look(lint: &mut Lint<'_>) {
    for (path, map) in lint.text_maps() {
        for entry in map.entries() {
            let path = format!("{path}.{}", entry.key);
            match &entry.value.data {
                Data::Null => lint.add(
                    Code::NK051,
                    path,
                    entry.key_span,
                    "Talos makes an empty text of nothing, and takes that for the value".to_owned(),
                    "leave the key out, or take it away with `$patch: delete`",
                ),
                data if !is_text(data) => lint.add(
                    Code::NK050,
                    path,
                    entry.value.span,
                    "the value is no text, which Talos takes and its schema does not".to_owned(),
                    "put it into quotes",
                ),
                _ => {}
            }
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
    for document in configuration.documents() {
        match kind(document) {
            "KubeSpanConfig" => mtu(lint, "KubeSpanConfig", document, LEAST_KUBESPAN),
            kind if LINKS.contains(&kind) => mtu(lint, kind, document, 0),
            _ => {}
        }
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
        // Zero is nothing said.
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
