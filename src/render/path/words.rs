//! The sentences about a path, for every form in which it is drawn.

use netkeel_core::name::link::LinkName;
use netkeel_core::rp_filter::RpFilter;
use netkeel_core::text::escape::printable;
use netkeel_diagnose::path::capacity::{BlackHole, Capacity};
use netkeel_diagnose::path::drawing::Path;
use netkeel_diagnose::path::gateway::{Answered, Gateway, Silence};
use netkeel_diagnose::path::hop::{Above, Cause, Hop, Overhead, Place, Role, RouteStep, RpFilterEffect};
use netkeel_diagnose::path::origin::{Destination, Origin};
use netkeel_diagnose::path::unknown::Unknown;
use netkeel_host::snapshot::forwarding::Family;

/// How bad a detail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// It limits, or is not as it should be.
    Warning,
    /// Packets are lost here.
    Loss,
}

/// A line about a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detail {
    pub tone: Tone,
    pub text: String,
}

/// A direction with its largest packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Out,
    Back,
}

/// Ports that are listed by name.
const NAMED_PORTS: usize = 3;

/// A name as it is shown.
pub(crate) fn shown(name: LinkName) -> String {
    printable(&name.as_text()).into_owned()
}

/// The origin and the destination, for a title.
pub(crate) fn ends(path: &Path, planned: bool) -> (String, String) {
    let from = match &path.origin {
        Origin::Host => "this host".to_owned(),
        Origin::Pod {
            link,
            name,
            sandbox,
            alike,
            ..
        } => {
            let link = shown(*link);
            let name = name.as_deref().or_else(|| sandbox.as_deref().map(file_name));
            let pod = match name {
                Some(name) => format!("pod {} ({link})", printable(name)),
                None => format!("the pod at {link}"),
            };
            match alike.len() {
                0 => pod,
                more => format!("{pod} and {more} like it"),
            }
        }
    };
    let to = match path.destination {
        Destination::Address(address) => address.to_string(),
        Destination::Through(link) => format!("other hosts by {}", shown(link)),
        Destination::Default => "the default route".to_owned(),
        Destination::Senders(link) => format!("the senders of {}", shown(link)),
    };
    match planned {
        true => (format!("planned: {from}"), to),
        false => (from, to),
    }
}

fn file_name(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("/run/netns" | "/var/run/netns", name)) => name,
        _ => path,
    }
}

/// The name of the family.
pub(crate) fn family(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// The name of a hop with its place.
pub(crate) fn device(hop: &Hop) -> String {
    let name = shown(hop.device);
    match hop.place {
        Place::Host => name,
        Place::Origin => format!("{name} (pod)"),
        Place::Beyond => format!("{name} (other end)"),
    }
}

/// The lines about a hop.
pub(crate) fn details(path: &Path, at: usize, hop: &Hop) -> Vec<Detail> {
    let mut found = Vec::new();
    let mut add = |tone, text: String| found.push(Detail { tone, text });
    if let Some(what) = role(hop) {
        add(Tone::Plain, what);
    }
    if let Some(route) = &hop.route {
        add(Tone::Plain, step(route));
        if let (true, Some(mtu), Some(device)) = (route.above_device, route.mtu, hop.mtu) {
            let text = format!(
                "the route's mtu {mtu} is above the {device} of {}",
                shown(hop.device)
            );
            add(Tone::Warning, text);
        }
    }
    if let Some(gateway) = &hop.gateway {
        let nobody = matches!(gateway.answered, Answered::Nobody(_));
        add(if nobody { Tone::Loss } else { Tone::Plain }, answers(gateway));
    }
    if let Some(overhead) = &hop.overhead {
        add(Tone::Plain, adds(overhead, hop.mtu));
    }
    ports(hop, &mut add);
    let is_lost =
        hop.forwarding == Some(false) || hop.rp_filter.is_some_and(|effect| effect.passes == Some(false));
    let forwards = match hop.forwarding {
        Some(true) => Some("forwarding on".to_owned()),
        Some(false) => Some("forwarding off: nothing is forwarded".to_owned()),
        None => None,
    };
    let checks: Vec<String> = hop
        .rp_filter
        .as_ref()
        .map(rp_filter)
        .into_iter()
        .chain(forwards)
        .collect();
    if !checks.is_empty() {
        add(if is_lost { Tone::Loss } else { Tone::Plain }, checks.join("; "));
    }
    if hop.up == Some(false) {
        add(Tone::Loss, "down".to_owned());
    }
    for (direction, capacity) in directions(path) {
        mark(at, direction, capacity, &mut add);
    }
    found
}

/// The mark at the hop that limits or drops.
fn mark(at: usize, direction: Direction, capacity: &Capacity, add: &mut impl FnMut(Tone, String)) {
    let way = way(direction);
    if let Some(hole) = capacity.black_hole.filter(|hole| hole.at == at) {
        let above = hole.from.saturating_sub(1);
        let what = match (above, hole.certain) {
            (0, _) => "drops everything".to_owned(),
            (_, true) => format!("drops above {above}"),
            (_, false) => format!("may drop above {above}"),
        };
        return add(Tone::Loss, format!("<- {way}: {what}"));
    }
    if let (Some(largest), true) = (capacity.largest, capacity.limited_by == Some(at)) {
        let limits = matches!(capacity.above, Some(Above::PacketTooBig | Above::Fragmented));
        if limits {
            add(Tone::Warning, format!("<- {way}: limits to {largest}"));
        }
    }
}

fn role(hop: &Hop) -> Option<String> {
    let text = match hop.role {
        Role::Sender | Role::HostEnd | Role::Egress => return None,
        Role::Port => "bridge port",
        Role::Bridge => "bridge, which routes",
        Role::Switch => "bridge",
        Role::Underlay => "carries the tunnel",
        Role::Lower => "the device below",
        Role::OtherEnd if hop.place == Place::Beyond => return None,
        Role::OtherEnd => "other end of the veth",
    };
    Some(text.to_owned())
}

fn step(route: &RouteStep) -> String {
    let mut text = match route.destination.prefix_len() {
        0 => "default".to_owned(),
        _ => route.destination.to_string(),
    };
    if let Some(via) = route.via {
        text.push_str(&format!(" via {via}"));
    }
    if let Some(mtu) = route.mtu {
        text.push_str(&format!(" mtu {mtu}"));
    }
    if route.next_hops > 1 {
        text.push_str(&format!(", one of {} next hops", route.next_hops));
    }
    text
}

fn answers(gateway: &Gateway) -> String {
    let address = gateway.address;
    let asks = match address.is_ipv4() {
        true => "ARP",
        false => "neighbour discovery",
    };
    match gateway.answered {
        Answered::PermanentEntry => format!("{address} has a permanent neighbour entry"),
        Answered::Address(link) => format!("this host answers for {address}, an address of {}", shown(link)),
        Answered::ProxyArp(link) => format!("{} answers for {address} by proxy_arp", shown(link)),
        Answered::Neighbour => format!("{address} has answered"),
        Answered::Network => format!("{address} has no neighbour entry yet"),
        Answered::Unknown => format!("who answers {asks} for {address} is unknown"),
        Answered::Nobody(why) => {
            let why = match why {
                Silence::NoProxyArp => "the host has neither the address nor proxy_arp",
                Silence::ProxyArpWithoutForwarding => "proxy_arp needs forwarding",
                Silence::ProxyArpWithoutRoute => "proxy_arp needs a route to it by another interface",
                Silence::ArpIgnore => "arp_ignore suppresses the answer",
                Silence::Failed => "the last request got no answer",
            };
            format!("nobody answers {asks} for {address}: {why}")
        }
    }
}

fn adds(overhead: &Overhead, mtu: Option<u32>) -> String {
    let headers: Vec<String> = overhead
        .headers
        .iter()
        .map(|header| format!("{} {}", header.name, header.bytes))
        .collect();
    let least = if overhead.at_least || overhead.family.is_none() {
        "at least "
    } else {
        ""
    };
    let needs = mtu.map_or(String::new(), |mtu| {
        format!("; needs {} below", mtu.saturating_add(overhead.bytes))
    });
    format!("adds {least}{} ({}){needs}", overhead.bytes, headers.join(", "))
}

fn ports(hop: &Hop, add: &mut impl FnMut(Tone, String)) {
    let (Some(first), Some(mtu)) = (hop.ports.first(), hop.mtu) else {
        return;
    };
    let named: Vec<String> = hop
        .ports
        .iter()
        .take(NAMED_PORTS)
        .map(|port| format!("{} {}", shown(port.link), port.mtu))
        .collect();
    let more = match hop.ports.len().saturating_sub(NAMED_PORTS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let smaller = hop.ports.iter().filter(|port| port.mtu < mtu).count();
    let largest = hop.ports.last().map_or(first.mtu, |port| port.mtu);
    let (tone, note) = match (smaller, first.mtu < largest) {
        (0, false) => (Tone::Plain, String::new()),
        (0, true) => (Tone::Warning, ": their MTUs differ".to_owned()),
        (1, _) => (
            Tone::Warning,
            format!(": {} is smaller than the bridge", shown(first.link)),
        ),
        (number, _) => (Tone::Warning, format!(": {number} are smaller than the bridge")),
    };
    add(tone, format!("ports {}{more}{note}", named.join(", ")));
}

fn rp_filter(effect: &RpFilterEffect) -> String {
    let mode = RpFilter::from_number(effect.value).map_or(effect.value.to_string(), |mode| mode.to_string());
    let mut text = format!("rp_filter {mode}");
    if effect.by_all {
        text.push_str(" (from all)");
    }
    if effect.no_address {
        text.push_str(", which acts as strict: no IPv4 address here");
    }
    match (effect.src_valid_mark, effect.value > 0) {
        (Some(true), true) => text.push_str(", counts marks (src_valid_mark)"),
        (None, true) => text.push_str(", src_valid_mark unknown"),
        _ => {}
    }
    match effect.accept_local {
        Some(true) => text.push_str(", accept_local"),
        None if effect.value > 0 => text.push_str(", accept_local unknown"),
        _ => {}
    }
    match effect.passes {
        Some(true) => {}
        Some(false) => text.push_str(": drops these packets, whose route back is another interface"),
        None => text.push_str(": whether these packets pass is unknown"),
    }
    text
}

/// The directions that have packets.
pub(crate) fn directions(path: &Path) -> Vec<(Direction, &Capacity)> {
    match path.destination {
        Destination::Senders(_) => vec![(Direction::Back, &path.back)],
        Destination::Address(_) | Destination::Through(_) | Destination::Default => {
            vec![(Direction::Out, &path.out), (Direction::Back, &path.back)]
        }
    }
}

/// The word for a direction.
pub(crate) fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Out => "out",
        Direction::Back => "back",
    }
}

/// The largest packet of a direction, as a sentence without a full stop.
pub(crate) fn passes(path: &Path, capacity: &Capacity) -> String {
    let Some(largest) = capacity.largest else {
        return match path.out.above {
            Some(Above::NotSent(_)) if path.hops.is_empty() => {
                "unknown: no route names the interface".to_owned()
            }
            _ => "unknown".to_owned(),
        };
    };
    let at = capacity.limited_by.and_then(|at| path.hops.get(at));
    let name = at.map(device).unwrap_or_default();
    if largest == 0 {
        let why = match capacity.above {
            Some(Above::Dropped(cause) | Above::MayBeDropped(cause) | Above::NotSent(cause)) => {
                because(cause)
            }
            _ => "every packet is too large",
        };
        return match at {
            Some(_) => format!("nothing passes {name}: {why}"),
            None => format!("nothing leaves this host: {why}"),
        };
    }
    let most = if capacity.certain { "" } else { "at most " };
    let mut text = format!("{most}{largest} bytes");
    match capacity.whole {
        Some(whole) if whole < largest => {
            text.push_str(&format!(", in fragments above {whole}"));
        }
        _ => {}
    }
    let larger = match capacity.above {
        Some(Above::Refused) => match at.is_some_and(|hop| hop.place == Place::Origin) {
            true => "; the pod's kernel refuses larger ones (EMSGSIZE)".to_owned(),
            false => format!("; this host refuses larger ones at {name} (EMSGSIZE)"),
        },
        Some(Above::PacketTooBig) => format!("; {name} answers larger ones with packet-too-big"),
        Some(Above::Dropped(_)) => format!("; {name} drops larger ones"),
        Some(Above::MayBeDropped(_)) => format!("; {name} may drop larger ones"),
        Some(Above::Assumed) => format!("; beyond {name}, the same MTU is assumed"),
        Some(Above::Fragmented | Above::NotSent(_)) | None => String::new(),
    };
    text.push_str(&larger);
    text
}

/// A black hole as a paragraph.
pub(crate) fn black_hole(path: &Path, direction: Direction, hole: &BlackHole) -> String {
    let at = path.hops.get(hole.at).map(device).unwrap_or_default();
    let way = match direction {
        Direction::Out => "on the way out",
        Direction::Back => "on the way back",
    };
    let why = because(hole.cause);
    if hole.from <= 1 {
        return format!("Black hole {way}: every packet is lost at {at}: {why}.");
    }
    let are = if hole.certain { "are" } else { "may be" };
    let sizes = match hole.to {
        Some(to) => format!("{} to {to}", hole.from),
        None => format!("{} and more", hole.from),
    };
    format!("Black hole {way}: packets of {sizes} bytes {are} dropped at {at} without an answer: {why}.")
}

/// Why packets are dropped.
pub(crate) fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::VethEnd => "a veth drops packets above the receiving end's MTU + 4",
        Cause::BridgePort => "a bridge drops packets that do not fit its port",
        Cause::LowerDevice => "the device below has a smaller MTU, and its driver decides",
        Cause::OuterDontFragment => "the tunnel sets don't-fragment and its packets do not fit",
        Cause::ForwardingOff => "forwarding is off",
        Cause::RpFilter => "reverse path filtering drops it",
        Cause::NoRoute => "there is no route",
        Cause::RouteRefuses => "the route drops or refuses everything",
        Cause::NobodyAnswers => "nobody answers for the gateway",
        Cause::Down => "the device is down",
        Cause::NoRouteForAnswer => "there is no route back for a packet-too-big",
        Cause::TooSmallForIpv6 => "IPv6 needs an MTU of 1280",
    }
}

/// The end that sends what the other one drops has a route with a larger MTU than its own.
fn is_sent_by_route(path: &Path, hole: &BlackHole) -> bool {
    let near = hole.at.saturating_sub(1)..=hole.at + 1;
    let mut hops = near.filter_map(|at| path.hops.get(at));
    hops.any(|hop| hop.route.as_ref().is_some_and(|route| route.above_device))
}

/// The remedy for a black hole.
pub(crate) fn remedy(path: &Path, hole: &BlackHole) -> &'static str {
    let gateway = path.hops.get(hole.at).and_then(|hop| hop.gateway);
    match hole.cause {
        Cause::VethEnd if is_sent_by_route(path, hole) => {
            "give the route no MTU of its own, or at most that of both ends of the veth"
        }
        Cause::VethEnd => "give both ends of the veth one MTU",
        Cause::BridgePort => "give all ports of the bridge one MTU",
        Cause::LowerDevice => "lower the MTU of the upper device to that of the device below",
        Cause::OuterDontFragment => {
            "lower the MTU of the tunnel, or of the pods, to what its underlay leaves"
        }
        Cause::ForwardingOff => {
            "switch forwarding on for that interface (net.ipv4.ip_forward, net.ipv6.conf.all.forwarding)"
        }
        Cause::RpFilter => "set rp_filter to off there and in net.ipv4.conf.all, or correct the route back",
        Cause::NoRoute => "add the route",
        Cause::RouteRefuses => "replace the route by one that leads there",
        Cause::NobodyAnswers => match gateway.map(|gateway| gateway.answered) {
            Some(Answered::Nobody(Silence::ProxyArpWithoutForwarding)) => {
                "switch forwarding on for that interface (net.ipv4.ip_forward)"
            }
            Some(Answered::Nobody(Silence::ProxyArpWithoutRoute)) => {
                "add a route to the gateway's address by another interface, such as a default route"
            }
            Some(Answered::Nobody(Silence::ArpIgnore)) => {
                "set arp_ignore to 0 there and in net.ipv4.conf.all"
            }
            Some(Answered::Nobody(Silence::Failed)) => "correct the gateway, or the link to it",
            _ => "give the host the gateway's address, or proxy_arp with a route to it",
        },
        Cause::Down => "set the device up",
        Cause::NoRouteForAnswer => "add the route to the pod",
        Cause::TooSmallForIpv6 => "use an MTU of 1280 or more",
    }
}

/// The segments that need no discovery.
pub(crate) fn mss(path: &Path) -> String {
    let most = if path.out.certain && path.back.certain {
        ""
    } else {
        "at most "
    };
    match (path.mss.ipv4, path.mss.ipv6) {
        (Some(four), Some(six)) => format!("{most}{four} (IPv4), {six} (IPv6)"),
        (Some(four), None) => format!("{most}{four} (IPv4); too small for IPv6"),
        _ => "unknown".to_owned(),
    }
}

/// A fact that could not be read.
pub(crate) fn unknown(fact: Unknown) -> String {
    match fact {
        Unknown::Routes => "the route of this host to the destination".to_owned(),
        Unknown::Rules => "the table that `ip rule` selects; the main table is drawn".to_owned(),
        Unknown::NextHop => "which of the next hops takes the packets; one of them is drawn".to_owned(),
        Unknown::TunnelRoutes(link) => format!("the routes to the other ends of {}", shown(link)),
        Unknown::OtherEnd(link) => format!("the other end of {}", shown(link)),
        Unknown::PodRoutes(link) => format!("the routes in the pod at {}", shown(link)),
        Unknown::OpenVswitch(link) => format!("what Open vSwitch does with packets of {}", shown(link)),
        Unknown::Cilium(link) => format!("what Cilium's eBPF programs do with packets of {}", shown(link)),
        Unknown::Port(link) => format!("the port of {} that leads to the destination", shown(link)),
        Unknown::Below(link) => format!("what is below {}", shown(link)),
        Unknown::Overhead(link) => format!("the exact overhead of {}", shown(link)),
        Unknown::Forwarding(link) => format!("forwarding of {}", shown(link)),
        Unknown::RpFilter(link) => format!("whether rp_filter of {} lets the packets pass", shown(link)),
        Unknown::Gateway(link) => format!("who answers for the gateway behind {}", shown(link)),
    }
}
