//! A journal is readable wherever a crash tore it.

use super::*;
use netkeel_core::op::Target;
use netkeel_plan::loss::Loss;
use netkeel_plan::plan::Step;

fn header() -> Header {
    Header {
        format: FORMAT,
        transaction: "t1".into(),
        boot: "b1".into(),
        netns: Netns::CURRENT,
        owner: "default".into(),
        document: "d1".into(),
        actor: "root (pid 1)".into(),
        work: Work::Apply,
        confirm_by: None,
    }
}

fn step(name: &str, from: u32, to: u32) -> Step {
    let target = Target {
        netns: Netns::CURRENT,
        index: 3,
        name: name.parse().unwrap(),
    };
    Step {
        changes: Vec::new(),
        op: Op::SetMtu {
            target: target.clone(),
            mtu: to,
        },
        phase: netkeel_core::op::Phase::LowerLinks,
        fact: Fact::link(
            &Netns::CURRENT,
            name.parse().unwrap(),
            netkeel_core::fact::Field::Mtu,
        ),
        restores: false,
        named: false,
        undo: Undo {
            ops: vec![Op::SetMtu { target, mtu: from }],
            loses: Vec::new(),
        },
        permitted: false,
    }
}

fn plan() -> Plan {
    let steps = vec![
        step("a", 1500, 1460),
        step("b", 1500, 1460),
        step("c", 1500, 1460),
    ];
    let drift = steps.iter().map(|step| Drift {
        fact: step.fact.clone(),
        observed: Some(Value::Number(1500)),
        desired: Some(Value::Number(1460)),
        origin: std::sync::Arc::default(),
        cause: None,
    });
    Plan {
        wanted: 3,
        drift: drift.collect(),
        steps,
        ..Plan::empty("default", Netns::CURRENT)
    }
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap() + "\n"
}

fn begin() -> String {
    let steps: String = steps(&plan(), false).iter().map(line).collect();
    line(&header()) + &steps
}

fn begun(step: usize) -> String {
    line(&Line::Begun { step })
}

fn text(marks: usize) -> String {
    begin() + &(1..=marks).map(begun).collect::<String>()
}

#[test]
fn what_is_written_reads_back() {
    let journal = Journal::read(&text(0)).unwrap().unwrap();
    assert_eq!(journal.header, header());
    for (entry, step) in journal.entries.iter().zip(&plan().steps) {
        assert_eq!(
            (&entry.op, &entry.undo, &entry.fact),
            (&step.op, &step.undo, &step.fact)
        );
        assert_eq!(entry.found, Some(Value::Number(1500)));
        assert_eq!(entry.desired, Some(Value::Number(1460)));
    }
    assert_eq!(steps(&plan(), true), [Line::Planned { lines: 0 }]);
}

#[test]
fn a_crash_at_any_byte_leaves_a_journal_that_reads() {
    let whole = text(2);
    for cut in 0..=whole.len() {
        let journal = Journal::read(&whole[..cut]).unwrap();
        let begun = journal.map_or(0, |journal| journal.begun);
        assert!(begun <= 2);
    }
}

#[test]
fn only_what_was_done_to_the_end_is_complete() {
    let whole = text(3);
    assert!(!Journal::read(&whole).unwrap().unwrap().complete);
    let journal = Journal::read(
        &(whole
            + &line(&Line::Complete {
                made: BTreeMap::new(),
            })),
    )
    .unwrap()
    .unwrap();
    assert!(journal.complete);
    assert_eq!((journal.begun, journal.entries.len()), (3, 3));
}

#[test]
fn what_was_begun_is_undone_last_first_and_the_last_begun_is_finished_again() {
    let journal = Journal::read(&text(2)).unwrap().unwrap();
    let undo: Vec<String> = journal.undo().flatten().map(ToString::to_string).collect();
    assert_eq!(undo, ["ip link set dev b mtu 1500", "ip link set dev a mtu 1500"]);
    let rest: Vec<String> = journal.rest().map(|(_, entry)| entry.op.to_string()).collect();
    assert_eq!(rest, ["ip link set dev b mtu 1460", "ip link set dev c mtu 1460"]);
}

#[test]
fn a_torn_mark_was_never_acted_on() {
    let journal = Journal::read(text(2).trim_end()).unwrap().unwrap();
    assert_eq!((journal.begun, journal.rest().count()), (1, 3));
    let numbers: Vec<usize> = journal.rest().map(|(number, _)| number).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

#[test]
fn a_mark_out_of_order_is_refused() {
    for (text, why) in [
        (text(1) + &begun(1), "step 1 of 3 begins after step 1"),
        (text(0) + &begun(2), "step 2 of 3 begins after step 0"),
        (text(3) + &begun(4), "step 4 of 3 begins after step 3"),
    ] {
        let error = Journal::read(&text).unwrap_err();
        assert_eq!(error.message, format!("the journal is damaged: {why}"));
    }
}

/// A second pass whose list is torn adds nothing, wherever it is torn.
#[test]
fn a_list_of_steps_counts_when_it_is_whole() {
    let whole = text(3);
    let second: Vec<String> = steps(&plan(), false).iter().map(line).collect();
    for lines in 0..second.len() {
        let torn = whole.clone() + &second[..lines].concat() + &line(&Line::Undoing {});
        let journal = Journal::read(&torn).unwrap().unwrap();
        assert_eq!((journal.entries.len(), journal.undoing), (3, true));
    }
    let journal = Journal::read(&(whole.clone() + &second.concat()))
        .unwrap()
        .unwrap();
    assert_eq!((journal.begun, journal.entries.len()), (3, 6));
    let missing = whole + &second[1..].concat();
    let error = Journal::read(&missing).unwrap_err();
    assert_eq!(error.message, "the journal is damaged: a list of 3 lines has 2");
}

/// Somebody reads these lines after a crash: a line of each kind as it is in the file.
#[test]
fn each_kind_of_line_reads_well() {
    let mut plan = plan();
    plan.steps.truncate(1);
    plan.steps[0].undo.loses = vec![Loss::Ipv6Settings {
        link: "a".parse().unwrap(),
    }];
    plan.released = vec![step("d", 0, 0).fact];
    plan.beside = vec![OwnershipRecord {
        device: None,
        fact: Fact::link(
            &Netns::CURRENT,
            "e".parse().unwrap(),
            netkeel_core::fact::Field::Mtu,
        ),
        owner: "default".into(),
        found: None,
        wrote: Some(Value::Number(1460)),
        caused_by: Some(Box::new(plan.steps[0].fact.clone())),
    }];
    let mut lines = vec![line(&header())];
    lines.extend(steps(&plan, false).iter().map(line));
    lines.extend(
        [
            Line::Begun { step: 1 },
            Line::Complete {
                made: BTreeMap::new(),
            },
            Line::Undoing {},
        ]
        .iter()
        .map(line),
    );
    let text = lines.concat();
    insta::assert_snapshot!(text.trim_end(), @r#"
    {"format":1,"transaction":"t1","boot":"b1","owner":"default","document":"d1","actor":"root (pid 1)","work":"apply"}
    {"step":{"op":{"op":"set-mtu","target":{"index":3,"name":"a"},"mtu":1460},"undo":{"ops":[{"op":"set-mtu","target":{"index":3,"name":"a"},"mtu":1500}],"loses":[{"ipv6_settings":{"link":"a"}}]},"fact":{"object":{"link":"a"},"field":"mtu"},"device":null,"found":1500,"desired":1460}}
    {"release":{"object":{"link":"d"},"field":"mtu"}}
    {"side_effect":{"fact":{"object":{"link":"e"},"field":"mtu"},"device":null,"owner":"default","found":null,"wrote":1460,"caused_by":{"object":{"link":"a"},"field":"mtu"}}}
    {"planned":{"lines":3}}
    {"begun":{"step":1}}
    {"complete":{"made":{}}}
    {"undoing":{}}
    "#);
    let journal = Journal::read(&text).unwrap().unwrap();
    assert_eq!(
        (&journal.released, &journal.beside),
        (&plan.released, &plan.beside)
    );
    let claimed: Vec<String> = journal.claims().map(|claim| claim.fact.to_string()).collect();
    assert_eq!(claimed.len(), 2);
}

#[test]
fn a_step_that_only_keeps_a_value_claims_nothing() {
    let mut plan = plan();
    plan.drift.remove(1);
    let steps: String = steps(&plan, false).iter().map(line).collect();
    let journal = Journal::read(&(line(&header()) + &steps)).unwrap().unwrap();
    assert_eq!((journal.entries.len(), journal.claims().count()), (3, 2));
}

#[test]
fn another_format_is_refused_whatever_its_header_has() {
    let newer = format!("{{\"format\":{},\"of-the-future\":1}}\n", FORMAT + 1);
    let error = Journal::read(&newer).unwrap_err();
    assert_eq!(
        error.message,
        "the journal has format 2; this netkeel reads format 1"
    );
}

/// A record of what was written only for another write keeps that, also after a crash.
#[test]
fn what_follows_forwarding_is_claimed_once() {
    let sysctl = |key: &str| Fact::sysctl(&Netns::CURRENT, &key.parse().unwrap());
    let record = OwnershipRecord {
        device: None,
        fact: sysctl("net.ipv6.conf.a.accept_ra"),
        owner: "default".into(),
        found: Some(Value::Text("1".into())),
        wrote: Some(Value::Text("2".into())),
        caused_by: Some(Box::new(sysctl("net.ipv6.conf.all.forwarding"))),
    };
    let mut plan = plan();
    plan.steps.truncate(1);
    plan.drift.truncate(1);
    plan.steps[0].fact = record.fact.clone();
    plan.drift[0].fact = record.fact.clone();
    plan.beside = vec![record.clone()];
    assert!(plan.claims().eq([record.clone()]));
    let lines = steps(&plan, false).iter().map(line).collect::<Vec<_>>();
    let text = line(&super::tests::header()) + &lines.concat();
    let journal = Journal::read(&text).unwrap().unwrap();
    assert!(journal.claims().eq([record]));
}
