//! A rule of `link`: a selector and its settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::kinds::kind::Section;
use crate::kinds::mtu::Wanted;
use crate::kinds::required::Required;
use crate::selector::Selector;
use crate::want::Origin;
use crate::want::request::PodMtu;
use crate::want::wants::Wants;
use netkeel_core::fact;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;

/// The `link` section of a document.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) netns: Netns,
    pub(crate) exact: BTreeMap<LinkName, Rule>,
    /// Rules by a further name or an alias that is too long for the name of an interface.
    pub(crate) by_long_name: BTreeMap<Arc<str>, Rule>,
    pub(crate) matches: Vec<(Selector, Rule)>,
}

/// One entry.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    /// The settings, in field order.
    pub(crate) settings: Vec<Setting>,
    /// Whether it must find an interface.
    pub(crate) required: Required,
}

impl Rule {
    /// Whether the other end of a veth follows this one, the default unless `pod_mtu` is `leave`.
    /// An exact name overrides that with a setting of its own.
    fn wants_of_pods(&self) -> bool {
        let of_pod = |setting: &&Setting| setting.field == fact::Field::PodMtu;
        match self.settings.iter().find(of_pod) {
            Some(setting) => setting.wish().is_none_or(|wish| wish.mtu != PodMtu::Leave),
            None => self
                .settings
                .iter()
                .any(|setting| setting.field == fact::Field::Mtu),
        }
    }
}

/// One field with its wanted value.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) field: fact::Field,
    pub(crate) wanted: Wanted,
    pub(crate) origin: Arc<Origin>,
}

impl Links {
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.exact
            .values()
            .chain(self.by_long_name.values())
            .chain(self.matches.iter().map(|(_, rule)| rule))
    }
}

impl Section for Links {
    fn scope(&self, scope: &mut Scope) {
        let any = |condition: &dyn Fn(&Selector) -> bool| {
            let mut selectors = self.matches.iter().map(|(selector, _)| selector);
            selectors.any(|selector| selector.any(condition))
        };
        scope.drivers |= any(&|selector| selector.driver.is_some() || selector.bus.is_some());
        scope.macs |= any(&|selector| selector.mac.is_some() || selector.permanent_mac.is_some());
        scope.pods |= self.rules().any(Rule::wants_of_pods);
        for setting in self.rules().flat_map(|rule| &rule.settings) {
            match (setting.field, &setting.wanted) {
                (fact::Field::RpFilter, wanted) => scope.of_rp_filter(wanted.number()),
                (fact::Field::Mtu, wanted) => wanted.scope_of_mtu(scope),
                // IPv6 addresses are lost when an interface goes down, also when undo sets it down
                // again.
                (fact::Field::Up, _) => scope.families.ipv6 = true,
                _ => {}
            }
        }
    }

    fn has_budgets(&self) -> bool {
        let mut settings = self.rules().flat_map(|rule| &rule.settings);
        settings.any(|setting| setting.wanted.is_budget())
    }

    fn wants(&self, host: &Snapshot, wants: &mut Wants) {
        self.resolve(host, wants);
    }

    fn persistent(&self) -> Vec<(SysctlKey, String)> {
        let mut keys = Vec::new();
        for (name, rule) in &self.exact {
            for setting in &rule.settings {
                if let Some(key) = setting.field.sysctl_of(*name) {
                    keys.push((key, setting.wanted.to_string()));
                }
            }
        }
        for (name, rule) in &self.by_long_name {
            for setting in &rule.settings {
                let key = setting.field.sysctl_of(LinkName::LOOPBACK);
                if let Some(key) = key.and_then(|key| key.of_long_name(name)) {
                    keys.push((key, setting.wanted.to_string()));
                }
            }
        }
        keys
    }
}
