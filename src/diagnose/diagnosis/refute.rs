//! The test that would refute a cause.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::diagnosis::advice::{links, named};
use crate::diagnosis::cause::{Kind, Refutation, Subject};
use crate::diagnosis::configured::Fault;
use crate::diagnosis::forwarding;
use netkeel_core::name::link::LinkName;
use netkeel_core::text::shell::Quoted;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

pub(crate) fn refutation(kind: Kind, fault: &Fault, host: &Snapshot) -> Refutation {
    let link = links(&fault.subjects).next();
    let own = own_address(host).map_or("ADDRESS".to_owned(), |address| address.to_string());
    let (command, refuted_if) = match kind {
        Kind::RpFilter if takes_any_sender(&fault.subjects, host) => (
            format!("netkeel probe ipip --outer-dst {own} --inner-dst VIP --port PORT"),
            "run on another host, a SYN-ACK of the service comes back",
        ),
        Kind::RpFilter => (
            "nstat -n; sleep 10; nstat TcpExtIPReversePathFilter".to_owned(),
            "the counter stands still while packets are lost",
        ),
        Kind::GatewaySilent | Kind::VethEnds => match link {
            Some(link) if leads_into_a_pod(host, link) => (
                format!("netkeel probe pmtu {own} --from {}", named(Some(link))),
                "every size up to the MTU is answered",
            ),
            Some(link) => (
                format!("ip neigh show dev {}", named(Some(link))),
                "the gateway is REACHABLE, and large pings with -M do are answered",
            ),
            None => ("ip neigh show".to_owned(), "the gateway is REACHABLE"),
        },
        Kind::ForwardingOff => {
            let keys = forwarding::keys(fault, host);
            let keys: Vec<String> = keys
                .iter()
                .map(|key| Quoted(key.to_string()).to_string())
                .collect();
            let command = match keys.is_empty() {
                true => "sysctl -a -r forwarding".to_owned(),
                false => format!("sysctl {}", keys.join(" ")),
            };
            (command, "it is 1 where the packets arrive")
        }
        Kind::DeviceDown => (
            format!("ip link show {}", named(link)),
            "the device is UP and has a carrier",
        ),
        Kind::NoRoute => ("ip route show".to_owned(), "a route leads to the destination"),
        Kind::BridgePort | Kind::TooLarge => (
            match largest_pod(host).or(fault.whole.map(|whole| whole.saturating_add(1))) {
                Some(size) => format!("netkeel probe pmtu TARGET --expect {size}"),
                None => "netkeel probe pmtu TARGET".to_owned(),
            },
            "TARGET, a pod behind that device, answers that size",
        ),
        Kind::DiscoveryOff => (
            "netkeel probe pmtu TARGET".to_owned(),
            "TARGET answers every size, or a packet-too-big comes",
        ),
        Kind::ConntrackFull => (
            "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max".to_owned(),
            "the count stays well below the maximum while packets are lost",
        ),
        Kind::ConntrackRace => (
            "conntrack -S; sleep 10; conntrack -S".to_owned(),
            "insert_failed stands still while answers of DNS are missing",
        ),
        Kind::NeighboursFull => (
            "ip -s ntable show name arp_cache; ip -s ntable show name ndisc_cache".to_owned(),
            "`entries` of the table stays far below its thresh3",
        ),
        Kind::Firewall => (
            rules(&fault.subjects, "nft list ruleset"),
            "its counter stands still while packets are lost",
        ),
        Kind::Checksums => (
            "nstat -n; sleep 10; nstat '*InCsumErrors'".to_owned(),
            "the counters stand still while packets are lost",
        ),
        Kind::QdiscFull => (
            twice(&format!("tc -s qdisc show dev {}", named(link))),
            "`dropped` stands still while packets are lost",
        ),
        Kind::BacklogFull => (
            twice("cat /proc/net/softnet_stat"),
            "the second column stands still while packets are lost",
        ),
        Kind::ReceiveBuffer => (
            "ss -uamn".to_owned(),
            "no socket has a `d` (drops) that grows in skmem",
        ),
        Kind::RemoteBlackHole => (
            "netkeel probe pmtu TARGET".to_owned(),
            "TARGET answers every size, or a packet-too-big comes",
        ),
        Kind::PathMtuTiny => (
            "ip route show cache; ip -6 route show cache".to_owned(),
            "no entry has an mtu below 576 (IPv4) or 1280 (IPv6)",
        ),
        Kind::OtherHost => (
            format!("tcpdump -peni {} -c 20 inbound and ip", named(link)),
            "no frame for another MAC address has the address of this host or of its pods",
        ),
        Kind::NeighbourSilent => (
            "ip neigh show nud failed".to_owned(),
            "no address of a pod, peer or gateway is listed",
        ),
    };
    Refutation {
        command,
        refuted_if,
        elsewhere: kind == Kind::RpFilter && takes_any_sender(&fault.subjects, host),
    }
}

/// Whether a tunnel that takes any sender is among the places.
fn takes_any_sender(subjects: &BTreeSet<Subject>, host: &Snapshot) -> bool {
    links(subjects).any(|name| host.link(name).is_some_and(|link| link.external))
}

/// The largest packet that a pod sends, bytes.
fn largest_pod(host: &Snapshot) -> Option<u32> {
    let pods = host.links.values().filter_map(|link| link.pod.as_ref());
    pods.map(|pod| pod.largest_packet()).max()
}

/// The command that lists the chains of rules.
fn rules(subjects: &BTreeSet<Subject>, all: &str) -> String {
    let chains = subjects.iter().filter_map(|subject| match subject {
        Subject::Rule(key) => Some(format!(
            "nft -a list chain {} {} {}",
            Quoted(&key.family),
            Quoted(&key.table),
            Quoted(&key.chain)
        )),
        Subject::Link(_) | Subject::Cpu(_) | Subject::Address(_) => None,
    });
    let chains: BTreeSet<String> = chains.collect();
    let mut chains = chains.into_iter();
    chains.next().unwrap_or_else(|| all.to_owned())
}

/// An address of this host by which pods reach it: of a default route's interface, or of another one.
fn own_address(host: &Snapshot) -> Option<IpAddr> {
    let by_default = |name: &LinkName| {
        let routes = host.default_routes.iter().flatten();
        routes.map(|route| route.link).any(|link| link == *name)
    };
    let addresses = host
        .links
        .iter()
        .filter(|(_, link)| link.up && !link.leads_into_a_pod())
        .flat_map(|(name, link)| link.addresses.iter().map(move |address| (name, address.addr())))
        .filter(|(_, address)| match address {
            IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
            IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
        });
    let best = addresses.min_by_key(|(name, address)| (!by_default(name), address.is_ipv6()));
    best.map(|(_, address)| address)
}

/// A command before and after ten seconds: it prints totals.
fn twice(command: &str) -> String {
    format!("{command}; sleep 10; {command}")
}

fn leads_into_a_pod(host: &Snapshot, name: LinkName) -> bool {
    host.link(name).is_some_and(Link::leads_into_a_pod)
}
