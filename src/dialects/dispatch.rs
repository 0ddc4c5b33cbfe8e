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

    /// Whether a top-level entry of a file belongs to netkeel.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        match self.dialect {
            Dialect::Native | Dialect::Talos => true,
            Dialect::Hiera => data::concerns(key),
            Dialect::Ansible => ansible::concerns(key),
        }
    }
}
