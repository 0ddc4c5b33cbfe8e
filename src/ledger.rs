//! Who holds which fact: for each field that netkeel wrote, the value found before, so that it can
//! be given back. Stored as a log of lines, compacted now and then.

mod line;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, ErrorKind};
use crate::fact::{Fact, Value};
pub use line::NewLine;
use line::{Line, Run};

/// The version of the ledger's format; a newer one is refused. In format 1 each claim stood alone.
pub const FORMAT: u32 = 2;

/// So many claims are put in their places one by one.
const FEW: usize = 16;

/// A fact that an owner holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The fact.
    pub fact: Fact,
    /// How it is held: mostly like thousands of others.
    #[serde(flatten)]
    pub hold: Arc<Hold>,
}

/// How a fact is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Who.
    pub owner: Arc<str>,
    /// What it was before netkeel first wrote it; none when it was not there.
    pub found: Option<Value>,
    /// What netkeel wrote last; none when it took the fact away.
    pub wrote: Option<Value>,
    /// Not netkeel wrote it: the kernel changed it with this fact, which netkeel wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Box<Fact>>,
}

impl Deref for Claim {
    type Target = Hold;

    fn deref(&self) -> &Hold {
        &self.hold
    }
}

impl Claim {
    /// Takes a later claim of the same fact. What somebody declares is not held by who merely changes it.
    fn take(&mut self, later: &Claim) {
        if later.beside.is_some() && later.owner != self.owner {
            return;
        }
        let is_beside = self.beside.is_some() && later.beside.is_some();
        if self.found == later.found && is_beside == later.beside.is_some() {
            self.hold = later.hold.clone();
            return;
        }
        let hold = Arc::make_mut(&mut self.hold);
        hold.beside = later.beside.clone().filter(|_| is_beside);
        hold.wrote = later.wrote.clone();
        hold.owner = later.owner.clone();
    }
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
        let Claim { fact, hold } = claim;
        let Hold {
            owner,
            found,
            wrote,
            beside,
        } = &**hold;
        NewClaim {
            fact,
            owner,
            found: found.as_ref(),
            wrote: wrote.as_ref(),
            beside: beside.as_deref(),
        }
    }
}

/// All claims that hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// In the order of their facts, one for each.
    claims: Vec<Claim>,
    /// The applies that were committed since the log was compacted.
    committed: BTreeSet<String>,
    /// Claims and lines that no longer matter: a reason to compact.
    stale: usize,
    /// The log is of an older format.
    older: bool,
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
        match lines.first() {
            Some(Line::Format(format)) if *format > FORMAT => Err(is_newer(*format)),
            _ => Ok(lines),
        }
    }

    fn take(&mut self, lines: Vec<Line>, void: &BTreeSet<String>) {
        for line in lines {
            match line {
                Line::Format(format) => self.older = format < FORMAT,
                Line::Held { transaction, .. }
                | Line::Claims { transaction, .. }
                | Line::Released { transaction, .. }
                    if void.contains(&transaction) =>
                {
                    self.stale += 1;
                }
                Line::Held { transaction, runs } => {
                    self.committed.insert(transaction);
                    self.claims.reserve(runs.iter().map(Run::len).sum());
                    let held = self.claims.len();
                    runs.into_iter().for_each(|run| run.add_to(&mut self.claims));
                    self.unite(held);
                }
                Line::Claims { transaction, claims } => {
                    self.committed.insert(transaction);
                    let held = self.claims.len();
                    self.claims.extend(claims);
                    self.unite(held);
                }
                Line::Void { .. } => self.stale += 1,
                Line::Released { facts, .. } => {
                    let facts: BTreeSet<Fact> = facts.into_iter().collect();
                    let all = self.claims.len();
                    self.claims.retain(|claim| !facts.contains(&claim.fact));
                    self.stale += 1 + all - self.claims.len();
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

    /// Unites what was held, which is in order, with what follows it. A later claim of the same fact
    /// keeps what was found first.
    fn unite(&mut self, held: usize) {
        let ends = self.claims.get(held.saturating_sub(1)..).unwrap_or_default();
        if ends.is_sorted_by(|a, b| a.fact < b.fact) {
            return;
        }
        // What a service claims for one interface: the thousands that it holds need not be looked at.
        if self.claims.len() - held <= FEW {
            for later in self.claims.split_off(held) {
                match self.claims.binary_search_by(|claim| claim.fact.cmp(&later.fact)) {
                    Ok(at) => {
                        if let Some(held) = self.claims.get_mut(at) {
                            held.take(&later);
                        }
                        self.stale += 1;
                    }
                    Err(at) => self.claims.insert(at, later),
                }
            }
            return;
        }
        // Stable, and quick on what is sorted already: an apply claims in the order of the facts.
        self.claims.sort_by(|a, b| a.fact.cmp(&b.fact));
        let all = self.claims.len();
        self.claims.dedup_by(|later, held| {
            let same = later.fact == held.fact;
            if same {
                held.take(later);
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
        let mut owner = Owner::named(owner);
        self.claims.iter().filter(move |claim| owner.is(claim))
    }

    /// All that is held, in the order of the facts.
    pub fn claims(&self) -> impl ExactSizeIterator<Item = &Claim> {
        self.claims.iter()
    }

    /// Nobody else holds anything.
    pub fn is_only_of<'a>(&'a self, owner: &'a str) -> bool {
        let mut owner = Owner::named(owner);
        self.claims.iter().all(|claim| owner.is(claim))
    }

    /// An apply was committed, as far as the log goes back.
    pub fn holds_those_of(&self, transaction: &str) -> bool {
        self.committed.contains(transaction)
    }

    /// All owners.
    pub fn owners(&self) -> BTreeSet<&str> {
        self.claims.iter().map(|claim| &*claim.owner).collect()
    }

    /// Most of the log does not matter any more, or it is of an older format: nothing of this one
    /// may be added to a log that a netkeel which does not know it would begin to read.
    pub fn wants_compacting(&self) -> bool {
        self.older || (self.stale > 64 && self.stale > self.claims.len())
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

/// An owner that thousands of claims are compared with, most of which share one name in memory.
struct Owner<'a> {
    name: &'a str,
    known: Option<&'a Arc<str>>,
}

impl<'a> Owner<'a> {
    fn named(name: &'a str) -> Self {
        Owner { name, known: None }
    }

    fn is(&mut self, claim: &'a Claim) -> bool {
        let owner = &claim.hold.owner;
        let is = self.known.is_some_and(|known| Arc::ptr_eq(known, owner)) || **owner == *self.name;
        if is {
            self.known = Some(owner);
        }
        is
    }
}

/// A log of a newer netkeel may have lines that this one does not know.
fn newer(text: &str) -> Option<Error> {
    let Ok(Line::Format(format)) = serde_json::from_str(text.lines().next()?) else {
        return None;
    };
    (format > FORMAT).then(|| is_newer(format))
}

fn is_newer(format: u32) -> Error {
    Error::new(
        ErrorKind::Unreadable,
        format!("the ledger has format {format}; this netkeel reads up to {FORMAT}"),
    )
    .hint("use the netkeel that wrote it, or a newer one")
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
            hold: Arc::new(Hold {
                owner: owner.into(),
                found: Some(Value::Number(found)),
                wrote: Some(Value::Number(wrote)),
                beside: None,
            }),
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
    fn pods_that_come_and_go_do_not_make_the_log_long() {
        let pods =
            |round: u32| (0..10).map(move |number| claim(&format!("cali{round}x{number}"), "a", 1500, 1460));
        let mut ledger = Ledger::read(&log(&[claims_line("0", &[claim("eth0", "a", 1500, 1460)])])).unwrap();
        let mut round = 0;
        while !ledger.wants_compacting() {
            let pods: Vec<Claim> = pods(round).collect();
            assert!(ledger.append(&claims_line("1", &pods)).unwrap());
            let released = NewLine::released("gone", pods.iter().map(|pod| &pod.fact));
            assert!(ledger.append(&released.text().unwrap()).unwrap());
            round += 1;
        }
        assert_eq!((round, ledger.claims().len()), (6, 1));
    }

    #[test]
    fn a_torn_line_does_not_count_and_a_newer_format_is_refused() {
        let text = log(&[claims_line("1", &[claim("eth0", "a", 1500, 1460)])]);
        for cut in 0..text.len() {
            assert_eq!(Ledger::read(&text[..cut]).unwrap().owners().len(), 0);
        }
        assert!(
            Ledger::read("{\"format\":3}\n{\"unknown\":1}\n")
                .unwrap_err()
                .message
                .contains("format 3")
        );
    }

    /// As the netkeel that had format 1 wrote it.
    const OF_FORMAT_1: &str = r#"{"format":1}
{"claims":{"transaction":"1","claims":[{"fact":{"netns":null,"object":{"link":"eth0"},"field":"mtu"},"owner":"a","found":1500,"wrote":1460},{"fact":{"netns":null,"object":{"sysctl":"net/ipv4/tcp_mtu_probing"},"field":"value"},"owner":"b","found":"0","wrote":null}]}}
"#;

    #[test]
    fn an_older_format_is_read_and_brought_up_to_date() {
        let ledger = Ledger::read(OF_FORMAT_1).unwrap();
        assert_eq!(
            ledger.of("a").collect::<Vec<_>>(),
            [&claim("eth0", "a", 1500, 1460)]
        );
        let sysctl = ledger.of("b").next().unwrap();
        assert_eq!(sysctl.found, Some(Value::Text("0".into())));
        assert_eq!(sysctl.wrote, None);
        assert!(ledger.wants_compacting(), "nothing of format 2 may follow");
        let now = Ledger::read(&ledger.compact().unwrap()).unwrap();
        assert_eq!(now.claims, ledger.claims);
        assert!(!now.wants_compacting());
    }

    #[test]
    fn claims_are_in_order_however_many_lists_they_come_in() {
        for different in [1, 3, 40] {
            let claims: Vec<Claim> = (0..60)
                .map(|number| claim(&format!("cali{number:02}"), "a", 1500 + number % different, 1460))
                .collect();
            let ledger = Ledger::read(&log(&[claims_line("1", &claims)])).unwrap();
            assert_eq!(ledger.claims, claims, "{different} lists");
        }
    }

    #[test]
    fn what_is_alike_stands_once_and_what_is_claimed_twice_keeps_its_order() {
        let names: Vec<String> = (0..100).map(|number| format!("cali{number:02}")).collect();
        let alike: Vec<Claim> = names.iter().map(|name| claim(name, "a", 1500, 1460)).collect();
        let again = [claim("cali07", "a", 1460, 1400), claim("cali03", "a", 1460, 1400)];
        let line = claims_line("1", &[&alike[..], &again].concat());
        assert!(line.len() < 100 * 16, "{line}");
        let ledger = Ledger::read(&log(&[line])).unwrap();
        assert_eq!(ledger.of("a").count(), 100);
        for name in ["cali03", "cali07"] {
            let fact = claim(name, "a", 0, 0).fact;
            assert_eq!(ledger.get(&fact), Some(&claim(name, "a", 1500, 1400)));
        }
        assert_eq!(ledger.get(&alike[5].fact), Some(&alike[5]));
    }
}
