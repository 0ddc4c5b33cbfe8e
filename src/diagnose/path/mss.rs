//! TCP segment sizes for a path.

use crate::path::capacity::Capacity;
use crate::path::drawing::Mss;
use netkeel_core::mtu::IPV6_MIN_MTU;

/// IPv4 and TCP headers without options, bytes.
const IPV4_AND_TCP: u32 = 40;

/// IPv6 and TCP headers without options, bytes.
const IPV6_AND_TCP: u32 = 60;

/// The segments that pass both ways without path MTU discovery. A segment that is fragmented on the way does
/// not count.
pub(crate) fn mss(out: &Capacity, back: &Capacity) -> Mss {
    let (Some(out), Some(back)) = (out.whole, back.whole) else {
        return Mss::default();
    };
    let passes = out.min(back);
    Mss {
        ipv4: passes.checked_sub(IPV4_AND_TCP).filter(|mss| *mss > 0),
        ipv6: (passes >= IPV6_MIN_MTU).then(|| passes.saturating_sub(IPV6_AND_TCP)),
    }
}
