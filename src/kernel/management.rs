//! The interfaces that a host is managed through: a mistake on them cuts it off.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;

use nix::ifaddrs::getifaddrs;

use crate::files::read;
use crate::files::read::Symlinks;
use crate::netlink::refusal::error;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;

/// The most ancestors of a process that are followed.
const DEEPEST: usize = 64;

/// The interfaces with a default route and the one that an ssh session came in by, each with the reason.
/// `ssh_connection` is the variable of that name (sshd sets it: client, port, server, port).
///
/// # Errors
/// When the routes or the addresses cannot be read: then any interface may be one of them.
pub fn links(ssh_connection: Option<&str>) -> Result<BTreeMap<LinkName, &'static str>, Error> {
    let mut found = BTreeMap::new();
    // Of the thread, not of the process: /proc/net is the main thread's namespace.
    let ipv4 = default_ipv4(&table("/proc/thread-self/net/route")?);
    let ipv6 = default_ipv6(&table("/proc/thread-self/net/ipv6_route")?);
    for name in ipv4.into_iter().chain(ipv6) {
        found.insert(name, "it carries the default route");
    }
    let server = ssh_connection.and_then(|text| text.split_whitespace().nth(2));
    let bearer = match server.map(|server| server.split_once('%').unwrap_or((server, ""))) {
        // The zone of a link-local address is the interface.
        Some((_, zone)) if !zone.is_empty() => zone.parse().ok(),
        // sshd writes UNKNOWN if the connection is no socket.
        Some((address, _)) => address.parse().ok().map(bearer).transpose()?.flatten(),
        None => None,
    };
    if let Some(name) = bearer {
        found.insert(name, "it carries this SSH session");
    }
    Ok(found)
}

/// The first line of a table of routes and the lines of default routes: a host may have a million routes.
/// The table is missing from a kernel without the family.
fn table(path: &str) -> Result<String, Error> {
    let failed = |error: Error| unknown(error.context(path));
    let file = match read::open(Path::new(path), Symlinks::Follow) {
        Err(missing) if missing.is_missing() => return Ok(String::new()),
        file => file.map_err(|cause| failed(cause.into()))?,
    };
    let mut lines = BufReader::new(file);
    let (mut kept, mut line) = (String::new(), Vec::new());
    while lines
        .read_until(b'\n', &mut line)
        .map_err(|cause| failed(error(cause)))?
        > 0
    {
        let text = String::from_utf8_lossy(&line);
        let is_zero = |field: &str| field.len() >= 8 && field.bytes().all(|byte| byte == b'0');
        if kept.is_empty() || text.split_whitespace().take(2).any(is_zero) {
            kept.push_str(&text);
        }
        line.clear();
    }
    Ok(kept)
}

fn unknown(cause: Error) -> Error {
    let message = format!("netkeel cannot tell which interfaces manage this host: {cause}");
    Error::new(ErrorKind::Unreadable, message)
}

/// The variable SSH_CONNECTION, of this process or of the nearest one above it that has it: sudo
/// does not hand it on.
pub fn ssh_connection() -> Option<String> {
    let own = std::env::var("SSH_CONNECTION").ok();
    own.or_else(|| ancestors().find_map(|pid| read_variable(&environment(pid)?)))
}

/// The processes above this one, nearest first.
fn ancestors() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(std::os::unix::process::parent_id()), |pid| {
        parent(&read::system(format!("/proc/{pid}/stat")).ok()?)
    })
    .take_while(|pid| *pid > 0)
    .take(DEEPEST)
}

/// The environment of a process.
fn environment(pid: u32) -> Option<Vec<u8>> {
    let path = format!("/proc/{pid}/environ");
    read::bytes(Path::new(&path), Symlinks::Follow, read::LONGEST).ok()
}

/// The second field after the name of /proc/PID/stat; the name may hold anything in parentheses.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn read_variable(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(b"SSH_CONNECTION="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Lines of /proc/net/route: interface, destination, gateway, flags, ..., mask at the eighth place.
fn default_ipv4(table: &str) -> Vec<LinkName> {
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = |row: &Vec<&str>| row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000");
    rows.filter(default)
        .filter_map(|row| row.first()?.parse().ok())
        .collect()
}

/// Lines of /proc/net/ipv6_route: destination, prefix length, ..., flags, interface. RTF_REJECT
/// (0x200) marks the unreachable default that every namespace has on `lo`.
fn default_ipv6(table: &str) -> Vec<LinkName> {
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let default = |row: &Vec<&str>| {
        let rejects = row
            .get(8)
            .and_then(|flags| u32::from_str_radix(flags, 16).ok())
            .is_none_or(|flags| flags & 0x200 != 0);
        row.first().is_some_and(|to| to.bytes().all(|byte| byte == b'0'))
            && row.get(1) == Some(&"00")
            && !rejects
    };
    rows.filter(default)
        .filter_map(|row| row.get(9)?.parse().ok())
        .collect()
}

/// The interface that bears an address.
fn bearer(address: IpAddr) -> Result<Option<LinkName>, Error> {
    let mut all = getifaddrs().map_err(|errno| unknown(error(errno).context("reading the addresses")))?;
    let found = all.find(|interface| {
        let Some(own) = interface.address else {
            return false;
        };
        let ip = own
            .as_sockaddr_in()
            .map(|own| IpAddr::from(own.ip()))
            .or_else(|| own.as_sockaddr_in6().map(|own| IpAddr::from(own.ip())));
        ip == Some(address)
    });
    Ok(found.and_then(|interface| interface.interface_name.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_are_found() {
        let ipv4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let names: Vec<String> = default_ipv4(ipv4).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["eth0"]);
        let zero = "0".repeat(32);
        let ipv6 = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth2\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        );
        let names: Vec<String> = default_ipv6(&ipv6).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["eth2"]);
    }

    #[test]
    fn a_session_over_a_link_local_address_names_its_interface() {
        let session = "fe80::1%eth7 5000 fe80::2%eth7 22";
        let name: LinkName = "eth7".parse().unwrap();
        assert_eq!(
            links(Some(session)).unwrap().get(&name),
            Some(&"it carries this SSH session")
        );
        assert!(links(Some("UNKNOWN 65535 UNKNOWN 65535")).is_ok());
    }

    #[test]
    fn the_session_is_found_above_sudo() {
        assert_eq!(parent("812 (a) b (c)) S 700 812 812"), Some(700));
        let environment = b"PATH=/bin\0SSH_CONNECTION=192.0.2.1 5 10.0.2.15 22\0HOME=/root\0";
        assert_eq!(
            read_variable(environment).as_deref(),
            Some("192.0.2.1 5 10.0.2.15 22")
        );
        assert_eq!(read_variable(b"PATH=/bin\0"), None);
        assert_eq!(ancestors().next(), Some(std::os::unix::process::parent_id()));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_not_an_empty_one() {
        assert_eq!(table("/proc/thread-self/net/no_such_table").unwrap(), "");
        let error = table("/proc/thread-self/net").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreadable);
        assert!(
            error
                .message
                .starts_with("netkeel cannot tell which interfaces manage this host: ")
        );
    }

    #[test]
    fn the_bearer_of_an_address_is_found() {
        assert_eq!(
            bearer("127.0.0.1".parse().unwrap())
                .unwrap()
                .map(|name| name.to_string())
                .as_deref(),
            Some("lo")
        );
        assert_eq!(bearer("192.0.2.77".parse().unwrap()).unwrap(), None);
    }
}
