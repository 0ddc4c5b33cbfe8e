//! Settings of interfaces that are declared for `all` or `default` and do not hold: the kernel combines
//! them with each interface's own value, or ignores them.

use std::collections::BTreeMap;

use crate::explain::combine::{Rule, rule};
use crate::explain::inputs::live;
use netkeel_core::fact::{Fact, Object};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;

/// Judges each declared key of `all` and `default` by its effect, on a host as the plan leaves it.
pub(crate) fn check(host: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
    // Sysctls sort before interfaces, of which there may be thousands.
    let sysctls = wants.iter().filter_map(|(fact, want)| match &fact.object {
        Object::Sysctl(key) => Some((key, want.value.to_text().parse::<i64>().ok()?)),
        _ => None,
    });
    for (key, declared) in sysctls {
        // `ip_forward` is the fact of `conf.all.forwarding`.
        let conf = match key.path() {
            "net/ipv4/ip_forward" => SysctlKey::known("net/ipv4/conf/all/forwarding"),
            _ => key.clone(),
        };
        let Some(parts) = conf.per_interface().filter(|parts| parts.table == "conf") else {
            continue;
        };
        match (parts.slot, rule(&conf)) {
            (Slot::All, Some((rule, _))) => all(host, key, parts, rule, declared, wants, findings),
            (Slot::Default, Some((rule, _))) => default(host, key, rule, declared, findings),
            _ => {}
        }
    }
}

fn all(
    host: &Snapshot,
    key: &SysctlKey,
    parts: PerInterface<'_>,
    rule: Rule,
    declared: i64,
    wants: &BTreeMap<Fact, Want>,
    findings: &mut Findings,
) {
    // 0 for all leaves rp_filter to the interfaces: that is the usual way to declare it for some of them.
    if declared == 0 && parts.leaf == "rp_filter" {
        return;
    }
    // Programs and administrators switch IPv6 off, and choose the generation of addresses, for one interface.
    if parts.leaf == "addr_gen_mode" || (declared == 0 && parts.leaf == "disable_ipv6") {
        return;
    }
    // A document that gives `default` or an interface another value leaves it to the interfaces.
    let is_neutral = declared == 0 && matches!(rule, Rule::Max | Rule::Or);
    if is_neutral && gives_another(parts, wants) {
        return;
    }
    for (name, link) in host.links.iter().filter(|(name, _)| name.as_bytes() != b"lo") {
        let own_key = SysctlKey::conf(parts.family, *name, parts.leaf);
        if wants.contains_key(&Fact::sysctl(&host.netns, &own_key)) {
            continue;
        }
        let Some(own) = live(host, &own_key).number() else {
            continue;
        };
        let Some(why) = differs(rule, declared, own, link) else {
            continue;
        };
        let message = format!("{key} is declared {declared}, and it has {own} of its own: {why}");
        let remedy = format!(
            "declare net.{}.conf.IFACE.{} for it too",
            parts.family, parts.leaf
        );
        findings.add(Code::NK072, name, message, remedy);
    }
}

/// Whether the document declares a value that is not 0 for `default` or for an interface.
fn gives_another(parts: PerInterface<'_>, wants: &BTreeMap<Fact, Want>) -> bool {
    wants.iter().any(|(fact, want)| {
        let key = match (&fact.object, fact.link_name()) {
            (Object::Sysctl(key), _) => Some(key.clone()),
            (_, Some(name)) => fact.field.sysctl_of(name),
            _ => None,
        };
        let same = key
            .as_ref()
            .and_then(SysctlKey::per_interface)
            .is_some_and(|other| {
                (other.family, other.table, other.leaf) == (parts.family, parts.table, parts.leaf)
                    && other.slot != Slot::All
            });
        same && &*want.value.to_text() != "0"
    })
}

/// Why an interface does not have the declared effect.
fn differs(rule: Rule, all: i64, own: i64, link: &Link) -> Option<String> {
    let on = |value: i64| if value != 0 { "on" } else { "off" };
    let or = (all == 0 && own != 0).then(|| "either of the two switches it on".to_owned());
    let and = (all != 0 && own == 0).then(|| "it is off unless both are on".to_owned());
    match rule {
        Rule::Max => (own > all).then(|| format!("the larger counts, {own}")),
        Rule::Or => or,
        Rule::And => and,
        Rule::AndWhereForwarding => match link.forwarding? {
            0 => or,
            _ => and,
        },
        Rule::Copied => ((all != 0) != (own != 0)).then(|| format!("its own value counts, {}", on(own))),
        Rule::Own => (all != own).then(|| "its own value counts, and `all` has no effect".to_owned()),
        Rule::Unknown => None,
    }
}

/// A new interface starts with `default`, which `all` may override.
fn default(host: &Snapshot, key: &SysctlKey, rule: Rule, declared: i64, findings: &mut Findings) {
    let Some(all_key) = key.in_slot("all") else {
        return;
    };
    let Some(all) = live(host, &all_key).number() else {
        return;
    };
    let overridden = match rule {
        Rule::Max => all > declared,
        Rule::Or => all != 0 && declared == 0,
        Rule::And => all == 0 && declared != 0,
        Rule::AndWhereForwarding | Rule::Copied | Rule::Own | Rule::Unknown => false,
    };
    if overridden {
        let message =
            format!("it is declared {declared}, but {all_key} is {all}, which decides on new interfaces");
        findings.add(Code::NK072, key, message, format!("declare {all_key} too"));
    }
}

#[cfg(test)]
mod tests {
    use netkeel_core::name::netns::Netns;
    use netkeel_document::document::Document;
    use netkeel_host::snapshot::Snapshot;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    /// The findings of `sysctl` entries on a host with an interface, given the values of its keys.
    fn check(entries: &str, values: &[(&str, i64)], link: &str) -> String {
        let sysctls = values
            .iter()
            .map(|(key, value)| format!(r#""net/{key}":{{"value":"{value}","writable":true}}"#));
        let sysctls: Vec<String> = sysctls.collect();
        let host = format!(
            r#"{{"format":1,"netns":null,"kernel":"6.12","families":{{"ipv4":true,"ipv6":true}},"sysctls":{{{}}},
                "links":{{"eth0":{{"index":2,"mtu":1500,"up":true,"addresses":["192.0.2.1/24"],{link}}},
                          "lo":{{"index":1,"mtu":65536,"rp_filter":2,"forwarding":0}}}}}}"#,
            sysctls.join(",")
        );
        let host = Snapshot::from_json(&host).unwrap();
        let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
        let text = format!("version: 1\npersist: no\nsysctl: {{ {entries} }}\n");
        let layers = sources.load("a.yaml", text.into_bytes(), None, &mut diagnostics);
        let document = Document::read(layers.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let mut findings = netkeel_core::finding::Findings::default();
        super::check(&host, &document.wants(&host).facts, &mut findings);
        let found = findings.into_sorted().into_iter();
        let lines = found.map(|one| format!("{}: {}", one.subjects.join(","), one.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_declared_all_is_judged_by_its_effect_on_each_interface() {
        let link = r#""rp_filter":2,"forwarding":0,"forwarding6":1,"disable_ipv6":0"#;
        let rp = "ipv4/conf/all/rp_filter";
        assert_eq!(
            check("net.ipv4.conf.all.rp_filter: 1", &[(rp, 1)], link),
            "eth0: net.ipv4.conf.all.rp_filter is declared 1, and it has 2 of its own: the larger counts, 2"
        );
        assert_eq!(check("net.ipv4.conf.all.rp_filter: 2", &[(rp, 2)], link), "");
        assert_eq!(
            check("net.ipv4.ip_forward: 1", &[("ipv4/ip_forward", 1)], link),
            "eth0: net.ipv4.ip_forward is declared 1, and it has 0 of its own: its own value counts, off"
        );
        assert_eq!(
            check(
                "net.ipv6.conf.all.disable_ipv6: 1",
                &[("ipv6/conf/all/disable_ipv6", 1)],
                link
            ),
            "eth0: net.ipv6.conf.all.disable_ipv6 is declared 1, and it has 0 of its own: its own value counts, off"
        );
        let redirects = [
            ("ipv4/conf/all/accept_redirects", 0),
            ("ipv4/conf/eth0/accept_redirects", 1),
        ];
        assert_eq!(
            check("net.ipv4.conf.all.accept_redirects: 0", &redirects, link),
            "eth0: net.ipv4.conf.all.accept_redirects is declared 0, and it has 1 of its own: either of the two switches it on"
        );
        // On a router both must be on.
        let router = r#""rp_filter":0,"forwarding":1"#;
        assert_eq!(
            check("net.ipv4.conf.all.accept_redirects: 0", &redirects, router),
            ""
        );
        let ipv6 = [
            ("ipv6/conf/all/accept_redirects", 0),
            ("ipv6/conf/eth0/accept_redirects", 1),
        ];
        assert_eq!(
            check("net.ipv6.conf.all.accept_redirects: 0", &ipv6, link),
            "eth0: net.ipv6.conf.all.accept_redirects is declared 0, and it has 1 of its own: its own value counts, and `all` has no effect"
        );
        let martians = [
            ("ipv4/conf/all/log_martians", 1),
            ("ipv4/conf/eth0/log_martians", 0),
        ];
        assert_eq!(check("net.ipv4.conf.all.log_martians: 1", &martians, link), "");
    }

    #[test]
    fn what_is_left_to_the_interfaces_or_declared_for_them_is_no_finding() {
        let link = r#""rp_filter":1,"forwarding":0,"disable_ipv6":1"#;
        // The usual way to declare rp_filter for some interfaces.
        let values = [("ipv4/conf/all/rp_filter", 0), ("ipv4/conf/default/rp_filter", 1)];
        assert_eq!(check("net.ipv4.conf.all.rp_filter: 0", &values, link), "");
        // Somebody switched IPv6 off on one interface.
        let values = [("ipv6/conf/all/disable_ipv6", 0)];
        assert_eq!(check("net.ipv6.conf.all.disable_ipv6: 0", &values, link), "");
        let values = [
            ("ipv4/conf/all/log_martians", 0),
            ("ipv4/conf/default/log_martians", 1),
            ("ipv4/conf/eth0/log_martians", 1),
        ];
        let all = "net.ipv4.conf.all.log_martians: 0";
        assert!(check(all, &values, link).starts_with("eth0: "));
        for more in ["default.log_martians: 1", "eth0.log_martians: 0"] {
            assert_eq!(check(&format!("{all}, net.ipv4.conf.{more}"), &values, link), "");
        }
    }

    #[test]
    fn a_default_under_all_is_judged_too() {
        let values = [("ipv4/conf/all/rp_filter", 2), ("ipv4/conf/default/rp_filter", 1)];
        assert_eq!(
            check("net.ipv4.conf.default.rp_filter: 1", &values, r#""rp_filter":0"#),
            "net.ipv4.conf.default.rp_filter: it is declared 1, but net.ipv4.conf.all.rp_filter is 2, which decides on new interfaces"
        );
    }
}
