//! A host of a test's own: a thread in a network namespace and a mount namespace. It ends with the thread.

#[path = "../support/ip.rs"]
mod ip;

use std::process::Command;
use std::{fs, thread};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Interfaces: two uplinks, one with devices above it, a bridge with ports, and pods. `pod` is another namespace.
const LINKS: &str = "\
link add eth0 mtu 1500 type veth peer name eth0p
link add eth1 mtu 9000 type veth peer name eth1p
link add br0 type bridge
link add port0 master br0 type veth peer name port0p
link add port1 master br0 type veth peer name port1p
link add cali1 type veth peer name cali1p
link add cali2 type veth peer name eth0 netns pod
link add mv0 link eth1 type macvlan
link add vx0 type vxlan id 7 dev eth1 dstport 4789
addr add 10.0.0.1/24 dev eth0
addr add 10.1.0.1/24 dev eth1
addr add 127.0.0.42/32 dev vx0
addr add fd00::1/64 dev eth0 nodad
addr add fd01::1/64 dev eth1 nodad
link set lo up
link set eth0 up
link set eth0p up
link set eth1 up
link set eth1p up
link set br0 up
link set port0 up
link set port0p up
link set port1 up
link set port1p up
link set cali1 up
link set cali1p up
link set cali2 up
link set vx0 up
route add default via 10.0.0.2 dev eth0
route add 10.9.0.0/16 via 10.1.0.2 dev eth1
route add 10.8.0.0/16 via 10.0.0.2 dev eth0 metric 100 mtu 1400
route add fd09::/32 via fd00::2 dev eth0
";

/// CNI configurations and one of WireGuard.
const FILES: &[(&str, &str)] = &[
    (
        "/var/lib/cni/10-calico.conflist",
        r#"{"name": "k8s-pod-network", "plugins": [{"type": "calico", "mtu": 1450}, {"type": "portmap"}]}"#,
    ),
    (
        "/var/lib/cni/20-aws.conf",
        r#"{"name": "aws", "type": "aws-cni", "mtu": "9001"}"#,
    ),
    (
        "/var/lib/wireguard/wg0.conf",
        "[Interface]\nPrivateKey = c2VjcmV0\nMTU = 1380\n",
    ),
];

/// The namespaces of the calling thread.
pub struct World(());

/// Makes a world and works in it.
pub fn inside<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| work(&World::make()));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl World {
    fn make() -> Self {
        let flags = CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
        unshare(flags).expect("this test needs root to make namespaces");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        for directory in ["/run", "/var/lib", "/etc/sysctl.d"] {
            tmpfs(directory);
        }
        // The namespace of the host is that of process 1.
        mount(Some("/proc/thread-self"), "/proc/1", none, MsFlags::MS_BIND, none).unwrap();
        let world = World(());
        for scope in ["all", "default"] {
            for (key, value) in [
                ("accept_dad", "0"),
                ("router_solicitations", "0"),
                ("addr_gen_mode", "1"),
            ] {
                let key = format!("/proc/sys/net/ipv6/conf/{scope}/{key}");
                fs::write(&key, value).unwrap_or_else(|error| panic!("{key}: {error}"));
            }
        }
        world.sh("ip netns add pod");
        world.ip(LINKS);
        world.sh("ip -n pod link set eth0 up; ip -n pod addr add 10.2.0.2/24 dev eth0; ip -n pod route add default via 10.2.0.1 mtu 1450");
        world.sh("nft add table ip raw; nft add chain ip raw PREROUTING '{ type filter hook prerouting priority -300; }'");
        for directory in ["/var/lib/cni", "/var/lib/wireguard", "/run/netkeel"] {
            fs::create_dir(directory).unwrap();
        }
        for (path, text) in FILES {
            fs::write(path, text).unwrap();
        }
        world
    }

    /// Runs `ip` commands, a line each.
    fn ip(&self, script: &str) {
        ip::batch(script);
    }

    /// Runs a shell script, which must not fail.
    pub fn sh(&self, script: &str) {
        let output = Command::new("sh").args(["-ec", script]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{script}\n{stderr}");
    }
}

fn tmpfs(directory: &str) {
    mount(
        Some("tmpfs"),
        directory,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .unwrap_or_else(|error| panic!("this test needs a directory {directory}: {error}"));
}
