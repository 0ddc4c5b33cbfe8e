//! NFLOG rules in the model: netkeel's rules by entry, and the order of other programs' rules.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Change, Model};
use crate::snapshot::nflog::NflogState;
use crate::snapshot::reading::Support;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::nflog::entry_name::EntryName;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::ForeignRule;
use netkeel_core::nflog::rules::Rules;

impl Model {
    pub(crate) fn set_rules(
        &mut self,
        name: &EntryName,
        rules: Option<&Arc<Rules>>,
        changes: &mut Vec<Change>,
    ) {
        let fact = Fact::nflog(&self.host.netns, name);
        let from = self.host.get(&fact).value();
        let observed = self.nflog();
        match rules {
            Some(rules) => observed
                .entries
                .insert(name.clone(), EntryRules::Rules(rules.clone())),
            None => observed.entries.remove(name),
        };
        let to = self.host.get(&fact).value();
        changes.push(Change { fact, from, to });
    }

    pub(crate) fn remove_foreign(&mut self, gone: &[ForeignRule], changes: &mut Vec<Change>) {
        self.change_foreign(gone, changes, |observed| observed.remove(gone));
    }

    pub(crate) fn restore_foreign(&mut self, back: &[ForeignRule], changes: &mut Vec<Change>) {
        self.change_foreign(back, changes, |observed| observed.restore(back));
    }

    fn change_foreign(
        &mut self,
        rules: &[ForeignRule],
        changes: &mut Vec<Change>,
        change: impl FnOnce(&mut NflogState),
    ) {
        let netns = self.host.netns.clone();
        let groups: BTreeSet<u16> = rules.iter().map(|rule| rule.group).collect();
        let value = |model: &Model, group: u16| model.host.get(&Fact::log_group(&netns, group)).value();
        let before: Vec<_> = groups
            .into_iter()
            .map(|group| (group, value(self, group)))
            .collect();
        change(self.nflog());
        for (group, from) in before {
            let fact = Fact::log_group(&netns, group);
            let to = value(self, group);
            changes.push(Change { fact, from, to });
        }
    }

    fn nflog(&mut self) -> &mut NflogState {
        self.host
            .nflog
            .get_or_insert_with(|| NflogState::empty(Support::Unknown))
    }

    pub(crate) fn refuses_rules(&self) -> Option<Error> {
        match self.host.nflog.as_ref().map(|observed| &observed.support) {
            Some(Support::Missing { module }) => Some(Error::new(
                ErrorKind::Unsupported,
                format!("this kernel cannot log to NFLOG groups by nftables: it has no module {module}"),
            )),
            _ => None,
        }
    }
}
