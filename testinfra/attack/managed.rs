//! The interface that the host is managed through, wherever its default route is and whoever's session uses it.

use std::net::{TcpListener, TcpStream};
use std::process::Command;

use crate::confirmed::{Ended, kill, start, until};
use crate::world::{DOCUMENT, DropIn, Place, World, inside, program};

const DECLARED: &str = "version: 1\npersist: no\nlink:\n  eth0: { mtu: 1400 }\n";

/// How a host may reach the rest of the world by eth0. By the link, as the neighbour need not be there.
const ROUTES: &[&str] = &[
    "route add default dev eth0",
    "route add default dev eth0 table 100\nrule add from 10.0.0.1 lookup 100",
    "route add 0.0.0.0/1 dev eth0\nroute add 128.0.0.0/1 dev eth0",
    "-6 route add 2000::/3 dev eth0",
    // That of a VRF, which not every kernel has: no rule names the table.
    "route add default dev eth0 table 1000",
    "route add default nexthop dev cali1 nexthop dev eth0",
];

fn world<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        world.document(DECLARED);
        work(world)
    })
}

fn mtu(world: &World) -> String {
    world.sh("cat /proc/sys/net/ipv6/conf/eth0/mtu")
}

/// A service looks, and leaves the interface alone.
fn a_service_refuses(world: &World) {
    let mut service = start(&["run", "-f", DOCUMENT]);
    until("the service has refused it", || {
        let status = world.netkeel(&["status"]).stdout;
        status.contains("eth0 is what this host is managed through")
    });
    assert_eq!(mtu(world), "1500\n");
    kill("TERM", service.id());
    assert!(service.wait().unwrap().success());
}

#[test]
fn the_interface_of_a_default_route_of_any_table_is_not_changed() {
    for route in ROUTES {
        world(|world| {
            let ip = |line: &str| format!("ip {line}\n");
            world.sh(&route.lines().map(ip).collect::<String>());
            let ran = world.netkeel(&["apply", "-f", DOCUMENT]);
            assert!(
                ran.code == 1 && ran.stderr.contains("eth0 is the management interface"),
                "{route}: {ran:?}"
            );
            a_service_refuses(world);
        });
    }
}

/// Nothing leads elsewhere: an isolated namespace.
#[test]
fn without_a_default_route_and_a_session_every_interface_may_be_changed() {
    world(|world| {
        let ran = world.netkeel(&["apply", "-f", DOCUMENT]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(mtu(world), "1400\n");
    });
}

#[test]
fn the_interface_of_an_ssh_session_is_not_changed_without_a_default_route() {
    world(|world| {
        let server = TcpListener::bind("10.0.0.1:22").unwrap();
        let client = TcpStream::connect("10.0.0.1:22").unwrap();
        a_service_refuses(world);
        // A terminal multiplexer has the variable of the session that started it.
        let of_another = "10.0.0.2 50000 192.0.2.77 22";
        let apply = |connection: &str| {
            let mut command = Command::new("env");
            let session = format!("SSH_CONNECTION={connection}");
            command.args([&session, program(), "apply", "-f", DOCUMENT]);
            world.run(&mut command)
        };
        let ran = apply(of_another);
        assert!(
            ran.code == 1 && ran.stderr.contains("it carries an SSH session"),
            "{ran:?}"
        );
        drop((client, server));
        let ran = apply("10.0.0.2 50000 10.0.0.1 22");
        assert!(
            ran.code == 1 && ran.stderr.contains("it carries this SSH session"),
            "{ran:?}"
        );
        assert_eq!(mtu(world), "1500\n");
    });
}
