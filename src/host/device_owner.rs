//! Devices that other programs own, and that netkeel must not write.

/// What the kernel module makes that comes with Open vSwitch (datapath/linux/compat).
const OVS_FALLBACK: &[&str] = &[
    "ovs-gre0",
    "ovs-gretap0",
    "ovs-erspan0",
    "ovs-ip6gre0",
    "ovs-ip6tnl0",
];

/// Why an interface is not netkeel's to write by a `link` or as a `tunnel`, however it is named. A
/// sysctl that names it is meant.
pub fn refusal(name: &str) -> Option<&'static str> {
    Some(match name {
        "lo" => "the loopback interface is the host's own: nothing on a network path goes through it",
        "ovs-system" | "ovs-netdev" => "it belongs to the Open vSwitch datapath",
        _ if OVS_FALLBACK.contains(&name) => "it is a fallback device of Open vSwitch's own kernel module",
        _ if is_ovs_tunnel(name.as_bytes()) => {
            "Open vSwitch makes its tunnel devices with the largest MTU on purpose; the MTU of the pods is what limits packets"
        }
        _ => return fallback(name),
    })
}

/// What a device is that the module of a kind of tunnel puts into every namespace by itself (net/ipv4,
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

/// A tunnel device that Open vSwitch made (lib/dpif-netlink-rtnl.c names them so).
pub fn is_ovs_tunnel(name: &[u8]) -> bool {
    // Of the thousands that are asked about hardly any begins so and has a `_`.
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

/// Who makes and keeps an interface that a glob must not reach; naming it exactly is allowed.
pub fn keeper(name: &str) -> Option<&'static str> {
    /// Devices that CNIs and their like keep.
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
    /// What the names of others of them begin with.
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
