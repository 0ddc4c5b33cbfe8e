//! The worker as a process: what it may do, and that neither an end, a flap of its interface nor new
//! settings cost more than they must.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::sample::Sample;
use super::wire::Sender;
use super::world::{VIP, Worker, World, wanted};
use netkeel_core::replication::refusal::Refusal;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::statistics::PeerState;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};

fn sample(number: u16) -> Sample {
    Sample {
        vip: VIP.parse().unwrap(),
        ports: (443, number),
        ..Sample::ipv4()
    }
}

fn status_of(pid: u32, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("{key} in {text}"))
        .trim()
        .to_owned()
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn it_has_one_capability_and_a_user_of_its_own_and_so_has_its_helper() {
    let world = World::new(2);
    let node = &world.nodes[0];
    node.log("");
    let worker = Worker::start(node, world.settings());
    let status = worker.supervisor.status();
    let pid = status.pid.unwrap();
    assert_eq!(status.uid, Some(65_534));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let helper: u32 = children.trim().parse().unwrap();
    // The worker has CAP_NET_RAW, its helper CAP_NET_ADMIN.
    for (pid, capability) in [(pid, 13), (helper, 12)] {
        assert_eq!(status_of(pid, "Uid:").split_whitespace().next(), Some("65534"));
        assert_eq!(status_of(pid, "Gid:").split_whitespace().next(), Some("65534"));
        assert_eq!(status_of(pid, "Groups:"), "");
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            assert_eq!(
                status_of(pid, set),
                format!("{:016x}", 1u64 << capability),
                "{set}"
            );
        }
        assert_eq!(status_of(pid, "CapInh:"), "0000000000000000");
        assert_eq!(
            (status_of(pid, "NoNewPrivs:"), status_of(pid, "Seccomp:")),
            ("1".into(), "2".into())
        );
    }
}

#[test]
fn its_helper_ends_with_it_and_the_worker_with_its_helper() {
    let world = World::new(2);
    let node = &world.nodes[0];
    let mut worker = Worker::start(node, world.settings());
    let helper_of = |pid: u32| -> u32 {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.trim().parse().unwrap()
    };
    let kill = |pid: u32| {
        let pid = nix::unistd::Pid::from_raw(pid as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    let first = worker.supervisor.status().pid.unwrap();
    let helper = helper_of(first);
    kill(first);
    let begin = Instant::now();
    let gone = |pid: u32| {
        let state = fs::read_to_string(format!("/proc/{pid}/stat"));
        state.is_err() || state.is_ok_and(|state| state.contains(") Z "))
    };
    while !gone(helper) {
        assert!(begin.elapsed() < super::SOON, "the helper is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    let again = |worker: &mut Worker, before: u32| {
        let status = worker.until("another worker replicates", |status| {
            status.pid.is_some_and(|pid| pid != before) && status.health == WorkerHealth::Ok
        });
        status.pid.unwrap()
    };
    let second = again(&mut worker, first);
    kill(helper_of(second));
    again(&mut worker, second);
    assert!(
        worker
            .said
            .iter()
            .any(|text| text.contains("the worker's helper process ended")),
        "{:?}",
        worker.said
    );
}

#[test]
fn copies_that_the_host_does_not_let_out_are_told() {
    let world = World::new(2);
    let node = &world.nodes[0];
    node.log("");
    node.host.sh("nft 'add table ip strict; add chain ip strict output { type filter hook output priority 0; }; add rule ip strict output ip protocol 4 drop'");
    let mut settings = world.settings();
    settings.mode = Mode::Ipip;
    let mut worker = Worker::start(node, settings);
    assert_eq!(worker.supervisor.health(), WorkerHealth::Ok);
    let router = Sender::new(&world.router.netns());
    router.send(&sample(1).bytes(), sample(1).vip);
    let status = worker.until("it is told", |status| status.health == WorkerHealth::Failed);
    let peer = &status.statistics.unwrap().peers[1];
    assert_eq!((peer.state, peer.sent, peer.failed), (PeerState::Refused, 0, 1));
    node.host.sh("nft delete table ip strict");
    router.send(&sample(2).bytes(), sample(2).vip);
    let status = worker.until("it is over", |status| status.health == WorkerHealth::Ok);
    let peer = &status.statistics.unwrap().peers[1];
    assert_eq!((peer.state, peer.sent), (PeerState::Ipv4Only, 1));
}

#[test]
fn it_is_started_again_when_it_is_killed() {
    let world = World::new(2);
    let node = &world.nodes[0];
    node.log("");
    let mut worker = Worker::start(node, world.settings());
    let first = worker.supervisor.status().pid.unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(first as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let status = worker.until("another worker replicates", |status| {
        status.pid.is_some_and(|pid| pid != first) && status.health == WorkerHealth::Ok
    });
    assert_eq!((status.restarts, status.error), (1, None));
    let told = |text: &String| text.contains("was ended by SIGKILL");
    assert!(worker.said.iter().any(told), "{:?}", worker.said);
    let router = Sender::new(&world.router.netns());
    router.send(&sample(1).bytes(), sample(1).vip);
    assert_eq!(worker.received(1).sent, 1);
}

#[test]
fn it_ends_with_its_supervisor() {
    let world = World::new(2);
    let node = &world.nodes[0];
    let mut worker = Worker::start(node, world.settings());
    let pid = worker.supervisor.status().pid.unwrap();
    worker.supervisor.stop();
    let begin = Instant::now();
    while fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(begin.elapsed() < super::SOON, "the worker is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(worker.supervisor.health(), WorkerHealth::Off);
}

#[test]
fn a_group_that_another_program_reads_is_an_error_that_says_so() {
    let world = World::new(2);
    let node = &world.nodes[0];
    let _first = Worker::start(node, world.settings());
    let program = env!("CARGO_BIN_EXE_netkeel").into();
    let mut second = Worker {
        supervisor: netkeel_replicate::supervisor::Supervisor::new(node.host.netns(), Some(program)),
        said: Vec::new(),
    };
    second.supervisor.want(Some(wanted(world.settings())));
    let status = second.until("it tried thrice", |status| status.restarts >= 3);
    assert_eq!(status.health, WorkerHealth::Failed);
    let error = status.error.unwrap();
    assert!(error.contains("binding NFLOG group 33"), "{error}");
}

#[test]
fn a_group_that_becomes_free_is_taken_by_the_worker_that_waits_for_it() {
    let world = World::new(2);
    let node = &world.nodes[0];
    let first = Worker::start(node, world.settings());
    let mut settings = world.settings();
    settings.group = 34;
    let mut second = Worker::start(node, settings.clone());
    let pid = second.supervisor.status().pid;
    settings.group = 33;
    second.supervisor.want(Some(wanted(settings)));
    let status = second.until("it cannot", |status| status.health == WorkerHealth::Failed);
    let error = status.error.unwrap();
    let (_, hints) = error.split_once("; ").unwrap();
    assert!(hints.starts_with("another program reads this group"), "{error}");
    drop(first);
    let status = second.until("it can", |status| status.health == WorkerHealth::Ok);
    assert_eq!((status.pid, status.restarts), (pid, 0));
    let complaints = second.said.iter().filter(|text| text.contains("binding"));
    assert_eq!(complaints.count(), 1, "{:?}", second.said);
}

#[test]
fn it_gets_no_open_files_of_whoever_started_netkeel() {
    let world = World::new(2);
    let node = &world.nodes[0];
    let opened = fs::File::open("/etc/hostname").unwrap();
    // As a parent leaves one that does not know of close-on-exec.
    let inherited = nix::unistd::dup(&opened).unwrap();
    nix::fcntl::fcntl(
        &inherited,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let worker = Worker::start(node, world.settings());
    let pid = worker.supervisor.status().pid.unwrap();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let files: Vec<_> = files
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .collect();
    assert!(files.len() > 3, "{files:?}");
    assert!(!files.iter().any(|file| file.ends_with("hostname")), "{files:?}");
}

#[test]
fn new_settings_and_a_flapping_interface_lose_nothing_that_is_due() {
    let world = World::new(3);
    let (node, peers) = world.nodes.split_first().unwrap();
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut worker = Worker::start(node, world.settings());
    let pid = worker.supervisor.status().pid.unwrap();
    let before = descriptors(pid);
    // While settings change, packets keep coming.
    for round in 0..20u16 {
        let mut settings = world.settings();
        settings.ttl = Some(20 + round as u8);
        worker.supervisor.want(Some(wanted(settings)));
        for number in 0..100 {
            let sample = sample(1_000 + round * 100 + number);
            router.send(&sample.bytes(), sample.vip);
        }
        worker.supervisor.poll();
    }
    let statistics = worker.received(2_000);
    assert_eq!(
        (statistics.replicated, statistics.sent, statistics.lost),
        (2_000, 4_000, 0),
        "{statistics:#?}"
    );

    // The interface goes down and up, gets another name and its own again, and is made again.
    node.host.sh("ip link set eth0 down; ip link set eth0 name lan0; ip link set lan0 name eth0; ip link set eth0 up; ip route replace default via 10.0.0.254");
    std::thread::sleep(Duration::from_millis(100));
    world.router.sh(&format!(
        "ip link del port1
         ip link add port1 type veth peer name eth0 netns {}
         ip link set port1 master br0 up",
        node.host.name
    ));
    node.host.sh(
        "ip address add 10.0.0.1/24 dev eth0; ip link set eth0 up; ip route replace default via 10.0.0.254",
    );
    let (capture, too_big) = peers[0].capture();
    // It may not have heard yet that the interface went.
    std::thread::sleep(Duration::from_secs(3));
    worker.until("its peers are served again", |status| served(status) == 2);
    router.send(&sample(9).bytes(), sample(9).vip);
    assert_eq!(
        capture.wait(1, &too_big).len(),
        1,
        "{:#?}",
        worker.supervisor.status()
    );
    let status = worker.until("it replicates", |status| {
        status.statistics.as_ref().is_some_and(|s| s.received >= 2_001)
    });
    assert_eq!((status.pid, status.restarts), (Some(pid), 0));
    assert_eq!(descriptors(pid), before);
}

#[test]
fn a_file_of_peers_is_read_again_when_it_changes() {
    let world = World::new(3);
    let (node, peers) = world.nodes.split_first().unwrap();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("peers");
    fs::write(&path, format!("{}\n", peers[0].address)).unwrap();
    let mut replication = wanted(world.settings());
    replication.settings.peers.clear();
    replication.peers_file = Some(path.to_str().unwrap().to_owned());
    let mut worker = Worker::start(node, world.settings());
    worker.supervisor.want(Some(replication));
    let served = |worker: &mut Worker, number: usize| {
        worker.until(&format!("{number} peers are served"), |status| {
            let peers = status.statistics.iter().flat_map(|one| &one.peers);
            peers.filter(|peer| peer.state.is_reachable()).count() == number
        })
    };
    assert_eq!(served(&mut worker, 1).health, WorkerHealth::Ok);
    fs::write(&path, format!("{}\n{}\n", peers[0].address, peers[1].address)).unwrap();
    served(&mut worker, 2);
    fs::write(&path, "nonsense\n").unwrap();
    let status = worker.until("it complains", |status| status.error.is_some());
    assert_eq!(status.health, WorkerHealth::Degraded);
    served(&mut worker, 2);
}

/// How many peers can be reached.
fn served(status: &WorkerStatus) -> usize {
    let peers = status.statistics.iter().flat_map(|one| &one.peers);
    peers.filter(|peer| peer.state.is_reachable()).count()
}

/// Sends so many packets, 200 a second.
fn steadily(router: &Sender, worker: &mut Worker, numbers: std::ops::Range<u16>) {
    for number in numbers {
        router.send(&sample(number).bytes(), sample(number).vip);
        worker.supervisor.poll();
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn peers_that_do_not_answer_cost_no_packets() {
    let world = World::new(3);
    let node = &world.nodes[0];
    node.log("");
    let router = Sender::new(&world.router.netns());
    let with = |more: &[&str]| {
        let mut settings = world.settings();
        settings
            .peers
            .extend(more.iter().map(|peer| peer.parse::<IpAddr>().unwrap()));
        settings
    };
    // One when it starts: packets wait for it, and are not refused.
    let mut worker = Worker::begin(node, with(&["10.0.0.77"]));
    steadily(&router, &mut worker, 0..100);
    let statistics = worker.received(100);
    assert_eq!(
        (statistics.replicated, statistics.sent, statistics.refused.len()),
        (100, 200, 0),
        "{statistics:#?}"
    );
    // Another one later: the others are served at once, while it is not known yet whether that one answers. On a busy
    // machine it may be.
    let mut sent = 100;
    for last in 78.. {
        let more = ["10.0.0.77".to_owned(), format!("10.0.0.{last}")];
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        worker.supervisor.want(Some(wanted(with(&more))));
        let begin = Instant::now();
        steadily(&router, &mut worker, sent..sent + 100);
        sent += 100;
        let statistics = worker.received(sent.into());
        let took = begin.elapsed();
        assert_eq!(
            (statistics.replicated, statistics.sent, statistics.refused.len()),
            (sent.into(), 2 * u64::from(sent), 0),
            "{statistics:#?}"
        );
        if took < Duration::from_millis(1_900) {
            break;
        }
        assert!(last < 98, "the others wait for it: {took:?}, {statistics:#?}");
    }
    // Others than all before.
    let mut settings = world.settings();
    settings.peers = vec![world.nodes[2].address6.parse().unwrap()];
    worker.supervisor.want(Some(wanted(settings)));
    steadily(&router, &mut worker, sent..sent + 50);
    let all = u64::from(sent) + 50;
    let statistics = worker.received(all);
    // What came before it heard of that went to two.
    assert!(
        statistics.replicated == all
            && statistics.sent >= 2 * u64::from(sent) + 50
            && statistics.refused.is_empty(),
        "{statistics:#?}"
    );
}

#[test]
fn peers_are_back_soon_after_their_interface() {
    let world = World::new(3);
    let node = &world.nodes[0];
    // No address of IPv6 comes and goes that would tell of it.
    node.host
        .sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    let mut worker = Worker::start(node, world.settings());
    for away in [100, 2_500] {
        // Without a word of the interface it would take up to ten seconds. So may the machine, but not each time.
        let mut took = Vec::new();
        while took.iter().filter(|took| **took < Duration::from_secs(3)).count() < 2 {
            assert!(took.len() < 4, "{took:?} after {away} ms");
            node.host.sh("ip link set eth0 down");
            std::thread::sleep(Duration::from_millis(away));
            worker.until("none is served", |status| served(status) == 0);
            node.host.sh("ip link set eth0 up");
            let begin = Instant::now();
            worker.until("all are served", |status| served(status) == 2);
            took.push(begin.elapsed());
        }
    }
}

#[test]
fn broadcasts_that_reach_nobody_are_told() {
    let world = World::new(2);
    let node = &world.nodes[0];
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.mode = Mode::Broadcast;
    settings.interface = Some("eth7".parse().unwrap());
    let mut worker = Worker::start(node, settings);
    let bad = |status: &WorkerStatus| status.health == WorkerHealth::Failed;
    let status = worker.until("it is not there", bad);
    assert_eq!(
        status.error.as_deref(),
        Some("no broadcasts are sent: eth7 does not exist or is down")
    );
    node.host
        .sh("ip link add eth7 type veth peer name eth8; ip link set eth7 up; ip link set eth8 up");
    worker.until("it is there", |status| status.health == WorkerHealth::Ok);
    router.send(&sample(1).bytes(), sample(1).vip);
    assert_eq!(worker.received(1).sent, 1);
    node.host.sh("ip link set eth7 down");
    worker.until("it is down", bad);
    router.send(&sample(2).bytes(), sample(2).vip);
    let statistics = worker.received(2);
    let refused = statistics.refused.get(&Refusal::NoPeer);
    assert_eq!((statistics.replicated, refused), (1, Some(&1)));
    // It is up, and takes nothing.
    node.host.sh("ip link set eth7 up; nft 'add table netdev full; add chain netdev full out { type filter hook egress device eth7 priority 0; policy drop; }'");
    worker.until("it is up again", |status| status.health == WorkerHealth::Ok);
    router.send(&sample(3).bytes(), sample(3).vip);
    let status = worker.until("nothing is sent", bad);
    assert_eq!(
        status.error.as_deref(),
        Some("the kernel rejected all of the last copies")
    );
    assert_eq!(status.statistics.unwrap().failed, 1);
}

#[test]
fn a_peer_that_is_the_router_is_told() {
    let world = World::new(2);
    let node = &world.nodes[0];
    node.log("");
    let router = Sender::new(&world.router.netns());
    let mut settings = world.settings();
    settings.peers.push("10.0.0.254".parse().unwrap());
    let mut worker = Worker::start(node, settings.clone());
    let status = worker.until("it is told", |status| status.health == WorkerHealth::Degraded);
    let states: Vec<PeerState> = (status.statistics.unwrap().peers.iter())
        .map(|peer| peer.state)
        .collect();
    assert_eq!(states, [PeerState::Itself, PeerState::Ready, PeerState::Router]);
    router.send(&sample(1).bytes(), sample(1).vip);
    let refused = worker.received(1).refused;
    assert_eq!(refused.get(&Refusal::Replica), Some(&1));
    // Where copies come out of a tunnel, frames of the router are no copies.
    settings.mode = Mode::Ipip;
    worker.supervisor.want(Some(wanted(settings)));
    worker.until("it encapsulates", |status| status.health == WorkerHealth::Ok);
    router.send(&sample(2).bytes(), sample(2).vip);
    let statistics = worker.received(2);
    assert_eq!((statistics.replicated, statistics.refused), (1, refused));
}
