//! The interfaces with IPv6 default routes that routers announced and the kernel made. rtnetlink does not
//! tell them from those that a daemon made of an announcement; the flags in /proc/net/ipv6_route do.

use std::collections::BTreeSet;
use std::io;
use std::io::{BufRead, BufReader};
use std::path::Path;

use crate::files::read;
use crate::files::read::Symlinks;
use crate::netlink::refusal::error;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;

/// Of the thread, not of the process: /proc/net is the main thread's namespace.
const TABLE: &str = "/proc/thread-self/net/ipv6_route";

/// RTF_DEFAULT and RTF_ADDRCONF (include/uapi/linux/ipv6_route.h): the kernel removes a default route with
/// either of them (`__rt6_purge_dflt_routers`, net/ipv6/route.c).
const MADE_BY_THE_KERNEL: u32 = 0x0001_0000 | 0x0004_0000;

/// RTF_REJECT: the unreachable default route that every namespace has on `lo`.
const REJECTS: u32 = 0x0200;

/// Reads them. A kernel without IPv6 lacks the table.
pub(crate) fn links() -> Result<BTreeSet<LinkName>, Error> {
    let failed = |error: Error| error.context(TABLE);
    let file = match read::open(Path::new(TABLE), Symlinks::Follow) {
        Err(missing) if missing.is_missing() => return Ok(BTreeSet::new()),
        file => file.map_err(|cause| failed(cause.into()))?,
    };
    links_of(BufReader::new(file)).map_err(|cause| failed(error(cause)))
}

/// A host may have a million routes: one line at a time is held.
fn links_of(mut table: impl BufRead) -> io::Result<BTreeSet<LinkName>> {
    let mut found = BTreeSet::new();
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line)? > 0 {
        found.extend(link_of(&line));
        line.clear();
    }
    Ok(found)
}

/// Fields: destination, its length, source, its length, next hop, metric, uses, references, flags, interface.
fn link_of(line: &[u8]) -> Option<LinkName> {
    if !line.starts_with(b"00000000000000000000000000000000 00 ") {
        return None;
    }
    let mut fields = line
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let flags = std::str::from_utf8(fields.nth(8)?).ok()?;
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & MADE_BY_THE_KERNEL == 0 || flags & REJECTS != 0 {
        return None;
    }
    LinkName::new(fields.next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_of_announcements_are_told_from_others() {
        let (zero, hop) = ("0".repeat(32), "fe800000000000000000000000000001");
        let row = |length: &str, flags: &str, name: &str| {
            format!("{zero} {length} {zero} 00 {hop} 00000400 00000001 00000000 {flags} {name:>8}\n")
        };
        let table = [
            row("00", "00450003", "eth0"),
            // Of a daemon, or by hand.
            row("00", "00000003", "eth1"),
            // The prefix of an announcement.
            row("40", "00440001", "eth2"),
            row("00", "00200200", "lo"),
            "torn".to_owned(),
        ];
        let found = links_of(table.concat().as_bytes()).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["eth0"]);
        assert!(links().is_ok());
    }
}
