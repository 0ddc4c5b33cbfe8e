//! Forms that a version of Talos does not support yet or has replaced, and conflicts of both forms.

use crate::talos::conflict::About;
use crate::talos::keys::kind;
use crate::talos::lint::findings::Lint;
use crate::talos::version::{KUBESPAN, LINKS, SYSCTLS, Version, nearest_kind, since};
use netkeel_core::finding::Code;
use netkeel_core::text::escape::quoted;

/// Paths of the document without a kind that were removed from the schema, with the version and the
/// replacement. Talos still reads them.
const UNTIL: &[(&[&str], Version, &str)] = &[
    (
        &["machine", "network", "interfaces"],
        LINKS,
        "LinkConfig and its kin",
    ),
    (&["machine", "network", "kubespan"], KUBESPAN, "KubeSpanConfig"),
    (&["machine", "sysctls"], SYSCTLS, "SysctlConfig"),
    (&["machine", "sysfs"], SYSCTLS, "SysfsConfig"),
    (&["machine", "kernel"], SYSCTLS, "KernelModuleConfig"),
    (&["machine", "nodeLabels"], SYSCTLS, "KubeNodeConfig"),
    (&["machine", "nodeAnnotations"], SYSCTLS, "KubeNodeConfig"),
];

pub(crate) fn look(lint: &mut Lint<'_>, version: Option<Version>) {
    let configuration = lint.configuration;
    for conflict in configuration.conflicts() {
        let there = lint.sources.locate(conflict.other_span);
        let (code, message, remedy) = match conflict.about {
            About::KubeSpan => (
                Code::NK054,
                "there is a KubeSpanConfig as well, and Talos refuses both at once".to_owned(),
                "keep one of the two",
            ),
            About::Link => (
                Code::NK060,
                format!("Talos refuses it together with {} ({there})", conflict.other),
                "keep one document for an interface: the one that makes it takes its mtu too",
            ),
            About::Older => (
                Code::NK060,
                format!("Talos refuses it together with {} ({there})", conflict.other),
                "keep one of the two; `$patch: delete` takes the older one away",
            ),
        };
        lint.add(code, conflict.what, conflict.span, message, remedy);
    }
    let Some(version) = version else { return };
    for document in configuration.documents() {
        let kind = kind(document);
        let (message, remedy) = match since(kind) {
            _ if kind.is_empty() => continue,
            Some(since) if since <= version => continue,
            Some(since) => (
                format!("Talos {version} refuses this document, which came with {since}"),
                "use the form that the version has: `netkeel render talos --talos-version`".to_owned(),
            ),
            None => (
                format!("Talos {version} refuses this document: it knows no such kind"),
                match nearest_kind(kind) {
                    Some(near) => format!("did you mean {}?", quoted(near)),
                    None => "remove it, or give the version that has it".to_owned(),
                },
            ),
        };
        lint.add(Code::NK052, kind, document.span, message, &remedy);
    }
    for (path, until, instead) in UNTIL {
        let found = configuration.legacy_at(path).filter(|_| version >= *until);
        if let Some(found) = found {
            lint.add(
                Code::NK053,
                path.join("."),
                found.span,
                format!("Talos {version} still reads this, and its schema has left it out"),
                &format!("{instead} is there instead since {until}"),
            );
        }
    }
}
