//! The latest handshake of a WireGuard interface.

/// The last handshake of an interface, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Time of the last handshake in Unix seconds; none when there was none.
    Last(Option<u64>),
    /// There is no such interface.
    NoLink,
    /// The device is not the kernel's WireGuard, so it cannot be queried.
    NotWireguard,
}
