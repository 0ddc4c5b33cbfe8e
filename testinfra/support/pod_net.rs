//! A pod, its host and a peer in network namespaces, on the real kernel.

use super::namespace::Namespace;

/// The address of the pod.
pub const POD: &str = "10.65.0.2";

/// The address of another host.
pub const PEER: &str = "192.0.2.2";

/// A pod behind a host, and a peer that the host reaches by `up0`.
pub struct Net {
    pub pod: Namespace,
    pub host: Namespace,
    pub peer: Namespace,
}

impl Net {
    /// Namespaces with the veths between them, not yet up.
    pub fn new() -> Self {
        let net = Net {
            pod: Namespace::new(),
            host: Namespace::new(),
            peer: Namespace::new(),
        };
        net.host.sh(&format!(
            "ip link set lo up
             ip link add cali1 type veth peer name eth0 netns {}
             ip link add up0 type veth peer name x0 netns {}",
            net.pod.name, net.peer.name
        ));
        net.peer.sh("ip link set lo up");
        net
    }

    /// As Calico wires a pod: routed, with a gateway that only proxy_arp answers for.
    pub fn routed() -> Self {
        Net::routed_with(1500, 1500, 1500, 1500)
    }

    /// The same with these MTUs.
    pub fn routed_with(cali: u32, eth: u32, up: u32, x: u32) -> Self {
        let net = Net::new();
        net.host.sh(&format!(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.cali1.proxy_arp=1
             ip link set cali1 mtu {cali} up; ip link set up0 mtu {up} up
             ip addr add 192.0.2.1/24 dev up0; ip route add default via {PEER}
             ip route add {POD} dev cali1"
        ));
        net.pod.sh(&format!(
            "ip link set eth0 mtu {eth} up; ip addr add {POD}/32 dev eth0
             ip route add 169.254.1.1 dev eth0; ip route add default via 169.254.1.1 dev eth0"
        ));
        net.peer.sh(&format!(
            "ip link set x0 mtu {x} up; ip addr add {PEER}/24 dev x0; ip route add default via 192.0.2.1"
        ));
        net
    }

    /// A pod and the uplink as ports of a bridge, in one subnet with the peer, with these MTUs.
    pub fn switched_with(cali: u32, eth: u32, up: u32, x: u32) -> Self {
        let net = Net::new();
        net.host.sh(&format!(
            "ip link add br0 type bridge; ip link set br0 up
             ip link set cali1 mtu {cali} master br0 up; ip link set up0 mtu {up} master br0 up"
        ));
        net.pod.sh(&format!(
            "ip link set eth0 mtu {eth} up; ip addr add 192.0.2.9/24 dev eth0; ip route add default via {PEER}"
        ));
        net.peer.sh(&format!(
            "ip link set x0 mtu {x} up; ip addr add {PEER}/24 dev x0"
        ));
        net
    }
}
