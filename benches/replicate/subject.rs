//! What is measured: a program that replicates, running in the node's namespace on a processor of its
//! own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::world::{GROUP, World, peer};
use super::{floor, say};
use netkeel_core::replication::limits::{Floor, Limits, Rate};
use netkeel_core::replication::settings::{Mode, Replication, Settings};
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_kernel::namespace::enter::inside;
use netkeel_replicate::supervisor::Supervisor;

/// A kind of program.
pub enum Subject {
    Floor,
    Netkeel,
    /// Another one, with its arguments; it runs as it is told and `{copies}` stands for the number of
    /// peers.
    Peer(Vec<String>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Floor => f.write_str("floor"),
            Subject::Netkeel => f.write_str("netkeel"),
            Subject::Peer(command) => f.write_str(&command[0]),
        }
    }
}

/// One that runs; it ends with this.
pub struct Running {
    pub pid: u32,
    child: Option<Child>,
    supervisor: Option<Supervisor>,
}

impl Subject {
    /// Starts it on the first processor and waits until it works. `idle` says that few events are to
    /// come.
    pub fn start(&self, world: &World, copies: u32, idle: bool) -> Running {
        let spawn = |command: &mut Command| {
            let command = command.stdin(Stdio::null()).stdout(Stdio::null());
            inside(&world.node, || command.spawn()).unwrap().unwrap()
        };
        let running = match self {
            Subject::Floor => {
                let threshold = if idle { "1" } else { "64" };
                let this = std::env::current_exe().unwrap();
                let arguments = [floor::MODE, &copies.to_string(), threshold];
                Running::child(spawn(Command::new(this).args(arguments)))
            }
            Subject::Netkeel => Running::netkeel(world, copies),
            Subject::Peer(command) => {
                let arguments = command[1..]
                    .iter()
                    .map(|one| one.replace("{copies}", &copies.to_string()));
                Running::child(spawn(Command::new(&command[0]).args(arguments)))
            }
        };
        pin(Pid::from_raw(running.pid as i32), 0);
        running
    }
}

/// Keeps a process, or the calling thread (0), on a processor.
pub fn pin(pid: Pid, processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor).unwrap();
    if sched_setaffinity(pid, &set).is_err() {
        say("one processor: nothing is pinned");
    }
}

impl Running {
    fn child(child: Child) -> Self {
        // It needs a moment to bind.
        std::thread::sleep(Duration::from_millis(300));
        Running {
            pid: child.id(),
            child: Some(child),
            supervisor: None,
        }
    }

    /// With limits that refuse nothing; they are looked at all the same.
    fn netkeel(world: &World, copies: u32) -> Self {
        let all = Rate {
            per_second: 100_000_000,
            burst: 100_000_000,
        };
        let settings = Settings {
            group: GROUP,
            peers: (0..copies).map(|number| peer(number).parse().unwrap()).collect(),
            mode: Mode::Unicast,
            interface: None,
            ttl: None,
            floor: Floor::default(),
            flows_to_nodes: false,
            vips: vec!["192.0.2.0/24".parse().unwrap()],
            ignore_sources: Vec::new(),
            limits: Limits {
                per_source: all,
                per_destination: all,
                copies: all,
                repeat_after: Duration::ZERO,
            },
            dry_run: false,
        };
        let mut supervisor = Supervisor::new(world.node.clone(), Some(binary()));
        supervisor.want(Some(Replication {
            settings,
            peers_file: None,
            cluster: None,
        }));
        let begin = Instant::now();
        while supervisor.health() != WorkerHealth::Ok {
            let said = supervisor.poll();
            assert!(
                begin.elapsed() < Duration::from_secs(5),
                "{said:?} {:?}",
                supervisor.status()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Running {
            pid: supervisor.status().pid.unwrap(),
            child: None,
            supervisor: Some(supervisor),
        }
    }

    /// CPU time that it has used, in nanoseconds: the scheduler's own account.
    pub fn cpu(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.pid)).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What it has in memory, KiB.
    pub fn resident(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }

    /// Nobody else listens to it meanwhile.
    pub fn poll(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.poll();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// netkeel as it is released, or what NETKEEL_BIN names.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NETKEEL_BIN") {
        return path.into();
    }
    // This program is target/release/deps/replicate-HASH.
    let target = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(3)
        .unwrap()
        .to_owned();
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let path = target.join(triple).join("release/netkeel");
    assert!(
        path.is_file(),
        "there is no {}: cargo build --release --target x86_64-unknown-linux-musl, or name a binary by NETKEEL_BIN",
        path.display()
    );
    path
}
