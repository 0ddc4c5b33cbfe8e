//! Tests of the decision: each reason, the order, and what no decision ever does.

use proptest::prelude::*;

use std::collections::BTreeSet;

use super::*;
use crate::policy::eviction::EvictionRules;
use netkeel_core::cluster_policies::evictions::OwnerRecord;
use netkeel_source::testing::yaml;

fn rules(rollout: &str) -> EvictionRules {
    EvictionRules::read(Some(&yaml(rollout))).unwrap()
}

fn owner(kind: &str, name: &str) -> Option<Owner> {
    Some(Owner {
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: format!("o-{name}"),
    })
}

/// The pod `NAMESPACE/NAME` of the ReplicaSet `web`, whose UID is that text.
fn pod(shown: &str) -> PodSeen {
    let (namespace, name) = shown.split_once('/').unwrap();
    PodSeen {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        owner: owner("ReplicaSet", "web"),
        ..PodSeen::default()
    }
}

fn stale(shown: &str) -> StalePod {
    StalePod {
        link: format!("cali-{shown}"),
        pod: Some((shown.to_owned(), shown.to_owned())),
        rules: rules("{ evict: true }"),
        ..StalePod::default()
    }
}

#[derive(Default)]
struct Case {
    stale: Vec<StalePod>,
    pods: BTreeMap<String, PodSeen>,
    record: EvictionRecord,
    waits: BTreeMap<String, String>,
    pause: Option<&'static str>,
}

impl Case {
    fn of(pods: &[(PodSeen, StalePod)]) -> Self {
        Case {
            pods: pods.iter().map(|(pod, _)| (pod.shown(), pod.clone())).collect(),
            stale: pods.iter().map(|(_, stale)| stale.clone()).collect(),
            ..Case::default()
        }
    }

    fn judged(&self) -> Vec<Judged<'_>> {
        judge(View {
            stale: &self.stale,
            pods: &self.pods,
            record: &self.record,
            waits: &self.waits,
            pause: self.pause,
        })
    }

    fn lines(&self) -> Vec<String> {
        let line = |one: &Judged<'_>| {
            let pod = one.pod.map_or_else(|| one.stale.link.clone(), PodSeen::shown);
            match &one.verdict {
                Verdict::Evict => format!("{pod} evict"),
                Verdict::Wait(why) => format!("{pod} wait: {why}"),
                Verdict::OnlyShown(why) => format!("{pod} shown: {why}"),
                Verdict::Skip(skip) => format!("{pod} skip {}", skip.word()),
            }
        };
        self.judged().iter().map(line).collect()
    }
}

fn stopped(owner: &str, by: &str) -> (String, OwnerRecord) {
    let record = OwnerRecord {
        stopped: Some(by.to_owned()),
        ..OwnerRecord::default()
    };
    (format!("o-{owner}"), record)
}

#[test]
fn each_pod_that_is_not_evicted_has_its_reason() {
    let web = || pod("a/web-1");
    let same = || stale("a/web-1");
    for (wanted, pod, stale) in [
        ("evict", web(), same()),
        (
            "skip static",
            PodSeen {
                is_static: true,
                ..web()
            },
            same(),
        ),
        (
            "skip static",
            PodSeen {
                owner: owner("Node", "n1"),
                ..web()
            },
            same(),
        ),
        (
            "skip host-network",
            PodSeen {
                host_network: true,
                ..web()
            },
            same(),
        ),
        (
            "skip ending",
            PodSeen {
                ending: true,
                ..web()
            },
            same(),
        ),
        (
            "skip finished",
            PodSeen {
                finished: true,
                ..web()
            },
            same(),
        ),
        ("skip no-controller", PodSeen { owner: None, ..web() }, same()),
        (
            "skip daemon-set",
            PodSeen {
                owner: owner("DaemonSet", "d"),
                ..web()
            },
            same(),
        ),
        (
            "skip no-controller",
            PodSeen {
                owner: owner("Job", "j"),
                ..web()
            },
            same(),
        ),
        (
            "skip no-controller",
            PodSeen {
                owner: owner("VirtualMachineInstance", "vm"),
                ..web()
            },
            same(),
        ),
        (
            "evict",
            PodSeen {
                owner: owner("Job", "j"),
                ..web()
            },
            StalePod {
                rules: rules("{ evict: true, include: ['a/web-*'] }"),
                ..same()
            },
        ),
        (
            "skip excluded",
            web(),
            StalePod {
                rules: rules("{ evict: true, include: ['a/*'], exclude: ['a/web-?'] }"),
                ..same()
            },
        ),
        (
            "skip not-included",
            web(),
            StalePod {
                rules: rules("{ evict: true, include: ['b/*'] }"),
                ..same()
            },
        ),
        (
            "skip new-pod",
            web(),
            StalePod {
                new_pod_fault: Some("why".to_owned()),
                ..same()
            },
        ),
        (
            "shown: the policy only observes",
            web(),
            StalePod {
                only_shown: Some("the policy only observes"),
                ..same()
            },
        ),
    ] {
        let case = Case::of(&[(pod, stale)]);
        assert_eq!(case.lines(), [format!("a/web-1 {wanted}")]);
    }
    let mut case = Case::of(&[(web(), StalePod { pod: None, ..same() })]);
    assert_eq!(case.lines(), ["cali-a/web-1 skip unidentified"]);
    case.stale = vec![same()];
    case.pods.clear();
    assert_eq!(case.lines(), ["cali-a/web-1 skip gone"]);
}

#[test]
fn a_pod_of_kube_system_is_evicted_only_where_a_pattern_names_the_namespace() {
    for (rollout, wanted) in [
        ("{ evict: true }", "skip kube-system"),
        ("{ evict: true, include: ['*/*'] }", "skip kube-system"),
        ("{ evict: true, include: ['kube-*/*'] }", "skip kube-system"),
        (
            "{ evict: true, include: ['*/*', 'kube-system/x*'] }",
            "skip kube-system",
        ),
        ("{ evict: true, include: ['kube-system/dns-*'] }", "evict"),
        (
            "{ evict: true, include: ['kube-system/*'], exclude: ['*/dns-1'] }",
            "skip excluded",
        ),
    ] {
        let stale = StalePod {
            rules: rules(rollout),
            ..stale("kube-system/dns-1")
        };
        let case = Case::of(&[(pod("kube-system/dns-1"), stale)]);
        assert_eq!(case.lines(), [format!("kube-system/dns-1 {wanted}")], "{rollout}");
    }
}

#[test]
fn the_node_evicts_one_pod_of_each_owner_in_turn_and_one_at_a_time() {
    let of = |shown: &str, name: &str| {
        let pod = PodSeen {
            owner: owner("ReplicaSet", name),
            ..pod(shown)
        };
        (pod, stale(shown))
    };
    let mut case = Case::of(&[of("a/x-2", "x"), of("a/x-1", "x"), of("b/y-1", "y")]);
    let turn = "wait: the node evicts one pod at a time";
    assert_eq!(
        case.lines(),
        [
            "a/x-1 evict".to_owned(),
            format!("b/y-1 {turn}"),
            format!("a/x-2 {turn}")
        ]
    );
    // One that waits holds up no other owner.
    case.waits.insert("a/x-1".to_owned(), "429".to_owned());
    assert_eq!(
        case.lines(),
        [
            "a/x-1 wait: 429".to_owned(),
            "b/y-1 evict".to_owned(),
            format!("a/x-2 {turn}")
        ]
    );
    case.pause = Some("30 s after the last one");
    assert_eq!(case.lines()[1], "b/y-1 wait: 30 s after the last one");
    case.pause = None;
    // Its own eviction is not done; the deletion of another pod by others holds up nothing.
    let ending = PodSeen {
        ending: true,
        ..pod("a/z-1")
    };
    case.pods.insert("a/z-1".to_owned(), ending);
    assert_eq!(case.lines()[1], "b/y-1 evict");
    case.record.ask("o-z", "a/z-1", OwnerRecord::default(), 1);
    assert_eq!(case.lines()[1], "b/y-1 wait: the node still ends a/z-1");
}

#[test]
fn a_pod_that_was_asked_for_and_is_still_there_is_asked_for_again() {
    // The agent was killed after it wrote that down and before the server did it.
    let mut case = Case::of(&[(pod("a/web-1"), stale("a/web-1"))]);
    case.record.ask("o-web", "a/web-1", OwnerRecord::default(), 1);
    assert_eq!(case.lines(), ["a/web-1 evict"]);
}

#[test]
fn a_new_pod_that_is_stale_too_stops_its_owner_and_two_owners_stop_the_node() {
    let mut case = Case::of(&[
        (pod("a/web-2"), stale("a/web-2")),
        (pod("a/web-9"), stale("a/web-9")),
    ]);
    let known = ["a/web-1", "a/web-2"].map(str::to_owned);
    let before = OwnerRecord {
        owner: "a/ReplicaSet/web".to_owned(),
        known: known.into(),
        ..OwnerRecord::default()
    };
    case.record.ask("o-web", "a/web-1", before, 1);
    let pods = case.pods.clone();
    let stale_pods = case.stale.clone();
    // The pod that was there before is no sign.
    assert_eq!(stop_owners(&mut case.record, &stale_pods[..1], &pods), []);
    let news = [("a/ReplicaSet/web".to_owned(), "a/web-9".to_owned())];
    assert_eq!(stop_owners(&mut case.record, &stale_pods, &pods), news);
    assert_eq!(stop_owners(&mut case.record, &stale_pods, &pods), []);
    assert_eq!(
        case.lines(),
        ["a/web-2 skip owner-stopped", "a/web-9 skip owner-stopped"]
    );
    let other = PodSeen {
        owner: owner("ReplicaSet", "other"),
        ..pod("a/other-1")
    };
    case.pods.insert("a/other-1".to_owned(), other);
    case.stale.push(stale("a/other-1"));
    assert!(case.lines().contains(&"a/other-1 evict".to_owned()));
    case.record.owners.extend([stopped("third", "a/third-2")]);
    assert!(case.lines().contains(&"a/other-1 skip node-stopped".to_owned()));
}

prop_compose! {
    fn any_pod()(
        number in 0..6_u8,
        system in any::<bool>(),
        kind in 0..5_usize,
        flags in any::<[bool; 4]>(),
        fault in any::<bool>(),
        shown in any::<bool>(),
        excluded in any::<bool>(),
    ) -> (PodSeen, StalePod) {
        let namespace = if system { "kube-system" } else { "a" };
        let name = format!("{namespace}/p-{number}");
        let kinds = ["ReplicaSet", "StatefulSet", "DaemonSet", "Node", ""];
        let pod = PodSeen {
            owner: owner(kinds[kind], &format!("{kind}")).filter(|owner| !owner.kind.is_empty()),
            host_network: flags[0],
            is_static: flags[1],
            finished: flags[2],
            ending: flags[3],
            ..pod(&name)
        };
        let text = if excluded { "{ evict: true, exclude: ['*/p-1'] }" } else { "{ evict: true }" };
        let stale = StalePod {
            rules: rules(text),
            only_shown: shown.then_some("the policy only observes"),
            new_pod_fault: fault.then(|| "no".to_owned()),
            ..stale(&name)
        };
        (pod, stale)
    }
}

proptest! {
    #[test]
    fn no_decision_evicts_two_pods_or_one_that_is_protected(
        pods in prop::collection::vec(any_pod(), 0..8),
        order in any::<prop::sample::Index>(),
    ) {
        // An interface is one entry.
        let mut links = BTreeSet::new();
        let pods: Vec<_> = pods.into_iter().filter(|(_, stale)| links.insert(stale.link.clone())).collect();
        let case = Case::of(&pods);
        let judged = case.judged();
        prop_assert_eq!(judged.len(), case.stale.len());
        let evicted: Vec<_> = judged.iter().filter(|one| one.verdict == Verdict::Evict).collect();
        prop_assert!(evicted.len() <= 1);
        for one in evicted {
            let pod = one.pod.unwrap();
            let kind = pod.owner.as_ref().map(|owner| owner.kind.as_str());
            prop_assert!(!pod.host_network && !pod.is_static && !pod.finished && !pod.ending);
            prop_assert!(matches!(kind, Some("ReplicaSet" | "StatefulSet")));
            prop_assert!(pod.namespace != "kube-system");
            prop_assert!(one.stale.only_shown.is_none() && one.stale.new_pod_fault.is_none());
            prop_assert!(one.stale.rules.refuse(&pod.namespace, &pod.name).is_none());
        }
        // The order of the input does not matter.
        let mut turned = Case::of(&pods);
        if !turned.stale.is_empty() {
            let at = order.index(turned.stale.len());
            turned.stale.rotate_left(at);
        }
        let of = |case: &Case| {
            let lines = case.lines();
            lines.into_iter().filter(|line| !line.contains(" skip ")).collect::<Vec<_>>()
        };
        prop_assert_eq!(of(&case), of(&turned));
    }
}
