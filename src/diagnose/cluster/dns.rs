//! CoreDNS: the size of answers over UDP that its plugin bufsize allows, and the MTU of the pods.

use crate::cluster::corefile::{DEFAULT, Size, sizes};
use crate::cluster::node_path::NodePath;
use crate::cluster::object::Object;
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;

/// The headers of IPv6 and UDP, bytes.
const HEADERS: i64 = 48;

/// The largest answer that common resolvers accept, bytes (BIND, `edns-udp-size` before 9.16).
const ACCEPTED: i64 = 4096;

pub(super) fn check(
    objects: &[Object<'_>],
    paths: &[NodePath],
    findings: &mut Findings,
    unknown: &mut Vec<String>,
) {
    let least = paths
        .iter()
        .filter(|node| node.pods.is_some())
        .min_by_key(|node| node.pods);
    for object in objects.iter().filter(|object| object.is("", "ConfigMap")) {
        let Some(corefile) = object.at(&["data", "Corefile"]).and_then(Node::text) else {
            continue;
        };
        let (mut largest, mut open) = (None, Vec::new());
        for (names, size) in sizes(corefile) {
            match size {
                Size::Bytes(size) => largest = largest.max(Some(size)),
                Size::Client => open.push(names),
                Size::Unknown(why) => {
                    unknown.push(format!("{}: the bufsize of {names}: {why}", object.shown()));
                }
            }
        }
        let allowed = largest.map(|size| (size, format!("it allows answers of {size} bytes over UDP")));
        // Without any bufsize, as in the Corefile of kubeadm, the size is a matter of the clients. Where some blocks have it,
        // the others are open by mistake.
        let is_meant = largest.is_some() && !open.is_empty();
        let by_client = is_meant.then(|| {
            let blocks = open.join(", ");
            let fact = format!(
                "a client may ask for answers of {ACCEPTED} bytes over UDP, since bufsize is missing in {blocks} and not in other blocks"
            );
            (ACCEPTED, fact)
        });
        for (size, fact) in allowed.into_iter().chain(by_client) {
            let Some((node, mtu)) = least.and_then(|node| Some((node, node.pods?))) else {
                unknown.push(format!(
                    "{}: no NetkeelNode has a podMTU to compare with: {fact}",
                    object.shown()
                ));
                continue;
            };
            let fits = mtu - HEADERS;
            if size > fits {
                let message = format!(
                    "{fact}, and the pods of {} have an MTU of {mtu}: answers above {fits} bytes do not fit over IPv6 in one packet",
                    node.name
                );
                let remedy = format!("write `bufsize {}` in each server block", fits.min(DEFAULT));
                findings.add(Code::NK092, object.shown(), message, remedy);
            }
        }
    }
}
