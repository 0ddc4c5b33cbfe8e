//! Effects of a plan that its document does not name: values without effect, and side effects on other
//! facts.

use std::collections::BTreeMap;

use crate::lint::rp_filter::is_of_cilium;
use netkeel_core::fact::{Fact, Field, Object, Value};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::mtu::IPV6_MIN_MTU;
use netkeel_core::name::link::LinkName;
use netkeel_core::name::sysctl::{PerInterface, Slot};
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::Op;
use netkeel_core::rp_filter::{Decider, Effective, RpFilter, Verdict, effective};
use netkeel_document::section_name::SectionName;
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_plan::plan::Step;

/// Judges the effective rp_filter of each interface with a wanted one, and of each tunnel, after the plan.
pub(crate) fn judge(host: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
    let Some(all) = host.sysctl_number("net/ipv4/conf/all/rp_filter") else {
        return;
    };
    for (name, field) in judged(host, wants) {
        let Some(link) = host.links.get(&name) else {
            continue;
        };
        let Some(own) = link.rp_filter.map(i64::from) else {
            continue;
        };
        let effective = effective(all, own, link.has_ipv4() || !host.families.ipv4);
        match field {
            Field::RpFilter => {
                judge_wanted(name, all, own, effective, findings);
                let drops = effective.verdict == Verdict::DropNoAddress && !is_port(host, link);
                if drops && !is_of_cilium(host, name) {
                    loose_without_address(name, effective.decided_by == Decider::All, findings);
                }
            }
            Field::Kind if effective.verdict != Verdict::Accept => {
                let decider = match effective.decided_by {
                    Decider::All => "net.ipv4.conf.all.rp_filter".to_owned(),
                    Decider::Interface => format!("net.ipv4.conf.{name}.rp_filter"),
                };
                let message = format!(
                    "its effective rp_filter is {} (decided by {decider}), which drops the IPv4 packets that it decapsulates: their reverse path is another interface",
                    word(effective.value)
                );
                findings.add(Code::NK009, name, message, "declare rp_filter: off for the tunnel, 0 for net.ipv4.conf.all, and each other interface as it should be; or loose, with an address on the tunnel");
            }
            _ => {}
        }
    }
}

/// The interfaces to judge: those with a wanted rp_filter, and, if the document declares `all` or
/// `default`, every tunnel that accepts packets from any sender.
fn judged(host: &Snapshot, wants: &BTreeMap<Fact, Want>) -> impl Iterator<Item = (LinkName, Field)> {
    let is_judged = |field: &Field| matches!(field, Field::RpFilter | Field::Kind);
    let wanted = wants.keys().filter(move |fact| is_judged(&fact.field));
    let wanted = wanted.filter_map(|fact| Some((fact.link_name()?, fact.field)));
    let links = decides_for_all(wants).then_some(&host.links);
    let tunnels = links.into_iter().flatten().filter(move |(name, link)| {
        link.external
            && TunnelKind::from_word(link.kind_name()).is_some()
            && !wants.contains_key(&Fact::link(&host.netns, **name, Field::Kind))
    });
    wanted.chain(tunnels.map(|(name, _)| (*name, Field::Kind)))
}

/// Whether the document wants an rp_filter for `all` or `default`.
fn decides_for_all(wants: &BTreeMap<Fact, Want>) -> bool {
    // Sysctls sort before interfaces, of which there may be thousands.
    let mut before = wants
        .keys()
        .take_while(|fact| !matches!(fact.object, Object::Link(_)));
    before.any(|fact| match &fact.object {
        Object::Sysctl(key) => matches!(
            key.path(),
            "net/ipv4/conf/all/rp_filter" | "net/ipv4/conf/default/rp_filter"
        ),
        _ => false,
    })
}

/// Reports drops by reverse path filtering that the plan corrects, since they may be why somebody reads the
/// plan.
pub(crate) fn judge_now(
    host: &Snapshot,
    after: &Snapshot,
    wants: &BTreeMap<Fact, Want>,
    findings: &mut Findings,
) {
    let all_of = |host: &Snapshot| host.sysctl_number("net/ipv4/conf/all/rp_filter");
    let (Some(all), Some(all_after)) = (all_of(host), all_of(after)) else {
        return;
    };
    if decides_for_all(wants) {
        become_loose(host, after, (all, all_after), wants, findings);
    }
    for (name, _) in judged(after, wants) {
        let (Some(link), Some(link_after)) = (host.links.get(&name), after.links.get(&name)) else {
            continue;
        };
        let (Some(own), Some(own_after)) = (link.rp_filter, link_after.rp_filter) else {
            continue;
        };
        let now = effective(all, own.into(), link.has_ipv4() || !host.families.ipv4);
        let then = effective(
            all_after,
            own_after.into(),
            link_after.has_ipv4() || !after.families.ipv4,
        );
        // If the interface's own value changes, the diff already shows it.
        if own == own_after && now.decided_by == Decider::All && now != then {
            let message = format!(
                "net.ipv4.conf.all.rp_filter, {}, now overrides its own {}: packets whose reverse path is another interface are {}",
                word(all),
                word(own.into()),
                if now.verdict == Verdict::Accept {
                    "accepted"
                } else {
                    "dropped"
                }
            );
            findings.add(Code::NK012, name, message, "this plan corrects it");
        }
    }
}

/// Reports interfaces without an address that the document does not name and whose rp_filter the plan makes
/// loose. Interfaces that are down, and ports, receive no packets of their own.
fn become_loose(
    host: &Snapshot,
    after: &Snapshot,
    (all, all_after): (i64, i64),
    wants: &BTreeMap<Fact, Want>,
    findings: &mut Findings,
) {
    let verdict = |all: i64, link: &Link, host: &Snapshot| {
        let own = link.rp_filter?.into();
        Some(effective(all, own, link.has_ipv4() || !host.families.ipv4).verdict)
    };
    for (name, link) in after
        .links
        .iter()
        .filter(|(_, link)| link.up && link.master.is_none())
    {
        let wanted = wants.contains_key(&Fact::link(&after.netns, *name, Field::RpFilter));
        let before = host.links.get(name).and_then(|link| verdict(all, link, host));
        let then = verdict(all_after, link, after);
        // Those of Cilium have a finding of their own.
        if !wanted
            && !is_of_cilium(after, *name)
            && then == Some(Verdict::DropNoAddress)
            && before.is_some_and(|before| Some(before) != then)
        {
            let own = link.rp_filter.map_or(0, i64::from);
            loose_without_address(*name, all_after > own, findings);
        }
    }
}

/// IP never sees the rp_filter of a port. That of a VRF's port counts.
fn is_port(host: &Snapshot, link: &Link) -> bool {
    let master = link.master.and_then(|master| host.by_index(master));
    master.is_some_and(|(_, master)| master.takes_from_ports())
}

/// `by_all` says that the value of `all` makes it loose, so that its own value cannot change it.
fn loose_without_address(name: LinkName, by_all: bool, findings: &mut Findings) {
    findings.add(
        Code::NK002,
        name,
        "its effective rp_filter is 2 (loose) and it has no IPv4 address: loose mode drops every packet there whose reverse path is another interface",
        match by_all {
            true => "give it an address (127.0.0.42/32 will do), or set net.ipv4.conf.all.rp_filter to 0, and each interface as it should be",
            false => "give it an address (127.0.0.42/32 will do), or use off or strict",
        },
    );
}

/// Felix reads `default` once, when it starts, and then writes that value to each pod's interface
/// (felix/dataplane/linux/endpoint_mgr.go). Where the document wants a value of each such interface, netkeel corrects
/// what Felix writes.
pub(crate) fn felix(
    host: &Snapshot,
    after: &Snapshot,
    wants: &BTreeMap<Fact, Want>,
    findings: &mut Findings,
) {
    let default_of = |host: &Snapshot| host.sysctl_number("net/ipv4/conf/default/rp_filter");
    let (now, then) = (default_of(host), default_of(after));
    let is_left = |name: &LinkName| !wants.contains_key(&Fact::link(&host.netns, *name, Field::RpFilter));
    let mut pods = host
        .links
        .keys()
        .filter(|name| name.as_bytes().starts_with(b"cali"));
    if let (Some(now), Some(then)) = (now, then)
        && now != then
        && pods.any(is_left)
    {
        let message = format!(
            "it changes from {} to {}: Felix (Calico) read it when it started, and keeps writing {now} to the cali* interfaces of new pods",
            word(now),
            word(then)
        );
        let remedy = "restart calico-node after the apply, or match cali* in a `link` entry";
        findings.add(Code::NK019, "net.ipv4.conf.default.rp_filter", message, remedy);
    }
}

fn judge_wanted(name: LinkName, all: i64, own: i64, effective: Effective, findings: &mut Findings) {
    if effective.decided_by == Decider::All {
        let message = format!(
            "its rp_filter {} has no effect: net.ipv4.conf.all.rp_filter is {} and the larger of the two counts",
            word(own),
            word(all)
        );
        let or_less = if own > 0 { " or less" } else { "" };
        let remedy = format!(
            "set net.ipv4.conf.all.rp_filter to {}{or_less}, and each interface as it should be",
            own.max(0)
        );
        findings.add(Code::NK001, name, message, remedy);
    }
}

fn word(number: i64) -> String {
    match RpFilter::from_number(number) {
        Some(mode) => format!("{number} ({mode})"),
        None => number.to_string(),
    }
}

/// Reports side effects of a step that the document does not name.
pub(crate) fn side_effects(step: &Step, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
    let changes = &step.changes;
    // A release restores its side effects.
    let is_wanted = || wants.contains_key(&step.fact);
    match &step.op {
        Op::WriteSysctl { key, .. } if changes.len() > 1 && is_wanted() => {
            let parts = key.per_interface();
            let default = parts.is_some_and(|parts| parts.slot == Slot::Default);
            let family = match parts {
                Some(PerInterface { family: "ipv6", .. }) => "IPv6",
                _ => "IPv4",
            };
            for change in changes
                .iter()
                .skip(1)
                .filter(|change| !wants.contains_key(&change.fact))
            {
                let Some(name) = change.fact.link_name().filter(|_| default) else {
                    continue;
                };
                findings.add(
                    Code::NK003,
                    name,
                    format!("writing {key} changes it too, unless its own value was ever written: it has no {family} address"),
                    "name it in the document to keep its value",
                );
            }
        }
        Op::SetMtu { mtu, .. } | Op::SetPodMtu { mtu, .. }
            if *mtu < IPV6_MIN_MTU && !step.permitted && is_wanted() =>
        {
            let mut lost: BTreeMap<LinkName, Vec<String>> = BTreeMap::new();
            // Only `link` entries have the key `allow_ipv6_loss`.
            let may_permit = changes
                .first()
                .and_then(|change| wants.get(&change.fact))
                .and_then(|want| want.origin.section)
                .is_some_and(SectionName::may_allow_ipv6_loss);
            for change in changes {
                let Some(name) = change.fact.link_name() else {
                    continue;
                };
                match (change.fact.field, &change.to) {
                    (Field::Address(address) | Field::PodAddress(address), Some(Value::Switch(false))) => {
                        lost.entry(name).or_default().push(address.to_string());
                    }
                    (Field::DisableIpv6, None) => drop(lost.entry(name).or_default()),
                    _ => {}
                }
            }
            for (name, addresses) in lost {
                let mut message = format!("an MTU below {IPV6_MIN_MTU} removes IPv6 from it");
                if !addresses.is_empty() {
                    message = format!("{message}, and with it {}", addresses.join(", "));
                }
                let remedy = if may_permit {
                    "use 1280 or more, or declare allow_ipv6_loss: true"
                } else {
                    "use 1280 or more, or apply with --allow-lossy"
                };
                findings.add(Code::NK004, name, message, remedy);
            }
        }
        _ => {}
    }
}
