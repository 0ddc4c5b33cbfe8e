//! The drops of the firewall: rules and policies of nftables, and whether iptables-legacy has tables.

use nix::sys::utsname::uname;

use crate::counters::not_read::NotRead;
use crate::files::read;
use crate::modules;
use crate::netlink::socket::Socket;
use crate::nftables::client::{MODULES, is_unknown};
use crate::nftables::drops;
use netkeel_host::counters::counter::Counter;
use netkeel_host::counters::reading::Reading;

/// Adds the rules and policies that drop, with their counts. Asking a kernel whose nftables is a module on disk
/// would load it.
pub(super) fn nftables(reading: &mut Reading) -> Result<(), NotRead> {
    let release = uname().map_err(NotRead::failed)?;
    if modules::would_be_loaded(MODULES[0], &release.release().to_string_lossy()) {
        return Err(NotRead::absent("nf_tables is not loaded"));
    }
    let found = Socket::open_netfilter().and_then(|mut socket| drops::read(&mut socket));
    let found = match found {
        Err(refusal) if is_unknown(&refusal) => {
            return Err(NotRead::absent("the kernel has no nftables"));
        }
        found => found?,
    };
    let Some(found) = found else {
        return Err(NotRead::failed("the rules changed while they were read"));
    };
    for (key, (rule, packets)) in found.counted {
        reading
            .counters
            .insert(Counter::Rule(key.clone().into()), packets);
        reading.rules.insert(key, rule);
    }
    reading.uncounted = found.uncounted;
    Ok(())
}

/// The tables of iptables-legacy are not read: to look into one that does not exist would make it. Without any
/// there is nothing to read.
pub(super) fn iptables() -> Result<(), NotRead> {
    let mut tables = Vec::new();
    for file in ["ip_tables_names", "ip6_tables_names"] {
        match read::system(format!("/proc/thread-self/net/{file}")) {
            Ok(names) => tables.extend(names.lines().map(ToOwned::to_owned)),
            Err(cause) if cause.is_missing() => {}
            Err(cause) => return Err(NotRead::failed(cause)),
        }
    }
    tables.sort();
    tables.dedup();
    match tables.is_empty() {
        true => Ok(()),
        false => Err(NotRead::failed(format!(
            "iptables-legacy has the tables {}, whose counters are not read",
            tables.join(", ")
        ))),
    }
}
