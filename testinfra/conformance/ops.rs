//! Chooses an op at random among those that netkeel can come to do on a host.

use super::host::{LEAVES, LEAVES6, key, netns};
use super::random::Random;
use netkeel_core::maybe_secret::MaybeSecret;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::route::Metric;
use netkeel_core::nflog::entry_name::Rate;
use netkeel_core::nflog::rules::{Part, Rules};
use netkeel_core::op::{Op, Target};
use netkeel_host::model::Model;
use netkeel_host::snapshot::reading::SysctlReading;

/// MTUs around every limit: those of IPv4 and IPv6, of Ethernet, of a vxlan, of the devices.
const MTUS: &[u32] = &[
    67, 68, 576, 1279, 1280, 1281, 1400, 1450, 1451, 1460, 1500, 1501, 9000, 65535, 65536,
];

pub fn choose(model: &Model, random: &mut Random) -> Op {
    let links: Vec<LinkName> = model.host.links.keys().copied().collect();
    let name = *random.of(&links);
    let target = target(model, name, random);
    // The kernel gives a loopback device that comes up its addresses (`inetdev_event`,
    // `init_loopback`), and netkeel refuses to set it up or down, or its MTU.
    let lo = name.as_bytes() == b"lo";
    match random.below(24) {
        0..=5 if !lo => Op::SetMtu {
            target,
            mtu: mtu(model, name, random),
        },
        6..=8 if !lo => Op::SetUp {
            target,
            up: random.once_in(2),
        },
        9 => Op::SetTxQueueLength {
            target,
            packets: *random.of(&[0, 1, 500, 1000, 10_000]),
        },
        10 => Op::SetAlias {
            target,
            alias: match random.below(3) {
                0 => "".into(),
                1 => "uplink; rm -rf".into(),
                _ => "ä".repeat(127 + random.below(2)).into(),
            },
        },
        11..=12 => Op::AddAddress {
            target,
            address: address(model, name, random),
        },
        13 => Op::RemoveAddress {
            target,
            address: address(model, name, random),
        },
        14 if random.once_in(8) && !lo => Op::DeleteLink { target, made: None },
        15 => rules(model, random),
        16 => file(model, random),
        17..=18 => route(model, random).unwrap_or_else(|| sysctl(model, target, random)),
        _ => sysctl(model, target, random),
    }
}

/// A metric of a route gets another value or is removed; none where there are no routes.
fn route(model: &Model, random: &mut Random) -> Option<Op> {
    let links = model.host.links.iter();
    let all: Vec<_> = links
        .flat_map(|(name, link)| link.routes.iter().map(|(key, route)| (*name, *key, route)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let (name, destination, route) = *random.of(&all);
    let metric = *random.of(&Metric::ALL);
    Some(Op::SetRouteMetric {
        target: target(model, name, random),
        pod: None,
        destination,
        rest: route.rest_without(metric).into(),
        next_hops: false,
        metric,
        locked: route.locked.contains(&metric),
        was: route.metrics.get(&metric).copied(),
        to: (!random.once_in(4)).then(|| *random.of(&[1280, 1300, 1400, 1500, 9000])),
    })
}

/// A file with another text than it has, or one that goes.
fn file(model: &Model, random: &mut Random) -> Op {
    let files: Vec<_> = model.host.files.iter().collect();
    let (path, there) = *random.of(&files);
    let path = path.as_path().into();
    let before = there.as_ref().map(|file| &*file.content);
    if before.is_some() && random.once_in(3) {
        return Op::RemoveFile { path };
    }
    let texts: Vec<String> = (0..9)
        .map(|number| format!("# number {number}\n"))
        .filter(|text| before != Some(text))
        .collect();
    Op::WriteFile {
        path,
        content: random.of(&texts).as_str().into(),
        mode: *random.of(&[0o644, 0o600]),
    }
}

/// Rules of one of two entries, which share a table, or none.
fn rules(model: &Model, random: &mut Random) -> Op {
    let name = random.of(&["one", "two"]).parse().unwrap();
    let netns = netns(model);
    if random.once_in(3) {
        return Op::RemoveRules { netns, name };
    }
    let interfaces: &[&str] = if random.once_in(2) {
        &["eth0"]
    } else {
        &["va0", "br0"]
    };
    let number = |random: &mut Random, least: u32, more: usize| least + random.below(more) as u32;
    let rate = random.once_in(2).then(|| Rate {
        per_second: number(random, 1, 100),
        burst: number(random, 1, 100),
    });
    let part = |random: &mut Random, nets: &[&str]| {
        random.once_in(2).then(|| Part {
            interfaces: interfaces.iter().map(|name| name.parse().unwrap()).collect(),
            ignore_sources: nets
                .iter()
                .filter(|_| random.once_in(2))
                .map(|net| net.parse().unwrap())
                .collect(),
            min_mtu: random.once_in(2).then(|| number(random, 1, 1400)),
            max_mtu: random.once_in(2).then(|| number(random, 1400, 60_000)),
        })
    };
    let ipv4 = part(
        random,
        &["10.0.0.0/8", "10.128.0.0/9", "192.0.2.1/32", "172.16.0.0/12"],
    );
    let ipv6 = part(
        random,
        &["2001:db8::/32", "fc00::/7", "2001:db8::1/128", "2001:db8::/49"],
    );
    if ipv4.is_none() && ipv6.is_none() {
        return Op::RemoveRules { netns, name };
    }
    let rules = std::sync::Arc::new(Rules {
        group: random.below(65_536) as u16,
        snaplen: number(random, 68, 65_000),
        queue_threshold: 1 + random.below(65_000) as u16,
        rate,
        ipv4,
        ipv6,
    });
    Op::SetRules { netns, name, rules }
}

/// The interface as a plan names it: by its index, seldom by name alone, and at times by an index that is no more, or that
/// another interface has.
fn target(model: &Model, name: LinkName, random: &mut Random) -> Target {
    let index = model.host.links[&name].index;
    Target {
        netns: netns(model),
        index: match random.below(40) {
            0 => 0,
            1 => 9999,
            2 => random
                .of(&model
                    .host
                    .links
                    .values()
                    .map(|link| link.index)
                    .collect::<Vec<_>>())
                .to_owned(),
            _ => index,
        },
        name,
    }
}

/// Often a limit, often what another interface has, so that those on each other meet; at times
/// what it is already, which is not the same as setting it.
fn mtu(model: &Model, name: LinkName, random: &mut Random) -> u32 {
    let link = &model.host.links[&name];
    // A bridge seldom gets another one: from then on it does not follow its ports.
    if random.once_in(6) || (link.kind_name() == "bridge" && !random.once_in(4)) {
        return link.mtu;
    }
    if random.once_in(2) {
        return *random.of(MTUS);
    }
    let others: Vec<u32> = model.host.links.values().map(|link| link.mtu).collect();
    let near = i64::from(*random.of(&others)) + *random.of(&[-51, -50, -1, 0, 1]);
    u32::try_from(near.max(0)).unwrap()
}

/// One that the interface has, or one that it could have: each subnet is that of one interface and
/// has at most two addresses.
fn address(model: &Model, name: LinkName, random: &mut Random) -> ipnet::IpNet {
    let link = &model.host.links[&name];
    let there: Vec<_> = link
        .addresses
        .iter()
        // Those that the kernel makes by itself are not compared, and the model is not asked
        // about them.
        .filter(|address| !matches!(address, ipnet::IpNet::V6(net) if net.addr().is_unicast_link_local()))
        .filter(|address| !address.addr().is_loopback() || address.prefix_len() == 32)
        .collect();
    if !there.is_empty() && random.once_in(2) {
        return **random.of(&there);
    }
    let number = link.index;
    let host = 1 + random.below(2);
    match random.below(5) {
        0 | 1 => format!("10.{number}.0.{host}/24"),
        2 => format!("10.{number}.0.1/16"),
        3 => format!("fd00:{number:x}::{host}/64"),
        _ => format!("fd00:{number:x}::1/128"),
    }
    .parse()
    .unwrap()
}

fn sysctl(model: &Model, target: Target, random: &mut Random) -> Op {
    let name = target.name.to_string();
    let own = random.once_in(2);
    let slot = if own {
        name.as_str()
    } else {
        *random.of(&["all", "default"])
    };
    let path = match random.below(12) {
        0 => "net/ipv4/ip_forward".to_owned(),
        1 => "net/core/rmem_max".into(),
        2 => "net/core/somaxconn".into(),
        3 => "net/ipv4/tcp_rmem".into(),
        4..=6 => format!("net/ipv6/conf/{slot}/{}", random.of(LEAVES6)),
        _ => format!("net/ipv4/conf/{slot}/{}", random.of(LEAVES)),
    };
    let key = key(&path);
    let value: MaybeSecret = match key.path() {
        "net/ipv4/tcp_rmem" => format!("4096 {} 6291456", 100_000 + random.below(100_000)).into(),
        "net/core/rmem_max" | "net/core/somaxconn" => (4096 + random.below(1000)).to_string().into(),
        // As it is: a write that changes nothing has effects too.
        _ if random.once_in(5) => match model.host.sysctls.get(&key) {
            Some(SysctlReading::Value { value, .. }) => value.clone(),
            _ => "0".into(),
        },
        path if path.ends_with("/rp_filter") => random.below(3).to_string().into(),
        _ => random.below(2).to_string().into(),
    };
    let link = key.link().map(|_| target.clone());
    Op::WriteSysctl {
        netns: target.netns,
        key,
        value,
        link,
    }
}
