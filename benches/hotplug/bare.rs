//! The bare listener: hears of an interface, writes both values, knows nothing else. It does not
//! look, lock, journal or verify.

use std::collections::BTreeSet;

use crate::MTU;
use crate::rtnetlink::{LINK, listen as hear, read, set_mtu};
use netkeel_core::error::{Error, ErrorKind};

/// Listens in the calling namespace until it is killed.
pub fn listen() -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::new(ErrorKind::Refused, format!("the bare listener: {error}"));
    let events = hear(&[LINK])?;
    let writes = hear(&[])?;
    let mut buffer = vec![0; 64 * 1024];
    let mut known = BTreeSet::new();
    loop {
        let length = events.recv(&mut &mut *buffer, 0).map_err(failed)?;
        let mut new = Vec::new();
        read(buffer.get(..length).unwrap_or_default(), |told| {
            if told.name.starts_with("cali") && known.insert(told.index) {
                new.push(told);
            }
        });
        for told in new {
            writes.send(&set_mtu(told.index, MTU), 0).map_err(failed)?;
            let path = format!("/proc/sys/net/ipv4/conf/{}/rp_filter", told.name);
            // It may be gone.
            let _ = std::fs::write(path, "1");
        }
    }
}
