//! A host with many interfaces and pods, and a document that writes to all of them, to rules and to files.

use std::fmt::Write;

use crate::confirmed::CHANGES;
use crate::observed::{Observed, look_at};
use crate::world::World;

/// Where the copies of WireGuard configurations lie.
const COPIES: &str = "/var/lib/wireguard";

/// How large a scene is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub veths: usize,
    /// So many of the veths lead to a pod.
    pub pods: usize,
}

impl Size {
    /// Builds the scene, and puts its document in place.
    pub fn build(self, world: &World) {
        world.sh(&format!("mkdir -m 700 {COPIES}"));
        for pod in 0..self.pods {
            // Without the search for a double, an address is there at once.
            world.sh(&format!(
                "ip netns add pod{pod}; ip netns exec pod{pod} sh -c 'echo 0 | tee /proc/sys/net/ipv6/conf/*/accept_dad' >/dev/null"
            ));
        }
        // An interface in place of WireGuard's, which not every kernel has: its MTU is set in the same way.
        let mut script =
            "link add wg0 address 02:00:00:03:00:00 type veth peer name wg0p address 02:00:00:03:00:01\n"
                .to_owned();
        for number in 0..self.veths {
            let [high, low] = (number as u16).to_be_bytes();
            let peer = match number < self.pods {
                true => format!("eth0 netns pod{number}"),
                false => format!("cali9{number}p"),
            };
            let _ = writeln!(
                script,
                "link add cali9{number} address 02:00:00:01:{high:02x}:{low:02x} type veth peer name {peer} address 02:00:00:02:{high:02x}:{low:02x}"
            );
        }
        world.ip(&script);
        for pod in 0..self.pods {
            world.sh(&format!(
                "ip -n pod{pod} -batch - <<END\nlink set lo up\naddr add 10.1.{pod}.2/24 dev eth0\naddr add fd00:9:{pod}::2/64 dev eth0 nodad\nlink set eth0 up\nroute add 10.2.0.0/16 via 10.1.{pod}.1 mtu 1500\nEND\nip link set cali9{pod} up"
            ));
        }
        let pods = "  pods: { match: { name: 'cali9*' }, mtu: 1440, rp_filter: strict }\n";
        let document = CHANGES.replace("nflog:\n", &format!("{pods}nflog:\n"));
        world.document(&format!(
            "{document}wireguard:\n  wg0: {{ source: /var/lib/secret/wg0.conf, target: {COPIES}/wg0.conf, mtu: 1380 }}\n"
        ));
    }
}

/// All that can be compared: a look takes seconds where there are many interfaces.
pub fn whole(world: &World) -> Observed {
    beside(world, world.look())
}

/// The same, with no other sysctl of the many interfaces than what is written.
pub fn brief(world: &World) -> Observed {
    let wanted = |name: &str| {
        let directory = name.starts_with("net/ipv4/conf/") && name.ends_with('/');
        !name.contains("/cali9") || name.ends_with("/rp_filter") || directory
    };
    beside(world, look_at(world, &wanted))
}

/// Adds the pods and the copies.
fn beside(world: &World, look: Observed) -> Observed {
    let pods =
        "ip -all netns exec ip -d address; ip -all netns exec ip route; ip -all netns exec ip -6 route";
    let copies = format!(
        "find {COPIES} -printf '%p %m %U:%G ' -a \\( -type f -exec md5sum {{}} \\; -o -printf '\\n' \\) | sort"
    );
    [("pods", world.sh(pods)), ("copies", world.sh(&copies))]
        .iter()
        .flat_map(|(what, text)| {
            text.lines()
                .enumerate()
                .map(move |(number, line)| (what, number, line))
        })
        .fold(look, |look, (what, number, line)| {
            look.with(&format!("{what}, line {number}"), line.to_owned())
        })
}
