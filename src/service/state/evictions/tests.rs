//! Tests of the evictions of a node: their pace, retries, and what a restart and a stale replacement do.

use super::*;
use netkeel_document::policy::Policy;
use netkeel_document::policy::eviction::Owner;

fn seconds(count: u64) -> Now {
    Duration::from_secs(count)
}

fn pod(name: &str) -> (String, PodSeen) {
    let owner = Owner {
        kind: "ReplicaSet".to_owned(),
        name: "web".to_owned(),
        uid: "o-web".to_owned(),
    };
    let pod = PodSeen {
        namespace: "a".to_owned(),
        name: name.to_owned(),
        owner: Some(owner),
        ..PodSeen::default()
    };
    (format!("u-{name}"), pod)
}

fn pods(names: &[&str]) -> BTreeMap<String, PodSeen> {
    names.iter().map(|name| pod(name)).collect()
}

fn stale(names: &[&str]) -> Vec<StalePod> {
    let text = r#"{"apiVersion": "netkeel.io/v1alpha1", "kind": "NetkeelPolicy", "metadata": {"name": "p"},
        "spec": {"document": {"version": 1}, "rollout": {"evict": true}}}"#;
    let rules = Policy::from_json(text).unwrap().eviction.unwrap();
    let one = |name: &&str| StalePod {
        link: format!("cali-{name}"),
        pod: Some((format!("a/{name}"), format!("u-{name}"))),
        policy: "p".to_owned(),
        policy_uid: "up".to_owned(),
        generation: 1,
        rules: rules.clone(),
        ..StalePod::default()
    };
    names.iter().map(one).collect()
}

fn generations() -> BTreeMap<String, i64> {
    BTreeMap::from([("up".to_owned(), 1)])
}

/// The name of the pod that is evicted, after a scan and a list.
fn next(evictions: &mut Evictions, stale_ones: &[&str], all: &[&str], now: u64) -> Option<String> {
    evictions.scanned(stale(stale_ones), &generations(), 0);
    let next = evictions.listed(pods(all), seconds(now));
    let eviction = next.evict?;
    evictions.ask(&eviction, now);
    evictions.asks = true;
    Some(eviction.name)
}

#[test]
fn a_node_evicts_one_pod_and_then_rests() {
    let mut evictions = Evictions::default();
    assert!(!evictions.is_due(seconds(1)), "none is stale");
    let all = ["web-1", "web-2"];
    assert_eq!(next(&mut evictions, &all, &all, 1).unwrap(), "web-1");
    assert!(!evictions.is_due(seconds(99)), "a request is not answered");
    assert!(!evictions.ended("u-web-1", &EvictionEnd::Evicted, seconds(2)));
    assert!(evictions.is_due(seconds(2)));
    // The pod ends.
    let mut ending = pods(&all);
    ending.get_mut("u-web-1").unwrap().ending = true;
    evictions.scanned(stale(&all), &generations(), 0);
    assert_eq!(evictions.listed(ending.clone(), seconds(60)).evict, None);
    let why = evictions.shown[0].why.clone().unwrap();
    assert_eq!(
        (evictions.shown[0].action, &*why),
        ("wait", "the node still ends a/web-1")
    );
    // It is gone.
    assert_eq!(next(&mut evictions, &["web-2"], &["web-2"], 31), None);
    assert_eq!(next(&mut evictions, &["web-2"], &["web-2"], 32).unwrap(), "web-2");
}

#[test]
fn a_refused_pod_is_tried_again_when_the_server_says_or_with_backoff() {
    let mut evictions = Evictions::default();
    let one = ["web-1"];
    assert!(next(&mut evictions, &one, &one, 1).is_some());
    let refused = |after: Option<u64>| EvictionEnd::Refused {
        after: after.map(Duration::from_secs),
        why: "the budget web needs 2".to_owned(),
    };
    assert!(evictions.ended("u-web-1", &refused(Some(77)), seconds(2)));
    assert_eq!(evictions.record, EvictionRecord::default(), "nothing was evicted");
    assert_eq!(next(&mut evictions, &one, &one, 78), None);
    assert_eq!(evictions.shown[0].why.as_deref(), Some("the budget web needs 2"));
    assert!(next(&mut evictions, &one, &one, 79).is_some());
    // Without advice each pause is twice the one before, up to ten minutes.
    let mut now = 79;
    for pause in [20, 40, 80, 160, 320, 600, 600] {
        evictions.ended("u-web-1", &refused(None), seconds(now));
        assert_eq!(next(&mut evictions, &one, &one, now + pause - 1), None, "{pause}");
        now += pause;
        assert!(next(&mut evictions, &one, &one, now).is_some(), "{pause}");
    }
}

#[test]
fn a_refused_pod_holds_up_no_other_and_is_reported_once() {
    let mut evictions = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut evictions, &all, &all, 1);
    evictions.ended("u-web-1", &EvictionEnd::Busy("b".to_owned()), seconds(1));
    evictions.scanned(stale(&all), &generations(), 0);
    let next = evictions.listed(pods(&all), seconds(2));
    assert_eq!(next.evict.unwrap().name, "web-2");
    let notice = EvictionNotice {
        pod: "a/web-1".to_owned(),
        word: "wait",
        why: "b".to_owned(),
    };
    assert_eq!(next.notices, [notice]);
    assert_eq!(evictions.listed(pods(&all), seconds(3)).notices, []);
}

#[test]
fn an_agent_that_was_killed_evicts_nobody_twice() {
    let mut before = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut before, &all, &all, 1);
    // It was killed before it knew the answer. The pod was evicted: it ends, or is gone, and nobody else goes meanwhile.
    let mut after = Evictions::new(Ok(before.record.clone()), seconds(0), 100);
    let mut ending = pods(&all);
    ending.get_mut("u-web-1").unwrap().ending = true;
    after.scanned(stale(&all), &generations(), 0);
    assert_eq!(after.listed(ending, seconds(1)).evict, None);
    // Or it was not: the same pod is asked for.
    let mut after = Evictions::new(Ok(before.record), seconds(0), 100);
    assert_eq!(next(&mut after, &all, &all, 1).unwrap(), "web-1");
    // Nobody knows what was on record.
    let unread = Error::new(netkeel_core::error::ErrorKind::Refused, "no JSON");
    let mut after = Evictions::new(Err(unread), seconds(0), 100);
    assert_eq!(next(&mut after, &all, &all, 1), None);
    assert!(after.shown[0].why.as_ref().unwrap().contains("no JSON"));
}

#[test]
fn a_stale_replacement_stops_its_owner_across_restarts_until_the_policy_is_edited() {
    let mut evictions = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut evictions, &all, &all, 1);
    evictions.ended("u-web-1", &EvictionEnd::Evicted, seconds(2));
    // A replacement with the right MTU is no sign.
    evictions.scanned(stale(&["web-2"]), &generations(), 0);
    assert_eq!(
        evictions.listed(pods(&["web-2", "web-3"]), seconds(99)).stopped,
        []
    );
    assert!(evictions.findings().is_empty());
    let both = ["web-2", "web-3"];
    evictions.scanned(stale(&both), &generations(), 0);
    let next_one = evictions.listed(pods(&both), seconds(100));
    assert_eq!(next_one.evict, None);
    assert_eq!(
        next_one.stopped,
        [("a/ReplicaSet/web".to_owned(), "a/web-3".to_owned())]
    );
    let finding = &evictions.findings()[0];
    assert_eq!(
        (finding.code, &*finding.subject),
        (Code::NK090, "a/ReplicaSet/web")
    );
    let mut after = Evictions::new(Ok(evictions.record), seconds(0), 100);
    assert_eq!(next(&mut after, &both, &both, 1), None);
    assert_eq!(after.findings().len(), 1);
    // The policy is edited.
    let newer: Vec<StalePod> = stale(&both)
        .into_iter()
        .map(|one| StalePod { generation: 2, ..one })
        .collect();
    after.scanned(newer, &BTreeMap::from([("up".to_owned(), 2)]), 0);
    assert_eq!(after.listed(pods(&both), seconds(2)).evict.unwrap().name, "web-2");
    assert!(after.findings().is_empty());
}

#[test]
fn a_lost_answer_keeps_the_record_and_only_delays() {
    let mut evictions = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut evictions, &all, &all, 1);
    let lost = EvictionEnd::Unknown("the connection broke".to_owned());
    assert!(!evictions.ended("u-web-1", &lost, seconds(2)));
    assert!(evictions.record.is_asked("u-web-1"));
    assert_eq!(
        next(&mut evictions, &all, &all, 31),
        None,
        "it may have been evicted"
    );
    // The server had evicted it: no other pod of the node goes while it ends.
    let mut ending = pods(&all);
    ending.get_mut("u-web-1").unwrap().ending = true;
    evictions.scanned(stale(&all), &generations(), 0);
    assert_eq!(evictions.listed(ending, seconds(99)).evict, None);
    // A later refusal says nothing of the first request. A replacement that is stale stops the owner.
    assert_eq!(next(&mut evictions, &all, &all, 100).unwrap(), "web-1");
    evictions.ended("u-web-1", &EvictionEnd::Busy("b".to_owned()), seconds(101));
    assert!(evictions.record.is_asked("u-web-1"));
    evictions.scanned(stale(&["web-3"]), &generations(), 0);
    assert_eq!(evictions.listed(pods(&["web-3"]), seconds(200)).stopped.len(), 1);
}

#[test]
fn an_agent_that_restarts_rests_all_the_same() {
    let mut before = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut before, &all, &all, 1000);
    for (time, rests_until) in [(1010, 20), (1029, 1), (2000, 0), (500, 30)] {
        let start = || Evictions::new(Ok(before.record.clone()), seconds(0), time);
        if rests_until > 0 {
            assert_eq!(
                next(&mut start(), &["web-2"], &["web-2"], rests_until - 1),
                None,
                "{time}"
            );
        }
        assert!(
            next(&mut start(), &["web-2"], &["web-2"], rests_until).is_some(),
            "{time}"
        );
    }
}

#[test]
fn a_pod_that_is_refused_again_and_again_is_reported_once() {
    let mut evictions = Evictions::default();
    let all = ["web-1"];
    let mut now = 1;
    let mut notices = 0;
    for pause in [30, 60, 120, 240, 480, 600, 600] {
        assert!(next(&mut evictions, &all, &all, now).is_some(), "{pause}");
        evictions.ended("u-web-1", &EvictionEnd::Busy("b".to_owned()), seconds(now));
        evictions.scanned(stale(&all), &generations(), 0);
        let waits = evictions.listed(pods(&all), seconds(now + pause - 1));
        assert_eq!(waits.evict, None, "{pause}");
        notices += waits.notices.len();
        now += pause;
    }
    assert_eq!(notices, 1);
}

#[test]
fn a_pod_that_the_server_does_not_have_is_tried_with_backoff() {
    let mut evictions = Evictions::default();
    let all = ["web-1"];
    assert!(next(&mut evictions, &all, &all, 1).is_some());
    assert!(!evictions.ended("u-web-1", &EvictionEnd::Gone, seconds(1)));
    assert!(evictions.record.is_asked("u-web-1"));
    assert_eq!(next(&mut evictions, &all, &all, 10), None);
    assert!(next(&mut evictions, &all, &all, 11).is_some());
}

#[test]
fn a_policy_that_is_missing_for_a_moment_forgets_no_stop() {
    let mut evictions = Evictions::default();
    let all = ["web-1", "web-2"];
    next(&mut evictions, &all, &all, 1);
    evictions.ended("u-web-1", &EvictionEnd::Evicted, seconds(2));
    let both = ["web-2", "web-3"];
    evictions.scanned(stale(&both), &generations(), 100);
    assert_eq!(evictions.listed(pods(&both), seconds(100)).stopped.len(), 1);
    evictions.scanned(Vec::new(), &BTreeMap::new(), 200);
    assert!(evictions.findings().is_empty(), "no policy evicts");
    evictions.scanned(stale(&both), &generations(), 300);
    assert_eq!(evictions.listed(pods(&both), seconds(300)).evict, None);
    assert_eq!(evictions.findings().len(), 1);
}
