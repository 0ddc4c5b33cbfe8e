//! The remedy of a cause.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnosis::cause::{Evidence, Kind, Subject};
use crate::diagnosis::configured::Fault;
use crate::diagnosis::counted::forwards_for_others;
use crate::diagnosis::fix::Fix;
use crate::diagnosis::forwarding;
use crate::diagnosis::fragment::{NAMED, key, of_links, quoted, raised};
use crate::lint::tunnels::fits_vxlan;
use crate::path::gateway::Silence;
use netkeel_core::mtu::IPV4_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::SysctlKey;
use netkeel_core::text::shell::Quoted;
use netkeel_host::counters::counter::{Counter, IpVersion};
use netkeel_host::counters::deltas::Deltas;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_mtu::detect::detect;
use netkeel_mtu::pods::of_cni;
use netkeel_mtu::underlay::preferred;

pub(crate) fn fixes(
    kind: Kind,
    fault: &Fault,
    evidence: &[Evidence],
    host: &Snapshot,
    window: Option<&Deltas>,
) -> Vec<Fix> {
    let document = |text: &str| vec![Fix::Document(text.to_owned())];
    let command = |text: &str| vec![Fix::Command(text.to_owned())];
    let elsewhere = |text: &str| vec![Fix::Elsewhere(text.to_owned())];
    let subjects = &fault.subjects;
    match kind {
        Kind::RpFilter => rp_filter(subjects, host),
        Kind::GatewaySilent => gateway(fault, host),
        // Nobody turns a host into a router that has nobody to forward for.
        Kind::ForwardingOff if !forwards_for_others(host) => {
            elsewhere("find who sends to an address that this host does not have, or add the address")
        }
        Kind::ForwardingOff => forward(fault, host),
        Kind::DeviceDown => links(subjects)
            .take(NAMED)
            .map(|link| Fix::Document(format!("link: {{ {}: {{ up: true }} }}", key(link))))
            .collect(),
        Kind::NoRoute => elsewhere("add the missing route, or correct the CNI that owns it"),
        Kind::VethEnds => veth_ends(subjects, host),
        Kind::BridgePort => bridge_port(subjects, host),
        Kind::TooLarge => too_large(fault, host),
        Kind::DiscoveryOff => discovery(host),
        Kind::ConntrackFull => {
            let most = evidence.iter().find_map(|one| match one {
                Evidence::Connections { most, .. } => Some(most.saturating_mul(2)),
                _ => None,
            });
            match most {
                Some(most) => document(&format!("sysctl: {{ net.netfilter.nf_conntrack_max: {most} }}")),
                None => vec![raised(host, "net.netfilter.nf_conntrack_max", 1 << 20)],
            }
        }
        Kind::ConntrackRace => elsewhere(
            "send A and AAAA queries apart (`options single-request-reopen`), or run NodeLocal DNSCache",
        ),
        Kind::NeighboursFull => full_tables(evidence)
            .flat_map(|family| [(family, "gc_thresh3", 8192), (family, "gc_thresh2", 4096)])
            .map(|(family, leaf, least)| raised(host, &format!("net.{family}.neigh.default.{leaf}"), least))
            .collect(),
        Kind::Firewall => elsewhere(
            "accept the packets of pods and peers there; netkeel writes no rules that accept or drop",
        ),
        Kind::Checksums => match offloading(host) {
            Some(link) => vec![Fix::Command(format!(
                "ethtool -K {} tx-checksum-ip-generic off",
                named(Some(link))
            ))],
            None => command("ethtool -k INTERFACE | grep checksum"),
        },
        Kind::QdiscFull => links(subjects)
            .take(NAMED)
            .map(|link| queue(link, host, window))
            .collect(),
        Kind::BacklogFull => vec![raised(host, "net.core.netdev_max_backlog", 5000)],
        Kind::ReceiveBuffer => vec![
            raised(host, "net.core.rmem_max", 26_214_400),
            Fix::Elsewhere(
                "the program must ask for it (SO_RCVBUF): rmem_max only limits what it gets".to_owned(),
            ),
        ],
        Kind::RemoteBlackHole => vec![Fix::Elsewhere(
            "let the router's packet-too-big through, or lower the MTU of the route".to_owned(),
        )]
        .into_iter()
        .chain(
            probing_is_off(host).then(|| Fix::Document("sysctl: { net.ipv4.tcp_mtu_probing: 1 }".to_owned())),
        )
        .collect(),
        Kind::PathMtuTiny => vec![
            Fix::Command("ip route flush cache; ip -6 route flush cache".to_owned()),
            Fix::Elsewhere(
                "find who sends the packet-too-big: a tunnel with a wrong MTU, or a forger".to_owned(),
            ),
        ],
        Kind::OtherHost => elsewhere(
            "clear the entry with the old MAC address on the sender (`ip neigh flush`), or find why the switch floods",
        ),
        Kind::NeighbourSilent => elsewhere("correct the address, or the link to it"),
    }
}

/// Only pfifo_fast heeds a change of `txqueuelen` (`dev_qdisc_change_tx_queue_len`, net/sched/sch_generic.c).
fn queue(link: LinkName, host: &Snapshot, window: Option<&Deltas>) -> Fix {
    let kind = window.and_then(|deltas| deltas.after.qdiscs.get(&link));
    match (kind.map(AsRef::as_ref), host.link(link)) {
        (Some("pfifo_fast"), Some(now)) => {
            let length = now.txqueuelen.saturating_mul(2).max(10_000);
            Fix::Document(format!("link: {{ {}: {{ txqueuelen: {length} }} }}", key(link)))
        }
        (kind, _) => Fix::Elsewhere(format!(
            "send less by {link}, or raise the limit of its qdisc {} (`tc qdisc change`)",
            kind.unwrap_or("of unknown kind")
        )),
    }
}

/// A tunnel takes any sender: filtering it is of no use. Another interface may be loose, with an address.
fn rp_filter(subjects: &BTreeSet<Subject>, host: &Snapshot) -> Vec<Fix> {
    let names = |loose: bool| {
        let is_such = |name: &LinkName| {
            let link = host.link(*name);
            link.is_some_and(|link| (link.has_ipv4() && !link.external) == loose)
        };
        links(subjects).filter(is_such).collect::<Vec<LinkName>>()
    };
    let (loose, off) = (names(true), names(false));
    let mut fixes = Vec::new();
    let all = host.sysctl_number("net/ipv4/conf/all/rp_filter").unwrap_or(0);
    if !off.is_empty() && all > 0 {
        fixes.push(Fix::Document(
            "sysctl: { net.ipv4.conf.all.rp_filter: 0 }".to_owned(),
        ));
    }
    fixes.extend(of_links(host, &off, "rp_filter: \"off\""));
    fixes.extend(of_links(host, &loose, "rp_filter: loose"));
    if fixes.is_empty() {
        fixes.push(Fix::Command("netkeel path".to_owned()));
    }
    // Interfaces that filtered by `all` only keep their filter.
    let kept = host.default_routes.iter().flatten().map(|route| route.link);
    let kept = kept.filter(|name| {
        let own = host.link(*name).and_then(|link| link.rp_filter);
        let is_subject = subjects.contains(&Subject::Link(*name));
        !off.is_empty() && !is_subject && own.is_some_and(|own| i64::from(own) < all)
    });
    let mode = if all == 1 { "strict" } else { "loose" };
    for name in kept.collect::<BTreeSet<LinkName>>() {
        fixes.push(Fix::Document(format!(
            "link: {{ {}: {{ rp_filter: {mode} }} }}",
            key(name)
        )));
    }
    fixes
}

/// Discovery fails by one of its settings, or because there is no route for the packet-too-big.
fn discovery(host: &Snapshot) -> Vec<Fix> {
    let settings = [("ip_no_pmtu_disc", 0), ("route.min_pmtu", 552)];
    let wrong = settings.into_iter().filter_map(|(leaf, usual)| {
        let now = host.sysctl_number(&format!("net/ipv4/{}", leaf.replace('.', "/")))?;
        (now > usual).then(|| Fix::Document(format!("sysctl: {{ net.ipv4.{leaf}: {usual} }}")))
    });
    let wrong: Vec<Fix> = wrong.collect();
    match wrong.is_empty() {
        true => vec![Fix::Elsewhere("add the host's route to the pod".to_owned())],
        false => wrong,
    }
}

/// Forwarding is switched on by the setting that is off.
fn forward(fault: &Fault, host: &Snapshot) -> Vec<Fix> {
    let keys = forwarding::keys(fault, host);
    if keys.is_empty() {
        let text = "switch forwarding on for the interface where the packets arrive".to_owned();
        return vec![Fix::Elsewhere(text)];
    }
    let document = |key: &SysctlKey| {
        let name = key.to_string();
        let is_plain = name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "._-".contains(char));
        let name = if is_plain { name } else { quoted(&name) };
        Fix::Document(format!("sysctl: {{ {name}: 1 }}"))
    };
    keys.iter().take(NAMED).map(document).collect()
}

fn gateway(fault: &Fault, host: &Snapshot) -> Vec<Fix> {
    let link = links(&fault.subjects).next();
    if fault.silence == Some(Silence::ProxyArpWithoutForwarding) {
        return forward(fault, host);
    }
    vec![match (fault.silence, link) {
        (Some(Silence::NoProxyArp), Some(link)) => {
            let setting = quoted(&format!("net/ipv4/conf/{link}/proxy_arp"));
            Fix::Document(format!("sysctl: {{ {setting}: 1 }}"))
        }
        (Some(Silence::ArpIgnore), _) => {
            Fix::Document("sysctl: { net.ipv4.conf.all.arp_ignore: 0 }".to_owned())
        }
        (Some(Silence::ProxyArpWithoutRoute), _) => {
            Fix::Elsewhere("add a route to the gateway's address by another interface".to_owned())
        }
        (Some(Silence::Failed | Silence::NoProxyArp | Silence::ProxyArpWithoutForwarding) | None, _) => {
            Fix::Elsewhere("correct the gateway's address, or the link to it".to_owned())
        }
    }]
}

/// Each veth gets the smaller MTU of its own two ends. A pod's end follows the host's, which alone is named.
fn veth_ends(subjects: &BTreeSet<Subject>, host: &Snapshot) -> Vec<Fix> {
    let is_even = |name: LinkName| host.link(name).is_some_and(|link| !differs(host, link));
    if links(subjects).next().is_some() && links(subjects).all(is_even) {
        let text = "give the route by the veth no MTU of its own, or at most that of the veth".to_owned();
        return vec![Fix::Elsewhere(text)];
    }
    let mut by_mtu: BTreeMap<u32, BTreeSet<LinkName>> = BTreeMap::new();
    for name in links(subjects) {
        let Some(link) = host.link(name) else { continue };
        let (other, mtu) = match (&link.pod, link.lower.and_then(|index| host.by_index(index))) {
            (Some(pod), _) => (None, pod.mtu),
            (None, Some((other, peer))) if link.peer_netns.is_none() => (Some(other), peer.mtu),
            _ => (None, link.mtu),
        };
        let ends = by_mtu.entry(link.mtu.min(mtu)).or_default();
        ends.insert(name);
        ends.extend(other);
    }
    let fixes = by_mtu.iter().flat_map(|(mtu, names)| {
        let names: Vec<LinkName> = names.iter().copied().collect();
        of_links(host, &names, &format!("mtu: {mtu}"))
    });
    fixes.collect()
}

/// The other end of a veth has another MTU, as far as it was read.
fn differs(host: &Snapshot, link: &Link) -> bool {
    match (&link.pod, link.lower.and_then(|index| host.by_index(index))) {
        (Some(pod), _) => pod.mtu != link.mtu,
        (None, Some((_, peer))) if link.peer_netns.is_none() => peer.mtu != link.mtu,
        _ => true,
    }
}

fn bridge_port(subjects: &BTreeSet<Subject>, host: &Snapshot) -> Vec<Fix> {
    let mut fixes = Vec::new();
    let bridges = links(subjects).filter_map(|name| {
        let link = host.link(name)?;
        match link.kind_name() {
            "bridge" => Some(link.index),
            _ => link.master,
        }
    });
    for bridge in bridges.collect::<BTreeSet<u32>>() {
        let ports: Vec<(LinkName, &Link)> = host
            .links
            .iter()
            .filter(|(_, link)| link.master == Some(bridge))
            .map(|(name, link)| (*name, link.as_ref()))
            .collect();
        let most = ports.iter().map(|(_, port)| port.mtu).max().unwrap_or(0);
        let least = ports.iter().map(|(_, port)| port.mtu).min().unwrap_or(0);
        let small: Vec<&(LinkName, &Link)> = ports.iter().filter(|(_, port)| port.mtu < most).collect();
        // A device below a port may not take more: a tunnel or a VLAN keeps its MTU.
        let can_grow = small
            .iter()
            .all(|(name, port)| port.kind_name() == "veth" && port.refuses_mtu(*name, most.into()).is_none());
        let (changed, mtu): (Vec<LinkName>, u32) = match can_grow {
            true => (small.iter().map(|(name, _)| *name).collect(), most),
            false => {
                let large = ports.iter().filter(|(_, port)| port.mtu > least);
                (large.map(|(name, _)| *name).collect(), least)
            }
        };
        fixes.extend(of_links(host, &changed, &format!("mtu: {mtu}")));
    }
    fixes
}

/// The MTU of pods by the convention of the CNI, or, without a known CNI, that of the default route.
fn derived(host: &Snapshot) -> Option<u32> {
    let mtu = match detect(host) {
        Some(detected) => {
            let (underlay, from) = detected.underlay(host).ok()?;
            detected.answer(underlay, &from).ok()?.mtu
        }
        None => preferred(host, None).ok()?.0,
    };
    u32::try_from(mtu).ok()
}

/// The CNI's convention decides; without a known CNI, the path.
fn too_large(fault: &Fault, host: &Snapshot) -> Vec<Fix> {
    let vxlans = links(&fault.subjects).filter_map(|name| {
        let fits = fits_vxlan(host, name).filter(|fits| *fits >= IPV4_MIN_MTU)?;
        let is_too_large = host.link(name)?.mtu > fits;
        is_too_large.then(|| Fix::Document(format!("link: {{ {}: {{ mtu: {fits} }} }}", key(name))))
    });
    let mut fixes: Vec<Fix> = vxlans.take(NAMED).collect();
    let Some(mtu) = derived(host).or(fault.whole) else {
        fixes.push(Fix::Command("netkeel mtu --detect".to_owned()));
        return fixes;
    };
    // The MTU of a CNI is not that of other programs' containers.
    let own: Option<BTreeSet<u32>> = detect(host).map(|detected| {
        let pods = of_cni(host, detected.cni).into_iter();
        pods.map(|link| link.index).collect()
    });
    let is_own = |link: &Link| own.as_ref().is_none_or(|own| own.contains(&link.index));
    let too_large = |link: &Link| link.mtu > mtu || link.pod.as_ref().is_some_and(|pod| pod.mtu > mtu);
    let pods: Vec<LinkName> = host
        .links
        .iter()
        .filter(|(_, link)| link.leads_into_a_pod() && is_own(link) && too_large(link))
        .map(|(name, _)| *name)
        .collect();
    fixes.extend(of_links(host, &pods, &format!("mtu: {mtu}")));
    let plugin = host
        .cni
        .iter()
        .flat_map(|cni| cni.files.values().flatten())
        .find_map(|file| {
            use netkeel_host::cni::configuration::Contents;
            match &file.reading {
                Contents::Plugins(plugins) => plugins.first(),
                Contents::Unread(_) | Contents::Invalid(_) | Contents::Template(_) => None,
            }
        });
    match plugin {
        Some(plugin) if matches!(plugin.kind.as_ref(), "calico" | "bridge" | "ptp" | "flannel") => {
            let kind = &plugin.kind;
            fixes.push(Fix::Document(format!(
                "cni: {{ {kind}: {{ plugin: {kind}, mtu: {mtu} }} }}"
            )));
        }
        Some(plugin) => fixes.push(Fix::Elsewhere(format!(
            "give new pods {mtu} in the settings of {}",
            plugin.kind
        ))),
        None if host.links.keys().any(|link| link.as_bytes() == b"docker0") => {
            fixes.push(Fix::Elsewhere(format!(
                "give new containers {mtu} (`mtu` in /etc/docker/daemon.json, or of the network)"
            )));
        }
        None => {}
    }
    fixes.push(Fix::Command("netkeel mtu --detect".to_owned()));
    fixes
}

/// The families whose neighbour table overflowed, as sysctls name them.
fn full_tables(evidence: &[Evidence]) -> impl Iterator<Item = &'static str> {
    let overflowed = |version: IpVersion| {
        evidence.iter().any(|one| match one {
            Evidence::Grew(growth) => matches!(&growth.counter, Counter::Neighbours(of, _) if *of == version),
            _ => false,
        })
    };
    let four = overflowed(IpVersion::Ipv4).then_some("ipv4");
    four.into_iter()
        .chain(overflowed(IpVersion::Ipv6).then_some("ipv6"))
}

/// A vxlan, whose driver computes checksums late: some NICs and kernels compute them wrong.
fn offloading(host: &Snapshot) -> Option<LinkName> {
    let mut vxlans = host.links.iter().filter(|(_, link)| link.kind_name() == "vxlan");
    vxlans.next().map(|(name, _)| *name)
}

/// The interfaces among the places.
pub(crate) fn links(subjects: &BTreeSet<Subject>) -> impl Iterator<Item = LinkName> {
    subjects.iter().filter_map(Subject::link)
}

/// The name of an interface in a command.
pub(crate) fn named(link: Option<LinkName>) -> String {
    link.map_or("INTERFACE".to_owned(), |link| {
        Quoted(link.to_string()).to_string()
    })
}

/// Whether TCP never looks for a smaller size by itself.
fn probing_is_off(host: &Snapshot) -> bool {
    host.sysctl_number("net/ipv4/tcp_mtu_probing") == Some(0)
}
