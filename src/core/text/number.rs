//! Number formats. Only one decimal form is valid. Forms that parsers disagree on are rejected, with
//! the decimal form as a hint.

/// The form of a text that looks like a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Decimal digits, optionally after a minus.
    Decimal(i64),
    /// Decimal digits beyond 64 bits.
    TooLarge,
    /// Any other form.
    Other {
        /// Its name: `octal`, `a float`.
        what: &'static str,
        /// The decimal forms that the user may mean; may be empty.
        meant: Vec<String>,
    },
}

/// The name in [`Form::Other`] of a number that begins with 0x.
pub const HEXADECIMAL: &str = "a hexadecimal number";

/// The integer, if the text is its decimal form without a plus or leading zeros.
pub fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = match digits.as_bytes() {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { text.parse().ok() } else { None }
}

/// Classifies a text; `None` when it is not a number in any form.
pub fn form(text: &str) -> Option<Form> {
    if let Some(value) = decimal(text) {
        return Some(Form::Decimal(value));
    }
    let trimmed = text.trim();
    if trimmed.len() < text.len() {
        return match form(trimmed)? {
            Form::Decimal(value) => Some(other("a number with blanks around it", [Some(value.into())])),
            form => Some(form),
        };
    }
    let (sign, body) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    if !body.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let signed = |value: Option<i128>| value.map(|value| sign * value);
    if body.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(match body.strip_prefix('0') {
            Some(rest) if !rest.is_empty() => other(
                "a number with a leading zero",
                [signed(radix(body, 8)), signed(radix(body, 10))],
            ),
            _ if text.starts_with('+') => other("a number with a plus sign", [signed(radix(body, 10))]),
            _ => Form::TooLarge,
        });
    }
    for (prefix, base, what) in [
        ("0x", 16, HEXADECIMAL),
        ("0o", 8, "an octal number"),
        ("0b", 2, "a binary number"),
    ] {
        let digits = body.get(2..).unwrap_or_default();
        if body
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            && !digits.is_empty()
            && digits.chars().all(|char| char == '_' || char.is_digit(base))
        {
            return Some(other(what, [signed(radix(digits, base))]));
        }
    }
    if body.contains('_') && body.bytes().all(|byte| byte == b'_' || byte.is_ascii_digit()) {
        return Some(other("a number with underscores", [signed(radix(body, 10))]));
    }
    if body.contains(':') {
        let value = sexagesimal(body)?;
        return Some(other("a sexagesimal number", [signed(value)]));
    }
    float(body).map(|(what, value)| other(what, [signed(value)]))
}

fn other<const N: usize>(what: &'static str, meant: [Option<i128>; N]) -> Form {
    let mut meant: Vec<String> = meant
        .into_iter()
        .flatten()
        .map(|value| value.to_string())
        .collect();
    meant.dedup();
    Form::Other { what, meant }
}

/// The value of digits in a base, underscores ignored.
fn radix(digits: &str, base: u32) -> Option<i128> {
    let mut value = 0_i128;
    for digit in digits.chars().filter(|char| *char != '_') {
        value = value
            .checked_mul(base.into())?
            .checked_add(digit.to_digit(base)?.into())?;
    }
    Some(value)
}

/// `1:30` as YAML 1.1 reads it: outer `None` when it is not of that form.
fn sexagesimal(body: &str) -> Option<Option<i128>> {
    let mut value = Some(0_i128);
    for (index, part) in body.split(':').enumerate() {
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let digit = radix(part, 10);
        if !plain || index > 0 && (part.len() > 2 || digit.is_none_or(|digit| digit > 59)) {
            return None;
        }
        value = value.and_then(|value| value.checked_mul(60)?.checked_add(digit?));
    }
    Some(value)
}

/// `1.5`, `1e3`, `1460.0`: the name of the form, and the integer value if there is one.
fn float(body: &str) -> Option<(&'static str, Option<i128>)> {
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (body.get(..at)?, Some(body.get(at + 1..)?)),
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let Some(exponent) = exponent else {
        let value = fraction.is_empty().then(|| radix(whole, 10)).flatten();
        return Some(("a number with a decimal point", value));
    };
    let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if unsigned.is_empty() || !digits(unsigned) {
        return None;
    }
    // Only a shift of the point to the right gives a plausible integer.
    let value = exponent.parse::<i32>().ok().and_then(|exponent| {
        let zeros = u32::try_from(exponent)
            .ok()?
            .checked_sub(u32::try_from(fraction.len()).ok()?)?;
        radix(&format!("{whole}{fraction}"), 10)?.checked_mul(10_i128.checked_pow(zeros)?)
    });
    Some(("a number with an exponent", value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_is_one_form_only() {
        for (text, value) in [("0", 0), ("1460", 1460), ("-1", -1), ("-0", 0)] {
            assert_eq!(decimal(text), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "1 ",
            "1_0",
            "0x1",
            "1.0",
            "9223372036854775808",
            "١",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn other_forms_say_what_is_meant() {
        let meant = |text: &str| match form(text) {
            Some(Form::Other { meant, .. }) => meant.join("|"),
            Some(form) => format!("{form:?}"),
            None => "text".to_owned(),
        };
        for (text, expected) in [
            ("017", "15|17"),
            ("089", "89"),
            ("00", "0"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("-0x1f", "-31"),
            ("0b101", "5"),
            ("1_000", "1000"),
            ("+5", "5"),
            (" 1460 ", "1460"),
            ("1:30", "90"),
            ("1:30:00", "5400"),
            ("1e3", "1000"),
            ("1.5E+3", "1500"),
            ("1e-3", ""),
            ("1e99", ""),
            ("1e999999999999", ""),
            ("1460.0", "1460"),
            ("1.5", ""),
            (".5", ""),
            ("9223372036854775808", "TooLarge"),
            ("-99999999999999999999999999999999999999999999", "TooLarge"),
            ("1460", "Decimal(1460)"),
            ("1460b", "text"),
            ("1:60", "text"),
            ("10:", "text"),
            ("0x", "text"),
            ("0xg", "text"),
            ("1e", "text"),
            ("1.2.3", "text"),
            ("127.0.0.1/8", "text"),
            ("fe80::1", "text"),
            (".", "text"),
            ("-", "text"),
            ("", "text"),
            ("ü", "text"),
            ("0ü", "text"),
        ] {
            assert_eq!(meant(text), expected, "{text}");
        }
    }
}
