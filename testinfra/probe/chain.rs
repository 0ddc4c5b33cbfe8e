//! A chain of namespaces: the host, routers, and the target.

use std::fmt::Write as _;
use std::process::Command;

use crate::namespace::Namespace;

/// A link of a chain: the MTU of its end at the host's side and of its end at the target's side.
#[derive(Clone, Copy, Debug)]
pub struct Wire(pub u32, pub u32);

/// The family of a chain's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// A chain. Node 0 is the host, the last one the target; `w<N>` is the interface towards the host, `e<N>` the one
/// towards the target.
pub struct Chain {
    pub nodes: Vec<Namespace>,
    family: Family,
}

impl Chain {
    pub fn new(family: Family, wires: &[Wire]) -> Self {
        let nodes: Vec<Namespace> = (0..=wires.len()).map(|_| Namespace::new()).collect();
        let chain = Chain { nodes, family };
        for node in &chain.nodes {
            // A router asks for neighbours from its link-local address, which it may use at once then.
            node.sh(
                "for key in all.accept_dad default.accept_dad default.addr_gen_mode; do
                     sysctl -qw net.ipv6.conf.$key=0
                 done",
            );
        }
        for (at, wire) in wires.iter().enumerate() {
            let next = &chain.nodes[at + 1];
            chain.nodes[at].sh(&format!(
                "ip link add e mtu {} type veth peer name w mtu {} netns {}
                 ip addr add {} dev e nodad; ip link set e up",
                wire.0,
                wire.1,
                next.name,
                chain.with_length(at, 1)
            ));
            next.sh(&format!(
                "ip addr add {} dev w nodad; ip link set w up",
                chain.with_length(at, 2)
            ));
        }
        let last = wires.len();
        for (at, node) in chain.nodes.iter().enumerate() {
            let mut script = "ip link set lo up\n".to_owned();
            if at > 0 && at < last {
                script.push_str("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n");
            }
            let ip = if family == Family::V4 { "ip" } else { "ip -6" };
            // To the right by default, to the left by network; the target has a default to the left.
            if at < last {
                let _ = writeln!(script, "{ip} route add default via {}", chain.address(at, 2));
            } else {
                let _ = writeln!(script, "{ip} route add default via {}", chain.address(at - 1, 1));
            }
            if at < last {
                for left in 0..at.saturating_sub(1) {
                    let via = chain.address(at - 1, 1);
                    let _ = writeln!(script, "{ip} route add {} via {via}", chain.network(left));
                }
            }
            node.sh(&script);
        }
        chain
    }

    /// The address of the target.
    pub fn target(&self) -> String {
        self.address(self.nodes.len() - 2, 2)
    }

    /// The address at one end of a wire: 1 is the host's side. Documentation addresses are not private.
    pub fn address(&self, wire: usize, end: usize) -> String {
        match self.family {
            Family::V4 => format!("198.51.100.{}", wire * 4 + end),
            Family::V6 => format!("2001:db8:{wire:x}::{end}"),
        }
    }

    fn with_length(&self, wire: usize, end: usize) -> String {
        let length = if self.family == Family::V4 { 30 } else { 64 };
        format!("{}/{length}", self.address(wire, end))
    }

    fn network(&self, wire: usize) -> String {
        match self.family {
            Family::V4 => format!("198.51.100.{}/30", wire * 4),
            Family::V6 => format!("2001:db8:{wire:x}::/64"),
        }
    }

    /// Adds a second link from node 1 to node 2, and routes to the target over both. Node 1 chooses one by the addresses of
    /// a packet alone: the other policies count the protocol or the flow label too. Returns its interface of the link that the host's packets to the target take, or of the other one.
    pub fn second_link(&self, taken: bool) -> &'static str {
        let (ip, one, two, length) = match self.family {
            Family::V4 => ("ip", "203.0.113.1", "203.0.113.2", 30),
            Family::V6 => ("ip -6", "2001:db8:ec::1", "2001:db8:ec::2", 64),
        };
        self.nodes[1].sh(&format!(
            "ip link add e2 type veth peer name w2 netns {}
             ip addr add {one}/{length} dev e2 nodad; ip link set e2 up
             for version in ipv4 ipv6; do
                 sysctl -qw net.$version.fib_multipath_hash_policy=3 net.$version.fib_multipath_hash_fields=3
             done",
            self.nodes[2].name
        ));
        self.nodes[2].sh(&format!(
            "ip addr add {two}/{length} dev w2 nodad; ip link set w2 up"
        ));
        let first = self.address(1, 2);
        self.nodes[1].sh(&format!(
            "{ip} route replace default nexthop via {first} dev e nexthop via {two} dev e2"
        ));
        // The hash has a key that is chosen at boot. Twenty echoes show its result: neighbour discovery sends fewer.
        let sent = || -> u64 {
            let text = self.nodes[1].sh("cat /sys/class/net/e2/statistics/tx_packets");
            text.trim().parse().unwrap()
        };
        let before = sent();
        self.nodes[0].sh(&format!("ping -n -q -c 20 -i 0.01 {} >/dev/null", self.target()));
        let second = sent() - before >= 20;
        match (second, taken) {
            (true, true) | (false, false) => "e2",
            (true, false) | (false, true) => "e",
        }
    }

    /// Loads nftables rules into one chain of a node.
    pub fn rule(&self, node: usize, hook: &str, rules: &str) {
        self.nodes[node].sh(&format!(
            "nft -f - <<'END'
             table inet {hook}_rules {{ chain c {{ type filter hook {hook} priority 0; {rules}; }}; }}
END"
        ));
    }

    /// Runs netkeel at the host, with names instead of addresses in what it prints.
    pub fn netkeel(&self, arguments: &[&str]) -> (i32, String) {
        let done = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(arguments)
            .args(["--netns", &self.nodes[0].name])
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        (done.status.code().unwrap_or(-1), text)
    }

    /// What netkeel prints without a namespace.
    pub fn printed(&self, arguments: &[&str]) -> String {
        let done = Command::new(env!("CARGO_BIN_EXE_netkeel"))
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    }

    /// The verdict on the target: the exit status, and `VERDICT MTU by METHOD, limit`. The output fits its schema.
    pub fn verdict(&self, options: &[&str]) -> (i32, String) {
        let target = self.target();
        let line = [&["probe", "pmtu", &target, "--output", "json"], options].concat();
        let (code, text) = self.netkeel(&line);
        let json: serde_json::Value = match serde_json::from_str(&text) {
            Ok(json) => json,
            Err(_) => return (code, text),
        };
        let schema = serde_json::from_str(&self.printed(&["schema", "path-mtu"])).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&json)
            .map(|error| error.to_string())
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}: {json}");
        let mut more = json.clone();
        more["more"] = 1.into();
        assert!(!validator.is_valid(&more), "the schema permits any key");
        let verdict = json["verdict"].as_str().unwrap_or("?");
        let Some(mtu) = json["path_mtu"].as_u64() else {
            return (code, verdict.to_owned());
        };
        let trials = json["trials"].as_array().unwrap();
        let best = trials.iter().find(|trial| trial["mtu"] == mtu).unwrap();
        (
            code,
            format!("{verdict} {mtu} by {}", best["protocol"].as_str().unwrap_or("?")),
        )
    }
}
