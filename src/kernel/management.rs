//! The interfaces that a host is managed through: a mistake on them cuts it off.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};

use crate::files::read;
use crate::files::read::Symlinks;
use crate::ioctl;
use crate::netlink::refusal::error;
use crate::netlink::socket::Socket;
use crate::rtnetlink::forwarding::rules;
use crate::rtnetlink::route;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;

/// The most ancestors of a process that are followed.
const DEEPEST: usize = 64;

/// The port of sshd.
const SSH: u16 = 22;

/// TCP_ESTABLISHED (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";

/// The SSH sessions that count.
#[derive(Clone, Copy, Debug)]
pub enum Sessions<'a> {
    /// The session of this process, and all to the same port: a terminal multiplexer keeps the variable of the session
    /// that started it, which may not be the one that it is attached to. The variable SSH_CONNECTION has client, port,
    /// server and port.
    Own(Option<&'a str>),
    /// Those of the host, to port 22.
    OfTheHost,
}

/// The interfaces with a default route and those of SSH sessions, each with the reason. A host without a default
/// route has none of the former.
///
/// # Errors
/// When the routes or the addresses cannot be read: then any interface may be one of them.
pub fn links(sessions: Sessions<'_>) -> Result<BTreeMap<LinkName, &'static str>, Error> {
    let mut found = BTreeMap::new();
    for name in with_a_default_route()? {
        found.insert(name, "it carries the default route");
    }
    let own = match sessions {
        Sessions::Own(connection) => connection.map(|text| text.split_whitespace().collect::<Vec<_>>()),
        Sessions::OfTheHost => None,
    };
    let field = |number: usize| own.as_ref().and_then(|fields| fields.get(number));
    let port = match sessions {
        Sessions::Own(_) => field(3).and_then(|port| port.parse().ok()),
        Sessions::OfTheHost => Some(SSH),
    };
    if let Some(port) = port {
        for name in bearers(&connected(port)?)? {
            found.insert(name, "it carries an SSH session");
        }
    }
    let bearing = match field(2).map(|server| server.split_once('%').unwrap_or((*server, ""))) {
        // The zone of a link-local address is the interface.
        Some((_, zone)) if !zone.is_empty() => zone.parse::<LinkName>().into_iter().collect(),
        // sshd writes UNKNOWN if the connection is no socket.
        Some((address, _)) => bearers(&address.parse::<IpAddr>().into_iter().collect())?,
        None => Vec::new(),
    };
    for name in bearing {
        found.insert(name, "it carries this SSH session");
    }
    Ok(found)
}

/// The interfaces that a default route of any table leads to, unless only packets with a mark reach the table.
fn with_a_default_route() -> Result<Vec<LinkName>, Error> {
    let failed = |error: Error| unknown(error.context("reading the routes"));
    let mut socket = Socket::open().map_err(|refusal| failed(refusal.into()))?;
    // Without the rules every table counts.
    let marked = rules::tables_of_marked_packets(&mut socket).unwrap_or_default();
    let indices = route::wide(&mut socket, &marked).map_err(|refusal| failed(refusal.into()))?;
    let mut names = Vec::new();
    for index in indices {
        match ioctl::name_of(&socket.raw().as_raw_fd(), index.cast_signed()) {
            Ok(name) => names.push(name),
            // It is gone, and its routes with it; or it has a name that no document can have.
            Err(Errno::ENODEV | Errno::ENXIO | Errno::EILSEQ) => {}
            Err(errno) => return Err(failed(error(errno))),
        }
    }
    Ok(names)
}

/// The addresses of this host in the established TCP connections to one of its ports.
fn connected(port: u16) -> Result<BTreeSet<IpAddr>, Error> {
    let mut found = BTreeSet::new();
    // Of the thread, not of the process: /proc/net is the main thread's namespace.
    for path in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let failed = |error: Error| unknown(error.context(path));
        let file = match read::open(Path::new(path), Symlinks::Follow) {
            // The kernel does not have the family.
            Err(missing) if missing.is_missing() => continue,
            file => file.map_err(|cause| failed(cause.into()))?,
        };
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|cause| failed(error(cause)))?;
            found.extend(
                connection(&line)
                    .filter(|(_, at)| *at == port)
                    .map(|(address, _)| address),
            );
        }
    }
    Ok(found)
}

/// The local address and port of a line of /proc/net/tcp or tcp6, if the connection is established: number, local
/// address, remote address, state, ....
fn connection(line: &str) -> Option<(IpAddr, u16)> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != ESTABLISHED {
        return None;
    }
    // Words in network byte order, printed as numbers of the host.
    let mut bytes = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at.checked_add(8)?)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let address = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(ipv4) => IpAddr::from(ipv4),
        Err(_) => IpAddr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?).to_canonical(),
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
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

/// The interfaces that bear one of these addresses. Several may bear the same one.
fn bearers(addresses: &BTreeSet<IpAddr>) -> Result<Vec<LinkName>, Error> {
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let all = getifaddrs().map_err(|errno| unknown(error(errno).context("reading the addresses")))?;
    let bears = |interface: &InterfaceAddress| {
        let own = interface.address?;
        let ip = own
            .as_sockaddr_in()
            .map(|own| IpAddr::from(own.ip()))
            .or_else(|| own.as_sockaddr_in6().map(|own| IpAddr::from(own.ip())));
        addresses
            .contains(&ip?)
            .then(|| interface.interface_name.parse().ok())?
    };
    Ok(all.filter_map(|interface| bears(&interface)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Vec<String> {
        let found = bearers(&BTreeSet::from([address.parse().unwrap()])).unwrap();
        found.iter().map(ToString::to_string).collect()
    }

    /// Needs root and iproute2.
    #[test]
    fn a_default_route_counts_in_each_table_in_halves_and_in_a_vrf_but_not_for_marked_packets() {
        let commands = [
            "link add eth0 type veth peer name eth1",
            "link add eth2 type veth peer name eth3",
            "link add eth4 type veth peer name eth5",
            "link set group default up",
        ];
        let routes: [(&str, &[&str]); 6] = [
            (
                "eth0",
                &[
                    "rule add from 10.0.0.0/8 lookup 100",
                    "route add default dev eth0 table 100",
                ],
            ),
            (
                "eth1",
                &["route add 0.0.0.0/1 dev eth1", "route add 128.0.0.0/1 dev eth1"],
            ),
            // That of a VRF: no rule names the table.
            ("eth2", &["route add default dev eth2 table 1000"]),
            ("eth3", &["-6 route add 2000::/3 dev eth3"]),
            // One of Cilium's.
            (
                "",
                &[
                    "rule add fwmark 0xa00/0xf00 lookup 2005",
                    "route add default dev eth4 table 2005",
                ],
            ),
            (
                "eth4",
                &[
                    "rule add not fwmark 0xca6c lookup 51820",
                    "route add default dev eth4 table 51820",
                ],
            ),
        ];
        let ip = |command: &str| {
            let mut ip = std::process::Command::new("ip");
            let done = ip.args(command.split(' ')).status().unwrap();
            assert!(done.success(), "{command}");
        };
        let names = || {
            let found = with_a_default_route().unwrap();
            let mut names: Vec<_> = found.iter().map(ToString::to_string).collect();
            names.sort();
            names
        };
        let test = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            commands.into_iter().for_each(ip);
            // An isolated namespace has none.
            assert_eq!(names(), [""; 0]);
            let mut expected = Vec::new();
            for (name, commands) in routes {
                commands.iter().copied().for_each(ip);
                expected.extend(Some(name).filter(|name| !name.is_empty()));
                assert_eq!(names(), expected, "{commands:?}");
            }
            // The next hops of this one are not in the answer.
            std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
            ip("nexthop add id 6 dev eth0");
            ip("nexthop add id 7 dev eth5");
            ip("nexthop add id 8 group 6/7");
            ip("route add default nhid 8 table 300");
            expected.push("eth5");
            assert_eq!(names(), expected);
        };
        std::thread::scope(|scope| scope.spawn(test).join().unwrap());
    }

    #[test]
    fn a_connection_has_its_address_and_port() {
        let line =
            |local: &str, state: &str| format!("   0: {local} 0100000A:C350 {state} 00000000:00000000 0");
        let found = |local: &str, state: &str| connection(&line(local, state));
        let words = |bytes: &[u8]| {
            let words = bytes
                .chunks(4)
                .map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
            words.map(|word| format!("{word:08X}")).collect::<String>()
        };
        let ipv4: IpAddr = [10, 9, 9, 1].into();
        let ipv6: IpAddr = "2001:db8::5".parse().unwrap();
        let IpAddr::V6(in_bytes) = ipv6 else {
            unreachable!()
        };
        let mapped = std::net::Ipv4Addr::from([10, 9, 9, 1]).to_ipv6_mapped().octets();
        for (bytes, expected) in [
            (&[10, 9, 9, 1][..], ipv4),
            (&in_bytes.octets()[..], ipv6),
            (&mapped[..], ipv4),
        ] {
            let local = format!("{}:0016", words(bytes));
            assert_eq!(found(&local, "01"), Some((expected, 22)));
            assert_eq!(found(&local, "06"), None);
        }
        assert_eq!(
            connection("  sl  local_address rem_address   st tx_queue rx_queue tr"),
            None
        );
    }

    #[test]
    fn every_session_to_the_same_port_counts_and_one_that_is_over_does_not() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        // What a terminal multiplexer keeps of a session that is over.
        let stale = format!("192.0.2.1 5 192.0.2.77 {}", at.port());
        let lo: LinkName = "lo".parse().unwrap();
        let bears = || links(Sessions::Own(Some(&stale))).unwrap().contains_key(&lo);
        assert!(!bears());
        let client = std::net::TcpStream::connect(at).unwrap();
        assert!(bears());
        drop((client, server));
    }

    #[test]
    fn a_session_over_a_link_local_address_names_its_interface() {
        let session = "fe80::1%eth7 5000 fe80::2%eth7 22";
        let name: LinkName = "eth7".parse().unwrap();
        assert_eq!(
            links(Sessions::Own(Some(session))).unwrap().get(&name),
            Some(&"it carries this SSH session")
        );
        assert!(links(Sessions::Own(Some("UNKNOWN 65535 UNKNOWN 65535"))).is_ok());
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
    fn the_bearer_of_an_address_is_found() {
        assert_eq!(of("127.0.0.1"), ["lo"]);
        assert_eq!(of("192.0.2.77"), [""; 0]);
    }
}
