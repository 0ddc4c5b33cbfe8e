//! Tests of the ledger.

use super::*;
use netkeel_core::fact::Field;
use netkeel_core::name::netns::Netns;

fn claim(name: &str, owner: &str, found: i64, wrote: i64) -> OwnershipRecord {
    OwnershipRecord {
        device: None,
        fact: Fact::link(&Netns::CURRENT, name.parse().unwrap(), Field::Mtu),
        owner: owner.into(),
        found: Some(Value::Number(found)),
        wrote: Some(Value::Number(wrote)),
        caused_by: None,
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

fn text(lines: &[Line]) -> String {
    lines.iter().map(json).collect()
}

fn log(parts: &[Vec<Line>]) -> String {
    json(&Head::new("1".into())) + &text(&parts.concat())
}

fn committed(transaction: &str, claims: &[OwnershipRecord], released: &[OwnershipRecord]) -> Vec<Line> {
    let released = released.iter().map(|claim| &claim.fact);
    commit(
        Some(transaction),
        Some(1_795_197_349),
        claims.iter().cloned(),
        released,
    )
}

fn undone(transaction: &str) -> Vec<Line> {
    vec![Line::RolledBack {
        transaction: transaction.into(),
    }]
}

/// The file is read by people after a crash: one line of each kind.
#[test]
fn each_kind_of_line_reads_well() {
    let mut absent = claim("eth1", "default", 0, 0);
    (absent.found, absent.wrote) = (None, Some(Value::Text("loose".into())));
    absent.caused_by = Some(Box::new(claim("eth0", "", 0, 0).fact));
    let held = [claim("eth0", "default", 1500, 1460), absent];
    let lines = [
        committed("1", &held, &[claim("eth2", "", 0, 0)]),
        commit(None, None, [], []),
        undone("1"),
    ];
    insta::assert_snapshot!(log(&lines).trim_end(), @r#"
    {"format":1,"id":"1"}
    {"record":{"fact":{"object":{"link":"eth0"},"field":"mtu"},"device":null,"owner":"default","found":1500,"wrote":1460}}
    {"record":{"fact":{"object":{"link":"eth1"},"field":"mtu"},"device":null,"owner":"default","found":null,"wrote":"loose","caused_by":{"object":{"link":"eth0"},"field":"mtu"}}}
    {"release":{"object":{"link":"eth2"},"field":"mtu"}}
    {"committed":{"transaction":"1","at":1795197349,"lines":3}}
    {"committed":{"lines":0}}
    {"rolled_back":{"transaction":"1"}}
    "#);
}

#[test]
fn the_value_found_first_is_kept() {
    let text = log(&[
        committed("1", &[claim("eth0", "a", 1500, 1460)], &[]),
        committed("2", &[claim("eth0", "a", 1460, 1400)], &[]),
    ]);
    let ledger = Ledger::read(&text).unwrap();
    assert_eq!(
        ledger.of("a").collect::<Vec<_>>(),
        [&claim("eth0", "a", 1500, 1400)]
    );
    assert_eq!(
        Ledger::read(&ledger.compact("2".into()).unwrap()).unwrap().claims,
        ledger.claims
    );
}

#[test]
fn a_side_effect_of_another_owner_does_not_take_a_declared_fact() {
    let with = |mut claim: OwnershipRecord| {
        claim.caused_by = Some(Box::new(crate::ledger::tests::claim("eth9", "", 0, 0).fact));
        claim
    };
    let ledger = |claims: [OwnershipRecord; 2]| Ledger::from_iter(claims);
    let held = |claims| ledger(claims).claims().next().unwrap().clone();
    let (declared, later) = (claim("eth0", "a", 1500, 1460), claim("eth0", "b", 1460, 1400));
    assert_eq!(held([declared.clone(), with(later.clone())]), declared);
    // The owner that declares the fact takes it.
    assert_eq!(
        held([with(declared.clone()), later]),
        claim("eth0", "b", 1500, 1400)
    );
    // A declaration of one owner stays a declaration, whatever else it changes.
    let again = claim("eth0", "a", 1460, 1400);
    assert_eq!(
        held([declared.clone(), with(again.clone())]),
        claim("eth0", "a", 1500, 1400)
    );
    assert_eq!(
        held([with(declared), with(again)]),
        with(claim("eth0", "a", 1500, 1400))
    );
}

#[test]
fn an_apply_that_was_undone_claims_nothing_and_what_is_released_is_free() {
    let text = log(&[
        committed(
            "1",
            &[claim("eth0", "a", 1500, 1460), claim("eth1", "b", 1500, 1460)],
            &[],
        ),
        committed("2", &[claim("eth2", "a", 1500, 1460)], &[]),
        undone("2"),
        committed("3", &[], &[claim("eth0", "a", 0, 0)]),
        // A release that was killed after its commit was written, and then undone.
        committed("4", &[], &[claim("eth1", "b", 0, 0)]),
        undone("4"),
    ]);
    let ledger = Ledger::read(&text).unwrap();
    assert_eq!(ledger.owners(), BTreeSet::from(["b"]));
    assert_eq!(ledger.of("b").count(), 1);
    assert!(ledger.holds_those_of("3") && !ledger.holds_those_of("4"));
}

#[test]
fn a_commit_that_was_killed_counts_neither_when_it_is_undone_nor_beside_the_one_that_resumes_it() {
    let held = committed("1", &[claim("eth0", "a", 1500, 1460)], &[]);
    let whole = committed(
        "2",
        &[claim("eth1", "a", 1500, 1460)],
        &[claim("eth0", "a", 0, 0)],
    );
    for lines in 0..whole.len() {
        let killed = whole[..lines].to_vec();
        let then = |next: Vec<Line>| {
            let ledger = Ledger::read(&log(&[held.clone(), killed.clone(), next])).unwrap();
            let names: Vec<String> = ledger.claims().map(|claim| claim.fact.to_string()).collect();
            (names, ledger.holds_those_of("2"))
        };
        let before = (vec![claim("eth0", "", 0, 0).fact.to_string()], false);
        assert_eq!(then(Vec::new()), before);
        assert_eq!(then(undone("2")), before);
        let other = then([undone("2"), committed("3", &[], &[])].concat());
        assert_eq!(other, before);
        let after = (vec![claim("eth1", "", 0, 0).fact.to_string()], true);
        assert_eq!(then(whole.clone()), after);
    }
}

#[test]
fn pods_that_come_and_go_do_not_make_the_log_long() {
    let eth0 = committed("0", &[claim("eth0", "a", 1500, 1460)], &[]);
    let mut ledger = Ledger::read(&log(&[eth0])).unwrap();
    let mut round = 0;
    while !ledger.wants_compacting() {
        let pods: Vec<OwnershipRecord> = (0..10)
            .map(|number| claim(&format!("cali{round}x{number}"), "a", 1500, 1460))
            .collect();
        assert!(ledger.append(&text(&committed("1", &pods, &[]))).unwrap());
        let gone = commit(None, None, [], pods.iter().map(|pod| &pod.fact));
        assert!(ledger.append(&text(&gone)).unwrap());
        round += 1;
    }
    assert_eq!((round, ledger.claims().len()), (3, 1));
    assert!(
        !Ledger::read(&ledger.compact("2".into()).unwrap())
            .unwrap()
            .wants_compacting()
    );
}

#[test]
fn a_torn_line_does_not_count() {
    let text = log(&[committed("1", &[claim("eth0", "a", 1500, 1460)], &[])]);
    for cut in 0..text.len() {
        let ledger = Ledger::read(&text[..cut]).unwrap();
        assert_eq!((ledger.owners().len(), ledger.holds_those_of("1")), (0, false));
    }
    assert!(Ledger::read(&text).unwrap().holds_those_of("1"));
}

#[test]
fn another_format_is_refused_whatever_its_lines_are() {
    let error = Ledger::read("{\"format\":2}\n{\"unknown\":1}\n").unwrap_err();
    assert_eq!(
        error.message,
        "the ledger has format 2; this netkeel reads format 1"
    );
}

#[test]
fn a_damaged_log_is_rejected() {
    let lost = log(&[vec![Line::Committed {
        transaction: None,
        at: None,
        lines: 1,
    }]]);
    let without_value = json(&Head::new("1".into()))
        + "{\"record\":{\"fact\":{\"object\":{\"link\":\"eth0\"},\"field\":\"mtu\"},\"owner\":\"a\",\"wrote\":1}}\n";
    let without_head = text(&committed("1", &[], &[]));
    for text in [lost, without_value, without_head] {
        let error = Ledger::read(&text).unwrap_err();
        assert!(
            error.message.starts_with("the ledger is damaged: "),
            "{text}: {error}"
        );
    }
}

#[test]
fn the_time_of_the_last_write_is_kept_also_by_a_compaction() {
    let at = |time, name, owner| commit(None, time, [claim(name, owner, 1500, 1460)], []);
    let mut beside = claim("eth0", "b", 1460, 1400);
    beside.caused_by = Some(Box::new(claim("eth9", "", 0, 0).fact));
    let text = log(&[
        at(Some(5), "eth0", "a"),
        at(Some(7), "eth1", "a"),
        at(Some(9), "eth1", "a"),
        at(None, "eth2", "a"),
        // It does not count, so the fact was not written at that time.
        commit(None, Some(11), [beside], []),
    ]);
    let ledger = Ledger::read(&text).unwrap();
    for ledger in [
        Ledger::read(&ledger.compact("2".into()).unwrap()).unwrap(),
        ledger,
    ] {
        let written = |name: &str| ledger.written_at(&claim(name, "", 0, 0).fact);
        assert_eq!(
            ["eth0", "eth1", "eth2", "eth3"].map(written),
            [Some(5), Some(9), None, None]
        );
    }
}
