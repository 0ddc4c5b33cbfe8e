//! Checks the MTU of pods against its underlay: KubeSpan, or the interface of kube-ovn's tunnels.

use crate::talos::configuration::Configuration;
use crate::talos::cozystack;
use crate::talos::cozystack::{PodMtus, Stated};
use crate::talos::keys::{KUBESPAN, KUBESPAN_KIND, TUNNEL_INTERFACE};
use crate::talos::lint::findings::Lint;
use netkeel_core::finding::Code;
use netkeel_source::node::Node;
use netkeel_source::span::Span;

/// The default MTU of KubeSpan's interface (Talos's `KubeSpanLinkMTU`), in bytes.
const KUBESPAN_MTU: i64 = 1420;

/// Overhead of OVN's GENEVE over IPv4, in bytes: 20 IPv4, 8 UDP, 8 GENEVE, 8 an option, 14
/// Ethernet.
pub(crate) const GENEVE: i64 = 58;

/// Overhead that kube-ovn subtracts for the same, in bytes.
pub(crate) const KUBE_OVN: i64 = 100;

/// The MTU that CozyStack documents for pods under KubeSpan, in bytes.
pub(crate) const COZYSTACK: i64 = 1222;

/// The default MTU of an Ethernet interface, in bytes.
pub(crate) const ETHERNET: i64 = 1500;

/// The underlay of packets between machines.
pub(crate) struct Underlay {
    pub name: String,
    /// In bytes.
    pub mtu: i64,
}

pub(crate) fn look(lint: &mut Lint<'_>, pods: &PodMtus) {
    let underlay = underlay(lint);
    let bytes = |stated: &Stated| stated.mtu.integer();
    let values = pods.values().and_then(bytes);
    // Packets of a Subnet in a VLAN of the underlay have no header of a tunnel.
    let tunnelled = pods.subnets.iter().filter(|subnet| !subnet.in_vlan);
    let of_subnets = tunnelled.filter_map(|subnet| subnet.stated.as_ref());
    for stated in pods.values().into_iter().chain(of_subnets) {
        if let (Some(bytes), Some(underlay)) = (bytes(stated), &underlay) {
            geneve(lint, &stated.path, stated.mtu.span, bytes, underlay);
        }
    }
    if let (Some(old), Some(new)) = (&pods.config_map, &pods.package)
        && bytes(old) != bytes(new)
    {
        lint.add(
            Code::NK058,
            &old.path,
            old.mtu.span,
            format!(
                "{} has another MTU, and CozyStack 1.x reads no ConfigMap",
                new.path
            ),
            "remove the ConfigMap once CozyStack 1.x is installed",
        );
    }
    for subnet in &pods.subnets {
        if let (Some(own), Some(values)) = (&subnet.stated, values)
            && bytes(own).is_some_and(|own| own != values)
        {
            lint.add(
                Code::NK058,
                &own.path,
                own.mtu.span,
                format!("the values say {values}: the Subnet's MTU counts for its pods"),
                "leave the MTU out of the Subnet, unless its pods need another one",
            );
        }
    }
    if let Some((argument, node)) = cozystack::argument(lint.configuration) {
        let path = format!("DaemonSet {} --mtu={argument}", cozystack::DAEMONSET);
        if let Some(bytes) = values.filter(|bytes| *bytes != argument) {
            lint.add(
                Code::NK058,
                &path,
                node.span,
                format!("the values say {bytes}: whichever is applied last counts for new pods"),
                "take the argument away, apply the values, and restart the DaemonSet's rollout",
            );
        }
        if let (Some(underlay), true) = (&underlay, values != Some(argument)) {
            geneve(lint, &path, node.span, argument, underlay);
        }
    }
    let Some(underlay) = underlay else { return };
    for flannel in lint.configuration.of_kind("KubeFlannelCNIConfig") {
        let mtu = flannel.get("backendMTU");
        if let Some((mtu, bytes)) = mtu.and_then(|mtu| Some((mtu, mtu.integer()?)))
            && bytes > underlay.mtu
        {
            let message = format!(
                "packets of {bytes} do not fit {}, which has {}",
                underlay.name, underlay.mtu
            );
            lint.add(
                Code::NK055,
                "KubeFlannelCNIConfig.backendMTU",
                mtu.span,
                message,
                "leave it out: Talos gives flannel what KubeSpan has",
            );
        }
    }
}

fn geneve(lint: &mut Lint<'_>, path: &str, span: Span, bytes: i64, underlay: &Underlay) {
    let (most, convention) = (underlay.mtu - GENEVE, underlay.mtu - KUBE_OVN);
    let over = format!("{} with {}", underlay.name, underlay.mtu);
    if bytes > most {
        let message = format!("packets of pods with {bytes} and {GENEVE} bytes of headers do not fit {over}");
        lint.add(
            Code::NK055,
            path,
            span,
            message,
            &format!("{most} is the most; kube-ovn itself would take {convention}"),
        );
    } else if bytes > convention {
        let message = format!("pods have {bytes}, and over {over} kube-ovn itself would take {convention}");
        lint.add(
            Code::NK056,
            path,
            span,
            message,
            "with less, options of GENEVE and IPv6 below have room",
        );
    } else if underlay.name == KUBESPAN && bytes > COZYSTACK {
        let message = format!("pods have {bytes}, and under KubeSpan CozyStack documents {COZYSTACK}");
        lint.add(
            Code::NK059,
            path,
            span,
            message,
            "it fits; KubeSpan on paths with a smaller MTU leaves less",
        );
    }
}

/// KubeSpan if it is enabled; else the interface that a node annotation names.
fn underlay(lint: &Lint<'_>) -> Option<Underlay> {
    let kubespan = lint.configuration.kubespan_mtu().map(|mtu| Underlay {
        name: KUBESPAN.to_owned(),
        mtu,
    });
    kubespan.or_else(|| tunnel_interface(lint))
}

/// The interface that a node annotation names for kube-ovn's tunnels.
pub(crate) fn tunnel_interface(lint: &Lint<'_>) -> Option<Underlay> {
    let configuration = lint.configuration;
    let annotations = configuration.node_annotations();
    let interface = annotations.iter().rev().find(|(key, _)| *key == TUNNEL_INTERFACE);
    let name = interface
        .map(|(_, name)| name.as_str())
        .filter(|name| !name.is_empty())?;
    if name == KUBESPAN
        && let Some(mtu) = configuration.kubespan_mtu()
    {
        return Some(Underlay {
            name: name.to_owned(),
            mtu,
        });
    }
    let links = configuration.links();
    let mut links = links
        .iter()
        .filter(|link| link.name == name)
        .map(|link| link.settings);
    let interfaces = configuration.legacy_at(&["machine", "network", "interfaces"]);
    let mut interfaces = interfaces.map(Node::items).unwrap_or_default().iter();
    let interface =
        interfaces.find(|interface| interface.get("interface").and_then(Node::text) == Some(name));
    let mtu = links.find_map(set).or_else(|| interface.and_then(set));
    Some(Underlay {
        name: name.to_owned(),
        mtu: mtu.unwrap_or(ETHERNET),
    })
}

impl Configuration {
    /// The MTU of KubeSpan's interface, if KubeSpan is enabled.
    pub(crate) fn kubespan_mtu(&self) -> Option<i64> {
        let documents = self.of_kind(KUBESPAN_KIND);
        let older = || self.legacy_at(&["machine", "network", KUBESPAN]);
        let kubespan = documents.last().or_else(older)?;
        let on = self.kubespan_on(kubespan);
        on.then(|| set(kubespan).unwrap_or(KUBESPAN_MTU))
    }
}

/// The MTU that is set; zero means unset.
pub(crate) fn set(holder: &Node) -> Option<i64> {
    holder.get("mtu").and_then(Node::integer).filter(|mtu| *mtu > 0)
}
