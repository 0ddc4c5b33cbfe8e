//! Judges whether WireGuard handshakes are recent enough.

use serde::Serialize;

use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::handshake::Handshake;

/// A WireGuard session ends 180 s after its handshake (REJECT_AFTER_TIME), so an older handshake means a
/// dead tunnel.
const OLD: u64 = 180;

/// An interface whose handshakes are watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HandshakeStatus {
    /// The interface's name.
    pub interface: String,
    /// The time of the last handshake with any peer, Unix seconds.
    pub last: Option<u64>,
    /// The reason why the tunnel counts as dead.
    pub stale: Option<String>,
}

/// Judges the last handshake of an interface. `since` is the time at which the watch started.
pub fn judge(name: LinkName, result: Result<Handshake, String>, since: u64, now: u64) -> HandshakeStatus {
    let (last, why) = match result {
        Ok(Handshake::NotWireguard) => (None, None),
        Ok(Handshake::Last(last @ Some(_))) => (last, Some("no peer has answered".to_owned())),
        Ok(Handshake::Last(None)) => (None, Some("no peer has ever answered".to_owned())),
        Ok(Handshake::NoLink) => (None, Some("the interface does not exist".to_owned())),
        Err(why) => (None, Some(why)),
    };
    // The age counts from the start of the watch at the earliest, so that a handshake has time to happen.
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
        let stale = |result, since, now| judge("wg0".parse().unwrap(), result, since, now).stale;
        let last = |at| Ok(Handshake::Last(Some(at)));
        assert_eq!(stale(last(1000), 100, 1180), None);
        let stale_reason = stale(last(1000), 100, 1181);
        assert_eq!(
            stale_reason.as_deref(),
            Some("wg0 has had no handshake for 181 s: no peer has answered")
        );
        // The age counts from the start of the watch if that is later, or if there was no handshake.
        assert_eq!(stale(last(1000), 5000, 5180), None);
        assert_eq!(stale(Ok(Handshake::Last(None)), 100, 280), None);
        for result in [Ok(Handshake::Last(None)), Ok(Handshake::NoLink), Err("no".into())] {
            assert!(stale(result, 100, 281).is_some());
        }
        // The tunnel of another program is not judged.
        assert_eq!(stale(Ok(Handshake::NotWireguard), 100, 9999), None);
    }
}
