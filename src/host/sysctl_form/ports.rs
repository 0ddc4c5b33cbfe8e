//! Sets of numbers as the kernel prints them: ranges joined by commas, as `10050-10051,11211`
//! (`proc_do_large_bitmap`, kernel/sysctl.c).

use std::collections::BTreeSet;

/// Reads ranges of numbers below a limit. Blanks separate as commas do.
pub(super) fn read(text: &str, limit: u32) -> Result<BTreeSet<u32>, String> {
    let mut set = BTreeSet::new();
    let words = text.split([',', ' ', '\t', '\n']);
    for word in words.filter(|word| !word.is_empty()) {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| *number < limit);
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(format!(
                "takes numbers from 0 to {} and ranges of them, and not `{word}`",
                limit.saturating_sub(1)
            ));
        };
        if last < first {
            return Err(format!("takes ranges that ascend, and not `{word}`"));
        }
        set.extend(first..=last);
    }
    Ok(set)
}

/// Prints a set.
pub(super) fn print(set: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in set {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}
