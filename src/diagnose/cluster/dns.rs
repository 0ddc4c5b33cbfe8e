//! CoreDNS: the size of answers over UDP that its plugin bufsize allows, and the MTU of the pods.

use crate::cluster::node_path::NodePath;
use crate::cluster::object::Object;
use netkeel_core::finding::{Code, Findings};
use netkeel_source::node::Node;

/// The headers of IPv6 and UDP, bytes.
const HEADERS: i64 = 48;

/// The default of the plugin (coredns, plugin/bufsize).
const DEFAULT: i64 = 1232;

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
        let Some(size) = largest(corefile) else { continue };
        let Some((node, mtu)) = least.and_then(|node| Some((node, node.pods?))) else {
            unknown.push(format!(
                "{}: no NetkeelNode has a podMTU to compare bufsize {size} with",
                object.shown()
            ));
            continue;
        };
        let fits = mtu - HEADERS;
        if size > fits {
            let message = format!(
                "it allows answers of {size} bytes over UDP, and the pods of {} have an MTU of {mtu}: answers above {fits} bytes do not fit over IPv6 in one packet",
                node.name
            );
            let remedy = format!("write `bufsize {}` in each server block", fits.min(DEFAULT));
            findings.add(Code::NK092, object.shown(), message, remedy);
        }
    }
}

/// The largest size in a Corefile; `None` without the plugin.
fn largest(corefile: &str) -> Option<i64> {
    let sizes = corefile.lines().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
        words.by_ref().find(|word| *word == "bufsize")?;
        let size = words.find(|word| !word.is_empty());
        Some(size.and_then(|size| size.parse().ok()).unwrap_or(DEFAULT))
    });
    sizes.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_size_of_all_server_blocks_counts() {
        for (corefile, size) in [
            (".:53 {\n  errors\n  forward . /etc/resolv.conf\n}\n", None),
            (".:53 {\n  bufsize\n}\n", Some(1232)),
            (
                ".:53 {\n  bufsize 4096\n}\na:53 {\n bufsize 1232\n}\n",
                Some(4096),
            ),
            (".:53 { bufsize 1400 }\n", Some(1400)),
            (".:53 {\n  # bufsize 4096\n  errors\n}\n", None),
        ] {
            assert_eq!(largest(corefile), size, "{corefile}");
        }
    }
}
