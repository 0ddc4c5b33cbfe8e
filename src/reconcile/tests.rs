//! Tests of the state machine in simulated time, against a host whose interfaces are in sync or not.

use proptest::prelude::*;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::{Action, Blamed, Event, Interest, Now, Outcome};
use crate::reconciler::Reconciler;
use crate::suspended::{Report, Suspended, Why};
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
    /// By index: whether the fact is in sync.
    right: BTreeMap<u32, bool>,
    /// Interfaces whose fact cannot be written; `names_fact` says whether a failure names it.
    unwritable: BTreeSet<u32>,
    names_fact: bool,
    /// The duration of a pass.
    takes: Duration,
    /// The current pass, and its end.
    pass: Option<(Extent, BTreeSet<Fact>, bool, Now)>,
    /// The start times of all passes.
    passes: Vec<Now>,
    loads: usize,
}

impl World {
    fn new(interfaces: u32) -> Self {
        let mut world = World {
            reconciler: Reconciler::new(true, INTERVAL, Interest::default()),
            now: ms(0),
            right: BTreeMap::new(),
            unwritable: BTreeSet::new(),
            names_fact: true,
            takes: ms(1),
            pass: None,
            passes: Vec::new(),
            loads: 0,
        };
        for index in 1..=interfaces {
            world.overwrite(index, 1500 + index);
        }
        world
    }

    /// Another program writes the fact, and the kernel sends an event.
    fn overwrite(&mut self, index: u32, mtu: u32) {
        self.right.insert(index, false);
        let link = Link {
            index,
            mtu,
            ..Link::default()
        };
        let name = format!("cali{index}").parse().unwrap();
        self.reconciler.hear(HostEvent::Link(name, link.into()), self.now);
    }

    /// Runs until `end` and performs the actions of the state machine.
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
        let stuck = wrong.iter().find(|index| self.unwritable.contains(index));
        let outcome = match stuck {
            _ if !writes => Outcome::Looked,
            Some(index) if self.names_fact => Outcome::Blamed(vec![Blamed {
                fact: fact(*index),
                index: Some(*index),
                why: "no".into(),
            }]),
            Some(_) => Outcome::Failed,
            None => {
                // The last scan of a pass covers the events of its own writes.
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
fn a_single_event_causes_a_scan_at_once_and_a_quiet_host_none() {
    let mut world = World::new(1);
    world.until(ms(5_000));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    let before = world.passes.len();
    world.until(ms(60_000));
    assert_eq!(world.passes.len(), before);
    world.overwrite(1, 1400);
    world.until(ms(60_001));
    assert_eq!((world.wrong(), world.passes.len()), (vec![], before + 1));
    world.until(ms(400_000));
    assert_eq!(world.passes.len(), before + 2, "the slow look");
}

#[test]
fn a_storm_is_scanned_once_it_ends_or_after_a_limit() {
    let mut world = World::new(0);
    world.until(ms(1_000));
    let before = world.passes.len();
    // One every half millisecond, as `ip -batch` creates them.
    for index in 1..=400 {
        world.until(ms(1_000) + Duration::from_micros(500 * u64::from(index)));
        world.overwrite(index, 1500);
    }
    world.until(ms(1_212));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    // The burst allows the first at once; the others follow at the end.
    let passes = world.passes.len() - before;
    assert!((2..=10).contains(&passes), "{passes}");
    // Until the end of the burst.
    let begun = world.now;
    let before = world.passes.len();
    for index in 1..=4_000 {
        world.until(begun + Duration::from_micros(500 * u64::from(index)));
        world.overwrite(index, 1400);
        assert!(world.wrong().len() <= 1_050, "{} wait", world.wrong().len());
    }
    assert!(world.passes.len() > before + 3);
}

#[test]
fn a_flapping_fact_is_reported_and_suspended_with_growing_pauses() {
    let mut world = World::new(3);
    world.until(ms(1_000));
    let start = world.passes.len();
    let mut began = None;
    for step in 0..600 {
        world.until(ms(1_000 + step * 100));
        world.overwrite(2, 1400 + step as u32 % 2);
        let reports = world.reconciler.reports();
        if reports.iter().any(
            |report| matches!(report, Report::Began(of, suspension) if *of == fact(2) && suspension.why == Why::Flaps),
        ) {
            began.get_or_insert(world.now);
        }
    }
    assert!(began.unwrap() < ms(2_000), "{began:?}");
    // A minute: the first writes, one write for each pause, and at most one scan a second.
    assert!(world.passes.len() - start < 90, "{}", world.passes.len() - start);
    // Other interfaces are not delayed.
    world.overwrite(1, 1300);
    world.until(world.now + ms(100));
    assert_eq!(world.wrong(), [2]);
    // The other program stops, and the end of the suspension is reported.
    world.until(world.now + ms(700_000));
    assert_eq!(world.wrong(), [] as [u32; 0]);
    assert!(world.reconciler.reports().contains(&Report::Ended(fact(2))));
    assert_eq!(world.reconciler.suspended().count(), 0);
}

#[test]
fn pod_ends_are_scanned_once_no_new_interface_appears() {
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
fn a_fact_that_cannot_be_written_does_not_stop_the_others() {
    for names_fact in [true, false] {
        let mut world = World::new(100);
        world.names_fact = names_fact;
        world.unwritable = [17].into();
        world.until(ms(2_000));
        assert_eq!(world.wrong(), [17], "names_fact: {names_fact}");
        let before = world.passes.len();
        world.until(ms(290_000));
        assert!(
            world.passes.len() - before < 20,
            "{}",
            world.passes.len() - before
        );
        // The fact can be written at last.
        world.unwritable.clear();
        world.until(world.now + ms(310_000));
        assert_eq!(world.wrong(), [] as [u32; 0]);
    }
}

#[test]
fn the_whole_host_is_retried_once_its_parts_are_in_sync_or_deleted() {
    for gone in [true, false] {
        let mut world = World::new(20);
        world.names_fact = false;
        world.unwritable = [17].into();
        world.until(ms(2_000));
        assert!(world.reconciler.failing.contains_key(&Extent::All));
        match gone {
            true => {
                world.right.remove(&17);
                world.reconciler.hear(HostEvent::Gone(17), world.now);
            }
            false => world.unwritable.clear(),
        }
        world.until(world.now + ms(20_000));
        assert_eq!(world.reconciler.failing, BTreeMap::new(), "gone: {gone}");
        assert_eq!(world.wrong(), [] as [u32; 0]);
    }
}

#[test]
fn the_rest_is_retried_and_suspensions_end_with_their_interface() {
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
    world.unwritable = [1].into();
    world.until(ms(1_000));
    assert_eq!(world.reconciler.suspended().count(), 1);
    world.reconciler.hear(HostEvent::Gone(1), world.now);
    assert_eq!(world.reconciler.suspended().count(), 0);
    assert!(world.reconciler.reports().contains(&Report::Ended(fact(1))));
}

#[test]
fn changes_to_own_rules_cause_a_scan_at_once_and_those_of_others_rarely() {
    let mut world = World::new(0);
    world.until(ms(1_000));
    let before = world.passes.len();
    world.reconciler.hear(HostEvent::Rules { own: true }, world.now);
    world.until(ms(1_010));
    assert_eq!(world.passes.len(), before + 1);
    // kube-proxy changes rules ten times a second for two minutes.
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
fn a_paused_service_only_scans() {
    let mut world = World::new(2);
    world.reconciler.handle(Event::Paused(ms(10_000)), world.now);
    world.until(ms(9_000));
    assert_eq!(world.wrong(), [1, 2]);
    assert!(!world.passes.is_empty());
    world.until(ms(10_500));
    assert_eq!(world.wrong(), [] as [u32; 0]);
}

#[test]
fn a_document_is_loaded_once_its_files_stop_changing() {
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
fn a_pass_that_cannot_start_is_retried_and_no_event_is_lost() {
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

#[test]
fn a_pause_forgives_the_writes_that_it_was_for() {
    let mut suspended = Suspended::default();
    let wrote = |suspended: &mut Suspended, times: u64, from: u64| {
        for number in 0..times {
            suspended.wrote(vec![(fact(1), Some(1))], ms(from + number));
        }
    };
    wrote(&mut suspended, 5, 0);
    assert_eq!(suspended.all().count(), 1);
    let mut reconciler = Reconciler::new(true, INTERVAL, Interest::default());
    reconciler.suspended = suspended;
    reconciler.handle(Event::Paused(ms(60_000)), ms(10));
    reconciler.handle(Event::Resumed, ms(20));
    assert_eq!(reconciler.suspended.all().count(), 0);
    let reports = reconciler.reports();
    assert!(matches!(reports.last(), Some(Report::Ended(_))), "{reports:?}");
    // What was written before the pause does not count either.
    wrote(&mut reconciler.suspended, 4, 30);
    assert_eq!(reconciler.suspended.all().count(), 0);
}

/// The possible events, each with a delay in milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Overwrite(u32, u32),
    Gone(u32),
    Lost,
    Conf,
    Touched(u32),
    Everything,
}

fn events() -> impl Strategy<Value = (u64, Step)> {
    let what = prop_oneof![
        8 => (1u32..40, 1280u32..1500).prop_map(|(index, mtu)| Step::Overwrite(index, mtu)),
        1 => (1u32..40).prop_map(Step::Gone),
        1 => Just(Step::Lost),
        1 => Just(Step::Conf),
        2 => (1u32..40).prop_map(Step::Touched),
        1 => Just(Step::Everything),
    ];
    (0u64..200, what)
}

proptest! {
    #[test]
    fn it_converges_after_the_last_event_at_a_bounded_rate(
        script in proptest::collection::vec(events(), 0..120),
        takes in 1u64..80,
        unwritable in proptest::collection::btree_set(1u32..40, 0..3),
        names_fact: bool,
    ) {
        let mut world = World::new(20);
        world.takes = ms(takes);
        world.unwritable = unwritable.clone();
        world.names_fact = names_fact;
        for (after, what) in script {
            world.until(world.now + ms(after));
            match what {
                Step::Overwrite(index, mtu) => world.overwrite(index, mtu),
                Step::Gone(index) => {
                    world.right.remove(&index);
                    world.reconciler.hear(HostEvent::Gone(index), world.now);
                }
                Step::Lost => world.reconciler.hear(HostEvent::Lost, world.now),
                Step::Conf => world.reconciler.hear(
                    HostEvent::Conf { index: None, ipv6: false, forwarding: None, rp_filter: Some(1) },
                    world.now,
                ),
                Step::Touched(index) => world.reconciler.hear(HostEvent::Touched(index), world.now),
                Step::Everything => world.reconciler.handle(Event::Everything, world.now),
            }
        }
        // The longest pause, and a slow scan.
        world.until(world.now + ms(700_000));
        let wrong = world.wrong();
        prop_assert!(wrong.iter().all(|index| unwritable.contains(index)), "{wrong:?} {unwritable:?}");
        prop_assert!(world.busiest_second() <= 8 + 50 + 1, "{}", world.busiest_second());
    }
}
