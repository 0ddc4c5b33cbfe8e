//! Other programs known to write a setting, and the evidence that they run on this host.

use serde::Serialize;

use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_host::evidence::Evidence;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::sysctl_d::file::UDEV_RULES;
use netkeel_host::sysctl_d::ufw;

/// A program that writes the setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Writer {
    /// The program's name.
    pub name: &'static str,
    /// The values that it writes, and when.
    pub does: String,
    /// The evidence that it runs on this host; empty without any.
    pub evidence: Vec<String>,
}

/// Evidence that a program runs on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clue {
    /// A path exists.
    Path(&'static str),
    /// An interface whose name starts with this exists.
    Link(&'static str),
    /// A file contains a text.
    Holds(&'static str, &'static str),
}

/// A known program.
struct KnownWriter {
    name: &'static str,
    does: &'static str,
    /// Whether it writes this key.
    writes: fn(&Target<'_>) -> bool,
    clues: &'static [Clue],
    /// It can write any key, so it is reported only with evidence.
    anything: bool,
}

/// A key split into its parts.
struct Target<'a> {
    path: &'a str,
    parts: Option<PerInterface<'a>>,
}

impl Target<'_> {
    fn is(&self, leaves: &[&str]) -> bool {
        self.parts.is_some_and(|parts| leaves.contains(&parts.leaf))
    }

    fn family(&self, family: &str) -> bool {
        self.parts.is_some_and(|parts| parts.family == family)
    }

    fn link(&self, prefixes: &[&str]) -> bool {
        match self.parts.map(|parts| parts.slot) {
            Some(Slot::Link(name)) => prefixes
                .iter()
                .any(|prefix| name.as_bytes().starts_with(prefix.as_bytes())),
            _ => false,
        }
    }

    fn slot(&self, wanted: Slot) -> bool {
        self.parts.is_some_and(|parts| parts.slot == wanted)
    }
}

const UDEV: &[Clue] = &[
    Clue::Path(UDEV_RULES[0]),
    Clue::Path(UDEV_RULES[1]),
    Clue::Path(UDEV_RULES[2]),
];

const KNOWN: &[KnownWriter] = &[
    KnownWriter {
        name: "udev",
        does: "runs systemd-sysctl for an interface some 100 ms after it appears (99-systemd.rules), and so overwrites earlier values with the lines and patterns of sysctl.d",
        writes: |key| {
            key.parts
                .is_some_and(|parts| matches!(parts.slot, Slot::Link(name) if name.as_bytes() != b"lo"))
        },
        clues: UDEV,
        anything: false,
    },
    KnownWriter {
        name: "Felix (Calico)",
        does: "writes it for each workload's interface; rp_filter gets the value that conf.default had when Felix started",
        writes: |key| {
            key.link(&["cali", "tap"])
                && key.is(&[
                    "rp_filter",
                    "route_localnet",
                    "proxy_arp",
                    "proxy_delay",
                    "forwarding",
                    "accept_ra",
                    "proxy_ndp",
                ])
        },
        clues: CALICO,
        anything: false,
    },
    KnownWriter {
        name: "Felix (Calico, eBPF)",
        does: "in eBPF mode sets all.rp_filter to 0 and that of host interfaces to 2",
        writes: |key| {
            key.family("ipv4")
                && key.is(&["rp_filter"])
                && !key.link(&["cali", "tap"])
                && !key.slot(Slot::Default)
        },
        clues: &[Clue::Link("bpfin.cali"), Clue::Path("/sys/fs/bpf/calico")],
        anything: false,
    },
    KnownWriter {
        name: "Cilium",
        does: "writes a file of sysctl.d with all.rp_filter=0 and 0 for lxc* and cilium_*, and restarts systemd-sysctl at each start of its agent, which applies all files again",
        writes: |key| {
            key.family("ipv4")
                && key.is(&["rp_filter", "forwarding"])
                && (key.slot(Slot::All) || key.link(&["lxc", "cilium_"]))
        },
        clues: &[
            Clue::Path("/etc/sysctl.d/99-zzz-override_cilium.conf"),
            Clue::Link("cilium_"),
        ],
        anything: false,
    },
    KnownWriter {
        name: "systemd-networkd",
        does: "writes it for interfaces it configures (IPv4ReversePathFilter=, IPv4Forwarding=, IPv6AcceptRA= and their like in *.network)",
        writes: |key| {
            key.path == "net/ipv4/ip_forward"
                || key.is(&[
                    "rp_filter",
                    "forwarding",
                    "proxy_arp",
                    "proxy_arp_pvlan",
                    "route_localnet",
                    "accept_local",
                    "promote_secondaries",
                    "send_redirects",
                    "disable_ipv6",
                    "accept_ra",
                    "use_tempaddr",
                    "proxy_ndp",
                    "hop_limit",
                    "mtu",
                ])
        },
        clues: &[Clue::Path("/run/systemd/netif/links")],
        anything: false,
    },
    KnownWriter {
        name: "NetworkManager",
        does: "writes it for interfaces it manages, and forwarding where a connection is shared",
        writes: |key| {
            key.path == "net/ipv4/ip_forward"
                || key.is(&["forwarding"])
                || (key.family("ipv6")
                    && key.is(&[
                        "accept_ra",
                        "disable_ipv6",
                        "addr_gen_mode",
                        "use_tempaddr",
                        "hop_limit",
                        "mtu",
                    ]))
        },
        clues: &[Clue::Path("/run/NetworkManager")],
        anything: false,
    },
    KnownWriter {
        name: "kube-proxy",
        does: "writes it at its start: route_localnet for node ports on localhost, arp_ignore and arp_announce in ipvs mode, nf_conntrack_* as its configuration says (conntrack.maxPerCore, tcpEstablishedTimeout, tcpCloseWaitTimeout, tcpBeLiberal, udpTimeout, udpStreamTimeout)",
        writes: |key| {
            key.slot(Slot::All)
                && key.family("ipv4")
                && key.is(&["route_localnet", "arp_ignore", "arp_announce"])
                || KUBE_PROXY.contains(&key.path)
        },
        clues: &[Clue::Link("kube-ipvs0"), Clue::Path("/var/lib/kube-proxy")],
        anything: false,
    },
    KnownWriter {
        name: "Docker",
        does: "writes 1 when its daemon starts, unless its daemon.json has \"ip-forward\": false (bridge-nf-call-*: where containers of one network must not reach each other)",
        writes: |key| {
            DOCKER.contains(&key.path)
                || (key.slot(Slot::All) || key.slot(Slot::Default))
                    && key.family("ipv6")
                    && key.is(&["forwarding"])
        },
        clues: &[Clue::Link("docker0"), Clue::Path("/run/docker.sock")],
        anything: false,
    },
    KnownWriter {
        name: "TuneD",
        does: "writes the values of its active profile, then by default applies /etc/sysctl.d again (reapply_sysctl)",
        writes: |_| true,
        clues: &[Clue::Path("/etc/tuned/active_profile")],
        anything: true,
    },
    KnownWriter {
        name: "Talos",
        does: "writes the values of machine.sysctls and SysctlConfig documents, and restores the old value when a key leaves them",
        writes: |_| true,
        clues: &[Clue::Holds("/etc/os-release", "ID=talos")],
        anything: true,
    },
];

/// Sysctls that kube-proxy writes (cmd/kube-proxy/app/conntrack.go, pkg/proxy/ipvs/linux/proxier.go of Kubernetes).
const KUBE_PROXY: [&str; 13] = [
    "net/ipv4/ip_forward",
    "net/ipv4/vs/conn_reuse_mode",
    "net/ipv4/vs/conntrack",
    "net/ipv4/vs/expire_nodest_conn",
    "net/ipv4/vs/expire_quiescent_template",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_max",
    "net/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_udp_timeout",
    "net/netfilter/nf_conntrack_udp_timeout_stream",
];

/// Sysctls that Docker's daemon writes (libnetwork/drivers/bridge of moby).
const DOCKER: [&str; 3] = [
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
];

/// calico/node writes the name of its node. Where netkeel runs in a pod, the directory may be an empty one for a mount.
const CALICO_NODE: &str = "/var/lib/calico/nodename";

const CALICO: &[Clue] = &[Clue::Link("cali"), Clue::Path(CALICO_NODE)];

/// The paths that [`Evidence`] needs, and whether it needs their text.
pub const WATCHED: &[(&str, bool)] = &[
    (UDEV_RULES[0], false),
    (UDEV_RULES[1], false),
    (UDEV_RULES[2], false),
    (CALICO_NODE, false),
    ("/sys/fs/bpf/calico", false),
    ("/etc/sysctl.d/99-zzz-override_cilium.conf", false),
    ("/run/systemd/netif/links", false),
    ("/run/NetworkManager", false),
    ("/var/lib/kube-proxy", false),
    ("/etc/tuned/active_profile", false),
    ("/etc/os-release", true),
    ("/run/docker.sock", false),
    (ufw::SWITCH, true),
    (ufw::DEFAULTS, true),
    (ufw::USUAL, true),
];

/// Whether udev applies sysctl.d to new interfaces on this host.
pub(crate) fn udev_is_there(evidence: &Evidence) -> bool {
    UDEV.iter()
        .any(|clue| matches!(clue, Clue::Path(path) if evidence.paths.contains(*path)))
}

/// The programs that write a key: first those with evidence, each group in the order of the list.
pub fn writers(key: &SysctlKey, evidence: &Evidence, snapshot: &Snapshot) -> Vec<Writer> {
    // Two keys can be one variable.
    let variable = key.of_variable();
    let setting = key.as_setting();
    let target = Target {
        path: variable.path(),
        parts: setting.per_interface(),
    };
    let mut writers: Vec<Writer> = KNOWN
        .iter()
        .filter(|known| (known.writes)(&target))
        .map(|known| Writer {
            name: known.name,
            does: known.does.to_owned(),
            evidence: shown_by(known.clues, evidence, snapshot),
        })
        .chain(ufw(key, evidence))
        .collect();
    let anything = |writer: &Writer| {
        KNOWN
            .iter()
            .any(|known| known.name == writer.name && known.anything)
    };
    writers.retain(|writer| !writer.evidence.is_empty() || !anything(writer));
    writers.sort_by_key(|writer| writer.evidence.is_empty());
    writers
}

fn shown_by(clues: &[Clue], evidence: &Evidence, snapshot: &Snapshot) -> Vec<String> {
    let shown = |clue: &Clue| match clue {
        Clue::Path(path) => evidence.paths.contains(*path).then(|| (*path).to_owned()),
        Clue::Holds(path, text) => {
            let lines = evidence.texts.get(*path)?.lines();
            let held = lines.map(str::trim).any(|line| line == *text);
            held.then(|| format!("{path} has {text}"))
        }
        Clue::Link(prefix) => {
            let named = |name: &String| name.starts_with(prefix);
            let found = snapshot.links.keys().map(ToString::to_string).find(named);
            found.map(|name| format!("the interface {name}"))
        }
    };
    clues.iter().filter_map(shown).collect()
}

/// ufw, if it is enabled and its file names the key.
fn ufw(key: &SysctlKey, evidence: &Evidence) -> Option<Writer> {
    let text = |path: &str| evidence.texts.get(path).map(String::as_str);
    let path = ufw::file(text(ufw::SWITCH)?, text(ufw::DEFAULTS)?)?;
    let (place, value) = ufw::value(&path, text(&path)?, key)?;
    Some(Writer {
        name: "ufw",
        does: format!("writes {value} when it starts, after all of sysctl.d"),
        evidence: vec![place.to_string()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::netns::Netns;

    #[test]
    fn a_directory_for_a_mount_is_no_sign_of_calico() {
        let key = "net.ipv4.conf.cali0.rp_filter".parse().unwrap();
        let host = Snapshot::empty(Netns::CURRENT);
        let felix = |path: &str| {
            let evidence = Evidence {
                paths: [path.to_owned()].into(),
                ..Evidence::default()
            };
            let known = writers(&key, &evidence, &host);
            known
                .into_iter()
                .find(|one| one.name == "Felix (Calico)")
                .unwrap()
        };
        assert_eq!(felix("/var/lib/calico").evidence, [""; 0]);
        assert_eq!(felix(CALICO_NODE).evidence, [CALICO_NODE]);
    }
}
