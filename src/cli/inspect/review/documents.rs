//! The old and the new documents of each host of a review.

use std::collections::BTreeMap;

use crate::arguments::Origin;
use crate::load::documents::{Loaded, parse_texts};
use crate::load::hierarchy;
use crate::load::revision::{Place, Text};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_diagnose::review::group::Stage;
use netkeel_diagnose::review::host::Version;
use netkeel_diagnose::review::inventory::Inventory;
use netkeel_dialects::hiera::facts::Facts;

/// The old and the new document.
pub(super) struct Pair {
    old: Loaded,
    new: Loaded,
}

impl Pair {
    /// The old document.
    pub(super) fn old_version(&self) -> Version<'_> {
        version(&self.old)
    }

    /// The new document.
    pub(super) fn new_version(&self) -> Version<'_> {
        version(&self.new)
    }
}

fn version(loaded: &Loaded) -> Version<'_> {
    Version {
        document: &loaded.document,
        sources: &loaded.sources,
    }
}

/// The documents of all hosts.
pub(super) struct Documents {
    inventory: Option<Inventory>,
    /// One for each entry of the inventory; one for all hosts without an inventory.
    pairs: Vec<Pair>,
}

/// The documents and the stage of a host.
pub(super) struct OfHost<'a> {
    pub(super) pair: &'a Pair,
    pub(super) stage: Option<Stage>,
}

impl Documents {
    /// Reads and checks all documents. Prints diagnostics and returns `None` when they are invalid.
    pub(super) fn read(
        old: &Place,
        new: &Place,
        origin: &Origin,
        inventory: Option<Inventory>,
    ) -> Result<Option<Self>, Error> {
        let facts = hierarchy::facts(origin)?;
        let all: Vec<Option<&[String]>> = match &inventory {
            None => vec![None],
            Some(inventory) => inventory
                .entries
                .iter()
                .map(|entry| entry.layers.as_deref())
                .collect(),
        };
        let mut pairs = Vec::new();
        for layers in all {
            let (old, new) = match layers {
                None => (old.documents()?, new.documents()?),
                Some(layers) => layered(old, new, layers)?,
            };
            let read = (parse(old, origin, &facts), parse(new, origin, &facts));
            let (Some(old), Some(new)) = read else {
                return Ok(None);
            };
            same_owner(&old, &new)?;
            pairs.push(Pair { old, new });
        }
        Ok(Some(Documents { inventory, pairs }))
    }

    /// The documents of a host; `None` if the inventory has no entry for it.
    pub(super) fn of(&self, host: &str) -> Option<OfHost<'_>> {
        let (number, stage) = match &self.inventory {
            None => (0, None),
            Some(inventory) => {
                let (number, entry) = inventory.entry(host)?;
                (number, entry.stage)
            }
        };
        let pair = self.pairs.get(number)?;
        Some(OfHost { pair, stage })
    }

    /// Whether the documents of at least one host differ.
    pub(super) fn differ(&self) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|pair| pair.old.document.hash != pair.new.document.hash)
    }

    /// The hosts that the inventory names exactly, with their stages.
    pub(super) fn exact(&self) -> BTreeMap<String, Option<Stage>> {
        self.inventory.as_ref().map(Inventory::exact).unwrap_or_default()
    }

    /// The stages of the inventory, in order.
    pub(super) fn stages(&self) -> &[String] {
        self.inventory.as_ref().map_or(&[], |inventory| &inventory.stages)
    }
}

/// The layers of both sides. A layer that one side lacks was added or removed.
fn layered(old: &Place, new: &Place, layers: &[String]) -> Result<(Vec<Text>, Vec<Text>), Error> {
    let mut texts = (Vec::new(), Vec::new());
    for layer in layers {
        let found = (old.layer(layer)?, new.layer(layer)?);
        if found.0.is_none() && found.1.is_none() {
            let message = format!("neither {old} nor {new} has the layer {layer}");
            return Err(Error::new(ErrorKind::Missing, message));
        }
        texts.0.extend(found.0);
        texts.1.extend(found.1);
    }
    for (place, texts) in [(old, &texts.0), (new, &texts.1)] {
        if texts.is_empty() {
            let message = format!("{place} lacks all layers: {}", layers.join(", "));
            return Err(Error::new(ErrorKind::Missing, message));
        }
    }
    Ok(texts)
}

fn parse(texts: Vec<Text>, origin: &Origin, facts: &Facts) -> Option<Loaded> {
    let read = parse_texts(texts, origin.dialect(), facts, Netns::CURRENT);
    read.inspect_err(|invalid| output::diagnostics(&invalid.diagnostics, &invalid.sources))
        .ok()
}

/// Refuses documents of two owners: an apply of the new one would not touch what the old one's owner holds.
fn same_owner(old: &Loaded, new: &Loaded) -> Result<(), Error> {
    let (old, new) = (&old.document.owner, &new.document.owner);
    if old == new {
        return Ok(());
    }
    let message = format!("the old document has the owner {old}, and the new one {new}");
    Err(Error::new(ErrorKind::Input, message)
        .hint("give both the same `owner`: netkeel compares what one owner declares"))
}
