//! Ranges in the names of hosts: `web[01:20].example.org`, `db[a:c]`, with an optional step.

/// The most hosts that one range names.
const MOST: usize = 100_000;

/// `host:22` without the port. Colons in brackets are those of a range, and an IPv6 address has more than one.
pub(super) fn without_port(pattern: &str) -> &str {
    let Some((host, port)) = pattern.rsplit_once(':') else {
        return pattern;
    };
    let outside = host.rsplit(']').next().unwrap_or_default();
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match is_port && !outside.contains(':') && !outside.contains('[') {
        true => host,
        false => pattern,
    }
}

/// The names of a pattern; a name without a range is its own.
///
/// # Errors
/// The reason, for a range that Ansible would not take.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some((head, after)) = rest.split_once('[') {
        let (range, tail) = after
            .split_once(']')
            .ok_or_else(|| format!("the range in `{pattern}` has no end"))?;
        let items = items(range).map_err(|why| format!("`[{range}]` {why}"))?;
        if names.len().saturating_mul(items.len()) > MOST {
            return Err(format!("`{pattern}` names more than {MOST} hosts"));
        }
        let with = |name: &String| {
            items
                .iter()
                .map(move |item| format!("{name}{head}{item}"))
                .collect::<Vec<_>>()
        };
        names = names.iter().flat_map(with).collect();
        rest = tail;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// The items of `01:20`, `a:f` or `1:9:2`.
fn items(range: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err("is not BEGIN:END or BEGIN:END:STEP".to_owned()),
    };
    let step: usize = match step.parse() {
        Ok(step) if step > 0 => step,
        _ => return Err("has a step that is not a positive number".to_owned()),
    };
    if let ([first], [last]) = (first.as_bytes(), last.as_bytes())
        && first.is_ascii_alphabetic()
        && last.is_ascii_alphabetic()
    {
        return letters(*first, *last, step);
    }
    let first = if first.is_empty() { "0" } else { first };
    let number = |text: &str| {
        text.parse::<usize>()
            .map_err(|_| "has an end that is neither a number nor a letter".to_owned())
    };
    let (begin, end) = (number(first)?, number(last)?);
    let is_padded = first.len() > 1 && first.starts_with('0');
    if is_padded && first.len() != last.len() {
        return Err("has ends of different lengths, one with leading zeros".to_owned());
    }
    if begin > end {
        return Err("ends before it begins".to_owned());
    }
    if (end - begin) / step >= MOST {
        return Err(format!("has more than {MOST} items"));
    }
    let width = if is_padded { first.len() } else { 0 };
    Ok((begin..=end)
        .step_by(step)
        .map(|number| format!("{number:0width$}"))
        .collect())
}

/// As Ansible has them: lower case before upper case.
fn letters(first: u8, last: u8, step: usize) -> Result<Vec<String>, String> {
    let all = || (b'a'..=b'z').chain(b'A'..=b'Z');
    let place = |letter: u8| all().position(|other| other == letter).unwrap_or_default();
    let (begin, end) = (place(first), place(last));
    if begin > end {
        return Err("ends before it begins".to_owned());
    }
    let letters = all().skip(begin).take(end - begin + 1).step_by(step);
    Ok(letters.map(|letter| char::from(letter).to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> String {
        expand(pattern).map_or_else(|why| format!("error: {why}"), |names| names.join(" "))
    }

    #[test]
    fn ranges_are_those_of_ansible() {
        for (pattern, expected) in [
            ("web1", "web1"),
            ("web[1:3]", "web1 web2 web3"),
            (
                "web[08:11].example.org",
                "web08.example.org web09.example.org web10.example.org web11.example.org",
            ),
            ("web[:2]", "web0 web1 web2"),
            ("web[1:9:4]", "web1 web5 web9"),
            ("r[1:2]-[a:b]", "r1-a r1-b r2-a r2-b"),
            ("x[y:B]", "xy xz xA xB"),
            ("web[1:3", "error: the range in `web[1:3` has no end"),
            (
                "web[01:100]",
                "error: `[01:100]` has ends of different lengths, one with leading zeros",
            ),
            ("web[3:1]", "error: `[3:1]` ends before it begins"),
            ("web[1]", "error: `[1]` is not BEGIN:END or BEGIN:END:STEP"),
            (
                "web[1:3:0]",
                "error: `[1:3:0]` has a step that is not a positive number",
            ),
            (
                "web[1:]",
                "error: `[1:]` has an end that is neither a number nor a letter",
            ),
            (
                "web[0:18446744073709551615]",
                "error: `[0:18446744073709551615]` has more than 100000 items",
            ),
            (
                "w[1:1000][1:1000]",
                "error: `w[1:1000][1:1000]` names more than 100000 hosts",
            ),
        ] {
            assert_eq!(names(pattern), expected, "{pattern}");
        }
    }
}
