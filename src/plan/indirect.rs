//! The writes of a plan that affect an interface without naming it: to `all`, to `default` or to its lower
//! device.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Plan;
use netkeel_core::fact::{Field, Value};
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;
use netkeel_core::rp_filter::effective;
use netkeel_host::model::{Change, Model};
use netkeel_host::snapshot::Snapshot;

/// A write that affects an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndirectEffect<'a> {
    /// The interface.
    pub link: LinkName,
    /// The change, as the object of a sentence: `it`, `its effective rp_filter from 0 to 1`.
    pub what: String,
    /// The write.
    pub op: &'a Op,
}

impl Plan {
    /// The first write that affects one of these interfaces. A write that names the interface always counts.
    /// Any other write counts only if it can take the interface off the network: if it changes the MTU, the
    /// state, the kind, an address or an IPv6 setting, or makes the effective rp_filter filter.
    /// IPv6 forwarding counts because a router ignores default routes from router advertisements
    /// (`accept_ra`, Documentation/networking/ip-sysctl.rst).
    pub fn first_felt_by(&self, links: &BTreeSet<LinkName>, host: &Snapshot) -> Option<IndirectEffect<'_>> {
        if links.is_empty() {
            return None;
        }
        let mut model = Model::new(host.clone());
        let mut filters = filters(links, host);
        for step in &self.steps {
            let routes = model.announced_routes_lost_by(&step.op);
            let changes = model.apply(&step.op);
            let affected = |link, what| {
                Some(IndirectEffect {
                    link,
                    what,
                    op: &step.op,
                })
            };
            if let Some(link) = step.fact.link_name().filter(|name| links.contains(name)) {
                return affected(link, "it".to_owned());
            }
            // Where they were not read, any interface may have some.
            let loses_routes = |name: &&LinkName| routes.as_ref().is_none_or(|lost| lost.contains(name));
            if let Some(link) = links.iter().find(loses_routes) {
                return affected(*link, "its default routes that routers announced".to_owned());
            }
            let takes_off = |change: &&Change| {
                let name = change.fact.link_name();
                name.is_some_and(|name| links.contains(&name)) && can_cut_off(change)
            };
            if let Some((change, link)) = changes
                .iter()
                .find(takes_off)
                .and_then(|change| Some((change, change.fact.link_name()?)))
            {
                return affected(link, format!("its {} too", change.fact.field));
            }
            for (link, was) in &mut filters {
                let now = filter(*link, &model.host);
                if now != *was && now > 0 {
                    return affected(*link, format!("its effective rp_filter from {was} to {now}"));
                }
                *was = now;
            }
        }
        None
    }
}

fn filters(links: &BTreeSet<LinkName>, host: &Snapshot) -> BTreeMap<LinkName, i64> {
    links.iter().map(|name| (*name, filter(*name, host))).collect()
}

/// The effective rp_filter of an interface. If `all` was not read, no step writes it, so 0 gives the same
/// comparison.
fn filter(name: LinkName, host: &Snapshot) -> i64 {
    let all = host
        .sysctl_number("net/ipv4/conf/all/rp_filter")
        .unwrap_or_default();
    let own = host.links.get(&name).and_then(|link| link.rp_filter);
    effective(all, own.map_or(0, i64::from), true).value.max(0)
}

fn can_cut_off(change: &Change) -> bool {
    match change.fact.field {
        Field::Mtu | Field::Up | Field::Kind | Field::Address(_) => true,
        Field::DisableIpv6 | Field::Forwarding6 => change.to != Some(Value::Number(0)),
        // `filter` judges its effect.
        Field::RpFilter => false,
        // No management session runs over the end in a pod.
        Field::PodMtu | Field::PodRouteMtu(_) | Field::PodAddress(_) => false,
        // The route still leads to the same place. A route disappears only with a change above.
        Field::RouteMetric(..) => false,
        Field::Forwarding | Field::TxQueueLength | Field::Alias | Field::Content | Field::Value => false,
        // NFLOG rules do not drop packets.
        Field::Rules => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goal::Goal;
    use netkeel_core::name::netns::Netns;
    use netkeel_document::document::Document;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    const HOST: &str = r#"{"format":1,"netns":null,"kernel":"6.12","announced_routes":{ANNOUNCED},"families":{"ipv4":true,"ipv6":true},
        "sysctls":{"net/ipv4/conf/all/rp_filter":{"value":"ALL","writable":true},
          "net/ipv4/conf/default/rp_filter":{"value":"0","writable":true},
          "net/ipv4/conf/all/accept_redirects":{"value":"1","writable":true},
          "net/ipv4/conf/default/forwarding":{"value":"0","writable":true},
          "net/ipv4/ip_forward":{"value":"0","writable":true},
          "net/ipv6/conf/all/forwarding":{"value":"0","writable":true},
          "net/ipv6/conf/default/forwarding":{"value":"0","writable":true},
          "net/ipv6/conf/all/disable_ipv6":{"value":"0","writable":true},
          "net/ipv6/conf/default/disable_ipv6":{"value":"0","writable":true}},
        "links":{"eth0":{"index":2,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"rp_filter":1,"forwarding":0,"forwarding6":0,"disable_ipv6":0ADDRESS},
          "eth1":{"index":3,"mtu":1500,"min_mtu":68,"max_mtu":9000,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":0,"disable_ipv6":0,"addresses":["192.0.2.1/24"]},
          "vlan5":{"index":4,"kind":"vlan","lower":3,"mtu":1500,"min_mtu":0,"max_mtu":65535,"up":true,"rp_filter":0,"forwarding":0,"forwarding6":0,"disable_ipv6":0}}}"#;

    /// The first write of a document that affects an interface: eth0 has an rp_filter of 1, the others of
    /// 0.
    fn affected(watched: &str, all: &str, addressed: bool, document: &str) -> String {
        let address = if addressed {
            r#","addresses":["10.0.0.1/24"]"#
        } else {
            ""
        };
        let host = HOST.replace("ALL", all).replace("ADDRESS", address);
        let host = host.replace("ANNOUNCED", r#""eth0":1"#);
        let host = Snapshot::from_json(&host).unwrap();
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let text = format!("version: 1\npersist: no\n{document}\n");
        let layers = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
        let document = Document::read(layers.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
        let plan = Goal::plan(&document, &host).unwrap().plan;
        let links = [watched.parse().unwrap()].into();
        let affected = plan.first_felt_by(&links, &host);
        affected.map_or_else(
            || "nothing".to_owned(),
            |affected| format!("{}: {}", affected.what, affected.op),
        )
    }

    #[test]
    fn all_counts_where_it_decides() {
        let all = |value: &str| format!("sysctl: {{ net.ipv4.conf.all.rp_filter: {value} }}");
        assert_eq!(
            affected("eth0", "0", true, &all("2")),
            "its effective rp_filter from 1 to 2: sysctl -w net.ipv4.conf.all.rp_filter=2"
        );
        // eth0's own value decides before and after the write.
        assert_eq!(affected("eth0", "0", true, &all("1")), "nothing");
        assert_eq!(
            affected("eth0", "2", true, &all("0")),
            "its effective rp_filter from 2 to 1: sysctl -w net.ipv4.conf.all.rp_filter=0"
        );
        // The write ends filtering, so it cannot cut off a session.
        assert_eq!(affected("eth1", "2", true, &all("0")), "nothing");
    }

    #[test]
    fn default_counts_where_it_is_followed() {
        let document = "sysctl: { net.ipv4.conf.default.rp_filter: 1 }";
        assert_eq!(
            affected("vlan5", "0", false, document),
            "its effective rp_filter from 0 to 1: sysctl -w net.ipv4.conf.default.rp_filter=1"
        );
        assert_eq!(affected("eth1", "0", true, document), "nothing");
    }

    #[test]
    fn a_write_to_a_lower_device_affects_the_upper_one() {
        assert_eq!(
            affected("vlan5", "0", true, "link: { eth1: { mtu: 1400 } }"),
            "its mtu too: ip link set dev eth1 mtu 1400"
        );
        assert_eq!(
            affected("eth0", "0", true, "link: { eth1: { mtu: 1400 } }"),
            "nothing"
        );
        assert_eq!(
            affected("eth0", "0", true, "link: { eth0: { alias: up } }"),
            "it: ip link set dev eth0 alias up"
        );
    }

    #[test]
    fn ipv6_leaves_by_a_key_of_all() {
        let all = |leaf: &str| format!("sysctl: {{ net.ipv6.conf.all.{leaf}: 1 }}");
        assert_eq!(
            affected("eth0", "0", true, &all("disable_ipv6")),
            "its disable_ipv6 too: sysctl -w net.ipv6.conf.all.disable_ipv6=1"
        );
        assert_eq!(
            affected("vlan5", "0", true, &all("forwarding")),
            "its ipv6 forwarding too: sysctl -w net.ipv6.conf.all.forwarding=1"
        );
        // Forwarding on one interface removes announced routes of all.
        for key in ["all", "eth1"] {
            let document = format!("sysctl: {{ net.ipv6.conf.{key}.forwarding: 1 }}");
            // The write that keeps them is one to the interface itself.
            assert_eq!(
                affected("eth0", "0", true, &document),
                "it: sysctl -w net.ipv6.conf.eth0.accept_ra=2"
            );
            let not_kept = format!("{document}\n").replace(" }", ", net.ipv6.conf.eth0.accept_ra: 1 }");
            assert_eq!(
                affected("eth0", "0", true, &not_kept),
                format!(
                    "its default routes that routers announced: sysctl -w net.ipv6.conf.{key}.forwarding=1"
                )
            );
        }
        assert_eq!(
            affected("eth0", "0", true, "sysctl: { net.ipv4.ip_forward: 1 }"),
            "nothing"
        );
    }
}
