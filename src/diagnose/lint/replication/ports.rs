//! Rules for an interface that is a port: the host's IP packets arrive on its master.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;

/// Masters in a row at most, as a port of a bond that is a port of a bridge.
const DEEPEST: usize = 8;

/// Adds each interface of an entry that is a port of a bridge, bond, team or Open vSwitch.
pub(crate) fn check(document: &Document, host: &Snapshot, findings: &mut Findings) {
    for (entry_name, entry) in &document.nflog {
        for name in &entry.on(host).interfaces {
            let Some((master, kind)) = top(*name, host) else {
                continue;
            };
            let path = format!("nflog.{entry_name}.interfaces");
            let (message, remedy) = match kind {
                // Its ports give all packets to the datapath.
                "openvswitch" => (
                    format!("{name} is a port of Open vSwitch: no IP packet arrives on it"),
                    "name the internal port that bears the host's address, as br-ex".to_owned(),
                ),
                kind => (
                    format!("{name} is a port of {master} ({kind}): IP packets arrive on {master}"),
                    format!("name {master}"),
                ),
            };
            findings.add(Code::NK062, path, message, remedy);
        }
    }
}

/// The uppermost master of an interface that hides it from the IP layer, with its kind. A VRF hides nothing: its
/// packets pass prerouting with the port as input, and then with the VRF (Documentation/networking/vrf.rst).
fn top(name: LinkName, host: &Snapshot) -> Option<(LinkName, &str)> {
    let mut found = None;
    let mut link = host.link(name)?;
    for _ in 0..DEEPEST {
        let Some((above, master)) = link.master.and_then(|index| host.by_index(index)) else {
            break;
        };
        if master.kind_name() == "vrf" {
            break;
        }
        (found, link) = (Some((above, master.kind_name())), master);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    fn found(interface: &str) -> String {
        let links = r#"{"vrf0":{"index":1,"kind":"vrf","mtu":65575},"eth0":{"index":2,"mtu":1500,"master":1},
            "bond0":{"index":3,"kind":"bond","mtu":1500,"master":1},"eth1":{"index":4,"mtu":1500,"master":3}}"#;
        let text = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.1","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{}},"links":{links}}}"#
        );
        let host = Snapshot::from_json(&text).unwrap();
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let text = format!("version: 1\nnflog: {{ a: {{ interfaces: [{interface}] }} }}\n");
        let layer = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
        let document = Document::read(layer.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut findings = Findings::default();
        check(&document, &host, &mut findings);
        let lines = findings.into_sorted().into_iter().map(|one| one.message);
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_port_of_a_vrf_passes_prerouting_itself() {
        assert_eq!(found("eth0"), "");
        assert_eq!(found("bond0"), "");
        assert_eq!(
            found("eth1"),
            "eth1 is a port of bond0 (bond): IP packets arrive on bond0"
        );
    }
}
