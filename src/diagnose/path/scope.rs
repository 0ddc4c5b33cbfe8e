//! The facts to read for a path.

use netkeel_core::name::sysctl::SysctlKey;
use netkeel_host::snapshot::link::Families;
use netkeel_host::snapshot::scope::Scope;

/// The sysctls that decide about packets on their way.
const SYSCTLS: &[&str] = &[
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-iptables",
    "net/ipv4/conf/all/accept_local",
    "net/ipv4/conf/all/arp_ignore",
    "net/ipv4/conf/all/proxy_arp",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/src_valid_mark",
    "net/ipv6/conf/all/forwarding",
];

/// The scope of a snapshot whose paths are drawn.
pub fn scope() -> Scope {
    Scope {
        families: Families {
            ipv4: true,
            ipv6: true,
        },
        sysctls: SYSCTLS.iter().map(|path| SysctlKey::known(path)).collect(),
        pods: true,
        peer_routes: true,
        forwarding: true,
        ..Scope::default()
    }
}
