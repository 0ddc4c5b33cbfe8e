//! The latest handshake of a WireGuard interface.

/// The last handshake of an interface, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// When it was, seconds since 1970; none when there was none.
    Last(Option<u64>),
    /// There is no such interface.
    NoLink,
    /// It is not the kernel's WireGuard, which alone can be asked.
    NotWireguard,
}
