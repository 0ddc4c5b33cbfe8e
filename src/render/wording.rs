//! Text that several output formats of a plan share.

pub mod utc;
pub(crate) mod wrap;

use netkeel_core::fact::Value;

/// `1 change`, `2 changes`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// As [`count`], with separated thousands: `2,006 changes`.
pub(crate) fn count_thousands(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{} {noun}s", thousands(number)),
    }
}

/// A number with separated thousands: `2,006`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The line about a plan that was applied, and after which `others` declared facts do not hold; `left` facts were to be
/// restored and were not.
pub fn applied_line(done: usize, others: usize, left: usize) -> String {
    let writes = count(done, "write");
    match others {
        _ if left > 0 => format!("Applied: {writes}; {}.", unrestored(left)),
        0 => format!("Applied: {writes}; verified, nothing left to change."),
        others => format!("Applied: {writes}; verified, {}.", new_drift(others)),
    }
}

/// Facts that were to be restored and were not.
pub fn unrestored(number: usize) -> String {
    match number {
        1 => "1 fact was not restored".to_owned(),
        number => format!("{number} facts were not restored"),
    }
}

/// The changes of another program during an apply.
pub fn new_drift(number: usize) -> String {
    match number {
        1 => "but another program changed 1 declared fact that this apply did not write".to_owned(),
        number => {
            format!("but other programs changed {number} declared facts that this apply did not write")
        }
    }
}

/// The text of a file that exists.
pub(crate) fn file_text(value: &Option<Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1000, 2006, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "2,006", "1,234,567"]);
        assert_eq!(count_thousands(1004, "object"), "1,004 objects");
    }
}
