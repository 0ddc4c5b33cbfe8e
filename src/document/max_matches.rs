//! The limit `limits.max_matches` of a document.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::Document;
use crate::want::wants::Wants;
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_source::span::Span;

impl Document {
    /// Reports each match that selects more interfaces than the limit.
    pub(crate) fn limit_matches(&self, wants: &mut Wants) {
        let Some(limit) = self.limits.max_matches else {
            return;
        };
        let mut found: BTreeMap<&str, (Span, BTreeSet<&Fact>)> = BTreeMap::new();
        for (fact, want) in wants.facts.iter().filter(|(_, want)| !want.origin.named) {
            let path = &*want.origin.path;
            let rule = path.rsplit_once('.').map_or(path, |(rule, _)| rule);
            let span = want.origin.span;
            let (_, facts) = found.entry(rule).or_insert_with(|| (span, BTreeSet::new()));
            facts.insert(fact);
        }
        for (rule, (span, facts)) in found {
            let links: BTreeSet<LinkName> = facts.iter().filter_map(|fact| fact.link_name()).collect();
            let number = links.len();
            if number <= limit {
                continue;
            }
            let message =
                format!("the match finds {number} interfaces and limits.max_matches allows {limit}");
            let diagnostic = wants.diagnostics.add(span, rule, message);
            diagnostic.hint("narrow the match, or raise the limit");
            diagnostic.facts.extend(facts.into_iter().cloned());
        }
    }
}
