//! Reads a source in its dialect.

use crate::dialect::{Dialect, Reading};
use crate::hiera::data;
use crate::talos::{configuration, desired, keys};
use crate::{ansible, variables};
use netkeel_core::name::sysctl::{SECRETS, SysctlKey};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::{Data, Node};
use netkeel_source::sources::Sources;
use netkeel_source::text::format;

impl Reading<'_> {
    /// The layers of a document from files in layer order: a later one wins. Errors go to
    /// `diagnostics`.
    pub fn layers(
        &self,
        files: Vec<Node>,
        sources: &mut Sources,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        match self.dialect {
            Dialect::Native => files,
            Dialect::Hiera => data::layers(files, self, diagnostics),
            Dialect::Ansible => ansible::layers(files, self, diagnostics),
            Dialect::Talos => {
                let configuration = configuration::Configuration::merged(files, diagnostics);
                desired::layers(&configuration, sources, diagnostics)
            }
        }
    }

    /// Adds and parses a file, as [`Sources::load`] does for native documents. Only a Talos file
    /// may hold several documents. Oddities in values that do not belong to netkeel are not
    /// reported.
    pub fn load(
        &self,
        sources: &mut Sources,
        name: &str,
        bytes: Vec<u8>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        let mut said = Diagnostics::default();
        let many = self.dialect == Dialect::Talos;
        let reads = |path: &[&str]| match self.dialect {
            Dialect::Native => true,
            Dialect::Hiera | Dialect::Ansible => path.first().is_some_and(|key| self.concerns(key)),
            Dialect::Talos => keys::is_read(path),
        };
        let nodes = match self.dialect {
            Dialect::Native => sources.load_with(name, bytes, None, many, &mut said),
            Dialect::Hiera | Dialect::Ansible | Dialect::Talos => {
                sources.load_foreign(name, bytes, many, &reads, &mut said)
            }
        };
        sources.hide(&nodes, &is_secret, &after_secret);
        if let (Dialect::Hiera | Dialect::Ansible, Some(node)) = (self.dialect, nodes.first()) {
            variables::leave_others(node, &|key| self.concerns(key), &mut said.list);
        }
        if self.dialect == Dialect::Ansible && said.lost && !format::is_yaml_or_json(name) {
            said.list
                .iter_mut()
                .take(1)
                .for_each(|first| first.hints.push(ansible::FILES.to_owned()));
        }
        diagnostics.lost |= said.lost;
        diagnostics.extend(said);
        nodes
    }

    /// Whether files have anything for netkeel. A file that could not be parsed may have.
    pub fn has_any(&self, files: &[Node]) -> bool {
        let is_ours = |key: &str| match self.dialect {
            Dialect::Native | Dialect::Talos => self.concerns(key),
            Dialect::Hiera => data::is_of_a_document(key, self.keys),
            Dialect::Ansible => ansible::is_of_a_document(key, self.keys),
        };
        files.iter().any(|file| match &file.data {
            Data::Map(entries) => entries.iter().any(|entry| is_ours(&entry.key)),
            Data::Null => false,
            _ => true,
        })
    }

    /// Whether a top-level entry of a file belongs to netkeel.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        match self.dialect {
            Dialect::Native | Dialect::Talos => true,
            Dialect::Hiera => data::concerns(key),
            Dialect::Ansible => ansible::concerns(key),
        }
    }
}

/// Whether a key of a document is that of a secret sysctl.
fn is_secret(key: &str) -> bool {
    key.parse::<SysctlKey>().is_ok_and(|key| key.is_secret())
}

/// The byte of a line after the name of a secret sysctl.
fn after_secret(line: &str) -> Option<usize> {
    let ends = SECRETS
        .iter()
        .filter_map(|name| Some(line.find(name)? + name.len()));
    ends.min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_source::report::render::render;
    use std::collections::BTreeMap;

    fn reading(dialect: Dialect) -> Reading<'static> {
        Reading {
            dialect,
            keys: &["sysctl", "link"],
            facts: const { &BTreeMap::new() },
            levels: &[],
        }
    }

    /// The report on files that are read as one document.
    fn report(dialect: Dialect, files: &[(&str, &str)]) -> String {
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let reading = reading(dialect);
        let mut nodes = Vec::new();
        for (name, text) in files {
            nodes.extend(reading.load(&mut sources, name, text.as_bytes().to_vec(), &mut diagnostics));
        }
        reading.layers(nodes, &mut sources, &mut diagnostics);
        render(&diagnostics, &sources, false)
    }

    #[test]
    fn reports_show_no_values_of_secret_sysctls() {
        let key = "net.ipv6.conf.all.stable_secret";
        for (dialect, file, text) in [
            (
                Dialect::Native,
                "a.yaml",
                format!("sysctl: {{{key}: [hunter2, [x]]}}\n"),
            ),
            (
                Dialect::Native,
                "a.yaml",
                format!("sysctl:\n  {key}: \"hunter2\n"),
            ),
            (
                Dialect::Native,
                "a.json",
                format!("{{\"sysctl\": {{\"{key}\": hunter2}}}}"),
            ),
            (
                Dialect::Hiera,
                "a.yaml",
                format!("netkeel::sysctl: {{{key}: {{hunter2: 1}}}}\n"),
            ),
            (
                Dialect::Hiera,
                "a.yaml",
                format!("netkeel::sysctl: {{{key}: 'hunter2'\n"),
            ),
        ] {
            let report = report(dialect, &[(file, &text)]);
            assert!(!report.contains("hunter2"), "{text}\n{report}");
        }
    }

    #[test]
    fn reports_show_no_secrets_of_other_programs() {
        let talos = |text: &str| report(Dialect::Talos, &[("machine.yaml", text)]);
        let selected = "network: {interfaces: [{interface: eth0, mtu: '1400'}]}";
        let reports = [
            talos(&format!("machine: {{token: hunter2, {selected}}}\n")),
            talos("machine: {token: hunter2}\n---\nmachine: {token: {x: hunter3}}\n"),
            talos("machine:\n  token: hunter2\n---\nmachine: {token: {x: hunter3}}\n"),
            talos("machine:\n  ca:\n    key: |\n      hunter2\n      hunter3: 4\n     bad\n"),
            talos("machine:\n  token: \"hunter2\n"),
            talos("machine:\n  token: !!int hunter2\n"),
            talos("machine:\n  token: a # hunter2\n  token: hunter3\n"),
            talos("hunter2\n"),
            talos("- {op: test, path: /machine/token, value: hunter2}\n"),
            talos(
                "kind: ConfigMap\napiVersion: v1\nmetadata: {name: cozystack}\ndata:\n  values-kubeovn: |\n    password: \"hunter2\n",
            ),
            report(
                Dialect::Hiera,
                &[(
                    "common.json",
                    "{\"db::password\": \"hunter2\", \"netkeel::sysctll\": {}}",
                )],
            ),
            report(
                Dialect::Hiera,
                &[("common.json", "{\"db::password\": \"hunter2\" 5}")],
            ),
            report(Dialect::Hiera, &[("common.yaml", "db::password: 'hunter2\n")]),
            report(Dialect::Hiera, &[("common.yaml", "hunter2\n")]),
            report(
                Dialect::Ansible,
                &[("all.yml", "{db_password: hunter2, netkeel_sysctll: {}}")],
            ),
            report(Dialect::Ansible, &[("all.yml", "db_password: hunter2\n  x: y\n")]),
        ];
        for report in reports {
            assert!(report.contains("error: "), "{report}");
            assert!(!report.contains("hunter"), "{report}");
        }
    }

    #[test]
    fn reports_show_the_values_that_are_read() {
        let text = "machine: {token: hunter2, network: {interfaces: [{interface: eth0, mtu: '1400'}]}}\n";
        let report = report(Dialect::Talos, &[("machine.yaml", text)]);
        assert!(report.contains("1400") && report.contains("eth0"), "{report}");
        let report = super::tests::report(
            Dialect::Hiera,
            &[("a.json", "{\"netkeel::sysctll\": {\"a\": \"shown\"}}")],
        );
        assert!(report.contains("shown"), "{report}");
    }

    #[test]
    fn a_file_without_a_part_of_a_document_has_nothing() {
        let has_any = |dialect: Dialect, text: &str| {
            let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
            let reading = reading(dialect);
            let nodes = reading.load(&mut sources, "a.yaml", text.as_bytes().to_vec(), &mut diagnostics);
            reading.has_any(&nodes)
        };
        for (dialect, text, expected) in [
            (Dialect::Hiera, "netkeel::link: {}\n", true),
            (Dialect::Hiera, "netkeel::sysctll: {}\n", true),
            (
                Dialect::Hiera,
                "netkeel::package_ensure: latest\nntp::x: 1\n",
                false,
            ),
            (
                Dialect::Hiera,
                "lookup_options: { ntp::x: { merge: deep } }\n",
                false,
            ),
            (Dialect::Ansible, "netkeel_link: {}\n", true),
            (Dialect::Ansible, "netkeel_version: 1.2.3\n", false),
        ] {
            assert_eq!(has_any(dialect, text), expected, "{text}");
        }
    }
}
