//! The form of `mtu` that each type of CNI plugin reads, from the sources of the plugins. A wrong form stops the
//! plugin, and no pod starts.

use netkeel_core::mtu::PLUGINS_THAT_READ_TEXT;

/// How a plugin takes its MTU from its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadsMtu {
    /// `mtu` as a number; the plugin cannot read text.
    Number,
    /// `mtu` as text; the plugin cannot read a number.
    Text,
    /// It reads none; the text says where to set the MTU instead.
    Elsewhere(&'static str),
}

const INTERFACE_OF_THE_HOST: &str =
    "the interface keeps the MTU that it has on the host: declare that in `link`";

const NO_INTERFACE: &str = "it makes no interface: name the plugin that does";

const ADDRESSES_ONLY: &str = "it only assigns addresses: name the plugin that makes the interface";

const DELEGATES: &str = "Multus calls the plugins it delegates to: name one of those, with its `file`";

/// The types, each with the struct that its configuration is read into.
const TYPES: &[(&str, ReadsMtu)] = &[
    // projectcalico/calico, cni-plugin/pkg/types: NetConf.MTU
    ("calico", ReadsMtu::Number),
    // projectcalico/calico, cni-plugin/pkg/ipamplugin
    ("calico-ipam", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    // containernetworking/plugins, plugins/main/*: NetConf.MTU
    ("bridge", ReadsMtu::Number),
    (
        "dummy",
        ReadsMtu::Elsewhere("a dummy interface keeps the MTU of the kernel"),
    ),
    ("host-device", ReadsMtu::Elsewhere(INTERFACE_OF_THE_HOST)),
    ("ipvlan", ReadsMtu::Number),
    (
        "loopback",
        ReadsMtu::Elsewhere("the loopback interface keeps its MTU"),
    ),
    ("macvlan", ReadsMtu::Number),
    ("ptp", ReadsMtu::Number),
    ("tap", ReadsMtu::Number),
    ("vlan", ReadsMtu::Number),
    // containernetworking/plugins, plugins/meta/*
    ("bandwidth", ReadsMtu::Elsewhere(NO_INTERFACE)),
    ("firewall", ReadsMtu::Elsewhere(NO_INTERFACE)),
    // The `mtu` of its delegate counts; `crate::cni::conflist` gives that the type `flannel`.
    ("flannel", ReadsMtu::Number),
    ("portmap", ReadsMtu::Elsewhere(NO_INTERFACE)),
    ("sbr", ReadsMtu::Elsewhere(NO_INTERFACE)),
    ("tuning", ReadsMtu::Number),
    ("vrf", ReadsMtu::Elsewhere(NO_INTERFACE)),
    // containernetworking/plugins, plugins/ipam/*
    ("dhcp", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    ("host-local", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    ("static", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    ("whereabouts", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    // antrea-io/antrea, pkg/agent/cniserver/types: NetworkConfig.MTU; 0 takes the agent's
    ("antrea", ReadsMtu::Number),
    // aws/amazon-vpc-cni-k8s, cmd/routed-eni-cni-plugin and cmd/egress-cni-plugin: NetConf.MTU is a string
    ("aws-cni", ReadsMtu::Text),
    ("egress-cni", ReadsMtu::Text),
    // Azure/azure-container-networking, cni/netconfig.go: NetworkConfig has no MTU
    (
        "azure-vnet",
        ReadsMtu::Elsewhere("azure-vnet takes the MTU of the node's interface: declare that in `link`"),
    ),
    ("azure-vnet-ipam", ReadsMtu::Elsewhere(ADDRESSES_ONLY)),
    // cilium/cilium, plugins/cilium-cni/types: NetConf.MTU. The plugin itself takes the MTU of the agent, which reads
    // this field of the file of `--read-cni-conf` when it starts (pkg/mtu, GetMTU of the CNI configuration).
    ("cilium-cni", ReadsMtu::Number),
    // GoogleCloudPlatform/netd, pkg/install-cni/plugin/ptp.go: where the node has the program `gke`, the file gets its
    // name in place of ptp's, with the same `mtu` as a number. The program's own source is not public.
    ("gke", ReadsMtu::Number),
    // istio/istio, cni; linkerd/linkerd2-proxy-init, cni-plugin: chained after the plugin that makes the interface
    ("istio-cni", ReadsMtu::Elsewhere(NO_INTERFACE)),
    ("linkerd-cni", ReadsMtu::Elsewhere(NO_INTERFACE)),
    // k8snetworkplumbingwg: sriov-cni pkg/types (since v2.8.0 NetConf.MTU, which it overwrites), ib-sriov-cni
    // pkg/types
    ("sriov", ReadsMtu::Elsewhere(INTERFACE_OF_THE_HOST)),
    ("ib-sriov", ReadsMtu::Elsewhere(INTERFACE_OF_THE_HOST)),
    // k8snetworkplumbingwg: bond-cni, ovs-cni pkg/types
    ("bond", ReadsMtu::Number),
    ("ovs", ReadsMtu::Number),
    // k8snetworkplumbingwg/multus-cni
    ("multus", ReadsMtu::Elsewhere(DELEGATES)),
    ("multus-shim", ReadsMtu::Elsewhere(DELEGATES)),
    // kubeovn/kube-ovn, cmd/cni/netconf.go: netConf has no MTU
    (
        "kube-ovn",
        ReadsMtu::Elsewhere(
            "kube-ovn takes it from the subnet's `mtu` or the `--mtu` of the DaemonSet kube-ovn-cni (in Cozystack `kube-ovn.mtu` of the values)",
        ),
    ),
    // ovn-kubernetes/ovn-kubernetes, go-controller/pkg/cni/types
    (
        "ovn-k8s-cni-overlay",
        ReadsMtu::Elsewhere(
            "OVN-Kubernetes takes it from `mtu` of its own configuration (ovnkube-config; in OpenShift the Network operator's)",
        ),
    ),
    // AliyunContainerService/terway, plugin/terway/cni.go: NetConf.MTU
    ("terway", ReadsMtu::Number),
    // tkestack/galaxy, cni/*: the types are the names of the programs
    ("galaxy-veth", ReadsMtu::Number),
    ("galaxy-k8s-vlan", ReadsMtu::Elsewhere(INTERFACE_OF_THE_HOST)),
    ("galaxy-k8s-sriov", ReadsMtu::Elsewhere(INTERFACE_OF_THE_HOST)),
    (
        "tke-route-eni",
        ReadsMtu::Elsewhere("tke-route-eni always gives pods 1500"),
    ),
    // weaveworks/weave, plugin/net/cni.go: NetConf.MTU
    ("weave-net", ReadsMtu::Number),
];

/// The first releases whose plugin reads `mtu`, from the tags and the history of their sources, where that is known:
/// calico 1.4.0 is the first plugin in Go (utils/types.go), and the one in Python before read none; flannel 0.1.0
/// fills `delegate.mtu` in where it is missing (containernetworking/plugins, plugins/meta/flannel); galaxy 1.0.1 is
/// its first tag (cni/veth); Cilium's agent reads the field since cilium/cilium#8128, merged after the branch of 1.5.
/// The release of gke is not known. The file of kube-router has the type bridge; kube-router itself writes its `mtu`
/// from 1.1.0 on (cloudnativelabs/kube-router#989), unless it runs with `--auto-mtu=false`.
const SINCE: &[(&str, &str)] = &[
    ("antrea", "0.1.0"),
    ("aws-cni", "1.6.4"),
    ("bond", "1.0"),
    ("bridge", "0.1.0"),
    ("calico", "1.4.0"),
    ("cilium-cni", "1.6.0"),
    ("egress-cni", "1.13.0"),
    ("flannel", "0.1.0"),
    ("galaxy-veth", "1.0.1"),
    ("ipvlan", "0.1.0"),
    ("macvlan", "0.1.0"),
    ("ovs", "0.8.0"),
    ("ptp", "0.1.0"),
    ("tap", "1.3.0"),
    ("terway", "1.1.0"),
    ("tuning", "0.8.0"),
    ("vlan", "0.6.0"),
    ("weave-net", "1.5.0"),
];

/// All known types, in the order of their names.
pub fn types() -> Vec<(&'static str, ReadsMtu)> {
    let mut types = TYPES.to_vec();
    types.sort_by_key(|(kind, _)| *kind);
    types
}

/// The first release of a plugin that reads `mtu`; `None` where that is not known, and for a plugin that reads
/// none.
pub fn since(kind: &str) -> Option<&'static str> {
    let found = SINCE.iter().find(|(known, _)| *known == kind)?;
    Some(found.1)
}

/// The form that a type of plugin reads; `None` for a type that netkeel does not know.
pub fn reads_mtu(kind: &str) -> Option<ReadsMtu> {
    let found = TYPES.iter().find(|(known, _)| *known == kind)?;
    Some(found.1)
}

/// Where to set the MTU of a plugin that does not read one from its configuration.
pub fn elsewhere(kind: &str) -> Option<&'static str> {
    match reads_mtu(kind)? {
        ReadsMtu::Elsewhere(place) => Some(place),
        ReadsMtu::Number | ReadsMtu::Text => None,
    }
}

/// Whether the plugin reads its `mtu` as text.
pub fn reads_text(kind: &str) -> bool {
    PLUGINS_THAT_READ_TEXT.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_known_once() {
        for (kind, _) in TYPES {
            assert_eq!(
                TYPES.iter().filter(|(other, _)| other == kind).count(),
                1,
                "{kind}"
            );
        }
        for (kind, reads) in TYPES {
            assert_eq!(*reads == ReadsMtu::Text, reads_text(kind), "{kind}");
        }
        assert_eq!(reads_mtu("aws-cni"), Some(ReadsMtu::Text));
        assert_eq!(reads_mtu("calico"), Some(ReadsMtu::Number));
        assert!(elsewhere("multus-shim").is_some() && elsewhere("ptp").is_none());
        assert_eq!(reads_mtu("my-own"), None);
        for (kind, _) in SINCE {
            let reads = reads_mtu(kind).unwrap();
            assert!(matches!(reads, ReadsMtu::Number | ReadsMtu::Text), "{kind}");
        }
    }
}
