//! Forms that a version of Talos does not know yet, or has others for; and both at once.

use super::Lint;
use crate::finding::Code;
use crate::source::talos::kind;
use crate::source::talos::version::{KUBESPAN, LINKS, SYSCTLS, Version};

/// Documents about the network path, with the first version that knows them. A version that does
/// not know a document refuses the whole configuration.
const SINCE: &[(&str, Version)] = &[
    ("ExtensionServiceConfig", Version(7)),
    ("EthernetConfig", Version(10)),
    ("LinkConfig", LINKS),
    ("LinkAliasConfig", LINKS),
    ("WireguardConfig", LINKS),
    ("VLANConfig", LINKS),
    ("BondConfig", LINKS),
    ("BridgeConfig", LINKS),
    ("DummyLinkConfig", LINKS),
    ("KubeSpanConfig", KUBESPAN),
    ("RoutingRuleConfig", KUBESPAN),
    ("SysctlConfig", SYSCTLS),
    ("SysfsConfig", SYSCTLS),
    ("KernelModuleConfig", SYSCTLS),
    ("VethConfig", SYSCTLS),
    ("EtcFileConfig", SYSCTLS),
    ("KubeNodeConfig", SYSCTLS),
    ("KubeFlannelCNIConfig", SYSCTLS),
];

/// Paths of the document without a kind that left the schema, with the version and what is there
/// instead. They are still read.
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

pub(super) fn look(lint: &mut Lint<'_>, version: Option<Version>) {
    let configuration = lint.configuration;
    let legacy = configuration.legacy_at(&["machine", "network", "kubespan"]);
    if let (Some(legacy), Some(_)) = (legacy, configuration.of_kind("KubeSpanConfig").next()) {
        lint.add(
            Code::NK054,
            "machine.network.kubespan",
            legacy.span,
            "there is a KubeSpanConfig as well, and Talos refuses both at once".to_owned(),
            "keep one of the two",
        );
    }
    let Some(version) = version else { return };
    for document in configuration.documents() {
        let since = SINCE.iter().find(|(known, _)| *known == kind(document));
        if let Some((kind, since)) = since.filter(|(_, since)| *since > version) {
            lint.add(
                Code::NK052,
                kind,
                document.span,
                format!("Talos {version} refuses this document, which came with {since}"),
                "use the form that the version has: `netkeel render talos --talos-version`",
            );
        }
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
