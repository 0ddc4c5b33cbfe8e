//! Routers whose messages a document ignores by mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::link::LinkName;
use netkeel_core::text::list::some;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::next_hop::NextHop;

/// Adds each list of ignored sources that contains a router of a link from which messages come.
pub(crate) fn check(document: &Document, host: &Snapshot, findings: &mut Findings) {
    let Some(next_hops) = &host.next_hops else {
        return;
    };
    let settings = document.replicate.as_ref().map(|wanted| &wanted.settings);
    let peers: BTreeSet<IpAddr> = settings
        .into_iter()
        .flat_map(|one| one.peers.iter().copied())
        .collect();
    let mut replicated = BTreeSet::new();
    for (name, entry) in &document.nflog {
        let entry = entry.on(host);
        if settings.is_some_and(|settings| settings.group == entry.group) {
            replicated.extend(entry.interfaces.iter().copied());
        }
        let lists = Ignored {
            path: format!("nflog.{name}.ignore_sources"),
            nets: entry.ignore_sources.iter().copied().collect(),
            effect: "its messages are not logged",
        };
        lists.check(next_hops, &entry.interfaces, &peers, findings);
    }
    if let Some(settings) = settings {
        let lists = Ignored {
            path: "replicate.ignore_sources".to_owned(),
            nets: settings.ignore_sources.clone(),
            effect: "its messages are not replicated",
        };
        lists.check(next_hops, &replicated, &peers, findings);
    }
}

/// A list of ignored sources.
struct Ignored {
    path: String,
    nets: Vec<IpNet>,
    /// The effect on the messages of a router in it.
    effect: &'static str,
}

impl Ignored {
    /// A peer that is a next hop, as for the pods on it, is a node and no router whose messages are wanted.
    fn check(
        &self,
        next_hops: &BTreeSet<NextHop>,
        links: &BTreeSet<LinkName>,
        peers: &BTreeSet<IpAddr>,
        findings: &mut Findings,
    ) {
        let mut inside: BTreeMap<IpNet, BTreeMap<IpAddr, (LinkName, bool)>> = BTreeMap::new();
        for hop in next_hops.iter().filter(|hop| links.contains(&hop.link)) {
            let Some(router) = hop.router.filter(|router| !peers.contains(router)) else {
                continue;
            };
            for net in self.nets.iter().filter(|net| net.contains(&router)) {
                let known = inside
                    .entry(*net)
                    .or_default()
                    .entry(router)
                    .or_insert((hop.link, false));
                known.1 |= hop.default;
            }
        }
        for (net, routers) in inside {
            let is_default = routers.values().any(|(_, default)| *default);
            let what = |(router, (link, default)): (&IpAddr, &(LinkName, bool))| match default {
                true => format!("{router}, the gateway of a default route on {link}"),
                false => format!("{router}, a router on {link}"),
            };
            let mut named: Vec<(&IpAddr, &(LinkName, bool))> = routers.iter().collect();
            named.sort_by_key(|(router, (_, default))| (!default, **router));
            let shown = some(named.into_iter().map(what), 3, "; ");
            let effect = match (routers.len(), is_default) {
                (1, _) => self.effect.to_owned(),
                _ => self.effect.replace("its", "their"),
            };
            findings.add(
                Code::NK038,
                &self.path,
                format!("{net} contains {shown}: {effect}, and copies of peers bear a router's address too"),
                "take the network out; netkeel recognises copies by their frames",
            );
        }
    }
}
