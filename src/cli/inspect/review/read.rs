//! Reads the documents of a review: the same for all hosts, or those that an inventory gives each.

use std::collections::{BTreeMap, BTreeSet};

use crate::arguments::Origin;
use crate::inspect::review::cluster;
use crate::inspect::review::documents::{Documents, Each};
use crate::inspect::review::hosts::Hosts;
use crate::inspect::review::pair::{Pair, first, nothing, report, some};
use crate::inspect::review::side::{Levels, Side};
use crate::load::documents::{Invalid, has_any, parse_levels};
use crate::load::hierarchy;
use crate::load::revision::{Place, Text};
use crate::output;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_diagnose::review::group::Stage;
use netkeel_diagnose::review::inventory::Inventory;
use netkeel_dialects::dialect::Dialect;
use netkeel_dialects::hiera::facts::Facts;
use netkeel_render::wording::count;
use netkeel_source::text::secret;

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
                reading.add(host, member.stage, (old, new), &Facts::new())?;
            }
            reading.documents(members.stages)
        }
        Some(Hosts::Facts(hosts)) => {
            let mut reading = Reading::new(old, new, origin);
            for (host, facts) in &hosts {
                let facts = match facts {
                    Ok(facts) => facts,
                    Err(why) => {
                        reading.fail(host, why.clone());
                        continue;
                    }
                };
                let levels = reading
                    .old
                    .of_hiera(facts)
                    .and_then(|old| Ok((old, reading.new.of_hiera(facts)?)));
                match levels {
                    Ok(levels) => reading.add(host, None, levels, facts)?,
                    // Facts of one host that are incomplete stop no review of the others.
                    Err(error) => reading.fail(host, error.message),
                }
            }
            reading.documents(Vec::new())
        }
    }
}

/// The hosts so far of an inventory that names each.
struct Reading<'a> {
    old: Side<'a>,
    new: Side<'a>,
    origin: &'a Origin,
    pairs: Vec<Pair>,
    /// The pair of these levels, whose files ask for no facts; `None` if nothing in them is for netkeel. An
    /// error is why they are no documents.
    known: BTreeMap<(Levels, Levels), Result<Option<usize>, String>>,
    /// The pair of these levels with these hashes: facts of different hosts may give the same documents.
    alike: BTreeMap<(Levels, Levels, String, String), usize>,
    /// The first documents that are invalid.
    invalid: Option<Box<Invalid>>,
    /// Files that Ansible's vault encrypts.
    encrypted: BTreeSet<String>,
    hosts: BTreeMap<String, Each>,
}

impl<'a> Reading<'a> {
    fn new(old: &'a Place, new: &'a Place, origin: &'a Origin) -> Self {
        Reading {
            old: Side::new(old),
            new: Side::new(new),
            origin,
            pairs: Vec::new(),
            known: BTreeMap::new(),
            alike: BTreeMap::new(),
            invalid: None,
            encrypted: BTreeSet::new(),
            hosts: BTreeMap::new(),
        }
    }

    /// Adds a host without documents.
    fn fail(&mut self, host: &str, why: String) {
        let each = Each {
            stage: None,
            pair: Err(why),
        };
        self.hosts.insert(host.to_owned(), each);
    }

    /// Adds a host. Hosts with the same files share their documents.
    fn add(
        &mut self,
        host: &str,
        stage: Option<Stage>,
        levels: (Levels, Levels),
        facts: &Facts,
    ) -> Result<(), Error> {
        let mut texts = (texts(&mut self.old, &levels.0)?, texts(&mut self.new, &levels.1)?);
        if self.origin.dialect() == Dialect::Ansible {
            for level in texts.0.iter_mut().chain(&mut texts.1) {
                for (name, _) in level.extract_if(.., |(_, bytes)| is_encrypted(bytes)) {
                    self.encrypted.insert(name);
                }
            }
        }
        let asks = |levels: &[Vec<Text>]| {
            levels
                .iter()
                .flatten()
                .any(|(_, bytes)| bytes.windows(2).any(|two| two == b"%{"))
        };
        let asks = asks(&texts.0) || asks(&texts.1);
        let known = self.known.get(&levels).filter(|_| !asks).cloned();
        let number = match known {
            Some(number) => number,
            None => {
                let number = match self.pair(texts, facts)? {
                    Ok(pair) => Ok(pair.map(|pair| self.number(&levels, pair))),
                    Err(invalid) => {
                        let why = first(&invalid.diagnostics, &invalid.sources);
                        self.invalid.get_or_insert(invalid);
                        Err(why)
                    }
                };
                if !asks {
                    self.known.insert(levels, number.clone());
                }
                number
            }
        };
        let each = Each { stage, pair: number };
        self.hosts.insert(host.to_owned(), each);
        Ok(())
    }

    /// The number of a pair: that of an earlier one of the same files if the documents are the same.
    fn number(&mut self, levels: &(Levels, Levels), pair: Pair) -> usize {
        let (old, new) = (pair.old.document.hash.clone(), pair.new.document.hash.clone());
        let next = self.pairs.len();
        let pairs = &mut self.pairs;
        let key = (levels.0.clone(), levels.1.clone(), old, new);
        *self.alike.entry(key).or_insert_with(|| {
            pairs.push(pair);
            next
        })
    }

    /// The documents of the files; `None` if nothing in them is for netkeel. A side without anything for netkeel
    /// declares nothing.
    fn pair(
        &self,
        (old, new): (Vec<Vec<Text>>, Vec<Vec<Text>>),
        facts: &Facts,
    ) -> Result<Result<Option<Pair>, Box<Invalid>>, Error> {
        let dialect = self.origin.dialect();
        let read = |levels: Vec<Vec<Text>>| {
            let is_any = has_any(&levels.concat(), dialect);
            is_any.then(|| parse_levels(levels, dialect, facts))
        };
        let (old, new) = match (read(old), read(new)) {
            (None, None) => return Ok(Ok(None)),
            (Some(Err(invalid)), _) | (_, Some(Err(invalid))) => return Ok(Err(invalid)),
            (Some(Ok(old)), Some(Ok(new))) => (old, new),
            (Some(Ok(old)), None) => {
                let new = nothing(self.new.place, &old)?;
                (old, new)
            }
            (None, Some(Ok(new))) => (nothing(self.old.place, &new)?, new),
        };
        Pair::new(old, new).map(|pair| Ok(Some(pair)))
    }

    /// The documents of all hosts. Prints diagnostics and returns `None` if those of all hosts are invalid.
    fn documents(self, stages: Vec<String>) -> Result<Option<Documents>, Error> {
        if !self.encrypted.is_empty() {
            let files = count(self.encrypted.len(), "file");
            let names = some(self.encrypted.iter().map(String::as_str));
            output::say(&format!(
                "note: not read: {files} that Ansible's vault encrypts: {names}\n"
            ));
        }
        if let (true, Some(invalid)) = (self.pairs.is_empty(), &self.invalid) {
            output::diagnostics(&invalid.diagnostics, &invalid.sources);
            return Ok(None);
        }
        let others = self.hosts.iter().filter(|(_, each)| each.pair == Ok(None));
        let others: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
        if others.len() == self.hosts.len() {
            let (old, new) = (self.old.place, self.new.place);
            let message = format!("neither {old} nor {new} has data for netkeel of a host of the inventory");
            return Err(
                Error::new(ErrorKind::Missing, message).hint(match self.origin.dialect() {
                    Dialect::Hiera => {
                        "OLD and NEW are directories with a hiera.yaml; look at its `datadir` and paths"
                    }
                    Dialect::Ansible | Dialect::Native | Dialect::Talos => {
                        "OLD and NEW are directories with group_vars and host_vars"
                    }
                }),
            );
        }
        if !others.is_empty() {
            let hosts = count(others.len(), "host");
            let names = some(others.into_iter());
            output::say(&format!(
                "note: not reviewed: {hosts} of the inventory without data for netkeel: {names}\n"
            ));
        }
        Ok(Some(Documents::of_each(self.pairs, stages, self.hosts)))
    }
}

/// Whether Ansible's vault encrypts a whole file.
fn is_encrypted(bytes: &[u8]) -> bool {
    secret::of_vault(&String::from_utf8_lossy(bytes.get(..64).unwrap_or(bytes)))
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
