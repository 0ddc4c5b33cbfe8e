//! Parses the peers file.

use std::net::IpAddr;

/// The addresses in the file: one per line, with `#` for comments.
///
/// # Errors
/// The number of the first line that is not an address, counted from 1.
pub(crate) fn peers_of(text: &str) -> Result<Vec<IpAddr>, usize> {
    let mut peers = Vec::new();
    // Some editors begin with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            peers.push(line.parse().map_err(|_| number + 1)?);
        }
    }
    Ok(peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::replication::settings::Mode;

    #[test]
    fn a_file_of_peers_has_an_address_a_line() {
        let text = "# the rack\n192.0.2.1\n\n  2001:db8::1  # far\r\n";
        let peers = peers_of(text).unwrap();
        assert_eq!(
            peers,
            ["192.0.2.1", "2001:db8::1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert_eq!(peers_of("192.0.2.1\nnode-2\n"), Err(2));
        assert_eq!(peers_of(""), Ok(Vec::new()));
    }

    #[test]
    fn modes_have_names() {
        for word in Mode::WORDS {
            let mode = Mode::from_word(word).unwrap();
            assert_eq!(
                serde_json::to_value(mode).unwrap(),
                serde_json::Value::from(*word)
            );
        }
        assert_eq!(Mode::from_word("multicast"), None);
    }
}
