//! Judges whether WireGuard handshakes are recent enough.

use std::time::Duration;

use serde::Serialize;

use netkeel_core::name::link::LinkName;
use netkeel_host::wireguard::handshake::Handshake;

/// A WireGuard session ends 180 s after its handshake (REJECT_AFTER_TIME), so an older handshake means a
/// dead tunnel.
const OLD: Duration = Duration::from_secs(180);

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

/// Judges the last handshake of an interface. `age` is the time since the service saw it happen, or since the
/// watch started, by a clock that nobody sets.
pub fn judge(name: LinkName, result: Result<Handshake, String>, age: Duration) -> HandshakeStatus {
    let (last, why) = match result {
        Ok(Handshake::NotWireguard) => (None, None),
        Ok(Handshake::Last(last @ Some(_))) => (last, Some("no peer has answered".to_owned())),
        Ok(Handshake::Last(None)) => (None, Some("no peer has ever answered".to_owned())),
        Ok(Handshake::NoLink) => (None, Some("the interface does not exist".to_owned())),
        Err(why) => (None, Some(why)),
    };
    HandshakeStatus {
        interface: name.to_string(),
        last,
        stale: why
            .filter(|_| age > OLD)
            .map(|why| format!("{name} has had no handshake for {} s: {why}", age.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_minutes_without_a_handshake_are_too_many() {
        let stale =
            |result, seconds| judge("wg0".parse().unwrap(), result, Duration::from_secs(seconds)).stale;
        let last = || Ok(Handshake::Last(Some(1000)));
        assert_eq!(stale(last(), 180), None);
        let stale_reason = stale(last(), 181);
        assert_eq!(
            stale_reason.as_deref(),
            Some("wg0 has had no handshake for 181 s: no peer has answered")
        );
        assert_eq!(stale(Ok(Handshake::Last(None)), 180), None);
        for result in [Ok(Handshake::Last(None)), Ok(Handshake::NoLink), Err("no".into())] {
            assert!(stale(result, 181).is_some());
        }
        // The tunnel of another program is not judged.
        assert_eq!(stale(Ok(Handshake::NotWireguard), 9999), None);
    }
}
