//! A host of a test's own: a thread in a network namespace and a mount namespace, with empty
//! directories where netkeel keeps things. All of it ends with the thread.

#[path = "../support/ip.rs"]
mod ip;

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::{fs, thread};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::observed;
use crate::observed::Observed;

/// The program under test: the one of this build, unless `NETKEEL_BIN` names another.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    let built = || env!("CARGO_BIN_EXE_netkeel").to_owned();
    PROGRAM.get_or_init(|| std::env::var("NETKEEL_BIN").unwrap_or_else(|_| built()))
}

/// Where the document of a world lies.
pub const DOCUMENT: &str = "/run/desired.yaml";

/// Where drop-ins lie.
pub const DROP_INS: &str = "/etc/sysctl.d";

/// Where the CNI configuration of a world lies.
pub const CNI: &str = "/var/lib/cni";

/// What netkeel keeps.
const KEPT: &[&str] = &["/run/netkeel", "/var/lib/netkeel"];

/// Interfaces of every world, with fixed addresses so that two worlds are the same.
const LINKS: &str = "\
link add eth0 address 02:00:00:00:00:01 type veth peer name eth0p address 02:00:00:00:00:02
link add cali1 address 02:00:00:00:00:03 type veth peer name cali1p address 02:00:00:00:00:04
link add cali2 address 02:00:00:00:00:05 type veth peer name cali2p address 02:00:00:00:00:06
link add mv0 link eth0 address 02:00:00:00:00:07 type macvlan
link add vx0 address 02:00:00:00:00:08 type vxlan id 7 dev eth0 dstport 4789
addr add 10.0.0.1/24 dev eth0
addr add fd00::1/64 dev eth0 nodad
addr add fd00:5::1/64 dev cali2
link set lo up
link set eth0 up
link set eth0p up
link set cali1 up
link set cali1p up
link set cali2 up
link set cali2p up
route add 10.9.0.0/16 via 10.0.0.2 dev eth0
";

/// Rules of iptables: the second one is adopted.
const RULES: &str = "iptables-nft-restore <<'END'
*raw
-A PREROUTING -i cali2 -p udp -m udp --dport 9 -j DROP
-A PREROUTING -i eth0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33
-A PREROUTING -i eth0 -p udp -m udp --dport 9 -j DROP
COMMIT
END";

/// What is otherwise not as the kernel has it: values of interfaces that differ from each other.
const SYSCTLS: &[(&str, &str)] = &[
    ("net/ipv4/conf/all/rp_filter", "1"),
    ("net/ipv4/conf/cali1/forwarding", "1"),
    ("net/ipv4/conf/cali1/accept_redirects", "0"),
    ("net/ipv4/conf/eth0/rp_filter", "1"),
    ("net/ipv6/conf/cali1/forwarding", "1"),
];

/// A configuration of WireGuard that is only read.
const SECRET: &str = "/var/lib/secret/wg0.conf";

/// How netkeel sees the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// As the host's own: state in /run/netkeel and in /var/lib/netkeel.
    Host,
    /// As another one: all state below /run/netkeel/netns.
    Other,
}

/// What lies where netkeel puts its drop-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropIn {
    /// Nothing.
    None,
    /// Somebody's file, neither root's nor readable by everybody.
    Theirs,
}

/// The namespaces of the calling thread.
pub struct World(Place);

/// What came of a program.
#[derive(Debug)]
pub struct Ran {
    /// The exit status; 128 + n for signal n.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let code = output.status.code();
        Ran {
            code: code.unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Makes a world and works in it.
pub fn inside<T: Send>(place: Place, drop_in: DropIn, work: impl FnOnce(&World) -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| work(&World::make(place, drop_in)));
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl World {
    fn make(place: Place, drop_in: DropIn) -> Self {
        let flags = CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET;
        unshare(flags).expect("this test needs root to make namespaces");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        for directory in ["/run", "/var/lib", DROP_INS] {
            mount(
                Some("tmpfs"),
                directory,
                Some("tmpfs"),
                MsFlags::empty(),
                Some("mode=755"),
            )
            .unwrap_or_else(|error| panic!("this test needs a directory {directory}: {error}"));
        }
        if place == Place::Host {
            // The namespace of the host is that of process 1.
            mount(Some("/proc/thread-self"), "/proc/1", none, MsFlags::MS_BIND, none).unwrap();
        }
        let world = World(place);
        for scope in ["all", "default"] {
            for (key, value) in [("accept_dad", "0"), ("router_solicitations", "0")] {
                world.sysctl(&format!("net/ipv6/conf/{scope}/{key}"), value);
            }
        }
        world.ip(LINKS);
        observed::settled(&world);
        for (key, value) in SYSCTLS {
            world.sysctl(key, value);
        }
        world.sh("nft add table inet theirs; nft add chain inet theirs forward");
        // As go-pmtud's init container makes it, among others.
        world.sh(RULES);
        let file = |name: &str, mode: u32| {
            let path = Path::new(DROP_INS).join(name);
            fs::write(&path, format!("# {name}\nnet.ipv4.tcp_ecn = 2\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            chown(&path, Some(12), Some(34)).unwrap();
        };
        file("10-theirs.conf", 0o600);
        symlink("../sysctl.conf", Path::new(DROP_INS).join("99-sysctl.conf")).unwrap();
        // As jq prints it, since jq undoes what netkeel could not.
        fs::create_dir(CNI).unwrap();
        let conf = Path::new(CNI).join("10-ptp.conf");
        fs::write(
            &conf,
            "{\n  \"name\": \"pods\",\n  \"type\": \"ptp\",\n  \"mtu\": 1500\n}\n",
        )
        .unwrap();
        fs::set_permissions(&conf, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&conf, Some(12), Some(34)).unwrap();
        let secret = Path::new(SECRET);
        fs::create_dir(secret.parent().unwrap()).unwrap();
        fs::write(secret, "[Interface]\nPrivateKey = c2VjcmV0\n").unwrap();
        if drop_in == DropIn::Theirs {
            file("90-netkeel.conf", 0o640);
        }
        world
    }

    /// Puts the document in place. CNI configurations are the host's: another namespace has none, and
    /// nothing that follows them.
    pub fn document(&self, text: &str) {
        let text = match self.0 {
            Place::Host => text,
            Place::Other => text.split("cni:\n").next().unwrap_or_default(),
        };
        fs::write(DOCUMENT, text).unwrap();
    }

    /// Writes a sysctl.
    pub fn sysctl(&self, key: &str, value: &str) {
        fs::write(format!("/proc/sys/{key}"), value).unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    /// Runs `ip` commands, a line each.
    pub fn ip(&self, script: &str) {
        ip::batch(script);
    }

    /// Runs a shell script, which must not fail, and gives what it prints.
    pub fn sh(&self, script: &str) -> String {
        let ran = self.run(Command::new("sh").args(["-ec", script]));
        assert_eq!(ran.code, 0, "{script}\n{}", ran.stderr);
        ran.stdout
    }

    /// Runs commands that netkeel tells. They take its rules and not the table, of which netkeel leaves
    /// nothing when it is empty.
    pub fn by_hand(&self, commands: &str) {
        let empty = "nft list table inet netkeel | grep -q chain || nft delete table inet netkeel";
        self.sh(&format!(
            "{commands}\nif nft list table inet netkeel >/dev/null 2>&1; then {empty}; fi"
        ));
    }

    /// Runs netkeel.
    pub fn netkeel(&self, arguments: &[&str]) -> Ran {
        self.run(Command::new(program()).args(arguments))
    }

    /// Runs a program in this world.
    pub fn run(&self, command: &mut Command) -> Ran {
        for name in ["SSH_CONNECTION", "SUDO_USER", "NETKEEL_SEED"] {
            command.env_remove(name);
        }
        let output = command.stdin(Stdio::null()).output();
        output
            .unwrap_or_else(|error| panic!("{command:?}: {error}"))
            .into()
    }

    /// All that is compared.
    pub fn look(&self) -> Observed {
        observed::look(self)
    }

    /// What netkeel keeps, to see that something wrote nothing.
    pub fn kept(&self) -> Vec<String> {
        KEPT.iter()
            .filter(|directory| Path::new(directory).exists())
            .flat_map(|directory| {
                let found = self.sh(&format!(
                    "find {directory} -printf '%p %m %U %T@ ' -a \\( -type f -exec md5sum {{}} \\; -o -printf '\\n' \\) | sort"
                ));
                found.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    }
}
