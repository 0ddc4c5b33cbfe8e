//! The kernel modules that bring sysctls: their keys exist once the module is loaded.

use crate::name::sysctl::SysctlKey;

/// Paths below /proc/sys, or beginnings of paths, each with the module that registers them (Linux 6.12).
const MODULES: &[(&str, &str)] = &[
    // net/bridge/br_netfilter_hooks.c
    ("net/bridge/bridge-nf-", "br_netfilter"),
    // net/netfilter/nf_conntrack_standalone.c
    ("net/netfilter/nf_conntrack_", "nf_conntrack"),
    ("net/netfilter/nf_flowtable_", "nf_conntrack"),
    ("net/netfilter/nf_hooks_lwtunnel", "nf_conntrack"),
    ("net/nf_conntrack_max", "nf_conntrack"),
    // net/netfilter/ipvs/ip_vs_ctl.c
    ("net/ipv4/vs/", "ip_vs"),
    // net/sctp/sysctl.c, net/dccp/sysctl.c, net/rds/sysctl.c, net/tipc/sysctl.c, net/rxrpc/sysctl.c
    ("net/sctp/", "sctp"),
    ("net/dccp/", "dccp"),
    ("net/rds/", "rds"),
    ("net/tipc/", "tipc"),
    ("net/rxrpc/", "rxrpc"),
    // net/smc/smc_sysctl.c, net/mpls/af_mpls.c, net/llc/sysctl_net_llc.c
    ("net/smc/", "smc"),
    ("net/mpls/", "mpls_router"),
    ("net/llc/", "llc2"),
    ("net/ieee802154/6lowpan/", "ieee802154_6lowpan"),
];

impl SysctlKey {
    /// The module that brings the key; `None` for a key that is always there, or whose module is not known.
    pub fn module(&self) -> Option<&'static str> {
        let path = self.path();
        let found = MODULES.iter().find(|(begin, _)| path.starts_with(begin))?;
        Some(found.1)
    }

    /// How to load the module that brings the key, now and at boot.
    pub fn load_module(&self) -> Option<String> {
        let module = self.module()?;
        Some(format!(
            "it exists once the module {module} is loaded: `modprobe {module}`; at boot by a line `{module}` in /etc/modules-load.d/{module}.conf"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_the_module_that_brings_it() {
        let of = |key: &str| key.parse::<SysctlKey>().unwrap().module();
        assert_eq!(of("net.bridge.bridge-nf-call-iptables"), Some("br_netfilter"));
        assert_eq!(of("net.netfilter.nf_conntrack_max"), Some("nf_conntrack"));
        assert_eq!(of("net.nf_conntrack_max"), Some("nf_conntrack"));
        assert_eq!(of("net.ipv4.vs.conntrack"), Some("ip_vs"));
        assert_eq!(of("net.sctp.sctp_rmem"), Some("sctp"));
        // Of the kernel itself.
        assert_eq!(of("net.netfilter.nf_log.2"), None);
        assert_eq!(of("net.ipv4.ip_forward"), None);
    }
}
