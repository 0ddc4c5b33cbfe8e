//! Rules for an interface that is a port: the host's IP packets arrive on its master.

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;

/// Masters in a row at most, as a port of a bond that is a port of a bridge in a VRF.
const DEEPEST: usize = 8;

/// Adds each interface of an entry that is a port of a bridge, bond, team, VRF or Open vSwitch.
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

/// The uppermost master of an interface, with its kind.
fn top(name: LinkName, host: &Snapshot) -> Option<(LinkName, &str)> {
    let mut found = None;
    let mut link = host.link(name)?;
    for _ in 0..DEEPEST {
        let Some((above, master)) = link.master.and_then(|index| host.by_index(index)) else {
            break;
        };
        (found, link) = (Some((above, master.kind_name())), master);
    }
    found
}
