//! The load of many agents on a real API server, while the kubelets' heartbeats go on: idle, and when all start at one time.
//!
//!     load [AGENTS [SECONDS [SERVERS]]]
//!
//! AGENTS run in processes of this program, for SECONDS idle. They share SERVERS API servers; by default as many as their limit of
//! open files needs.

#![allow(clippy::disallowed_methods, reason = "the test reads files that it knows")]

mod agent;
mod audit;
mod cluster;
#[path = "../kubernetes/control_plane.rs"]
#[allow(dead_code, reason = "other tests stop the server and restore its data")]
mod control_plane;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use audit::Requests;
use cluster::{Cluster, bytes, sh};

/// The agents, and the idle time, seconds.
const AGENTS: usize = 5_000;
const IDLE: u64 = 300;

/// Open files of an agent: two watches of its policies and its Node, one of the peers, its Lease, and one that ends.
const FILES: usize = 5;

/// The most requests of an agent from its start until it is idle, without the renewals of its Lease.
const START_REQUESTS: f64 = 16.0;

/// The most requests of an agent that the server refuses for now, for each minute that the start takes. How long it takes depends
/// on the machine.
const REFUSED: f64 = 10.0;

/// A start adds to the agent's own bytes a list of all peers, bytes for each. The rest is at most so many bytes.
const PEER: f64 = 300.0;
const START_BYTES: f64 = 80_000.0;

/// The most requests of an idle agent in a minute: two renewals of its Lease, and what each watch begins with.
const IDLE_REQUESTS: f64 = 5.0;

/// The most bytes from and to an idle agent in a minute.
const IDLE_BYTES: f64 = 25_000.0;

/// The longest time until all agents are idle, for each thousand of them.
const LONGEST_START: Duration = Duration::from_secs(600);

#[allow(clippy::print_stdout, reason = "the results")]
fn say(line: &str) {
    println!("{line}");
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |word: &str| {
        word.parse::<usize>()
            .unwrap_or_else(|_| panic!("no number: {word}"))
    };
    match &words[..] {
        ["share", from, to, place] => agent::run(number(from), number(to), Path::new(place)),
        ["inside", agents, seconds, servers] => {
            load(
                number(agents),
                Duration::from_secs(seconds.parse().unwrap()),
                number(servers),
            );
        }
        numbers => {
            let agents = numbers.first().map_or(AGENTS, |word| number(word));
            let seconds = numbers.get(1).map_or(IDLE, |word| word.parse().unwrap());
            let limit: usize = sh("ulimit -Hn 300000 2>/dev/null || :; ulimit -Hn")
                .trim()
                .parse()
                .unwrap();
            let needed = (agents * FILES).div_ceil(limit - limit / 20);
            let servers = numbers.get(2).map_or(needed, |word| number(word));
            // A network of its own, and as many open files as this user may have.
            let script = "ulimit -Hn 300000 2>/dev/null || :; ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"";
            let failed = Command::new("unshare")
                .args(["--net", "sh", "-c", script, "load"])
                .arg(std::env::current_exe().unwrap())
                .args([
                    "inside",
                    &agents.to_string(),
                    &seconds.to_string(),
                    &servers.to_string(),
                ])
                .exec();
            panic!("cannot have a network namespace: {failed}");
        }
    }
}

/// Processes with a part of the agents each.
struct Shares {
    children: Vec<(usize, Child)>,
    place: std::path::PathBuf,
}

impl Drop for Shares {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What all agents say together.
#[derive(Debug)]
struct Progress {
    policies: usize,
    fewest_peers: usize,
    most_peers: usize,
    troubles: usize,
    memory: usize,
}

impl Shares {
    fn start(agents: usize, processes: usize, place: &Path) -> Self {
        let size = agents.div_ceil(processes);
        let starts = (0..agents).step_by(size);
        let children = starts.map(|from| {
            let to = agents.min(from + size);
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["share", &from.to_string(), &to.to_string()])
                .arg(place)
                .spawn();
            (from, child.unwrap())
        });
        Shares {
            children: children.collect(),
            place: place.to_owned(),
        }
    }

    fn progress(&self) -> Option<Progress> {
        let mut all = Progress {
            policies: 0,
            fewest_peers: usize::MAX,
            most_peers: 0,
            troubles: 0,
            memory: 0,
        };
        for (from, _) in &self.children {
            let text = std::fs::read_to_string(agent::progress(&self.place, *from)).ok()?;
            let numbers: Vec<usize> = text.split(' ').map(|word| word.parse().unwrap()).collect();
            let [policies, fewest, most, troubles, memory] = numbers[..] else {
                panic!("{text}");
            };
            all.policies += policies;
            all.fewest_peers = all.fewest_peers.min(fewest);
            all.most_peers = all.most_peers.max(most);
            all.troubles += troubles;
            all.memory += memory;
        }
        Some(all)
    }

    /// Waits until every agent has the policies and so many peers.
    async fn all_have(&mut self, agents: usize, peers: usize, within: Duration) -> Progress {
        let end = Instant::now() + within;
        loop {
            let found = self.progress();
            match found {
                Some(found)
                    if found.policies == agents
                        && (found.fewest_peers, found.most_peers) == (peers, peers) =>
                {
                    return found;
                }
                found => assert!(Instant::now() < end, "{found:?} after {within:?}"),
            }
            for (_, child) in &mut self.children {
                assert!(child.try_wait().unwrap().is_none(), "a process of agents ended");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Says a table, and returns the requests and the bytes of an agent.
fn table(title: &str, requests: &Requests, agents: usize, up: u64, down: u64) -> (f64, f64) {
    let of_agent = |count: f64| count / agents as f64;
    say(&format!("\n{title}, for each of {agents} agents:"));
    for (kind, count) in &requests.by_kind {
        say(&format!("{:>10.2}  {kind}", of_agent(*count as f64)));
    }
    say(&format!(
        "{:>10.2}  refused for now (429, 5xx)",
        of_agent(requests.refused as f64)
    ));
    let all = of_agent(requests.all() as f64);
    let (up, down) = (of_agent(up as f64), of_agent(down as f64));
    say(&format!(
        "{all:>10.2}  requests\n{up:>10.0}  bytes to the server\n{down:>10.0}  bytes from the server"
    ));
    assert!(requests.failed.is_empty(), "{:?}", requests.failed);
    (all, up + down)
}

fn load(agents: usize, idle: Duration, servers: usize) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        let begin = Instant::now();
        let mut cluster = Cluster::start(agents, servers).await;
        say(&format!(
            "{agents} nodes on {servers} API servers after {:.0?}",
            begin.elapsed()
        ));
        let mut shares = Shares::start(agents, servers.max(2), &cluster.path());
        heartbeats_go_on(&cluster).await;
        start(&mut cluster, &mut shares, agents).await;
        stay_idle(&mut cluster, agents, idle).await;
        an_agent_goes(&cluster, &mut shares, agents).await;
    });
    say("\ntest the_load_of_the_agents_is_bounded ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored");
}

/// Waits for the first heartbeats, without which nothing is measured.
async fn heartbeats_go_on(cluster: &Cluster) {
    let end = Instant::now() + Duration::from_secs(300);
    let before = cluster.heartbeats().await;
    while cluster.heartbeats().await == before {
        assert!(Instant::now() < end, "no heartbeat:\n{}", cluster.kwok_log());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// All agents start at one time.
async fn start(cluster: &mut Cluster, shares: &mut Shares, agents: usize) {
    cluster.audit.take();
    let before = bytes();
    let begin = Instant::now();
    std::fs::write(agent::signal(&cluster.path()), "").unwrap();
    let longest = LONGEST_START.mul_f64((agents as f64 / 1_000.0).max(0.5));
    shares.all_have(agents, agents, longest).await;
    let listed = begin.elapsed();
    while cluster.reported().await < agents {
        assert!(begin.elapsed() < longest, "{} states", cluster.reported().await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = begin.elapsed();
    // The last answers are on their way.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = bytes();
    let requests = cluster.audit.take();
    let progress = shares.progress().unwrap();
    say(&format!(
        "\nall have policies and peers after {listed:.1?}, and have written their state after {took:.1?}; {} troubles, {} KiB for an agent in this test",
        progress.troubles,
        progress.memory / agents
    ));
    let title = "simultaneous start";
    let (all, bytes) = table(title, &requests, agents, after.0 - before.0, after.1 - before.1);
    let of_agent = |count: usize| count as f64 / agents as f64;
    let (renewals, refused) = (of_agent(requests.renewals()), of_agent(requests.refused));
    let others = all - renewals - refused;
    let refused_at_most = REFUSED * (took.as_secs_f64() / 60.0).max(1.0);
    assert!(
        others <= START_REQUESTS && refused <= refused_at_most,
        "{others} requests, {refused} refused, not at most {refused_at_most}"
    );
    let allowed = START_BYTES + PEER * agents as f64;
    assert!(bytes <= allowed, "{bytes} bytes, not at most {allowed}");
}

/// Nothing happens but heartbeats.
async fn stay_idle(cluster: &mut Cluster, agents: usize, idle: Duration) {
    let heartbeats = cluster.heartbeats().await;
    cluster.audit.take();
    let (before, begin) = (bytes(), Instant::now());
    tokio::time::sleep(idle).await;
    let (after, took) = (bytes(), begin.elapsed());
    let requests = cluster.audit.take();
    let title = format!("idle for {took:.0?}");
    let (all, bytes) = table(&title, &requests, agents, after.0 - before.0, after.1 - before.1);
    let minutes = took.as_secs_f64() / 60.0;
    let now = cluster.heartbeats().await;
    let changed = now
        .iter()
        .zip(&heartbeats)
        .filter(|(now, before)| now != before)
        .count();
    say(&format!("{changed} of {agents} nodes had a heartbeat"));
    assert!(
        changed * 10 > agents * 9,
        "the heartbeats stopped:\n{}",
        cluster.kwok_log()
    );
    assert_eq!(
        requests.writes(),
        0,
        "an idle agent writes nothing but its Lease: {:?}",
        requests.by_kind
    );
    assert!(
        all / minutes <= IDLE_REQUESTS,
        "{} requests a minute",
        all / minutes
    );
    assert!(
        bytes / minutes <= IDLE_BYTES,
        "{} bytes a minute",
        bytes / minutes
    );
}

/// The agent of one node goes: the Service's slice with it is sent to all others.
async fn an_agent_goes(cluster: &Cluster, shares: &mut Shares, agents: usize) {
    let (before, begin) = (bytes(), Instant::now());
    let size = cluster.remove_an_agent().await;
    shares.all_have(agents, agents - 1, Duration::from_secs(60)).await;
    let (after, took) = (bytes(), begin.elapsed());
    let of_agent = (after.1 - before.1) as f64 / agents as f64;
    say(&format!(
        "\nan agent goes: all lists are right after {took:.1?}; its slice has {size} bytes; {of_agent:.0} bytes to each agent"
    ));
}
