//! Documents and settings that Talos refuses together in one configuration, after patches.

use std::collections::BTreeMap;

use crate::talos::configuration::Configuration;
use crate::talos::keys::{KUBESPAN, KUBESPAN_KIND};
use crate::talos::links::Link;
use netkeel_source::node::Node;
use netkeel_source::span::Span;

/// Documents that Talos refuses together with their older forms, which are at these paths of the
/// document without a kind.
const OLDER: [(&str, &[&[&str]]); 3] = [
    (
        "KubeNodeConfig",
        &[
            &["machine", "nodeLabels"],
            &["machine", "nodeAnnotations"],
            &["machine", "nodeTaints"],
            &["machine", "kubelet", "nodeIP"],
            &["machine", "kubelet", "registerWithFQDN"],
            &["machine", "kubelet", "skipNodeRegistration"],
            &["cluster", "allowSchedulingOnControlPlanes"],
            &["cluster", "allowSchedulingOnMasters"],
        ],
    ),
    ("KubeFlannelCNIConfig", &[&["cluster", "network"]]),
    (KUBESPAN_KIND, &[&["machine", "network", KUBESPAN]]),
];

/// Two settings that Talos refuses together.
#[derive(Debug)]
pub struct Conflict {
    /// The conflicting setting, such as `LinkConfig eth0`.
    pub what: String,
    /// Its position.
    pub span: Span,
    /// The setting that it conflicts with.
    pub other: String,
    pub(crate) other_span: Span,
    /// The subject of the conflict.
    pub about: About,
}

/// The subject of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// An interface that two documents configure.
    Link,
    /// KubeSpan, in both of its forms.
    KubeSpan,
    /// A document and an older form of it.
    Older,
}

impl Configuration {
    /// All conflicts.
    pub(crate) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let mut known: BTreeMap<&str, Link<'_>> = BTreeMap::new();
        for link in self.links().into_iter().filter(|link| !link.name.is_empty()) {
            let before = *known.entry(link.name).or_insert(link);
            if !std::ptr::eq(before.settings, link.settings) {
                conflicts.push(Conflict {
                    what: format!("{} {}", link.place(), link.name),
                    span: link.span,
                    other: format!("{} {}", before.place(), before.name),
                    other_span: before.span,
                    about: About::Link,
                });
            }
        }
        for (kind, _) in OLDER {
            let Some(document) = self.of_kind(kind).next() else {
                continue;
            };
            conflicts.extend(self.older(kind).map(|(path, older)| Conflict {
                what: path.join("."),
                span: older.span,
                other: kind.to_owned(),
                other_span: document.span,
                about: if kind == KUBESPAN_KIND {
                    About::KubeSpan
                } else {
                    About::Older
                },
            }));
        }
        conflicts
    }

    /// The older forms of a document that are set, each with its path.
    pub(crate) fn older(&self, kind: &str) -> impl Iterator<Item = (&'static [&'static str], &Node)> {
        let paths = OLDER.iter().find(|(known, _)| *known == kind);
        let paths = paths.map_or(&[][..], |(_, paths)| *paths).iter();
        paths.filter_map(|path| {
            let node = self.legacy_at(path)?;
            (!node.is_null()).then_some((*path, node))
        })
    }
}
