//! Durations with a unit: a bare `90` is ambiguous.

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Units and their length in milliseconds.
const UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `250ms`, `60s`, `5m`, `1h`, `2d`.
///
/// # Errors
/// [`ErrorKind::Input`] for anything else.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let length = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, length)| *length);
    let millis = number
        .parse::<u64>()
        .ok()
        .zip(length)
        .and_then(|(number, length)| number.checked_mul(length));
    millis.map(Duration::from_millis).ok_or_else(|| {
        let error = Error::new(ErrorKind::Input, format!("`{text}` is not a duration"));
        if unit.is_empty() && !number.is_empty() {
            error.hint(format!("give it a unit: {number}s"))
        } else {
            error.hint("a number with ms, s, m, h or d, as 60s")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(parse("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse("5m").unwrap(), Duration::from_secs(300));
        assert_eq!(parse("60").unwrap_err().hints, ["give it a unit: 60s"]);
        for wrong in [
            "",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
