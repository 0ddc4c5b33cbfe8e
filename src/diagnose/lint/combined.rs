//! Settings of interfaces that are declared for `all` or `default` and do not hold: the kernel combines
//! them with each interface's own value, or ignores them.

use std::collections::BTreeMap;

use crate::explain::combine::{Rule, least_non_zero, rule};
use crate::explain::inputs::{Live, live};
use netkeel_core::fact::{Fact, Object};
use netkeel_core::finding::{Code, Findings};
use netkeel_core::name::sysctl::{PerInterface, Slot, SysctlKey};
use netkeel_document::want::Want;
use netkeel_host::snapshot::Snapshot;

/// Judges each declared key of `all` and `default` by its effect, on a host as the plan leaves it.
pub(crate) fn check(host: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
    // Sysctls sort before interfaces, of which there may be thousands.
    let sysctls = wants.iter().filter_map(|(fact, want)| match &fact.object {
        Object::Sysctl(key) => Some((key, want.value.to_text().parse::<i64>().ok()?)),
        _ => None,
    });
    for (key, declared) in sysctls {
        let conf = key.as_setting();
        let Some(parts) = conf.per_interface().filter(|parts| parts.table == "conf") else {
            continue;
        };
        let Some((rule, _)) = rule(&conf) else { continue };
        let declared = Declared {
            key,
            parts,
            rule,
            value: declared,
        };
        match (parts.slot, rule) {
            (Slot::All, Rule::Unknown) => findings.add(
                Code::NK072,
                key,
                "netkeel does not know how the kernel combines it with the interfaces' own values, so it cannot say whether it holds",
                format!("declare net.{}.conf.IFACE.{} for the interfaces", parts.family, parts.leaf),
            ),
            (Slot::All, _) if !declared.decides() && !declared.is_left_to_interfaces(host, wants) => {
                declared.on_interfaces(host, wants, findings);
                declared.on_new_interfaces(host, wants, findings);
            }
            (Slot::Default, _) => declared.under_all(host, findings),
            _ => {}
        }
    }
}

/// A declared key of `all` or `default`.
struct Declared<'a> {
    key: &'a SysctlKey,
    parts: PerInterface<'a>,
    rule: Rule,
    value: i64,
}

impl Declared<'_> {
    /// Whether a declared `all` leaves the setting to the interfaces: it is 0, which decides nothing, and the
    /// document gives new interfaces another value. For rp_filter, 0 is the usual way to declare it for some
    /// interfaces.
    fn is_left_to_interfaces(&self, host: &Snapshot, wants: &BTreeMap<Fact, Want>) -> bool {
        let is_neutral = match self.rule {
            Rule::Max | Rule::Or | Rule::LeastNonZero | Rule::AllUnlessZero => self.value == 0,
            Rule::Min | Rule::And | Rule::AndWhereForwarding | Rule::Copied | Rule::Own | Rule::Unknown => {
                false
            }
        };
        let default = self.of_default();
        let gives_another = || {
            let fact = default.as_ref().map(|key| Fact::sysctl(&host.netns, key));
            let want = fact.and_then(|fact| wants.get(&fact));
            want.is_some_and(|want| &*want.value.to_text() != "0")
        };
        let is_rp_filter = (self.parts.family, self.parts.leaf) == ("ipv4", "rp_filter");
        is_neutral && (is_rp_filter || gives_another())
    }

    /// Whether a declared `all` decides alone, whatever the interfaces have.
    fn decides(&self) -> bool {
        match self.rule {
            Rule::Or | Rule::AllUnlessZero => self.value != 0,
            Rule::And | Rule::Min => self.value == 0,
            Rule::Max
            | Rule::LeastNonZero
            | Rule::AndWhereForwarding
            | Rule::Copied
            | Rule::Own
            | Rule::Unknown => false,
        }
    }

    fn of_default(&self) -> Option<SysctlKey> {
        // The key of `ip_forward` has no slot.
        let PerInterface { family, leaf, .. } = self.parts;
        format!("net/{family}/conf/default/{leaf}").parse().ok()
    }

    fn on_interfaces(&self, host: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
        let PerInterface { family, leaf, .. } = self.parts;
        let (key, declared) = (self.key, self.value);
        for (name, link) in host.links.iter().filter(|(name, _)| name.as_bytes() != b"lo") {
            let own_key = SysctlKey::conf(family, *name, leaf);
            if wants.contains_key(&Fact::sysctl(&host.netns, &own_key)) {
                continue;
            }
            let own = match live(host, &own_key) {
                Live::Absent => continue,
                Live::Unread { why } => Err(why),
                own @ Live::Value { .. } => own.number().ok_or_else(|| "it is not a number".to_owned()),
            };
            let forwards = link.forwarding.map(|value| value != 0);
            let message = match own {
                Err(why) => format!(
                    "{key} is declared {declared}, and whether that holds here is unknown: its own value is missing ({why})"
                ),
                Ok(own) => match self.differs(own, forwards) {
                    Some(why) => format!("{key} is declared {declared}, and it has {own} of its own: {why}"),
                    None => continue,
                },
            };
            let remedy = format!("declare net.{family}.conf.IFACE.{leaf} for it too");
            findings.add(Code::NK072, name, message, remedy);
        }
    }

    /// A new interface starts with the value of `default`.
    fn on_new_interfaces(&self, host: &Snapshot, wants: &BTreeMap<Fact, Want>, findings: &mut Findings) {
        let (key, declared) = (self.key, self.value);
        let Some(default) = self.of_default() else { return };
        if wants.contains_key(&Fact::sysctl(&host.netns, &default)) {
            return;
        }
        let message = match live(host, &default) {
            Live::Absent => return,
            Live::Unread { why } => format!(
                "{key} is declared {declared}, and whether that holds on new interfaces is unknown: {default} is missing ({why})"
            ),
            value @ Live::Value { .. } => {
                let Some(own) = value.number() else { return };
                match self.differs(own, new_forwards(host)) {
                    Some(why) => format!(
                        "{key} is declared {declared}, and new interfaces start with {own} of their own: {why}"
                    ),
                    None => return,
                }
            }
        };
        findings.add(Code::NK072, &default, message, format!("declare {default} too"));
    }

    /// `all` may override the value with which a new interface starts.
    fn under_all(&self, host: &Snapshot, findings: &mut Findings) {
        let (key, declared) = (self.key, self.value);
        let Some(all_key) = key.in_slot("all") else { return };
        let message = match live(host, &all_key) {
            Live::Absent => return,
            Live::Unread { why } => {
                if matches!(self.rule, Rule::Own | Rule::Copied) {
                    return;
                }
                format!("whether it holds is unknown: {all_key} is missing ({why})")
            }
            value @ Live::Value { .. } => {
                let Some(all) = value.number() else { return };
                if !self.is_overridden(all, new_forwards(host)) {
                    return;
                }
                format!("it is declared {declared}, but {all_key} is {all}, which decides on new interfaces")
            }
        };
        findings.add(Code::NK072, key, message, format!("declare {all_key} too"));
    }

    /// Why an interface with this value of its own does not have the effect declared for `all`. `forwards` says
    /// whether it forwards IPv4.
    fn differs(&self, own: i64, forwards: Option<bool>) -> Option<String> {
        let all = self.value;
        let on = |value: i64| if value != 0 { "on" } else { "off" };
        let or = (all == 0 && own != 0).then(|| "either of the two switches it on".to_owned());
        let and = (all != 0 && own == 0).then(|| "it is off unless both are on".to_owned());
        // The switches among the copied settings are on with any number; the others are modes.
        let is_mode = self.parts.leaf == "addr_gen_mode";
        match self.rule {
            Rule::Max => (own > all).then(|| format!("the larger counts, {own}")),
            Rule::Min => (own < all).then(|| format!("the smaller counts, {own}")),
            Rule::LeastNonZero => (least_non_zero(all, own) != all)
                .then(|| format!("the smaller of those that are not 0 counts, {own}")),
            Rule::AllUnlessZero => {
                (all == 0 && own != 0).then(|| "its own value counts, since `all` is 0".to_owned())
            }
            Rule::Or => or,
            Rule::And => and,
            Rule::AndWhereForwarding => match forwards {
                Some(false) => or,
                Some(true) => and,
                None => or.or(and).map(|_| {
                    "whether either or both must be on depends on its forwarding, which was not read"
                        .to_owned()
                }),
            },
            // `ip6_forward` looks at `all`, and `accept_ra` and `ndisc_send_na` at the interface's own.
            Rule::Copied if (self.parts.family, self.parts.leaf) == ("ipv6", "forwarding") => {
                let role = if own != 0 { "router" } else { "host" };
                let differ = (all != 0) != (own != 0);
                differ.then(|| {
                    format!(
                        "`all` decides which packets are forwarded, and it acts as a {role} towards routers"
                    )
                })
            }
            Rule::Copied if is_mode => (all != own).then(|| format!("its own value counts, {own}")),
            Rule::Copied => ((all != 0) != (own != 0)).then(|| format!("its own value counts, {}", on(own))),
            Rule::Own => (all != own).then(|| "its own value counts, and `all` has no effect".to_owned()),
            Rule::Unknown => None,
        }
    }

    /// Whether `all` gives a new interface another effect than the one declared for `default`.
    fn is_overridden(&self, all: i64, forwards: Option<bool>) -> bool {
        let own = self.value;
        let or = all != 0 && own == 0;
        let and = all == 0 && own != 0;
        match self.rule {
            Rule::Max => all > own,
            Rule::Min => all < own,
            Rule::LeastNonZero => least_non_zero(all, own) != own,
            Rule::AllUnlessZero => all != 0 && all != own,
            Rule::Or => or,
            Rule::And => and,
            Rule::AndWhereForwarding => match forwards {
                Some(false) => or,
                Some(true) => and,
                None => or || and,
            },
            Rule::Copied | Rule::Own | Rule::Unknown => false,
        }
    }
}

/// Whether a new interface forwards IPv4; `None` if unknown.
fn new_forwards(host: &Snapshot) -> Option<bool> {
    let key = SysctlKey::known("net/ipv4/conf/default/forwarding");
    live(host, &key).number().map(|value| value != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use netkeel_core::name::netns::Netns;
    use netkeel_document::document::Document;
    use netkeel_host::snapshot::Snapshot;
    use netkeel_source::diagnostic::Diagnostics;
    use netkeel_source::sources::Sources;

    /// The findings of `sysctl` entries on a host with an interface, given the values of its keys. `default` is as
    /// `all` unless it is given.
    fn check(entries: &str, values: &[(&str, i64)], link: &str) -> String {
        let mut all: BTreeMap<String, i64> = BTreeMap::new();
        for (key, value) in values {
            let key = key.replace("ipv4/ip_forward", "ipv4/conf/all/forwarding");
            all.insert(key.replace("/all/", "/default/"), *value);
        }
        all.extend(values.iter().map(|(key, value)| ((*key).to_owned(), *value)));
        let sysctls = all
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
        let values = [
            ("ipv4/conf/all/log_martians", 0),
            ("ipv4/conf/default/log_martians", 1),
            ("ipv4/conf/eth0/log_martians", 1),
        ];
        let all = "net.ipv4.conf.all.log_martians: 0";
        assert!(check(all, &values, link).starts_with("eth0: "));
        let more = |entry: &str| check(&format!("{all}, net.ipv4.conf.{entry}"), &values, link);
        assert_eq!(more("default.log_martians: 1"), "");
        // One interface says nothing of the others.
        assert!(more("eth0.log_martians: 0").starts_with("net.ipv4.conf.default.log_martians: "));
        assert!(more("eth1.log_martians: 1").contains("eth0: "));
    }

    #[test]
    fn every_rule_is_judged_on_interfaces_and_on_new_ones() {
        let link = r#""rp_filter":0,"forwarding":1,"disable_ipv6":1"#;
        let judge = |entry: &str, values: &[(&str, i64)]| check(entry, values, link);
        // (the document, `all`, `default`, eth0's own, the interfaces that have another effect)
        for (family, leaf, all, default, own, differ) in [
            ("ipv4", "rp_filter", 1, 2, 1, "default"),
            ("ipv4", "log_martians", 0, 1, 1, "eth0 default"),
            ("ipv4", "accept_source_route", 1, 0, 1, "default"),
            ("ipv4", "accept_redirects", 1, 0, 0, "eth0 default"),
            ("ipv4", "drop_gratuitous_arp", 0, 0, 1, "eth0"),
            ("ipv4", "force_igmp_version", 2, 0, 1, "eth0"),
            ("ipv4", "force_igmp_version", 2, 3, 0, ""),
            ("ipv6", "accept_ra_defrtr", 0, 1, 1, "eth0 default"),
            ("ipv6", "router_solicitations", 0, 0, -1, "eth0"),
            ("ipv6", "dad_transmits", 0, 1, 0, "default"),
            ("ipv6", "seg6_enabled", 1, 0, 1, "default"),
            ("ipv6", "seg6_enabled", 0, 1, 1, ""),
            ("ipv6", "accept_dad", 0, 1, 0, "default"),
            ("ipv6", "force_mld_version", 1, 2, 2, ""),
            ("ipv6", "keep_addr_on_down", 0, 0, 1, "eth0"),
            ("ipv6", "disable_ipv6", 0, 0, 1, "eth0"),
            ("ipv6", "disable_ipv6", 1, 0, 1, "default"),
            ("ipv6", "addr_gen_mode", 1, 1, 3, "eth0"),
        ] {
            let key = |slot: &str| format!("{family}/conf/{slot}/{leaf}");
            let keys = [key("all"), key("default"), key("eth0")];
            let values = [
                (&*keys[0], all),
                (&*keys[1], default),
                (&*keys[2], own),
                ("ipv4/conf/default/forwarding", 0),
            ];
            // eth0 forwards, and new interfaces do not.
            let values = if (leaf, all) == ("accept_redirects", 1) {
                [
                    values[0],
                    values[1],
                    values[2],
                    ("ipv4/conf/default/forwarding", 1),
                ]
            } else {
                values
            };
            let found = judge(&format!("net.{family}.conf.all.{leaf}: {all}"), &values);
            let subjects = found.lines().map(|line| line.split(": ").next().unwrap());
            let slot = |subject: &str| {
                let default = subject.contains(".default.");
                if default {
                    "default".to_owned()
                } else {
                    subject.to_owned()
                }
            };
            let mut subjects: Vec<String> = subjects.map(slot).collect();
            subjects.sort_by_key(|slot| slot == "default");
            assert_eq!(subjects.join(" "), differ, "{family} {leaf}: {found}");
        }
    }

    #[test]
    fn forwarding_is_judged_on_new_interfaces() {
        let values = [("ipv4/ip_forward", 1), ("ipv4/conf/default/forwarding", 0)];
        assert_eq!(
            check("net.ipv4.ip_forward: 1", &values, r#""forwarding":1"#),
            "net.ipv4.conf.default.forwarding: net.ipv4.ip_forward is declared 1, and new interfaces start with 0 of their own: its own value counts, off"
        );
        // A host that does not forward accepts redirects where either value is on.
        let values = [
            ("ipv4/conf/all/accept_redirects", 1),
            ("ipv4/conf/default/accept_redirects", 0),
            ("ipv4/conf/default/forwarding", 0),
        ];
        let found = check(
            "net.ipv4.conf.default.accept_redirects: 0",
            &values,
            r#""forwarding":0"#,
        );
        assert!(found.ends_with("which decides on new interfaces"), "{found}");
    }

    #[test]
    fn a_rule_or_a_value_that_is_unknown_is_said() {
        let values = [
            ("ipv4/conf/all/of_tomorrow", 1),
            ("ipv4/conf/default/of_tomorrow", 1),
        ];
        let found = check("net.ipv4.conf.all.of_tomorrow: 1", &values, r#""forwarding":1"#);
        assert!(
            found.contains("does not know how the kernel combines it"),
            "{found}"
        );
        let values = [
            ("ipv4/conf/all/send_redirects", 0),
            ("ipv4/conf/default/send_redirects", 0),
        ];
        let found = check(
            "net.ipv4.conf.all.send_redirects: 0",
            &values,
            r#""forwarding":1"#,
        );
        assert!(
            found.contains("eth0: ") && found.contains("is missing (it was not read)"),
            "{found}"
        );
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
