//! The document that is imported from a host plans nothing there, and it declares what the host has.

use std::cell::Cell;

use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};

use super::{NOTHING, Reached, because, hold};
use netkeel_core::fact::{Fact, Field};
use netkeel_core::name::link::LinkName;
use netkeel_diagnose::import::import;
use netkeel_diagnose::import::selection::Selection;
use netkeel_document::document::Document;
use netkeel_host::device_owner;
use netkeel_host::snapshot::Snapshot;
use netkeel_plan::goal::Goal;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// Imports a host. Returns the number of its interfaces and of those whose MTU is declared.
pub fn imported(host: &Snapshot) -> Result<(usize, usize), TestCaseError> {
    let text = import(host, "host", &Selection::default()).map_err(because)?;
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let layers = sources.load("import.yaml", text.clone().into_bytes(), None, &mut diagnostics);
    let document = Document::read(layers.into_iter().collect(), host.netns.clone(), &mut diagnostics);
    prop_assert!(diagnostics.is_empty(), "{diagnostics:?}\n{text}");
    let planned = document.plan(host).map_err(because)?;
    prop_assert_eq!(&planned.plan.drift, &[], "{}", text);
    prop_assert_eq!(planned.plan.steps.len(), 0, "{}", text);
    let wants = document.wants(host);
    let names = host
        .links
        .keys()
        .filter(|name| **name != LinkName::LOOPBACK && device_owner::refusal(&name.to_string()).is_none());
    let (mut all, mut declared) = (0, 0);
    for name in names {
        all += 1;
        let fact = Fact::link(&host.netns, *name, Field::Mtu);
        // The document declares it too where netkeel then skips the pod.
        let skipped = wants.left_alone.contains_key(name);
        declared += usize::from(skipped || wants.facts.contains_key(&fact));
    }
    Ok((all, declared))
}

#[test]
fn an_imported_document_plans_nothing() {
    let (all, declared) = (Cell::new(0), Cell::new(0));
    hold(300, NOTHING, |_, host| {
        let (of_host, of_document) = imported(host)?;
        all.set(all.get() + of_host);
        declared.set(declared.get() + of_document);
        Ok(Reached::Planned)
    });
    let (all, declared) = (all.get(), declared.get());
    assert!(
        all > 300 && declared * 100 >= all * 99,
        "{declared} of {all} interfaces"
    );
}
