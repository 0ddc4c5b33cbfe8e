//! WireGuard configurations as wg-quick reads them: sets the `MTU` of `[Interface]` and keeps every
//! other byte. They hold private keys, so no message ever shows a part of the text.

use std::collections::BTreeSet;

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::text::number::decimal;

/// The keys and values below each heading of a section, as wg-quick parses them (`parse_options`):
/// case-insensitive headings, blanks around keys and values, and `#` starts a comment.
pub(crate) fn entries<'a>(text: &'a str, section: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut inside = false;
    text.lines().filter_map(move |line| {
        let bare = line.split('#').next().unwrap_or_default();
        let (key, value) = bare.split_once('=').unwrap_or((bare, ""));
        let (key, value) = (key.trim(), value.trim());
        if key.starts_with('[') {
            inside = key.eq_ignore_ascii_case(section);
            return None;
        }
        inside.then_some((key, value))
    })
}

/// The MTU in bytes that wg-quick uses: the last one of `[Interface]`. None when it is missing or
/// not a number.
pub fn mtu_of(text: &str) -> Option<i64> {
    let mtus = entries(text, "[Interface]").filter(|(key, _)| key.eq_ignore_ascii_case("MTU"));
    mtus.last().and_then(|(_, value)| decimal(value))
}

/// Sets the MTU in bytes. An existing line keeps its place, spelling and comment; further MTU lines
/// are removed, since wg-quick takes the last. A new line is inserted after the first
/// `[Interface]`.
///
/// Sections and keys are parsed as in wg-quick (`parse_options`): case-insensitive, with blanks
/// around them, and `#` starts a comment.
///
/// # Errors
/// [`ErrorKind::Input`] when there is no `[Interface]`.
pub fn set_mtu(text: &str, mtu: i64) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut heading: Option<(usize, &str)> = None;
    let (mut inside, mut done) = (false, false);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        let ending = line.get(content.len()..).unwrap_or_default();
        let bare = content.split('#').next().unwrap_or_default();
        let key = bare.split('=').next().unwrap_or_default().trim();
        if key.starts_with('[') {
            inside = key.eq_ignore_ascii_case("[Interface]");
        }
        if inside && key.eq_ignore_ascii_case("MTU") && bare.contains('=') {
            if !done {
                done = true;
                out.push_str(&with_value(content, bare, mtu));
                out.push_str(ending);
            }
            continue;
        }
        out.push_str(line);
        if inside && heading.is_none() {
            heading = Some((out.len(), ending));
        }
    }
    match heading {
        Some(_) if done => Ok(out),
        Some((at, ending)) => {
            // A heading at the end of the text has no line ending to copy.
            let line = if ending.is_empty() {
                format!("\nMTU = {mtu}\n")
            } else {
                format!("MTU = {mtu}{ending}")
            };
            out.insert_str(at, &line);
            Ok(out)
        }
        None if text.starts_with('\u{feff}') => Err(Error::new(
            ErrorKind::Input,
            "it begins with a byte order mark (BOM), so wg-quick does not find its [Interface]",
        )
        .hint("save it as UTF-8 without BOM")),
        None => Err(Error::new(
            ErrorKind::Input,
            "it is not a wg-quick configuration: it has no [Interface]",
        )),
    }
}

/// The hooks of `[Interface]` that mention an MTU. wg-quick runs them after it has set `MTU`, or before, so they
/// may set another one. Only the keys are returned, because a command may contain a secret.
pub fn hooks_with_mtu(text: &str) -> BTreeSet<&'static str> {
    let mentions = |(_, value): &(&str, &str)| {
        value
            .split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case("mtu"))
    };
    let hook = |(key, _): (&str, &str)| {
        let hooks = ["PreUp", "PostUp"];
        hooks.into_iter().find(|hook| key.eq_ignore_ascii_case(hook))
    };
    entries(text, "[Interface]")
        .filter(mentions)
        .filter_map(hook)
        .collect()
}

/// Replaces the value in a line `MTU = VALUE # comment`.
fn with_value(content: &str, bare: &str, mtu: i64) -> String {
    let from = bare.find('=').map_or(bare.len(), |at| at + 1);
    let value = bare.get(from..).unwrap_or_default();
    let blank = value.len() - value.trim_start().len();
    let before = content.get(..from + blank).unwrap_or_default();
    let after = content
        .get(from + value.trim_end().len().max(blank)..)
        .unwrap_or_default();
    format!("{before}{mtu}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn set(text: &str, expected: &str) {
        assert_eq!(set_mtu(text, 1370).unwrap(), expected);
        assert_eq!(set_mtu(expected, 1370).unwrap(), expected, "again");
    }

    #[test]
    fn it_is_set_in_its_section_and_nowhere_else() {
        set(
            "[Interface]\nPrivateKey = x=\n",
            "[Interface]\nMTU = 1370\nPrivateKey = x=\n",
        );
        set(
            "[Peer]\nMTU = 1\n[Interface]\n",
            "[Peer]\nMTU = 1\n[Interface]\nMTU = 1370\n",
        );
        set("# MTU = 9\n[Interface]", "# MTU = 9\n[Interface]\nMTU = 1370\n");
        set(
            "[Interface]\nMTU = 1420 # why\nDNS = y",
            "[Interface]\nMTU = 1370 # why\nDNS = y",
        );
    }

    #[test]
    fn spelling_and_line_endings_stay() {
        set(
            "[interface] # a\r\nmtu=1420\r\nTable = off\r\n",
            "[interface] # a\r\nmtu=1370\r\nTable = off\r\n",
        );
        set(
            " [INTERFACE]\r\nDNS = y\r\n",
            " [INTERFACE]\r\nMTU = 1370\r\nDNS = y\r\n",
        );
        set("[Interface]\nMTU =\n", "[Interface]\nMTU =1370\n");
        set("[Interface]\n\tMtu  =  9  \n", "[Interface]\n\tMtu  =  1370  \n");
    }

    #[test]
    fn the_last_counts_for_wg_quick_so_that_one_is_left() {
        set(
            "[Interface]\nMTU = 1\nMTUs = 2\nMTU = 3\n#MTU = 4\n",
            "[Interface]\nMTU = 1370\nMTUs = 2\n#MTU = 4\n",
        );
    }

    #[test]
    fn hooks_that_set_an_mtu_are_found_by_their_key() {
        let text = "[Interface]\nPostUp = ip link set mtu 1280 dev %i\nPreUp = echo mtu1\npostup=x # mtu\n[Peer]\nPreUp = mtu\n";
        assert_eq!(hooks_with_mtu(text), BTreeSet::from(["PostUp"]));
        assert_eq!(
            hooks_with_mtu("[Interface]\npreup = ip link set wg0 MTU 1\n"),
            BTreeSet::from(["PreUp"])
        );
    }

    #[test]
    fn a_byte_order_mark_is_named() {
        let error = set_mtu("\u{feff}[Interface]\nPrivateKey = secret\n", 1370).unwrap_err();
        assert!(error.message.contains("byte order mark"), "{}", error.message);
    }

    #[test]
    fn what_is_no_configuration_is_refused_without_its_text() {
        let error = set_mtu("PrivateKey = secret\n", 1370).unwrap_err();
        assert!(!error.message.contains("secret"), "{}", error.message);
        assert!(set_mtu("", 1370).is_err());
        assert!(set_mtu("[Peer]\nMTU = 1400\n", 1370).is_err());
    }

    fn lines() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("[Interface]"),
            Just("[interface] # x"),
            Just("[Peer]"),
            Just("MTU = 1420"),
            Just("mtu=9 # y"),
            Just("MTUX = 1"),
            Just("# MTU = 2"),
            Just("PrivateKey = aGVsbG8="),
            Just(""),
            Just("Endpoint = [fd00::1]:51820"),
        ];
        (
            proptest::collection::vec((line, prop_oneof![Just("\n"), Just("\r\n")]), 0..12),
            any::<bool>(),
        )
            .prop_map(|(lines, ended)| {
                let text: String = lines
                    .iter()
                    .map(|(line, ending)| format!("{line}{ending}"))
                    .collect();
                if ended { text } else { text.trim_end().to_owned() }
            })
    }

    /// Splits into lines that set the MTU of the interface, and all others.
    fn parted(text: &str) -> (Vec<String>, Vec<String>) {
        let mut inside = false;
        text.lines().map(str::to_owned).partition(|line| {
            let bare = line.split('#').next().unwrap_or_default();
            if bare.trim_start().starts_with('[') {
                inside = bare.trim().eq_ignore_ascii_case("[interface]");
            }
            inside
                && bare
                    .split('=')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .eq_ignore_ascii_case("mtu")
        })
    }

    proptest! {
        #[test]
        fn one_line_says_it_and_all_others_stay(text in lines(), mtu in 1280_i64..9000) {
            if let Ok(edited) = set_mtu(&text, mtu) {
                let (said, others) = parted(&edited);
                prop_assert_eq!(said.len(), 1);
                prop_assert!(said[0].contains(&mtu.to_string()));
                prop_assert_eq!(others, parted(&text).1);
                prop_assert_eq!(mtu_of(&edited), Some(mtu));
                prop_assert_eq!(set_mtu(&edited, mtu).unwrap(), edited);
            }
        }

        #[test]
        fn any_text_is_edited_or_refused(text in any::<String>()) {
            let _ = set_mtu(&text, 1370);
        }
    }
}
