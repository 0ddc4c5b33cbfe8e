//! Rules that others wrote: recognised, stayed away from, replaced where the document says so, and
//! otherwise left alone.

use super::namespace::Namespace;
use super::{applied, document, listed, observe, planned, undone};
use netkeel_core::finding::Code;
use netkeel_core::nflog::entry_rules::EntryRules;
use netkeel_core::nflog::foreign::Writer;
use netkeel_host::kernel::Kernel;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::{Goal, Release, ReleaseFacts};
use netkeel_plan::ledger::Ledger;
use netkeel_plan::plan::Plan;

/// As the init container of go-pmtud makes it.
const OF_GO_PMTUD: &str = "iptables-nft -t raw -A PREROUTING -i eth0 ! -s 192.168.100.0/24 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33";

const ENTRY: &str = r#"{"version":1,"persist":false,"nflog":{"packet-too-big":
    {"interfaces":["eth0","eth1"],"ignore_sources":["192.168.100.0/24"]}}}"#;

fn codes(plan: &Plan) -> Vec<Code> {
    let links = |code: &Code| *code != Code::NK005;
    plan.findings
        .iter()
        .map(|finding| finding.code)
        .filter(links)
        .collect()
}

fn adopting() -> String {
    ENTRY.replace("\"interfaces\"", "\"adopt\":true,\"interfaces\"")
}

#[test]
fn netkeels_rules_stay_away_from_what_iptables_logs() {
    let namespace = Namespace::new();
    namespace.sh(OF_GO_PMTUD);
    namespace.sh("ip6tables-nft -t raw -A PREROUTING -i eth+ -p ipv6-icmp -m icmp6 --icmpv6-type 2 -m comment --comment 'all of them' -j NFLOG --nflog-group 33 --nflog-threshold 5 --nflog-size 1400");
    let document = document(ENTRY, &namespace);
    let done = applied(&document, &namespace);
    assert_eq!(codes(&done.planned.plan), [Code::NK030, Code::NK030]);
    let text: Vec<String> = done
        .planned
        .plan
        .findings
        .iter()
        .map(|finding| finding.message.clone())
        .collect();
    let text = text.join("\n");
    for said in [
        "`iptables-nft -t raw -A PREROUTING ! -s 192.168.100.0/24 -i eth0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33` logs ICMP of eth0 to group 33 already",
        "`ip6tables-nft -t raw -A PREROUTING -i eth+ -p ipv6-icmp -m icmp6 --icmpv6-type 2 -m comment --comment 'all of them' -j NFLOG --nflog-group 33 --nflog-size 1400 --nflog-threshold 5` logs ICMPv6 of eth0 and ICMPv6 of eth1 to group 33 already",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    // What is left is ICMP of eth1.
    let ours = namespace.sh("nft -s list table inet netkeel");
    assert_eq!(ours.matches("log group 33").count(), 1, "{ours}");
    assert!(ours.contains("iifname \"eth1\" ip saddr"), "{ours}");
    // The rule as it is told is the one that iptables finds.
    for rule in observe(&namespace).others {
        namespace.sh(&rule.command(netkeel_core::nflog::foreign::Verb::Delete));
    }
    assert_eq!(observe(&namespace).others, []);
    applied(&document, &namespace);
    let ours = namespace.sh("nft -s list table inet netkeel");
    assert_eq!(ours.matches("log group 33").count(), 4, "{ours}");
    // And when it comes again, ours goes.
    namespace.sh(OF_GO_PMTUD);
    applied(&document, &namespace);
    let ours = namespace.sh("nft -s list table inet netkeel");
    assert_eq!(ours.matches("log group 33").count(), 3, "{ours}");
}

/// As go-pmtud documents it for its UDP backend: every interface but that of its own copies.
#[test]
fn a_rule_for_every_interface_but_one_covers_the_others() {
    for program in ["iptables-nft", "iptables-legacy"] {
        let namespace = Namespace::new();
        namespace.sh(&format!("{program} -t raw -A PREROUTING -p icmp -m icmp --icmp-type 3/4 ! -i pmtud0 -j NFLOG --nflog-group 33"));
        let text = ENTRY.replace("eth1", "pmtud0");
        let done = applied(&document(&text, &namespace), &namespace);
        assert_eq!(codes(&done.planned.plan), [Code::NK030], "{program}");
        let finding = &done.planned.plan.findings;
        let said = format!(
            "`{program} -t raw -A PREROUTING ! -i pmtud0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33` logs ICMP of eth0 to group 33 already"
        );
        assert!(
            finding.iter().any(|one| one.message.contains(&said)),
            "{finding:#?}"
        );
        let ours = namespace.sh("nft -s list table inet netkeel");
        assert!(ours.contains("iifname \"pmtud0\" ip saddr"), "{ours}");
        assert!(!ours.contains("iifname \"eth0\" ip saddr"), "{ours}");
        // The rule as it is told is the one that iptables finds.
        for rule in observe(&namespace).others {
            namespace.sh(&rule.command(netkeel_core::nflog::foreign::Verb::Delete));
        }
        assert_eq!(observe(&namespace).others, []);
    }
}

#[test]
fn a_rule_that_covers_less_is_told_with_what_it_leaves_out_and_netkeel_logs_all() {
    for (conditions, options, left) in [
        ("! -s 10.0.0.0/8", "", "messages from 10.0.0.0/8"),
        (
            "",
            "--nflog-size 128",
            "the bytes of a message after the first 128",
        ),
    ] {
        for program in ["iptables-nft", "iptables-legacy"] {
            let namespace = Namespace::new();
            namespace.sh(&format!("{program} -t raw -A PREROUTING -i eth0 {conditions} -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33 {options}"));
            let done = applied(&document(ENTRY, &namespace), &namespace);
            let findings = &done.planned.plan.findings;
            assert_eq!(codes(&done.planned.plan), [Code::NK031], "{findings:#?}");
            let finding = findings.iter().find(|one| one.code == Code::NK031).unwrap();
            assert!(
                finding.message.ends_with(&format!("; it leaves out {left}")),
                "{}",
                finding.message
            );
            let ours = namespace.sh("nft -s list table inet netkeel");
            assert_eq!(ours.matches("log group 33").count(), 4, "{ours}");
        }
    }
    // Conditions of which netkeel cannot say what they leave out cover nothing.
    for conditions in [
        "-d 10.0.0.1",
        "-m limit --limit 5/sec",
        "-m statistic --mode random --probability 0.5",
    ] {
        for program in ["iptables-nft", "iptables-legacy"] {
            let namespace = Namespace::new();
            namespace.sh(&format!("{program} -t raw -A PREROUTING -i eth0 {conditions} -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33"));
            let done = applied(&document(ENTRY, &namespace), &namespace);
            let findings = &done.planned.plan.findings;
            assert_eq!(
                codes(&done.planned.plan),
                [Code::NK031],
                "{program} {conditions}: {findings:#?}"
            );
            let ours = namespace.sh("nft -s list table inet netkeel");
            assert_eq!(
                ours.matches("log group 33").count(),
                4,
                "{program} {conditions}: {ours}"
            );
        }
    }
    // A part of what the entry ignores too is not missing.
    let namespace = Namespace::new();
    namespace.sh(&OF_GO_PMTUD.replace("192.168.100.0/24", "192.168.100.128/25"));
    let done = applied(&document(ENTRY, &namespace), &namespace);
    assert_eq!(codes(&done.planned.plan), [Code::NK030]);
}

/// A rule that a message does not come to covers nothing.
#[test]
fn a_rule_behind_one_that_may_end_the_way_of_a_packet_covers_nothing() {
    let raw = "iptables-nft -t raw -A PREROUTING";
    let legacy = "iptables-legacy -t raw -A PREROUTING";
    let nft = "nft add table inet o; nft 'add chain inet o q'
        nft 'add chain inet o p { type filter hook prerouting priority 0; }'";
    let logs = "-i eth0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33";
    let log = "nft add rule inet o p iifname eth0 icmp type 3 icmp code 4 log group 33";
    let before = |rule: &str| format!("{nft}; nft add rule inet o p {rule}; {log}");
    let earlier = |rule: &str, policy: &str| {
        format!(
            "{nft}; {log}; nft 'add chain inet o z {{ type filter hook prerouting priority -400; {policy} }}'
            nft add rule inet o z {rule}"
        )
    };
    for (ends, script) in [
        (true, format!("{raw} -p icmp -j ACCEPT; {raw} {logs}")),
        (true, format!("{raw} -j RETURN; {raw} {logs}")),
        (
            false,
            format!("{raw} -p tcp -j ACCEPT; {raw} -i eth1 -j DROP; {raw} {logs}"),
        ),
        (false, format!("{raw} -j CT --notrack; {raw} {logs}")),
        (true, format!("{legacy} -p icmp -j ACCEPT; {legacy} {logs}")),
        (
            true,
            format!(
                "iptables-legacy -t raw -P PREROUTING DROP; iptables-legacy -t mangle -A PREROUTING {logs}"
            ),
        ),
        (
            false,
            format!("{legacy} -p icmp -m icmp --icmp-type 8 -j DROP; {legacy} {logs}"),
        ),
        (true, before("icmp type 3 counter accept")),
        (true, before("counter accept")),
        (true, before("iifname eth0 counter drop")),
        (true, before("icmp type 3 goto q")),
        (true, before("jump q")),
        (true, before("ct state vmap { invalid : drop }")),
        (true, before("ct state invalid drop")),
        (false, before("ct state invalid counter")),
        (false, before("icmp type 8 accept")),
        (false, before("iifname eth1 drop")),
        (true, earlier("icmp type 3 drop", "")),
        (true, earlier("counter", "policy drop;")),
        // It ends the way through that chain only.
        (false, earlier("accept", "")),
        (false, earlier("tcp dport 22 drop", "")),
    ] {
        let namespace = Namespace::new();
        namespace.sh(&script);
        let done = applied(&document(ENTRY, &namespace), &namespace);
        let expected = if ends { Code::NK031 } else { Code::NK030 };
        assert_eq!(codes(&done.planned.plan), [expected], "{script}");
        let ours = namespace.sh("nft -s list table inet netkeel");
        let eth0 = ours.contains("iifname \"eth0\" ip saddr");
        assert_eq!(eth0, ends, "{script}\n{ours}");
    }
    // A table that is switched off logs nothing.
    let namespace = Namespace::new();
    namespace.sh(&format!(
        "{nft}; {log}; nft 'add table inet o {{ flags dormant; }}'"
    ));
    let done = applied(&document(ENTRY, &namespace), &namespace);
    assert_eq!(codes(&done.planned.plan), []);
    // A chain of the type nat sees the first packet of a connection only.
    let namespace = Namespace::new();
    namespace.sh(&format!(
        "{};  {log}",
        nft.replace(
            "type filter hook prerouting priority 0",
            "type nat hook prerouting priority -100"
        )
    ));
    let done = applied(&document(ENTRY, &namespace), &namespace);
    assert_eq!(codes(&done.planned.plan), [Code::NK031]);
}

#[test]
fn adopt_takes_the_place_of_rules_and_gives_them_back_where_they_stood() {
    let namespace = Namespace::new();
    namespace.sh("iptables-nft -t raw -A PREROUTING -i eth7 -j ACCEPT");
    namespace.sh(OF_GO_PMTUD);
    namespace.sh(OF_GO_PMTUD);
    namespace.sh(
        "iptables-nft -t raw -A PREROUTING -i eth9 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33",
    );
    namespace.sh("iptables-nft -t raw -A PREROUTING -i eth1 -p icmp -m icmp --icmp-type 3/4 -m comment --comment x -j NFLOG --nflog-group 33 --nflog-prefix y");
    namespace.sh("iptables-nft -t raw -A PREROUTING -i eth8 -j ACCEPT");
    let rules = || namespace.sh("iptables-nft -t raw -S PREROUTING");
    let before = (rules(), listed(&namespace), observe(&namespace));
    let document = document(&adopting(), &namespace);
    let done = applied(&document, &namespace);
    assert_eq!(codes(&done.planned.plan), []);
    assert_eq!(
        rules(),
        "-P PREROUTING ACCEPT\n-A PREROUTING -i eth7 -j ACCEPT\n-A PREROUTING -i eth9 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33\n-A PREROUTING -i eth8 -j ACCEPT\n"
    );
    assert!(planned(&document, &namespace).unwrap().in_sync());
    undone(&done, &namespace);
    assert_eq!((rules(), listed(&namespace), observe(&namespace)), before);
    // What was not done, or done already, as after a crash, changes nothing.
    undone(&done, &namespace);
    assert_eq!((rules(), listed(&namespace), observe(&namespace)), before);
    let again = applied(&document, &namespace);
    let ours = (rules(), listed(&namespace));
    Live::with(&namespace.netns(), |kernel| {
        for step in &again.planned.plan.steps {
            kernel.execute(&step.op).unwrap();
        }
    })
    .unwrap();
    assert_eq!((rules(), listed(&namespace)), ours);
}

#[test]
fn release_gives_back_what_was_adopted_and_a_stop_takes_only_the_rules() {
    let namespace = Namespace::new();
    namespace.sh(OF_GO_PMTUD);
    let before = listed(&namespace);
    let document = document(&adopting(), &namespace);
    let done = applied(&document, &namespace);
    let ledger: Ledger = done.planned.plan.claims().collect();
    let netns = namespace.netns();
    let do_all = |goal: &dyn Goal| {
        Live::with(&netns, |kernel| {
            let plan = goal.plan(&kernel.snapshot(&goal.scope()).unwrap()).unwrap().plan;
            for step in &plan.steps {
                kernel.execute(&step.op).unwrap();
            }
            plan.released
        })
        .unwrap()
    };
    let facts = document.removed_on_stop();
    let stop = ReleaseFacts {
        ledger: &ledger,
        owner: "default",
        netns: &netns,
        facts: &facts,
    };
    let released = do_all(&stop);
    assert_eq!(
        released.into_iter().collect::<std::collections::BTreeSet<_>>(),
        facts
    );
    let after = listed(&namespace);
    assert!(
        !after.contains("netkeel") && !after.contains("log group"),
        "{after}"
    );
    applied(&document, &namespace);
    let release = Release {
        ledger: &ledger,
        owner: "default",
        netns: &netns,
    };
    assert_eq!(do_all(&release).len(), 2);
    assert_eq!(listed(&namespace), before);
}

#[test]
fn rules_of_iptables_legacy_are_seen_and_no_table_is_made_for_it() {
    let namespace = Namespace::new();
    let names = "cat /proc/net/ip_tables_names";
    assert_eq!(observe(&namespace).others, []);
    assert_eq!(namespace.sh(names), "");
    let legacy = OF_GO_PMTUD.replace("iptables-nft", "iptables-legacy");
    namespace.sh("iptables-legacy -t raw -A PREROUTING -i lo -j ACCEPT");
    namespace.sh(&legacy);
    namespace.sh("ip6tables-legacy -t raw -A PREROUTING -i eth1 ! -s 2001:db8::/64 -p ipv6-icmp -m icmp6 --icmpv6-type 2/0 -m comment --comment why -j NFLOG --nflog-group 33 --nflog-threshold 9 --nflog-size 1300");
    let others = observe(&namespace).others;
    assert_eq!(others.len(), 2, "{others:#?}");
    assert!(
        others
            .iter()
            .all(|rule| rule.writer == Writer::IptablesLegacy && rule.whole)
    );
    assert_eq!((others[0].position, others[1].position), (2, 1));
    let done = applied(&document(ENTRY, &namespace), &namespace);
    // The second leaves out sources that the entry wants.
    assert_eq!(codes(&done.planned.plan), [Code::NK030, Code::NK031]);
    let ours = namespace.sh("nft -s list table inet netkeel");
    assert_eq!(ours.matches("log group 33").count(), 3, "{ours}");
    // netkeel does not change such tables, and says what does.
    let refused = planned(&document(&adopting(), &namespace), &namespace).unwrap_err();
    let delete = "iptables-legacy -t raw -D PREROUTING ! -s 192.168.100.0/24 -i eth0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33";
    assert_eq!(refused.list[0].hints[0], format!("delete it first: {delete}"));
    for rule in others {
        namespace.sh(&rule.command(netkeel_core::nflog::foreign::Verb::Delete));
    }
    assert!(planned(&document(&adopting(), &namespace), &namespace).is_ok());
}

#[test]
fn rules_that_do_something_else_are_told_from_those_that_do_the_same() {
    let namespace = Namespace::new();
    namespace.sh("nft -f - <<'END'
table ip other {
  set few { type ipv4_addr; elements = { 192.0.2.1 } }
  chain first { type filter hook prerouting priority -400;
    iifname \"eth0\" tcp dport 80 log group 33
    iifname \"eth0\" icmp type echo-request log group 33
    iifname \"eth0\" icmp type destination-unreachable log group 40
    iifname \"eth5\" icmp type destination-unreachable log group 33
    iifname \"eth0\" ip saddr @few icmp type destination-unreachable log group 33
  }
  chain later { type filter hook input priority 0; icmp type destination-unreachable log group 33; }
}
END");
    let document = document(ENTRY, &namespace);
    let done = applied(&document, &namespace);
    assert_eq!(codes(&done.planned.plan), [Code::NK031]);
    assert_eq!(observe(&namespace).entries.len(), 1);
    namespace.sh("nft add rule ip other first iifname eth0 icmp type 3 icmp code 4 log group 33");
    let plan = planned(&document, &namespace).unwrap();
    assert_eq!(codes(&plan), [Code::NK030, Code::NK031]);
    let refused = planned(&super::document(&adopting(), &namespace), &namespace).unwrap_err();
    let refused = &refused.list[0];
    assert!(
        refused
            .message
            .contains("netkeel takes away rules of iptables only"),
        "{refused:?}"
    );
    // The commands of the hint delete the rule.
    let hint = &refused.hints[0];
    let list = hint.split('`').nth(1).unwrap();
    let rules = namespace.sh(list);
    let rule = rules
        .lines()
        .find(|line| line.contains("icmp code") || line.contains("frag-needed"));
    let handle = rule.and_then(|line| line.rsplit("# handle ").next()).unwrap();
    let delete = hint.strip_prefix("delete it first: ").unwrap();
    let delete = delete.split(',').next().unwrap().replace("HANDLE", handle);
    namespace.sh(&delete);
    assert!(planned(&super::document(&adopting(), &namespace), &namespace).is_ok());
    assert_eq!(codes(&planned(&document, &namespace).unwrap()), [Code::NK031]);
}

#[test]
fn what_others_put_into_netkeels_table_is_told_and_survives() {
    let namespace = Namespace::new();
    let document = document(ENTRY, &namespace);
    applied(&document, &namespace);
    namespace.sh(
        "nft insert rule inet netkeel nflog-packet-too-big iifname lo accept
        nft add chain inet netkeel mine
        nft add rule inet netkeel mine counter",
    );
    let plan = planned(&document, &namespace).unwrap();
    assert!(plan.in_sync());
    assert_eq!(codes(&plan), [Code::NK032]);
    let other = super::document(&ENTRY.replace("eth1", "eth2"), &namespace);
    let done = applied(&other, &namespace);
    let list = listed(&namespace);
    assert!(
        list.contains("iifname \"lo\" accept") && list.contains("chain mine"),
        "{list}"
    );
    assert!(list.contains("eth2") && !list.contains("eth1"), "{list}");
    undone(&done, &namespace);
    let none = super::document(&ENTRY.replace("packet-too-big", "another"), &namespace);
    let done = applied(&none, &namespace);
    undone(&done, &namespace);
    let list = listed(&namespace);
    assert!(
        list.contains("iifname \"lo\" accept") && list.contains("chain mine"),
        "{list}"
    );
}

#[test]
fn a_rule_of_others_before_those_of_netkeel_that_ends_the_way_of_a_message_is_drift() {
    let namespace = Namespace::new();
    let document = document(ENTRY, &namespace);
    applied(&document, &namespace);
    namespace.sh("nft insert rule inet netkeel nflog-packet-too-big icmp type 3 drop");
    let found = observe(&namespace).entries;
    assert_eq!(found.values().next(), Some(&EntryRules::Changed));
    let done = applied(&document, &namespace);
    assert_eq!((done.done, codes(&done.planned.plan)), (1, vec![Code::NK032]));
    assert!(planned(&document, &namespace).unwrap().in_sync());
    let list = listed(&namespace);
    let rules: Vec<&str> = list.lines().filter(|line| line.contains("icmp")).collect();
    assert!(rules.last().is_some_and(|last| last.contains("drop")), "{list}");
}

#[test]
fn rules_of_netkeel_that_somebody_changed_are_made_as_they_should_be() {
    let namespace = Namespace::new();
    let document = document(ENTRY, &namespace);
    applied(&document, &namespace);
    let right = listed(&namespace);
    let chain = "inet netkeel nflog-packet-too-big";
    for change in [
        format!("nft add rule {chain} counter log group 33 comment netkeel"),
        format!("nft flush chain {chain}"),
        format!("nft delete chain {chain}"),
        "nft delete table inet netkeel".to_owned(),
        format!("nft 'add chain {chain} {{ policy drop; }}'"),
        "nft add table inet netkeel '{ flags dormant; }'".to_owned(),
        "nft add set inet netkeel nflog-packet-too-big-ipv4 '{ type ipv4_addr; }'".to_owned(),
        format!(
            "nft delete table inet netkeel; nft add table inet netkeel; nft 'add chain {chain} {{ type filter hook prerouting priority 5; }}'; nft add rule {chain} counter comment netkeel"
        ),
    ] {
        namespace.sh(&change);
        let found = observe(&namespace).entries;
        let rules = found.values().next();
        assert!(
            rules.is_none_or(|rules| *rules == EntryRules::Changed),
            "{change}: {rules:?}"
        );
        assert_eq!(applied(&document, &namespace).done, 1, "{change}");
        assert_eq!(listed(&namespace), right, "{change}");
    }
}

#[test]
fn an_empty_namespace_is_left_empty() {
    let namespace = Namespace::new();
    let empty = observe(&namespace);
    assert_eq!(
        (empty.entries.len(), empty.others.len(), empty.strangers.len()),
        (0, 0, 0)
    );
    assert_eq!(listed(&namespace), "");
}
