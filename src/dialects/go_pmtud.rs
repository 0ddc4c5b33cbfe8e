//! The values of go-pmtud's Helm chart as values of netkeel's chart (`kubernetes/chart`). The keys are those of
//! `system/go-pmtud` of sapcc/helm-charts, and of the example in go-pmtud's README.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::write::node::{list, map, of, string};
use crate::write::yaml;
use netkeel_core::error::Error;
use netkeel_core::text::escape::printable;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};

/// The smallest TTL of a copy that arrives in a pod.
const SMALLEST_TTL: i64 = 2;

/// Sections whose values this module reads.
pub const SECTIONS: [&str; 3] = ["iptables", "pmtud", "alerts"];

/// Keys of `pmtud` that netkeel needs no counterpart for: it reads the MTU of the interface, and it writes its own rule.
const NOT_NEEDED: [&str; 2] = ["ifaceMtu", "inBinaryLifecycle"];

/// The values of netkeel's chart as YAML, with a comment for each value that has no counterpart. Adds an error for each
/// value that cannot be used.
///
/// # Errors
/// When the values cannot be written as YAML.
pub fn chart_values(file: &Node, diagnostics: &mut Diagnostics) -> Result<String, Error> {
    let mut reader = Reader {
        diagnostics,
        notes: Vec::new(),
    };
    let values = reader.read(file);
    let mut text = "# Values of netkeel's chart, from those of go-pmtud's.\n".to_owned();
    for note in reader.notes {
        // A key of the file can have line breaks.
        text.push_str(&format!("# {}\n", printable(&note)));
    }
    text.push_str(&yaml::document(&values)?);
    Ok(text)
}

struct Reader<'a> {
    diagnostics: &'a mut Diagnostics,
    /// Comments of the output.
    notes: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, file: &Node) -> Node {
        if file.get("pmtud").is_none() && file.get("iptables").is_none() {
            self.diagnostics
                .add(file.span, "", "there is neither `pmtud` nor `iptables`")
                .hint("give the values of go-pmtud's chart");
        }
        let value = |section: &str, key: &str| file.get(section)?.get(key);
        let mut replication = vec![("enabled", of(Data::Bool(true)))];
        let interfaces = self.interfaces(value("pmtud", "interface"), value("pmtud", "ifaceNames"));
        replication.push(("interfaces", texts(&interfaces)));
        if let Some(group) = self.number(value("iptables", "nflogGroup"), "iptables.nflogGroup", 0..=65_535) {
            replication.push(("group", of(Data::Integer(group))));
        }
        if let Some(ttl) = self.number(value("pmtud", "ttl"), "pmtud.ttl", 1..=255) {
            if ttl < SMALLEST_TTL {
                self.note("pmtud.ttl: a copy with a TTL of 1 never arrives in a pod; netkeel takes one less than that of the original.");
            } else {
                replication.push(("ttl", of(Data::Integer(ttl))));
            }
        }
        let networks = "iptables.ignoreSourceNetworks";
        let ignored = self.parsed::<IpNet>(value("iptables", "ignoreSourceNetworks"), networks, "a network");
        if !ignored.is_empty() {
            self.note("ignoreSources: netkeel does not copy its own copies, and a network of the nodes usually contains their routers. Remove it then.");
            replication.push(("ignoreSources", texts(&ignored)));
        }
        let peers = self.parsed::<IpAddr>(value("pmtud", "peers"), "pmtud.peers", "an address");
        if !peers.is_empty() {
            replication.push(("peers", texts(&peers)));
        }
        if let Some(backend) = value("pmtud", "relayBackend") {
            self.backend(backend, &mut replication);
        }
        let mut values = vec![("replication", map(replication))];
        let mut metrics = Vec::new();
        if let Some(port) = self.number(value("pmtud", "metricsPort"), "pmtud.metricsPort", 1..=65_535) {
            metrics.push(("port", of(Data::Integer(port))));
        }
        if value("alerts", "enabled").and_then(Node::switch) == Some(true) {
            metrics.push(("prometheusRule", map(vec![("enabled", of(Data::Bool(true)))])));
        }
        if !metrics.is_empty() {
            values.push(("metrics", map(metrics)));
        }
        self.left_out(file);
        map(values)
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Without a name, go-pmtud takes the interface of the default route.
    fn interfaces(&mut self, one: Option<&Node>, many: Option<&Node>) -> Vec<String> {
        let mut names = self.words(one, "pmtud.interface");
        names.extend(self.words(many, "pmtud.ifaceNames"));
        if names.is_empty() {
            names.push("default-route".to_owned());
        }
        names
    }

    fn backend(&mut self, backend: &Node, replication: &mut Vec<(&'static str, Node)>) {
        match backend.text() {
            Some("l2") => replication.push(("mode", string("unicast"))),
            Some("udp") => {
                self.note("pmtud.relayBackend udp: netkeel crosses routers by `mode: ipip`, which needs ipip0 on each node (document.tunnel).");
                replication.push(("mode", string("ipip")));
            }
            _ => {
                self.diagnostics
                    .add(
                        backend.span,
                        "pmtud.relayBackend",
                        "this is no backend that netkeel has a mode for",
                    )
                    .hint("use `l2` or `udp`");
            }
        }
    }

    /// The words of a text, separated by commas or blanks, or of a list of texts.
    fn words(&mut self, node: Option<&Node>, path: &str) -> Vec<String> {
        self.placed_words(node, path)
            .into_iter()
            .map(|(word, _)| word.to_owned())
            .collect()
    }

    fn placed_words<'n>(&mut self, node: Option<&'n Node>, path: &str) -> Vec<(&'n str, &'n Node)> {
        let mut words = Vec::new();
        for item in node.map(Node::items).unwrap_or_default() {
            match item.text() {
                Some(text) => {
                    let split = text.split(|character: char| character == ',' || character.is_whitespace());
                    words.extend(split.filter(|word| !word.is_empty()).map(|word| (word, item)));
                }
                None => {
                    self.diagnostics
                        .add(item.span, path, "this is no text")
                        .hint("write a text, or a list of texts");
                }
            }
        }
        words
    }

    fn parsed<T: std::str::FromStr + ToString>(
        &mut self,
        node: Option<&Node>,
        path: &str,
        what: &str,
    ) -> Vec<String> {
        let mut values = Vec::new();
        for (word, place) in self.placed_words(node, path) {
            match word.parse::<T>() {
                Ok(value) => values.push(value.to_string()),
                Err(_) => {
                    self.diagnostics
                        .add(place.span, path, format!("{word:?} is not {what}"));
                }
            }
        }
        values
    }

    fn number(
        &mut self,
        node: Option<&Node>,
        path: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let node = node?;
        let number = node.integer().filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            self.diagnostics.add(
                node.span,
                path,
                format!("this is no number from {least} to {most}"),
            );
        }
        number
    }

    /// Names what has no counterpart, so that nothing is lost without a word.
    fn left_out(&mut self, file: &Node) {
        let mut names = Vec::new();
        for entry in file.entries() {
            if !SECTIONS.contains(&entry.key.as_str()) {
                names.push(entry.key.clone());
                continue;
            }
            let known: &[&str] = match entry.key.as_str() {
                "iptables" => &["nflogGroup", "ignoreSourceNetworks"],
                "alerts" => &["enabled"],
                _ => &[
                    "interface",
                    "ifaceNames",
                    "ttl",
                    "peers",
                    "relayBackend",
                    "metricsPort",
                ],
            };
            let others = entry.value.entries().iter().map(|inner| inner.key.as_str());
            let others = others.filter(|key| !known.contains(key) && !NOT_NEEDED.contains(key));
            names.extend(others.map(|key| format!("{}.{key}", entry.key)));
        }
        if !names.is_empty() {
            self.note(format!("Without a counterpart: {}.", names.join(", ")));
        }
        self.note("go-pmtud sets net.ipv4.conf.all.rp_filter to 0 when it starts. netkeel does not: see NK039 of `netkeel lint`.");
    }
}

fn texts(values: &[String]) -> Node {
    list(values.iter().map(|value| string(value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::testing::yaml as node;

    fn converted(text: &str) -> (String, Vec<String>) {
        let mut diagnostics = Diagnostics::default();
        let values = chart_values(&node(text), &mut diagnostics).unwrap();
        let messages = diagnostics.list.iter();
        let messages = messages.map(|found| format!("{}: {}", found.path, found.message));
        (values, messages.collect())
    }

    #[test]
    fn every_value_of_the_example_is_carried_over() {
        let example = "iptables: {nflogGroup: 34, ignoreSourceNetworks: 192.168.100.0/24}
pmtud: {ttl: 10, metricsPort: 30040, interface: eth0, peers: \"192.168.100.2, 192.168.100.3\"}
images: {pmtud: {tag: latest}}";
        let (values, messages) = converted(example);
        assert_eq!(messages, [""; 0]);
        insta::assert_snapshot!(values, @r#"
        # Values of netkeel's chart, from those of go-pmtud's.
        # ignoreSources: netkeel does not copy its own copies, and a network of the nodes usually contains their routers. Remove it then.
        # Without a counterpart: images.
        # go-pmtud sets net.ipv4.conf.all.rp_filter to 0 when it starts. netkeel does not: see NK039 of `netkeel lint`.
        replication:
          enabled: true
          interfaces:
            - eth0
          group: 34
          ttl: 10
          ignoreSources:
            - 192.168.100.0/24
          peers:
            - "192.168.100.2"
            - "192.168.100.3"
        metrics:
          port: 30040
        "#);
    }

    #[test]
    fn what_is_empty_is_left_to_the_chart() {
        let (values, messages) =
            converted("pmtud: {ttl: 1, ifaceNames: , relayBackend: udp, replicationPort: 4390}");
        assert_eq!(messages, [""; 0]);
        insta::assert_snapshot!(values, @r#"
        # Values of netkeel's chart, from those of go-pmtud's.
        # pmtud.ttl: a copy with a TTL of 1 never arrives in a pod; netkeel takes one less than that of the original.
        # pmtud.relayBackend udp: netkeel crosses routers by `mode: ipip`, which needs ipip0 on each node (document.tunnel).
        # Without a counterpart: pmtud.replicationPort.
        # go-pmtud sets net.ipv4.conf.all.rp_filter to 0 when it starts. netkeel does not: see NK039 of `netkeel lint`.
        replication:
          enabled: true
          interfaces:
            - default-route
          mode: ipip
        "#);
    }

    #[test]
    fn all_wrong_values_are_reported() {
        let wrong = "iptables: {nflogGroup: 70000, ignoreSourceNetworks: [a]}
pmtud: {ttl: x, peers: [192.0.2.1, 1], relayBackend: crd}";
        let (_, messages) = converted(wrong);
        insta::assert_snapshot!(messages.join("\n"), @r#"
        iptables.nflogGroup: this is no number from 0 to 65535
        pmtud.ttl: this is no number from 1 to 255
        iptables.ignoreSourceNetworks: "a" is not a network
        pmtud.peers: this is no text
        pmtud.relayBackend: this is no backend that netkeel has a mode for
        "#);
        assert_eq!(converted("a: 1").1, [": there is neither `pmtud` nor `iptables`"]);
    }

    #[test]
    fn a_key_cannot_leave_its_comment() {
        let (values, _) = converted("pmtud: {ttl: 10}\n\"a\\nreplication: {enabled: false}\\n#\": 1\n");
        assert!(
            values.contains("# Without a counterpart: a\\nreplication"),
            "{values}"
        );
        assert_eq!(node(&values).entries().len(), 1, "{values}");
    }
}
