//! Who holds which fact: for each field that netkeel wrote, the value found before, so that it can
//! be given back. Stored as a log of lines, compacted now and then.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::fact::{Fact, Value};

/// The version of the ledger's format; a newer one is refused.
pub const FORMAT: u32 = 1;

/// A fact that an owner holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The fact.
    pub fact: Fact,
    /// Who.
    pub owner: String,
    /// What it was before netkeel first wrote it; none when it was not there.
    pub found: Option<Value>,
    /// What netkeel wrote last; none when it took the fact away.
    pub wrote: Option<Value>,
    /// Not netkeel wrote it: the kernel changed it with this fact, which netkeel wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Fact>,
}

/// A [`Claim`] on its way to the log. It borrows, since a plan can claim twenty thousand.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NewClaim<'a> {
    /// See [`Claim`].
    pub fact: &'a Fact,
    /// See [`Claim`].
    pub owner: &'a str,
    /// See [`Claim`].
    pub found: Option<&'a Value>,
    /// See [`Claim`].
    pub wrote: Option<&'a Value>,
    /// See [`Claim`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beside: Option<&'a Fact>,
}

impl<'a> From<&'a Claim> for NewClaim<'a> {
    fn from(claim: &'a Claim) -> Self {
        let Claim {
            fact,
            owner,
            found,
            wrote,
            beside,
        } = claim;
        NewClaim {
            fact,
            owner,
            found: found.as_ref(),
            wrote: wrote.as_ref(),
            beside: beside.as_ref(),
        }
    }
}

/// One line of the log as it is read; see also [`NewLine`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// The first line.
    Format(u32),
    /// Facts that an apply wrote; void when that apply was undone.
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

/// All claims that hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// In the order of their facts, one for each.
    claims: Vec<Claim>,
    /// The applies that were committed since the log was compacted.
    committed: BTreeSet<String>,
    /// Lines that no longer matter: a reason to compact.
    stale: usize,
}

impl Ledger {
    /// Reads a log. What follows the last newline was torn by a crash and does not count.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when a line does not make sense or the format is newer.
    pub fn read(text: &str) -> Result<Self, Error> {
        let lines = Ledger::read_lines(text)?;
        let void: BTreeSet<String> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Void { transaction } => Some(transaction.clone()),
                _ => None,
            })
            .collect();
        let mut ledger = Ledger::default();
        ledger.take(lines, &void);
        Ok(ledger)
    }

    fn read_lines(text: &str) -> Result<Vec<Line>, Error> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines: Vec<Line> = whole
            .lines()
            .map(|line| {
                serde_json::from_str(line).map_err(|error| {
                    Error::new(ErrorKind::Unreadable, format!("the ledger is damaged: {error}"))
                })
            })
            .collect::<Result<_, _>>()
            .or_else(|error| newer(whole).map_or(Err(error), Err))?;
        newer(whole).map_or(Ok(lines), Err)
    }

    fn take(&mut self, lines: Vec<Line>, void: &BTreeSet<String>) {
        for line in lines {
            match line {
                Line::Format(_) => {}
                Line::Claims { transaction, claims } if !void.contains(&transaction) => {
                    self.committed.insert(transaction);
                    self.add(claims);
                }
                Line::Claims { .. } | Line::Void { .. } => self.stale += 1,
                Line::Released { transaction, .. } if void.contains(&transaction) => self.stale += 1,
                Line::Released { facts, .. } => {
                    self.stale += 1;
                    let facts: BTreeSet<Fact> = facts.into_iter().collect();
                    self.claims.retain(|claim| !facts.contains(&claim.fact));
                }
            }
        }
    }

    /// Takes what was added to the log since. False when that cannot be taken alone, and the whole
    /// log has to be read.
    ///
    /// # Errors
    /// See [`Ledger::read`].
    pub fn append(&mut self, text: &str) -> Result<bool, Error> {
        let more = Ledger::read_lines(text)?;
        if more.iter().any(|line| matches!(line, Line::Void { .. })) {
            return Ok(false);
        }
        self.take(more, &BTreeSet::new());
        Ok(true)
    }

    /// A later claim of the same fact keeps what was found first.
    fn add(&mut self, claims: Vec<Claim>) {
        self.claims.extend(claims);
        // Stable, and quick on what is sorted already: an apply claims in the order of the facts.
        self.claims.sort_by(|a, b| a.fact.cmp(&b.fact));
        let all = self.claims.len();
        self.claims.dedup_by(|later, held| {
            let same = later.fact == held.fact;
            // What somebody declares is not held by who merely changes it.
            if same && (later.beside.is_none() || later.owner == held.owner) {
                held.beside = held.beside.take().and(later.beside.take());
                held.wrote = later.wrote.take();
                held.owner = std::mem::take(&mut later.owner);
            }
            same
        });
        self.stale += all - self.claims.len();
    }

    /// Who holds a fact.
    pub fn get(&self, fact: &Fact) -> Option<&Claim> {
        let at = self.claims.binary_search_by(|claim| claim.fact.cmp(fact)).ok()?;
        self.claims.get(at)
    }

    /// What an owner holds.
    pub fn of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Claim> {
        self.claims.iter().filter(move |claim| claim.owner == owner)
    }

    /// All that is held, in the order of the facts.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter()
    }

    /// Nobody else holds anything.
    pub fn is_only_of(&self, owner: &str) -> bool {
        self.claims.iter().all(|claim| claim.owner == owner)
    }

    /// An apply was committed, as far as the log goes back.
    pub fn holds_those_of(&self, transaction: &str) -> bool {
        self.committed.contains(transaction)
    }

    /// All owners.
    pub fn owners(&self) -> BTreeSet<&str> {
        self.claims.iter().map(|claim| claim.owner.as_str()).collect()
    }

    /// Most of the log does not matter any more.
    pub fn wants_compacting(&self) -> bool {
        self.stale > 64 && self.stale > self.claims.len()
    }

    /// The log that says the same in the fewest lines.
    ///
    /// # Errors
    /// Never in practice: all of it can be written as JSON.
    pub fn compact(&self) -> Result<String, Error> {
        let claims = NewLine::claims("compacted", self.claims.iter().map(NewClaim::from));
        Ok(NewLine::FIRST.text()? + &claims.text()?)
    }
}

/// A log of a newer netkeel may have lines that this one does not know.
fn newer(text: &str) -> Option<Error> {
    let Ok(Line::Format(format)) = serde_json::from_str(text.lines().next()?) else {
        return None;
    };
    (format > FORMAT).then(|| {
        Error::new(
            ErrorKind::Unreadable,
            format!("the ledger has format {format}; this netkeel reads up to {FORMAT}"),
        )
        .hint("use the netkeel that wrote it, or a newer one")
    })
}

/// A line on its way to the log; it reads back as a [`Line`].
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewLine<'a, C: Serialize> {
    /// The first line.
    Format(u32),
    /// Adds claims.
    Claims {
        /// The apply.
        transaction: &'a str,
        /// What it claims.
        claims: C,
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
        facts: C,
    },
}

impl<'a> NewLine<'a, ()> {
    /// The first line of a log.
    pub const FIRST: Self = NewLine::Format(FORMAT);

    /// The line that voids what an apply claimed and released.
    pub fn void(transaction: &'a str) -> Self {
        NewLine::Void { transaction }
    }
}

impl<'a, C: Iterator<Item = NewClaim<'a>> + Clone> NewLine<'a, Each<C>> {
    /// The line that adds claims.
    pub fn claims(transaction: &'a str, claims: C) -> Self {
        let claims = Each(claims);
        NewLine::Claims { transaction, claims }
    }
}

impl<'a, F: Iterator<Item = &'a Fact> + Clone> NewLine<'a, Each<F>> {
    /// The line that gives facts back.
    pub fn released(transaction: &'a str, facts: F) -> Self {
        let facts = Each(facts);
        NewLine::Released { transaction, facts }
    }
}

impl<C: Serialize> NewLine<'_, C> {
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

/// A list that is written one by one, without being made first.
#[derive(Clone, Debug)]
pub struct Each<I>(
    /// What makes it.
    pub I,
);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Field;
    use crate::netns::Netns;

    fn claim(name: &str, owner: &str, found: i64, wrote: i64) -> Claim {
        Claim {
            fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
            owner: owner.into(),
            found: Some(Value::Number(found)),
            wrote: Some(Value::Number(wrote)),
            beside: None,
        }
    }

    fn log(lines: &[String]) -> String {
        NewLine::FIRST.text().unwrap() + &lines.concat()
    }

    fn claims_line(transaction: &str, claims: &[Claim]) -> String {
        let claims = claims.iter().map(NewClaim::from);
        NewLine::claims(transaction, claims).text().unwrap()
    }

    #[test]
    fn the_value_found_first_is_kept() {
        let text = log(&[
            claims_line("1", &[claim("eth0", "a", 1500, 1460)]),
            claims_line("2", &[claim("eth0", "a", 1460, 1400)]),
        ]);
        let ledger = Ledger::read(&text).unwrap();
        assert_eq!(
            ledger.of("a").collect::<Vec<_>>(),
            [&claim("eth0", "a", 1500, 1400)]
        );
        assert_eq!(
            Ledger::read(&ledger.compact().unwrap()).unwrap().claims,
            ledger.claims
        );
    }

    #[test]
    fn an_apply_that_was_undone_claims_nothing_and_what_is_released_is_free() {
        let text = log(&[
            claims_line(
                "1",
                &[claim("eth0", "a", 1500, 1460), claim("eth1", "b", 1500, 1460)],
            ),
            claims_line("2", &[claim("eth2", "a", 1500, 1460)]),
            NewLine::void("2").text().unwrap(),
            NewLine::released("3", [claim("eth0", "a", 0, 0).fact].iter())
                .text()
                .unwrap(),
            // A release that was killed before its end, and undone.
            claims_line("4", &[]),
            NewLine::released("4", [claim("eth1", "b", 0, 0).fact].iter())
                .text()
                .unwrap(),
            NewLine::void("4").text().unwrap(),
        ]);
        let ledger = Ledger::read(&text).unwrap();
        assert_eq!(ledger.owners(), BTreeSet::from(["b"]));
        assert_eq!(ledger.of("b").count(), 1);
        assert!(!ledger.holds_those_of("4"));
    }

    #[test]
    fn a_torn_line_does_not_count_and_a_newer_format_is_refused() {
        let text = log(&[claims_line("1", &[claim("eth0", "a", 1500, 1460)])]);
        for cut in 0..text.len() {
            assert_eq!(Ledger::read(&text[..cut]).unwrap().owners().len(), 0);
        }
        assert!(
            Ledger::read("{\"format\":2}\n{\"unknown\":1}\n")
                .unwrap_err()
                .message
                .contains("format 2")
        );
    }
}
