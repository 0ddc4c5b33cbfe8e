//! Patterns over keys, matched as glob(3) and fnmatch(3) of the C library do.

/// Maximum number of brace alternatives that are tried.
const MOST: usize = 1024;

/// Whether the programs treat a key as a pattern (`GLOB_CHARS` of both).
pub(crate) fn is_pattern(key: &str) -> bool {
    key.contains(['*', '?', '['])
}

/// Whether a pattern matches a path as in glob(3); `braces` is its flag `GLOB_BRACE`. A `*` matches
/// neither a slash nor a dot at the start of a component.
pub(crate) fn finds(pattern: &str, path: &str, braces: bool) -> bool {
    let mut alternatives = vec![pattern.to_owned()];
    if braces {
        alternatives = expand(pattern);
    }
    alternatives.iter().any(|pattern| {
        let mut parts = path.split('/');
        let same = pattern.split('/').filter(|part| !part.is_empty()).all(|part| {
            parts.next().is_some_and(|name| {
                let hidden = name.starts_with('.') && part.starts_with(['*', '?', '[']);
                !hidden && component(part.as_bytes(), name.as_bytes())
            })
        });
        same && parts.next().is_none()
    })
}

/// The pattern that systemd uses below a prefix (`path_glob_can_match`): the prefix with the rest
/// of the pattern. None when they do not match. Braces are literal here.
pub(crate) fn below(pattern: &str, prefix: &str) -> Option<String> {
    let mut parts = pattern.split('/');
    for name in prefix.split('/') {
        let part = parts.next()?;
        let same = part == name || (is_pattern(part) && component(part.as_bytes(), name.as_bytes()));
        if !same {
            return None;
        }
    }
    Some(parts.fold(prefix.to_owned(), |joined, part| format!("{joined}/{part}")))
}

/// Expands braces: `a{b,c}` becomes `ab` and `ac`. Unclosed braces are literal.
fn expand(pattern: &str) -> Vec<String> {
    let (mut done, mut left) = (Vec::new(), vec![pattern.to_owned()]);
    while let Some(pattern) = left.pop() {
        if done.len() + left.len() >= MOST {
            break;
        }
        match alternatives(&pattern) {
            Some(mut several) => left.append(&mut several),
            None => done.push(pattern),
        }
    }
    done
}

/// Expands the first braces.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    let open = position(pattern, 0, |byte| byte == b'{')?;
    let (mut depth, mut starts, mut ends) = (0usize, vec![open + 1], Vec::new());
    let close = position_with(pattern, open + 1, |at, byte| {
        match (byte, depth) {
            (b'{', _) => depth += 1,
            (b'}', 0) => {
                ends.push(at);
                return true;
            }
            (b'}', _) => depth -= 1,
            (b',', 0) => {
                ends.push(at);
                starts.push(at + 1);
            }
            _ => {}
        }
        false
    })?;
    let (before, after) = (pattern.get(..open)?, pattern.get(close + 1..)?);
    let each = starts.iter().zip(&ends).filter_map(|(start, end)| {
        let middle = pattern.get(*start..*end)?;
        Some(format!("{before}{middle}{after}"))
    });
    Some(each.collect())
}

fn position(text: &str, from: usize, mut is_it: impl FnMut(u8) -> bool) -> Option<usize> {
    position_with(text, from, |_, byte| is_it(byte))
}

/// The position of the first byte from `from` on that is not escaped and that `is_it` accepts.
fn position_with(text: &str, from: usize, mut is_it: impl FnMut(usize, u8) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        if *byte == b'\\' {
            at += 1;
        } else if is_it(at, *byte) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// fnmatch(3) without flags: `*`, `?`, `[a-z]`, `[!a-z]`, `[[:digit:]]`. A backslash escapes the
/// next byte, and an unclosed bracket is literal.
fn component(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    // Where to continue when the last `*` must match one more byte.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let next = match (pattern, name) {
            ([], []) => return true,
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, name));
                pattern = rest;
                continue;
            }
            ([], _) | (_, []) => None,
            ([b'?', rest @ ..], _) => Some(rest),
            ([b'[', inside @ ..], [byte, ..]) => match class(inside, *byte) {
                Some((within, rest)) => within.then_some(rest),
                None => (*byte == b'[').then_some(inside),
            },
            ([b'\\', escaped, rest @ ..], [byte, ..]) => (escaped == byte).then_some(rest),
            ([wanted, rest @ ..], [byte, ..]) => (wanted == byte).then_some(rest),
        };
        match (next, retry) {
            (Some(rest), _) => {
                pattern = rest;
                name = name.get(1..).unwrap_or_default();
            }
            (None, Some((after, [_, later @ ..]))) => {
                retry = Some((after, later));
                (pattern, name) = (after, later);
            }
            (None, _) => return false,
        }
    }
}

/// Whether a byte is in a bracket expression, and the rest after the bracket; none when it is
/// unclosed.
fn class(inside: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match inside {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut within, mut first) = (false, true);
    loop {
        rest = match rest {
            [] => return None,
            [b']', rest @ ..] if !first => return Some((within != negated, rest)),
            [b'[', b':', named @ ..] if named.windows(2).any(|two| two == b":]") => {
                let end = named.windows(2).position(|two| two == b":]")?;
                within |= is_of(named.get(..end)?, byte);
                named.get(end + 2..)?
            }
            [b'\\', one, rest @ ..] => {
                within |= *one == byte;
                rest
            }
            [low, b'-', high, rest @ ..] if *high != b']' => {
                within |= (low..=high).contains(&&byte);
                rest
            }
            [one, rest @ ..] => {
                within |= *one == byte;
                rest
            }
        };
        first = false;
    }
}

/// Named character classes, ASCII only.
fn is_of(class: &[u8], byte: u8) -> bool {
    match class {
        b"digit" => byte.is_ascii_digit(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"lower" => byte.is_ascii_lowercase(),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        b"punct" => byte.is_ascii_punctuation(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_cover_components() {
        let conf = |pattern: &str, name: &str| {
            finds(
                &format!("net/ipv4/conf/{pattern}/rp_filter"),
                &format!("net/ipv4/conf/{name}/rp_filter"),
                true,
            )
        };
        for (pattern, name) in [
            ("*", "all"),
            ("*", "eth0.100"),
            ("cali*", "cali0"),
            ("e[!a-s]h?", "eth0"),
            ("eth[[:digit:]]", "eth0"),
            ("{eth,wl*}0", "wlan0"),
            ("{eth,wl*}0", "eth0"),
            ("{a,{b,c}x}*", "cx1"),
            ("e[0", "e[0"),
            ("\\**", "*a"),
            ("[]x]*", "]"),
            (".*", ".x"),
        ] {
            assert!(conf(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("cali*", "xcali0"),
            ("e[0]", "e[0]"),
            ("*", ".x"),
            ("{a,b", "a"),
            ("eth?", "eth10"),
        ] {
            assert!(!conf(pattern, name), "{pattern} {name}");
        }
        assert!(!finds("net/*", "net/ipv4/ip_forward", true));
        assert!(!finds("{a,b}*", "a", false));
        assert!(finds(
            "net/ipv{4,6}/conf/*/forwarding",
            "net/ipv6/conf/all/forwarding",
            true
        ));
    }

    #[test]
    fn patterns_meet_prefixes() {
        let eth0 = |pattern| below(pattern, "net/ipv4/conf/eth0");
        assert_eq!(
            eth0("net/ipv4/conf/*/rp_filter").as_deref(),
            Some("net/ipv4/conf/eth0/rp_filter")
        );
        assert_eq!(eth0("net/*/conf/eth0/*").as_deref(), Some("net/ipv4/conf/eth0/*"));
        assert_eq!(eth0("net/ipv4/conf/cali*/rp_filter"), None);
        assert_eq!(eth0("net/*"), None);
        assert_eq!(eth0("net/ipv{4,6}/conf/*/rp_filter"), None);
    }

    proptest! {
        #[test]
        fn no_pattern_is_a_panic(pattern in "[{},a*?\\[\\]!^:\\\\/-]{0,24}", path in "[a-c{}\\[/.]{0,12}") {
            finds(&pattern, &path, true);
            below(&pattern, &path);
        }

        #[test]
        fn a_literal_finds_itself(path in "[a-z0-9_.]{1,6}(/[a-z0-9_.]{1,6}){0,4}") {
            prop_assert!(finds(&path, &path, true));
            prop_assert_eq!(below(&path, &path), Some(path.clone()));
        }
    }
}
