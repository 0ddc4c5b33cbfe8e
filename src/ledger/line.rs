//! The lines of the ledger's log, as they are read and as they are written.
//!
//! What a match did to a thousand interfaces differs in their names alone, and stands there once with
//! all the names: a log is a tenth as long then, and takes a tenth of the time to read.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Claim, FORMAT, Hold, NewClaim};
use crate::error::{Error, ErrorKind};
use crate::fact::{Fact, Field, Object, Value};
use crate::link_name::LinkName;
use crate::netns::Netns;

/// One line of the log as it is read; see also [`NewLine`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// The first line.
    Format(u32),
    /// Facts that an apply wrote; void when that apply was undone.
    Held { transaction: String, runs: Vec<Run> },
    /// The same as format 1 had it.
    Claims { transaction: String, claims: Vec<Claim> },
    /// An apply was undone: its claims never were, and what it released is held as before.
    Void { transaction: String },
    /// Facts that an apply gave back; not so when that apply was undone.
    Released {
        #[serde(default)]
        transaction: String,
        facts: Vec<Fact>,
    },
}

/// Claims of which no two are on one fact.
#[derive(Debug, Deserialize)]
pub(super) struct Run {
    #[serde(default)]
    alike: Vec<Alike>,
    #[serde(default)]
    others: Vec<Claim>,
}

/// Claims on a field of interfaces that differ in nothing but the interface.
#[derive(Debug, Deserialize)]
struct Alike {
    #[serde(default)]
    netns: Netns,
    field: Field,
    owner: Arc<str>,
    found: Option<Value>,
    wrote: Option<Value>,
    links: Vec<LinkName>,
}

impl Run {
    /// How many claims it holds.
    pub(super) fn len(&self) -> usize {
        let alike = self.alike.iter().map(|alike| alike.links.len());
        alike.sum::<usize>() + self.others.len()
    }

    /// Adds the claims. Where the lists are few, those of interfaces come in the order of the interfaces,
    /// as far as each list is, so that little is left to sort.
    pub(super) fn add_to(self, claims: &mut Vec<Claim>) {
        // Each interface may have been found otherwise: with a list for each, looking through all of them
        // for the next one takes the square of their number.
        const FEW: usize = 16;
        let mut owners: Vec<Arc<str>> = Vec::new();
        let alike = self.alike.into_iter().map(|alike| alike.shared(&mut owners));
        let mut alike: Vec<(Shared, usize)> = alike.map(|alike| (alike, 0)).collect();
        if alike.len() > FEW {
            for (alike, _) in &alike {
                claims.extend(alike.links.iter().map(|link| alike.claim(*link)));
            }
            alike.clear();
        }
        alike.sort_by_key(|(alike, _)| alike.field);
        let first = |alike: &[(Shared, usize)]| {
            let heads = alike.iter().filter_map(|(alike, at)| alike.links.get(*at));
            heads.min().copied()
        };
        while let Some(link) = first(&alike) {
            for (alike, at) in &mut alike {
                if alike.links.get(*at) == Some(&link) {
                    *at += 1;
                    claims.push(alike.claim(link));
                }
            }
        }
        claims.extend(self.others);
    }
}

/// [`Alike`] with what the claims have in common once for all of them.
struct Shared {
    netns: Netns,
    field: Field,
    hold: Arc<Hold>,
    links: Vec<LinkName>,
}

impl Alike {
    /// `owners` are those of other lists: most have one, whose name is there once then.
    fn shared(self, owners: &mut Vec<Arc<str>>) -> Shared {
        let known = owners.iter().find(|owner| **owner == self.owner).cloned();
        let owner = known.unwrap_or_else(|| {
            owners.push(self.owner.clone());
            self.owner
        });
        let hold = Hold {
            owner,
            found: self.found,
            wrote: self.wrote,
            beside: None,
        };
        Shared {
            netns: self.netns,
            field: self.field,
            hold: hold.into(),
            links: self.links,
        }
    }
}

impl Shared {
    fn claim(&self, link: LinkName) -> Claim {
        Claim {
            fact: Fact::link(&self.netns, link, self.field),
            hold: self.hold.clone(),
        }
    }
}

/// A line on its way to the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewLine<'a> {
    /// The first line.
    Format(u32),
    /// Adds claims.
    Held {
        /// The apply.
        transaction: &'a str,
        /// What it claims, in order.
        runs: Vec<NewRun<'a>>,
    },
    /// Voids the claims of an apply.
    Void {
        /// The apply.
        transaction: &'a str,
    },
    /// Gives facts back.
    Released {
        /// The apply.
        transaction: &'a str,
        /// The facts.
        facts: Vec<&'a Fact>,
    },
}

/// Claims in ascending order of their facts, so that no two are on one fact, and the order in which
/// they are written does not matter.
#[derive(Debug, Default, Serialize)]
pub struct NewRun<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty", serialize_with = "with_links")]
    alike: BTreeMap<Same<'a>, Vec<LinkName>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<NewClaim<'a>>,
}

/// What claims on a field of interfaces have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Same<'a> {
    #[serde(skip_serializing_if = "Netns::is_current")]
    netns: &'a Netns,
    field: Field,
    owner: &'a str,
    found: Option<&'a Value>,
    wrote: Option<&'a Value>,
}

fn with_links<S: serde::Serializer>(
    alike: &BTreeMap<Same<'_>, Vec<LinkName>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithLinks<'a> {
        #[serde(flatten)]
        same: Same<'a>,
        links: &'a [LinkName],
    }
    serializer.collect_seq(alike.iter().map(|(same, links)| WithLinks { same: *same, links }))
}

impl<'a> NewRun<'a> {
    /// Whoever claims a fact twice, as two plans of one apply can, means the order of it.
    fn of(claims: impl Iterator<Item = NewClaim<'a>>) -> Vec<Self> {
        let mut runs: Vec<NewRun<'a>> = Vec::new();
        let mut last: Option<&Fact> = None;
        for claim in claims {
            let ascends = last.is_some_and(|last| last < claim.fact);
            last = Some(claim.fact);
            match runs.last_mut().filter(|_| ascends) {
                Some(run) => run.add(claim),
                None => {
                    let mut run = NewRun::default();
                    run.add(claim);
                    runs.push(run);
                }
            }
        }
        runs
    }

    fn add(&mut self, claim: NewClaim<'a>) {
        let NewClaim {
            fact,
            owner,
            found,
            wrote,
            beside,
        } = claim;
        match (&fact.object, beside) {
            (Object::Link(link), None) => {
                let same = Same {
                    netns: &fact.netns,
                    field: fact.field,
                    owner,
                    found,
                    wrote,
                };
                self.alike.entry(same).or_default().push(*link);
            }
            _ => self.others.push(claim),
        }
    }
}

impl<'a> NewLine<'a> {
    /// The first line of a log.
    pub const FIRST: Self = NewLine::Format(FORMAT);

    /// The line that adds claims.
    pub fn claims(transaction: &'a str, claims: impl Iterator<Item = NewClaim<'a>>) -> Self {
        let runs = NewRun::of(claims);
        NewLine::Held { transaction, runs }
    }

    /// The line that voids what an apply claimed and released.
    pub fn void(transaction: &'a str) -> Self {
        NewLine::Void { transaction }
    }

    /// The line that gives facts back.
    pub fn released(transaction: &'a str, facts: impl Iterator<Item = &'a Fact>) -> Self {
        let facts = facts.collect();
        NewLine::Released { transaction, facts }
    }

    /// The line as text.
    ///
    /// # Errors
    /// Never in practice: all of it can be written as JSON.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = serde_json::to_string(self).map_err(|error| {
            let message = format!("a line of the ledger cannot be written: {error}");
            Error::new(ErrorKind::Unreadable, message)
        })?;
        text.push('\n');
        Ok(text)
    }
}
