//! Reads the documents of a review: the same for all hosts, or those that an inventory gives each.

use std::collections::BTreeMap;

use crate::arguments::Origin;
use crate::inspect::review::cluster;
use crate::inspect::review::documents::{Documents, Each};
use crate::inspect::review::hosts::Hosts;
use crate::inspect::review::pair::{Pair, nothing, report};
use crate::inspect::review::side::{Levels, Side};
use crate::load::documents::{has_any, parse_levels};
use crate::load::hierarchy;
use crate::load::revision::{Place, Text};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::review::group::Stage;
use netkeel_diagnose::review::inventory::Inventory;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_render::wording::count;

/// Reads and checks all documents. Prints diagnostics and returns `None` when they are invalid.
pub(super) fn read(
    old: &Place,
    new: &Place,
    origin: &Origin,
    hosts: Option<Hosts>,
) -> Result<Option<Documents>, Error> {
    match hosts {
        None => {
            let texts = (old.documents()?, new.documents()?);
            let pair = single(texts, origin)?;
            Ok(pair.map(Documents::of_all))
        }
        Some(Hosts::Nodes(nodes)) => cluster::documents(old, new, &nodes),
        Some(Hosts::Patterns(inventory)) => by_pattern(old, new, origin, inventory),
        Some(Hosts::Ansible(members)) => {
            let mut reading = Reading::new(old, new, origin);
            for (host, member) in &members.hosts {
                let old = reading.old.of_ansible(host, member)?;
                let new = reading.new.of_ansible(host, member)?;
                if reading
                    .add(host, member.stage, (old, new), &Facts::new())?
                    .is_err()
                {
                    return Ok(None);
                }
            }
            Ok(Some(reading.documents(members.stages)))
        }
        Some(Hosts::Facts(hosts)) => {
            let mut reading = Reading::new(old, new, origin);
            for (host, facts) in &hosts {
                let levels = reading
                    .old
                    .of_hiera(facts)
                    .and_then(|old| Ok((old, reading.new.of_hiera(facts)?)));
                match levels {
                    Ok(levels) => {
                        if reading.add(host, None, levels, facts)?.is_err() {
                            return Ok(None);
                        }
                    }
                    // Facts of one host that are incomplete stop no review of the others.
                    Err(error) => {
                        let each = Each {
                            stage: None,
                            pair: Err(error.message),
                        };
                        reading.hosts.insert(host.clone(), each);
                    }
                }
            }
            Ok(Some(reading.documents(Vec::new())))
        }
    }
}

/// The hosts so far of an inventory that names each.
struct Reading<'a> {
    old: Side<'a>,
    new: Side<'a>,
    origin: &'a Origin,
    pairs: Vec<Pair>,
    /// The pair of these levels, with the facts if the files ask for facts; `None` if nothing in them is for netkeel.
    known: BTreeMap<(Levels, Levels, Facts), Option<usize>>,
    hosts: BTreeMap<String, Each>,
    /// The number of hosts without anything for netkeel.
    others: usize,
}

/// The documents are invalid; the diagnostics were printed.
struct Invalid;

impl<'a> Reading<'a> {
    fn new(old: &'a Place, new: &'a Place, origin: &'a Origin) -> Self {
        Reading {
            old: Side::new(old),
            new: Side::new(new),
            origin,
            pairs: Vec::new(),
            known: BTreeMap::new(),
            hosts: BTreeMap::new(),
            others: 0,
        }
    }

    /// Adds a host. Hosts with the same files share their documents.
    fn add(
        &mut self,
        host: &str,
        stage: Option<Stage>,
        levels: (Levels, Levels),
        facts: &Facts,
    ) -> Result<Result<(), Invalid>, Error> {
        let texts = (texts(&mut self.old, &levels.0)?, texts(&mut self.new, &levels.1)?);
        let asks = |levels: &[Vec<Text>]| {
            levels
                .iter()
                .flatten()
                .any(|(_, bytes)| bytes.windows(2).any(|two| two == b"%{"))
        };
        let facts = match asks(&texts.0) || asks(&texts.1) {
            true => facts.clone(),
            false => Facts::new(),
        };
        let key = (levels.0, levels.1, facts);
        let number = match self.known.get(&key) {
            Some(number) => *number,
            None => {
                let Ok(pair) = self.pair(texts, &key.2)? else {
                    return Ok(Err(Invalid));
                };
                let number = pair.map(|pair| {
                    self.pairs.push(pair);
                    self.pairs.len() - 1
                });
                self.known.insert(key, number);
                number
            }
        };
        self.others += usize::from(number.is_none());
        let each = Each {
            stage,
            pair: Ok(number),
        };
        self.hosts.insert(host.to_owned(), each);
        Ok(Ok(()))
    }

    /// The documents of the files; `None` if nothing in them is for netkeel. A side without anything for netkeel
    /// declares nothing.
    fn pair(
        &self,
        (old, new): (Vec<Vec<Text>>, Vec<Vec<Text>>),
        facts: &Facts,
    ) -> Result<Result<Option<Pair>, Invalid>, Error> {
        let dialect = self.origin.dialect();
        let read = |levels: Vec<Vec<Text>>| {
            let is_any = has_any(&levels.concat(), dialect);
            is_any.then(|| report(parse_levels(levels, dialect, facts)).ok_or(Invalid))
        };
        let (old, new) = match (read(old), read(new)) {
            (None, None) => return Ok(Ok(None)),
            (Some(Err(Invalid)), _) | (_, Some(Err(Invalid))) => return Ok(Err(Invalid)),
            (Some(Ok(old)), Some(Ok(new))) => (old, new),
            (Some(Ok(old)), None) => {
                let new = nothing(self.new.place, &old)?;
                (old, new)
            }
            (None, Some(Ok(new))) => (nothing(self.old.place, &new)?, new),
        };
        Pair::new(old, new).map(|pair| Ok(Some(pair)))
    }

    fn documents(self, stages: Vec<String>) -> Documents {
        if self.others > 0 {
            let hosts = count(self.others, "host");
            output::say(&format!(
                "note: not reviewed: {hosts} of the inventory without data for netkeel\n"
            ));
        }
        Documents::of_each(self.pairs, stages, self.hosts)
    }
}

fn texts(side: &mut Side<'_>, levels: &Levels) -> Result<Vec<Vec<Text>>, Error> {
    let mut texts = Vec::new();
    for level in levels {
        let mut files = Vec::new();
        for file in level {
            files.extend(side.text(file)?);
        }
        texts.push(files);
    }
    Ok(texts)
}

fn by_pattern(
    old: &Place,
    new: &Place,
    origin: &Origin,
    inventory: Inventory,
) -> Result<Option<Documents>, Error> {
    let mut pairs = Vec::new();
    for entry in &inventory.entries {
        let texts = match entry.layers.as_deref() {
            None => (old.documents()?, new.documents()?),
            Some(layers) => layered(old, new, layers)?,
        };
        let Some(pair) = single(texts, origin)? else {
            return Ok(None);
        };
        pairs.push(pair);
    }
    Ok(Some(Documents::of_patterns(pairs, inventory)))
}

/// The documents of layers that are files.
fn single((old, new): (Vec<Text>, Vec<Text>), origin: &Origin) -> Result<Option<Pair>, Error> {
    let facts = hierarchy::facts(origin)?;
    let read = |texts: Vec<Text>| {
        let levels = texts.into_iter().map(|text| vec![text]).collect();
        report(parse_levels(levels, origin.dialect(), &facts))
    };
    let (Some(old), Some(new)) = (read(old), read(new)) else {
        return Ok(None);
    };
    Pair::new(old, new).map(Some)
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
