//! Judges WireGuard handshakes.

use serde::Serialize;

use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::handshake::Handshake;

/// A last handshake that is older is too old, seconds.
const OLD: u64 = 180;

/// An interface whose handshakes are watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HandshakeStatus {
    /// Its name.
    pub interface: String,
    /// The last handshake with any peer, seconds since 1970.
    pub last: Option<u64>,
    /// Why it counts as dead.
    pub stale: Option<String>,
}

/// What was told of an interface, at a moment.
pub fn judge(name: LinkName, told: Result<Handshake, String>, since: u64, now: u64) -> HandshakeStatus {
    let (last, why) = match told {
        Ok(Handshake::NotWireguard) => (None, None),
        Ok(Handshake::Last(last @ Some(_))) => (last, Some("no peer has answered".to_owned())),
        Ok(Handshake::Last(None)) => (None, Some("no peer has ever answered".to_owned())),
        Ok(Handshake::NoLink) => (None, Some("it is not there".to_owned())),
        Err(why) => (None, Some(why)),
    };
    // Whoever begins to watch gives it the time that a handshake may take.
    let age = now.saturating_sub(last.unwrap_or(since).max(since));
    HandshakeStatus {
        interface: name.to_string(),
        last,
        stale: why
            .filter(|_| age > OLD)
            .map(|why| format!("{name} has had no handshake for {age} s: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_minutes_without_a_handshake_are_too_many() {
        let stale = |told, since, now| judge("wg0".parse().unwrap(), told, since, now).stale;
        let last = |at| Ok(Handshake::Last(Some(at)));
        assert_eq!(stale(last(1000), 100, 1180), None);
        let said = stale(last(1000), 100, 1181);
        assert_eq!(
            said.as_deref(),
            Some("wg0 has had no handshake for 181 s: no peer has answered")
        );
        // Since it is watched, where that is later, or there was none.
        assert_eq!(stale(last(1000), 5000, 5180), None);
        assert_eq!(stale(Ok(Handshake::Last(None)), 100, 280), None);
        for told in [Ok(Handshake::Last(None)), Ok(Handshake::NoLink), Err("no".into())] {
            assert!(stale(told, 100, 281).is_some());
        }
        // A tunnel of another program cannot be asked.
        assert_eq!(stale(Ok(Handshake::NotWireguard), 100, 9999), None);
    }
}
