//! The state machine in simulated time: against a host of which each interface is right or wrong,
//! whatever comes when.

use proptest::prelude::*;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::{Action, Blamed, Event, Interest, Now, Outcome};
use crate::reconciler::Reconciler;
use crate::suspended::{Report, Why};
use netkeel_core::fact::{Fact, Field};
use netkeel_core::name::netns::Netns;
use netkeel_host::event::HostEvent;
use netkeel_host::snapshot::link::Link;
use netkeel_plan::goal::part::Extent;

const INTERVAL: Duration = Duration::from_secs(300);

fn ms(millis: u64) -> Now {
    Duration::from_millis(millis)
}

fn fact(index: u32) -> Fact {
    Fact::link(
        &Netns::CURRENT,
        format!("cali{index}").parse().unwrap(),
        Field::Mtu,
    )
}

/// A host whose interfaces have one fact each.
struct World {
    reconciler: Reconciler,
    now: Now,
    /// By index: whether the fact is as it is wanted.
    right: BTreeMap<u32, bool>,
    /// Interfaces whose fact cannot be written; `told` says whether a failure names it.
    stubborn: BTreeSet<u32>,
    told: bool,
    /// How long a pass takes.
    takes: Duration,
    /// The pass that is under way, and when it ends.
    pass: Option<(Extent, BTreeSet<Fact>, bool, Now)>,
    /// When passes began.
    passes: Vec<Now>,
    loads: usize,
}

impl World {
    fn new(interfaces: u32) -> Self {
        let mut world = World {
            reconciler: Reconciler::new(true, INTERVAL, Interest::default()),
            now: ms(0),
            right: BTreeMap::new(),
            stubborn: BTreeSet::new(),
            told: true,
            takes: ms(1),
            pass: None,
            passes: Vec::new(),
            loads: 0,
        };
        for index in 1..=interfaces {
            world.spoil(index, 1500 + index);
        }
        world
    }

    /// Somebody writes the fact, and the kernel tells.
    fn spoil(&mut self, index: u32, mtu: u32) {
        self.right.insert(index, false);
        let link = Link {
            index,
            mtu,
            ..Link::default()
        };
        let name = format!("cali{index}").parse().unwrap();
        self.reconciler.hear(HostEvent::Link(name, link.into()), self.now);
    }

    /// Goes on until then, and does what the machine says.
    fn until(&mut self, end: Now) {
        loop {
            if self.pass.is_none() {
                match self.reconciler.poll(self.now) {
                    Some(Action::Load) => {
                        self.loads += 1;
                        continue;
                    }
                    Some(Action::Pass {
                        extent,
                        except,
                        writes,
                    }) => {
                        self.passes.push(self.now);
                        self.pass = Some((extent, except, writes, self.now + self.takes));
                        continue;
                    }
                    None => {}
                }
            }
            let next = match &self.pass {
                Some((_, _, _, end)) => *end,
                None => self
                    .reconciler
                    .wakes()
                    .unwrap_or(end)
                    .max(self.now + Duration::from_micros(100)),
            };
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            self.end_pass();
        }
    }

    fn end_pass(&mut self) {
        let Some((extent, except, writes, _)) = self.pass.take_if(|pass| pass.3 <= self.now) else {
            return;
        };
        let within = |index: &u32| match &extent {
            Extent::All => true,
            Extent::Rest => false,
            Extent::Links(links) => links.contains(index),
        };
        let wrong: Vec<u32> = self
            .right
            .iter()
            .filter(|(index, right)| !**right && within(index) && !except.contains(&fact(**index)))
            .map(|(index, _)| *index)
            .collect();
        let stuck = wrong.iter().find(|index| self.stubborn.contains(index));
        let outcome = match stuck {
            _ if !writes => Outcome::Looked,
            Some(index) if self.told => Outcome::Blamed(vec![Blamed {
                fact: fact(*index),
                index: Some(*index),
                why: "no".into(),
            }]),
            Some(_) => Outcome::Failed,
            None => {
                // The last look of a pass answers its own echoes.
                self.reconciler.handle(Event::Looking(extent.clone()), self.now);
                for index in &wrong {
                    self.right.insert(*index, true);
                }
                Outcome::Kept(
                    wrong
                        .into_iter()
                        .map(|index| (fact(index), Some(index)))
                        .collect(),
                )
            }
        };
        self.reconciler.handle(Event::Ended(extent, outcome), self.now);
    }

    fn wrong(&self) -> Vec<u32> {
        let wrong = self.right.iter().filter(|(_, right)| !**right);
        wrong.map(|(index, _)| *index).collect()
    }

    fn busiest_second(&self) -> usize {
        let within = |start: &Now| {
            self.passes
                .iter()
                .filter(|at| (*start..*start + ms(1000)).contains(at))
                .count()
        };
        self.passes.iter().map(within).max().unwrap_or_default()
    }
}

#[test]
fn a_lone_interface_is_looked_at_at_once_and_a_quiet_host_not_at_all() {
    let mut world = World::new(1);
    world.until(ms(5_000));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    let before = world.passes.len();
    world.until(ms(60_000));
    assert_eq!(world.passes.len(), before);
    world.spoil(1, 1400);
    world.until(ms(60_001));
    assert_eq!((world.wrong(), world.passes.len()), (vec![], before + 1));
    world.until(ms(400_000));
    assert_eq!(world.passes.len(), before + 2, "the slow look");
}

#[test]
fn many_that_come_at_once_wait_for_the_last_of_them_but_not_for_long() {
    let mut world = World::new(0);
    world.until(ms(1_000));
    let before = world.passes.len();
    // One each half millisecond, as `ip -batch` makes them.
    for index in 1..=400 {
        world.until(ms(1_000) + Duration::from_micros(500 * u64::from(index)));
        world.spoil(index, 1500);
    }
    world.until(ms(1_212));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    // The first of them at once, as there is room for that, and all others at the end.
    let passes = world.passes.len() - before;
    assert!((2..=10).contains(&passes), "{passes}");
    // Where it does not end.
    let begun = world.now;
    let before = world.passes.len();
    for index in 1..=4_000 {
        world.until(begun + Duration::from_micros(500 * u64::from(index)));
        world.spoil(index, 1400);
        assert!(world.wrong().len() <= 1_050, "{} wait", world.wrong().len());
    }
    assert!(world.passes.len() > before + 3);
}

#[test]
fn a_fact_that_somebody_else_writes_too_is_reported_and_left_alone_longer_and_longer() {
    let mut world = World::new(3);
    world.until(ms(1_000));
    let start = world.passes.len();
    let mut began = None;
    for step in 0..600 {
        world.until(ms(1_000 + step * 100));
        world.spoil(2, 1400 + step as u32 % 2);
        let reports = world.reconciler.reports();
        if reports.iter().any(
            |report| matches!(report, Report::Began(of, alone) if *of == fact(2) && alone.why == Why::Flaps),
        ) {
            began.get_or_insert(world.now);
        }
    }
    assert!(began.unwrap() < ms(2_000), "{began:?}");
    // A minute: the first writes, one for each pause, and a look a second at most.
    assert!(world.passes.len() - start < 90, "{}", world.passes.len() - start);
    // The others are not made to wait.
    world.spoil(1, 1300);
    world.until(world.now + ms(100));
    assert_eq!(world.wrong(), [2]);
    // It ends, and once it is at peace that is told.
    world.until(world.now + ms(700_000));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    assert!(world.reconciler.reports().contains(&Report::Ended(fact(2))));
    assert_eq!(world.reconciler.suspended().count(), 0);
}

#[test]
fn the_other_ends_of_veths_wait_for_the_last_newcomer() {
    let mut world = World::new(0);
    let interest = Interest {
        pods: true,
        ..Interest::default()
    };
    world.reconciler.handle(Event::Loaded(interest), world.now);
    world.until(ms(1_000));
    let before = world.passes.len();
    for index in 1..=3 {
        world.until(world.now + ms(100));
        world.right.insert(index, false);
        let link = Link {
            index,
            kind: Some("veth".into()),
            peer_netns: Some(0),
            ..Link::default()
        };
        let name = format!("cali{index}").parse().unwrap();
        world
            .reconciler
            .hear(HostEvent::Link(name, link.into()), world.now);
    }
    world.until(world.now + ms(100));
    assert_eq!((world.wrong(), world.passes.len() - before), (vec![], 3));
    world.until(world.now + ms(60_000));
    assert_eq!(world.passes.len() - before, 4, "one look at everything");
}

#[test]
fn one_that_cannot_be_put_right_does_not_stop_the_others() {
    for told in [true, false] {
        let mut world = World::new(100);
        world.told = told;
        world.stubborn = [17].into();
        world.until(ms(2_000));
        assert_eq!(world.wrong(), [17], "told: {told}");
        let before = world.passes.len();
        world.until(ms(290_000));
        assert!(
            world.passes.len() - before < 20,
            "{}",
            world.passes.len() - before
        );
        // It can be written at last.
        world.stubborn.clear();
        world.until(world.now + ms(310_000));
        assert_eq!(world.wrong(), [] as [u32; 0]);
    }
}

#[test]
fn the_whole_is_tried_again_when_its_parts_hold_or_are_gone() {
    for gone in [true, false] {
        let mut world = World::new(20);
        world.told = false;
        world.stubborn = [17].into();
        world.until(ms(2_000));
        assert!(world.reconciler.failing.contains_key(&Extent::All));
        match gone {
            true => {
                world.right.remove(&17);
                world.reconciler.hear(HostEvent::Gone(17), world.now);
            }
            false => world.stubborn.clear(),
        }
        world.until(world.now + ms(20_000));
        assert_eq!(world.reconciler.failing, BTreeMap::new(), "gone: {gone}");
        assert_eq!(world.wrong(), [] as [u32; 0]);
    }
}

#[test]
fn the_rest_is_tried_again_when_it_fails_and_facts_go_with_their_interface() {
    let mut reconciler = Reconciler::new(true, INTERVAL, Interest::default());
    let mut tries = Vec::new();
    let mut now = ms(0);
    while now < ms(100_000) {
        if let Some(Action::Pass { extent, .. }) = reconciler.poll(now) {
            tries.push(extent.clone());
            let outcome = match (&extent, tries.len()) {
                (Extent::Rest, ..5) | (Extent::All, 1) => Outcome::Failed,
                _ => Outcome::Kept(Vec::new()),
            };
            reconciler.handle(Event::Ended(extent, outcome), now);
        }
        now = reconciler.wakes().unwrap().max(now + ms(1));
    }
    use Extent::All;
    use Extent::Rest;
    assert_eq!(tries, [All, Rest, Rest, Rest, Rest, All]);

    let mut world = World::new(1);
    world.stubborn = [1].into();
    world.until(ms(1_000));
    assert_eq!(world.reconciler.suspended().count(), 1);
    world.reconciler.hear(HostEvent::Gone(1), world.now);
    assert_eq!(world.reconciler.suspended().count(), 0);
    assert!(world.reconciler.reports().contains(&Report::Ended(fact(1))));
}

#[test]
fn own_rules_that_change_are_looked_at_at_once_and_those_of_others_now_and_then() {
    let mut world = World::new(0);
    world.until(ms(1_000));
    let before = world.passes.len();
    world.reconciler.hear(HostEvent::Rules { own: true }, world.now);
    world.until(ms(1_010));
    assert_eq!(world.passes.len(), before + 1);
    // kube-proxy, ten times a second for two minutes.
    for step in 0..1_200 {
        world.until(ms(2_000 + step * 100));
        world.reconciler.hear(HostEvent::Rules { own: false }, world.now);
    }
    let passes = world.passes.len() - before - 1;
    assert!((3..=4).contains(&passes), "{passes}");
    world.until(ms(130_000));
    let quiet = world.passes.len();
    world.until(ms(200_000));
    assert_eq!(world.passes.len(), quiet);
}

#[test]
fn while_it_is_paused_it_only_looks() {
    let mut world = World::new(2);
    world.reconciler.handle(Event::Paused(ms(10_000)), world.now);
    world.until(ms(9_000));
    assert_eq!(world.wrong(), [1, 2]);
    assert!(!world.passes.is_empty());
    world.until(ms(10_500));
    assert_eq!(world.wrong(), [] as [u32; 0]);
}

#[test]
fn a_document_is_read_when_its_files_are_quiet() {
    let mut world = World::new(0);
    for _ in 0..5 {
        world.until(world.now + ms(50));
        world.reconciler.handle(Event::DocumentTouched, world.now);
    }
    assert_eq!(world.loads, 0);
    world.until(world.now + ms(150));
    assert_eq!(world.loads, 1);
    for _ in 0..100 {
        world.until(world.now + ms(50));
        world.reconciler.handle(Event::DocumentTouched, world.now);
    }
    assert!((2..5).contains(&world.loads), "{}", world.loads);
}

#[test]
fn what_cannot_begin_is_tried_again_and_nothing_is_forgotten() {
    let mut reconciler = Reconciler::new(true, INTERVAL, Interest::default());
    let mut now = ms(0);
    let mut tries = 0;
    while now < ms(60_000) {
        if let Some(Action::Pass { extent, .. }) = reconciler.poll(now) {
            tries += 1;
            reconciler.handle(Event::Ended(extent, Outcome::Blocked), now);
        }
        now = reconciler.wakes().unwrap().max(now + ms(1));
    }
    assert!((5..20).contains(&tries), "{tries}");
    let Some(Action::Pass { extent, .. }) = reconciler.poll(ms(120_000)) else {
        panic!("it gave up")
    };
    assert_eq!(extent, Extent::All);
}

/// What may happen, and after how many milliseconds.
#[derive(Clone, Debug)]
enum Happens {
    Spoil(u32, u32),
    Gone(u32),
    Lost,
    Conf,
    Touched(u32),
    Everything,
}

fn happens() -> impl Strategy<Value = (u64, Happens)> {
    let what = prop_oneof![
        8 => (1u32..40, 1280u32..1500).prop_map(|(index, mtu)| Happens::Spoil(index, mtu)),
        1 => (1u32..40).prop_map(Happens::Gone),
        1 => Just(Happens::Lost),
        1 => Just(Happens::Conf),
        2 => (1u32..40).prop_map(Happens::Touched),
        1 => Just(Happens::Everything),
    ];
    (0u64..200, what)
}

proptest! {
    #[test]
    fn it_converges_after_the_last_event_at_a_bounded_rate(
        script in proptest::collection::vec(happens(), 0..120),
        takes in 1u64..80,
        stubborn in proptest::collection::btree_set(1u32..40, 0..3),
        told: bool,
    ) {
        let mut world = World::new(20);
        world.takes = ms(takes);
        world.stubborn = stubborn.clone();
        world.told = told;
        for (after, what) in script {
            world.until(world.now + ms(after));
            match what {
                Happens::Spoil(index, mtu) => world.spoil(index, mtu),
                Happens::Gone(index) => {
                    world.right.remove(&index);
                    world.reconciler.hear(HostEvent::Gone(index), world.now);
                }
                Happens::Lost => world.reconciler.hear(HostEvent::Lost, world.now),
                Happens::Conf => world.reconciler.hear(
                    HostEvent::Conf { index: None, ipv6: false, forwarding: None, rp_filter: Some(1) },
                    world.now,
                ),
                Happens::Touched(index) => world.reconciler.hear(HostEvent::Touched(index), world.now),
                Happens::Everything => world.reconciler.handle(Event::Everything, world.now),
            }
        }
        // The longest pause, and a slow look.
        world.until(world.now + ms(700_000));
        let wrong = world.wrong();
        prop_assert!(wrong.iter().all(|index| stubborn.contains(index)), "{wrong:?} {stubborn:?}");
        prop_assert!(world.busiest_second() <= 8 + 50 + 1, "{}", world.busiest_second());
    }
}
