//! KubeSpan over its interface, and default MTUs of pods that do not fit KubeSpan: nothing in the files sets them.

use crate::talos::cozystack::{PodMtus, argument, has_daemonset};
use crate::talos::keys::{KUBESPAN, kind};
use crate::talos::lint::findings::Lint;
use crate::talos::lint::pod_mtu::{COZYSTACK, ETHERNET, GENEVE, KUBE_OVN, Underlay, tunnel_interface};
use crate::talos::version::{SYSCTLS, Version, since};
use netkeel_core::finding::Code;
use netkeel_source::node::Node;

/// The first version that gives flannel KubeSpan's MTU.
const FLANNEL_FOLLOWS: Version = SYSCTLS;

/// Overhead of WireGuard over IPv6 and over IPv4, in bytes.
const WIREGUARD_IPV6: i64 = 80;
const WIREGUARD_IPV4: i64 = 60;

/// Overhead of flannel's VXLAN over IPv4, in bytes.
const VXLAN: i64 = 50;

pub(crate) fn look(lint: &mut Lint<'_>, version: Option<Version>, pods: &PodMtus) {
    let Some(kubespan) = lint.configuration.kubespan_mtu() else {
        return;
    };
    over_uplinks(lint, kubespan);
    let interface = tunnel_interface(lint);
    let has_kube_ovn = interface.is_some()
        || has_daemonset(lint.configuration)
        || pods.values().is_some()
        || !pods.subnets.is_empty();
    if has_kube_ovn {
        kube_ovn(lint, interface, pods, kubespan);
    } else {
        flannel(lint, version, kubespan);
    }
}

/// KubeSpan is WireGuard over the interface by which packets leave.
fn over_uplinks(lint: &mut Lint<'_>, kubespan: i64) {
    let uplinks = lint.configuration.uplinks();
    let too_small = |uplink: &&Underlay| kubespan + WIREGUARD_IPV6 > uplink.mtu;
    // The files do not say by which of several they leave.
    if !uplinks.is_certain && !uplinks.all.iter().all(|uplink| too_small(&uplink)) {
        return;
    }
    let Some(uplink) = uplinks
        .all
        .iter()
        .filter(too_small)
        .min_by_key(|uplink| uplink.mtu)
    else {
        return;
    };
    let place = lint
        .configuration
        .documents()
        .first()
        .map(|document| document.span);
    let by = if uplinks.is_certain {
        ""
    } else {
        ", if they leave by it"
    };
    let (most, most_ipv4) = (uplink.mtu - WIREGUARD_IPV6, uplink.mtu - WIREGUARD_IPV4);
    let remedy = match kubespan > most_ipv4 {
        true => format!("set `mtu: {most}` of KubeSpan, or {most_ipv4} where all endpoints are IPv4"),
        false => format!("set `mtu: {most}` of KubeSpan, unless all endpoints are IPv4"),
    };
    lint.add(
        Code::NK055,
        KUBESPAN,
        place.unwrap_or_default(),
        format!(
            "packets of {kubespan} and {WIREGUARD_IPV6} bytes of WireGuard over IPv6 do not fit {} with {}{by}",
            uplink.name, uplink.mtu
        ),
        &remedy,
    );
}

/// Flannel takes its MTU from the interface of the default route. Talos installs it unless the
/// configuration names another network.
fn flannel(lint: &mut Lint<'_>, version: Option<Version>, kubespan: i64) {
    let configuration = lint.configuration;
    let cni = configuration.legacy_at(&["cluster", "network", "cni", "name"]);
    let cni = cni.and_then(Node::text).filter(|name| !name.is_empty());
    // Patches alone do not say what the cluster has.
    let whole = configuration.legacy_at(&["machine", "type"]).is_some();
    if cni != Some("flannel") && (cni.is_some() || !whole) {
        return;
    }
    let uplinks = configuration.uplinks();
    let Some(uplink) = uplinks.all.iter().max_by_key(|uplink| uplink.mtu) else {
        return;
    };
    let taken = uplink.mtu - VXLAN;
    let by = if uplinks.is_certain {
        ""
    } else {
        ", if its packets leave by it"
    };
    // A document that came with a version shows that the machine has that version.
    let documents = configuration.documents().iter();
    let shown = documents.filter_map(|document| since(kind(document))).max();
    let follows = version
        .or(shown)
        .is_some_and(|version| version >= FLANNEL_FOLLOWS);
    if !follows && taken + VXLAN > kubespan {
        let place = configuration.legacy().map(|legacy| legacy.span);
        lint.add(
            Code::NK077,
            "flannel",
            place.unwrap_or_default(),
            format!(
                "Talos before {FLANNEL_FOLLOWS} lets flannel take {taken} from {} with {}{by}; with {VXLAN} bytes of VXLAN that does not fit {KUBESPAN} with {kubespan}",
                uplink.name, uplink.mtu
            ),
            &format!(
                "upgrade to Talos {FLANNEL_FOLLOWS}; or set `cluster.network.cni` to `custom` with a manifest of flannel that has `\"MTU\": {kubespan}` in its Backend"
            ),
        );
    }
}

/// kube-ovn takes its MTU from the interface of its tunnels.
fn kube_ovn(lint: &mut Lint<'_>, interface: Option<Underlay>, pods: &PodMtus, kubespan: i64) {
    let configuration = lint.configuration;
    let all_subnets = !pods.subnets.is_empty() && pods.subnets.iter().all(|subnet| subnet.stated.is_some());
    if pods.values().is_some() || argument(configuration).is_some() || all_subnets {
        return;
    }
    let (name, mtu) = match &interface {
        Some(interface) => (interface.name.as_str(), interface.mtu),
        None => ("an interface", ETHERNET),
    };
    let (taken, most) = (mtu - KUBE_OVN, kubespan - GENEVE);
    if name != KUBESPAN && taken > most {
        let place = configuration.documents().first().map(|document| document.span);
        lint.add(
            Code::NK077,
            "kube-ovn",
            place.unwrap_or_default(),
            format!(
                "nothing among the files sets its MTU: it takes {taken} from {name} with {mtu}, and {most} is the most over {KUBESPAN} with {kubespan}"
            ),
            &format!(
                "set `kube-ovn.mtu` in CozyStack's values, `--mtu` of kube-ovn-cni, or `mtu` of each Subnet; CozyStack documents {COZYSTACK}"
            ),
        );
    }
}
