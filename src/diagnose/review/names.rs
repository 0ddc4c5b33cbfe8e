//! The names of many hosts in little memory: names that differ in a number only are ranges, as pdsh and ClusterShell
//! write them: `k8s[1001-1040,1042].example.org`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most ranges that are kept.
const MOST: usize = 4096;

/// The rest of a name around its number. Names whose numbers have another width are other patterns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Around {
    before: String,
    /// Digits, leading zeros included; 0 for a name without a number.
    width: usize,
    after: String,
}

/// The names of hosts. A name may be added once only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    count: usize,
    /// First and last number of each range, by the rest of the name. The ranges do not touch.
    ranges: BTreeMap<Around, BTreeMap<u64, u64>>,
    kept: usize,
    dropped: usize,
    least: Option<String>,
}

impl Names {
    /// The number of hosts.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of hosts whose names are not kept.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// The first name, in the order of text.
    pub fn first(&self) -> Option<&str> {
        self.least.as_deref()
    }

    /// Adds a name.
    pub fn add(&mut self, name: &str) {
        let (around, number) = split(name);
        self.insert(around, number, number);
        if self.least.as_deref().is_none_or(|least| name < least) {
            self.least = Some(name.to_owned());
        }
    }

    /// Adds all names of another list.
    pub fn extend(&mut self, other: Names) {
        for (around, ranges) in other.ranges {
            for (first, last) in ranges {
                self.insert(around.clone(), first, last);
            }
        }
        self.count = self.count.saturating_add(other.dropped);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.least = match (self.least.take(), other.least) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    fn insert(&mut self, around: Around, mut first: u64, mut last: u64) {
        let hosts = members(first, last);
        self.count = self.count.saturating_add(hosts);
        if self.kept >= MOST && !self.ranges.contains_key(&around) {
            self.dropped = self.dropped.saturating_add(hosts);
            return;
        }
        let ranges = self.ranges.entry(around).or_default();
        if let Some((&start, &end)) = ranges.range(..first).next_back()
            && end.checked_add(1) == Some(first)
        {
            ranges.remove(&start);
            self.kept -= 1;
            first = start;
        }
        if let Some((&start, &end)) = ranges.range(first..).next()
            && last.checked_add(1) == Some(start)
        {
            ranges.remove(&start);
            self.kept -= 1;
            last = end;
        }
        if self.kept >= MOST {
            self.dropped = self.dropped.saturating_add(hosts);
            return;
        }
        ranges.insert(first, last);
        self.kept += 1;
    }

    /// The names, with ranges, in order.
    pub fn folded(&self) -> Vec<String> {
        self.folded_within(usize::MAX).map(|folded| folded.text).collect()
    }

    /// The names, with ranges, in order. Ranges that do not fit into a text of `longest` bytes are left out; each text
    /// has at least one range.
    pub fn folded_within(&self, longest: usize) -> impl Iterator<Item = Folded> {
        let all = self.ranges.iter();
        all.map(move |(around, ranges)| folded(around, ranges, longest))
    }
}

/// Names that differ in a number only, as one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The names, with ranges.
    pub text: String,
    /// The number of hosts.
    pub count: usize,
    /// The number of hosts that are not in the text.
    pub left_out: usize,
}

/// The number of hosts of a range.
fn members(first: u64, last: u64) -> usize {
    usize::try_from(last.saturating_sub(first).saturating_add(1)).unwrap_or(usize::MAX)
}

/// A name, its number and the rest. The number is the last one before the first dot, or the last one.
fn split(name: &str) -> (Around, u64) {
    let host = name.find('.').unwrap_or(name.len());
    let number = digits(name.get(..host).unwrap_or_default()).or_else(|| digits(name));
    let found = number.and_then(|(start, end)| {
        let number = name.get(start..end)?;
        let around = Around {
            before: name.get(..start)?.to_owned(),
            width: end - start,
            after: name.get(end..)?.to_owned(),
        };
        Some((around, number.parse().ok()?))
    });
    found.unwrap_or_else(|| {
        let around = Around {
            before: name.to_owned(),
            width: 0,
            after: String::new(),
        };
        (around, 0)
    })
}

/// The bytes of the last number.
fn digits(text: &str) -> Option<(usize, usize)> {
    let is_digit = |char: char| char.is_ascii_digit();
    let end = text.rfind(is_digit)? + 1;
    let start = text.get(..end)?.trim_end_matches(is_digit).len();
    Some((start, end))
}

fn folded(around: &Around, ranges: &BTreeMap<u64, u64>, longest: usize) -> Folded {
    let Around { before, width, after } = around;
    let (width, mut list) = (*width, String::new());
    let (mut count, mut left_out) = (0_usize, 0_usize);
    for (first, last) in ranges {
        let hosts = members(*first, *last);
        count = count.saturating_add(hosts);
        let range = match first == last {
            true => format!("{first:0width$}"),
            false => format!("{first:0width$}-{last:0width$}"),
        };
        let is_full = before.len() + list.len() + range.len() + after.len() > longest;
        if !list.is_empty() && (left_out > 0 || is_full) {
            left_out = left_out.saturating_add(hosts);
            continue;
        }
        let comma = if list.is_empty() { "" } else { "," };
        let _ = write!(list, "{comma}{range}");
    }
    let single = ranges.len() == 1 && ranges.iter().all(|(first, last)| first == last);
    let text = match (width, single) {
        (0, _) => before.clone(),
        (_, true) => format!("{before}{list}{after}"),
        (_, false) => format!("{before}[{list}]{after}"),
    };
    Folded {
        text,
        count,
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Names {
        let mut names = Names::default();
        all.iter().for_each(|name| names.add(name));
        names
    }

    #[test]
    fn names_that_differ_in_a_number_are_ranges() {
        let found = names(&[
            "lb2.a.example",
            "lb1.a.example",
            "lb4.a.example",
            "db",
            "web-09",
            "web-10",
            "web-9",
            "lb3.b.example",
        ]);
        let expected = [
            "db",
            "lb[1-2,4].a.example",
            "lb3.b.example",
            "web-9",
            "web-[09-10]",
        ];
        assert_eq!(found.folded(), expected);
        assert_eq!((found.count(), found.first()), (8, Some("db")));
    }

    #[test]
    fn the_order_of_adding_makes_no_difference() {
        let all = ["k1", "k2", "k3", "k7", "k8", "k12", "x"];
        let mut reverse = all;
        reverse.reverse();
        let one = names(&all);
        assert_eq!(one, names(&reverse));
        let (mut left, right) = (names(&["k2", "k8", "x"]), names(&["k12", "k1", "k3", "k7"]));
        left.extend(right);
        assert_eq!(one, left);
        assert_eq!(one.folded(), ["k[1-3,7-8]", "k12", "x"]);
    }

    #[test]
    fn no_name_makes_it_panic() {
        for name in [
            "",
            "0",
            "18446744073709551615",
            "99999999999999999999999",
            "é1é",
            "...",
            "1.2.3",
        ] {
            let one = names(&[name]);
            assert_eq!((one.folded(), one.count()), (vec![name.to_owned()], 1));
        }
        let last = names(&["18446744073709551614", "18446744073709551615"]);
        assert_eq!(last.folded(), ["[18446744073709551614-18446744073709551615]"]);
    }

    #[test]
    fn names_have_a_bound() {
        let mut many = Names::default();
        (0..MOST as u64 * 4).for_each(|number| many.add(&format!("k{:08}", number * 2)));
        assert_eq!((many.count(), many.dropped()), (MOST * 4, MOST * 3));
    }

    #[test]
    fn names_that_are_not_kept_take_no_memory() {
        let mut many = Names::default();
        (0..MOST * 2)
            .for_each(|number| many.add(&format!("k{}x", "a".repeat(number % 97) + &number.to_string())));
        (0..MOST * 2).for_each(|number| many.add(&format!("{number}-of-its-own-{number}.z{number}")));
        assert!(many.ranges.len() <= MOST, "{}", many.ranges.len());
        assert!(many.ranges.values().all(|ranges| !ranges.is_empty()));
        assert_eq!(many.count(), MOST * 4);
    }

    #[test]
    fn a_long_list_of_ranges_is_cut_and_its_hosts_are_counted() {
        let all: Vec<String> = (0..50).map(|number| format!("k{}", 100 + number * 2)).collect();
        let all = names(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let cut: Vec<Folded> = all.folded_within(12).collect();
        let [one] = &cut[..] else { panic!("{cut:?}") };
        assert_eq!(
            (one.text.as_str(), one.count, one.left_out),
            ("k[100,102,104]", 50, 47)
        );
        // Brackets in a name are not ranges.
        let odd = names(&["x1[0-18446744073709551615]", "y[a,b]"]);
        let counts: Vec<usize> = odd.folded_within(4).map(|one| one.count + one.left_out).collect();
        assert_eq!(counts, [1, 1]);
    }
}
