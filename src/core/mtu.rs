//! The minimum MTUs of IPv4 and IPv6, and how CNI plugins take an MTU.

/// Below this MTU (bytes) the kernel disables IPv6 on an interface: IPV6_MIN_MTU, `addrconf_notify` on
/// NETDEV_CHANGEMTU (net/ipv6/addrconf.c).
pub const IPV6_MIN_MTU: u32 = 1280;

/// Below this MTU (bytes) the kernel disables IPv4 on an interface: IPV4_MIN_MTU, `inetdev_event`
/// (net/ipv4/devinet.c).
pub const IPV4_MIN_MTU: u32 = 68;

/// The types of CNI plugins that read their `mtu` as text (aws/amazon-vpc-cni-k8s,
/// cmd/routed-eni-cni-plugin and cmd/egress-cni-plugin). A number stops them.
pub const PLUGINS_THAT_READ_TEXT: &[&str] = &["aws-cni", "egress-cni"];
