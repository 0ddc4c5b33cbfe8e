//! Reads a source in its dialect.

use crate::dialect::{Dialect, Reading};
use crate::hiera::data;
use crate::talos::{configuration, desired};
use crate::{ansible, variables};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::node::Node;
use netkeel_source::sources::Sources;
use netkeel_source::text::format;

impl Reading<'_> {
    /// The layers of a document, of the files in the order in which they are layered: a later one
    /// wins. What is wrong goes to `diagnostics`.
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

    /// Adds and parses a file, as [`Sources::load`] does one of netkeel's own; only Talos has several
    /// documents in one. What is odd about values that are not netkeel's is left to those who read them.
    pub fn load(
        &self,
        sources: &mut Sources,
        name: &str,
        bytes: Vec<u8>,
        diagnostics: &mut Diagnostics,
    ) -> Vec<Node> {
        let mut said = Diagnostics::default();
        let many = self.dialect == Dialect::Talos;
        let nodes = sources.load_with(name, bytes, None, many, &mut said);
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

    /// Whether an entry of a file's top level is netkeel's.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        match self.dialect {
            Dialect::Native | Dialect::Talos => true,
            Dialect::Hiera => data::concerns(key),
            Dialect::Ansible => ansible::concerns(key),
        }
    }
}
