//! Devices that belong to other programs and that netkeel must not write.

/// Devices made by Open vSwitch's own kernel module (datapath/linux/compat).
const OVS_FALLBACK: &[&str] = &[
    "ovs-gre0",
    "ovs-gretap0",
    "ovs-erspan0",
    "ovs-ip6gre0",
    "ovs-ip6tnl0",
];

/// Why netkeel refuses to write an interface through `link` or `tunnel`, even by exact name. A
/// `sysctl` entry that names the interface is allowed.
pub fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "lo" => "the loopback interface is not part of any network path",
        "ovs-system" | "ovs-netdev" => "it belongs to the Open vSwitch datapath",
        _ if OVS_FALLBACK.contains(&name) => "it is a fallback device of Open vSwitch's own kernel module",
        _ if is_ovs_tunnel(name.as_bytes()) => {
            "Open vSwitch gives its tunnel devices the largest MTU on purpose; the MTU of the pods limits packets"
        }
        _ => return fallback(name),
    })
}

/// Describes a fallback device, which a tunnel module creates in every namespace (net/ipv4,
/// net/ipv6).
pub(crate) fn fallback(name: &str) -> Option<&'static str> {
    const OF_GRE: &str = "gre0, gretap0 and erspan0 are the fallback devices of the ip_gre module";
    const DEVICES: &[(&str, &str)] = &[
        (
            "tunl0",
            "tunl0 is the fallback device of the ipip module, and Calico's when it runs IPIP",
        ),
        (
            "ip6tnl0",
            "ip6tnl0 is the fallback device of the ip6_tunnel module",
        ),
        ("sit0", "sit0 is the fallback device of the sit module"),
        ("gre0", OF_GRE),
        ("gretap0", OF_GRE),
        ("erspan0", OF_GRE),
        ("ip6gre0", "ip6gre0 is the fallback device of the ip6_gre module"),
        ("ip_vti0", "ip_vti0 is the fallback device of the ip_vti module"),
        (
            "ip6_vti0",
            "ip6_vti0 is the fallback device of the ip6_vti module",
        ),
    ];
    let device = DEVICES.iter().find(|(own, _)| *own == name);
    device.map(|(_, what)| *what)
}

/// Whether Open vSwitch made this tunnel device (names from lib/dpif-netlink-rtnl.c).
pub fn is_ovs_tunnel(name: &[u8]) -> bool {
    // A fast path: hardly any name starts with one of these letters and contains `_`.
    let [b'b' | b'e' | b'g' | b'i' | b'l' | b's' | b'v', rest @ ..] = name else {
        return false;
    };
    if !rest.contains(&b'_') {
        return false;
    }
    [
        &b"genev_sys_"[..],
        b"vxlan_sys_",
        b"gre_sys",
        b"ip6gre_sys",
        b"erspan_sys",
        b"ip6erspan_sys",
        b"stt_sys_",
        b"lisp_sys_",
        b"bareudp_sys_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

/// The program that manages an interface which a glob must not match; an exact name is allowed.
pub fn keeper(name: &str) -> Option<&'static str> {
    /// Devices of CNIs and similar programs.
    const NAMES: &[(&str, &str)] = &[
        ("ovn0", "kube-ovn"),
        ("mirror0", "kube-ovn"),
        ("br-int", "OVN"),
        ("br-ex", "OVN-Kubernetes"),
        ("vxlan.calico", "Calico"),
        ("vxlan-v6.calico", "Calico"),
        ("wireguard.cali", "Calico"),
        ("wg-v6.cali", "Calico"),
        ("egress.calico", "Calico"),
        ("bpfin.cali", "Calico"),
        ("bpfout.cali", "Calico"),
        ("cni0", "the bridge plugin of the CNI"),
        ("cbr0", "kubenet"),
        ("docker0", "Docker"),
        ("weave", "Weave"),
        ("datapath", "Weave"),
        ("vxlan-6784", "Weave"),
        ("kube-bridge", "kube-router"),
        ("kube-ipvs0", "kube-proxy"),
        ("nodelocaldns", "node-local-dns"),
        ("kubespan", "Talos KubeSpan"),
    ];
    /// Name prefixes of such devices.
    const PREFIXES: &[(&str, &str)] = &[
        ("ovn-k8s-mp", "OVN-Kubernetes"),
        ("cilium_", "Cilium"),
        ("flannel.", "flannel"),
        ("flannel-v6.", "flannel"),
        ("antrea-", "Antrea"),
    ];
    let named = NAMES.iter().find(|(own, _)| name == *own);
    let found = named.or_else(|| PREFIXES.iter().find(|(own, _)| name.starts_with(own)));
    found.map(|(_, keeper)| *keeper)
}
