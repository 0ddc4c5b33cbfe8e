//! A pod that makes as much as it can of what it may make delays no other pod, and takes none of the service's memory.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PODS, program};
use super::until;
use super::world::{DropIn, Place, World, inside};

/// The most that the hostile pod may delay another one: on a machine that does nothing else.
const DELAY: Duration = Duration::from_secs(1);

/// The most memory that the service may ever have taken, KiB.
const MEMORY: u64 = 64 * 1024;

/// How much the pod makes.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    routes: usize,
    addresses: usize,
}

/// So many pods come in each situation.
const POD_COUNT: usize = 5;

fn is_full() -> bool {
    std::env::var_os("NETKEEL_FULL").is_some_and(|value| value == "1")
}

/// The most that something may take that takes so long without the hostile pod.
fn most(alone: Duration) -> Duration {
    match is_full() {
        true => alone + DELAY,
        // Beside other tests only what hangs is told from what is slow.
        false => alone * 10 + DELAY * 20,
    }
}

fn crowd() -> Crowd {
    match is_full() {
        true => Crowd {
            routes: 500_000,
            addresses: 10_000,
        },
        false => Crowd {
            routes: 20_000,
            addresses: 1_500,
        },
    }
}

impl Crowd {
    /// Fills a pod: routes of both families, half of them with an MTU, on an interface that stays up; addresses of
    /// both families; an interface whose name is no UTF-8.
    fn fill(self, pod: &str) {
        let mut script = "link set lo up\nlink set eth0 up\n".to_owned();
        for number in 0..self.addresses / 2 {
            let [_, _, high, low] = (number as u32).to_be_bytes();
            let _ = writeln!(script, "addr add 10.200.{high}.{low}/32 dev lo");
            let _ = writeln!(script, "addr add fd00:200::{number:x}/128 dev lo nodad");
        }
        for number in 0..self.routes {
            let mtu = if number % 2 == 0 { " mtu 1500" } else { "" };
            let [_, high, middle, low] = (number as u32).to_be_bytes();
            let _ = match number % 5 {
                0 => writeln!(
                    script,
                    "route add fd00:300::{high:x}:{:x}/128 dev lo{mtu}",
                    u16::from_be_bytes([middle, low])
                ),
                _ => writeln!(script, "route add 11.{high}.{middle}.{low}/32 dev lo{mtu}"),
            };
        }
        batch(pod, &script);
    }
}

/// Runs `ip` commands in a pod.
fn batch(pod: &str, script: &str) {
    let mut child = Command::new("ip")
        .args(["-n", pod, "-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A command that runs until this ends.
struct Background(std::process::Child);

impl Background {
    fn start(command: &mut Command) -> Self {
        Background(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who sets the veth of a new pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Setter {
    Service,
    /// `ip` and a shell do: what the kernel alone takes.
    Hand,
}

/// Makes pods with a veth each; the longest time until both ends of one are as declared.
fn slowest(world: &World, situation: &str, setter: Setter) -> Duration {
    let mut times = Vec::new();
    for number in 0..POD_COUNT {
        let pod = format!("{situation}{number}");
        world.sh(&format!("ip netns add {pod}"));
        world.sh(&format!(
            "ip link add cali{pod} type veth peer name eth0 netns {pod}"
        ));
        let start = Instant::now();
        if setter == Setter::Hand {
            world.sh(&format!(
                "ip link set cali{pod} mtu 1460; ip -n {pod} link set eth0 mtu 1460; echo 1 >/proc/sys/net/ipv4/conf/cali{pod}/rp_filter"
            ));
        }
        let ends = format!(
            "ip -o link show cali{pod}; ip -n {pod} -o link show eth0; cat /proc/sys/net/ipv4/conf/cali{pod}/rp_filter"
        );
        until(&format!("the veth of {pod} is set"), || {
            let seen = world.sh(&ends);
            seen.matches("mtu 1460").count() == 2 && seen.ends_with("\n1\n")
        });
        times.push(start.elapsed());
        world.sh(&format!("ip netns del {pod}"));
    }
    times.sort();
    times.last().copied().unwrap()
}

/// Takes the hostile pod's link down and up again, without end.
fn flap(pause: Option<Duration>) -> Background {
    let pause = pause.map_or(String::new(), |pause| format!("sleep {};", pause.as_secs()));
    let turn = format!("while :; do ip link set eth0 down; ip link set eth0 up; {pause} done");
    Background::start(Command::new("ip").args(["netns", "exec", "hostile", "sh", "-c", &turn]))
}

/// The peak of a process's resident memory, KiB.
fn peak(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_pod_with_very_much_delays_no_other_pod() {
    const DOCUMENT: &str = "cni:\n  pods: { file: /var/lib/cni/10-ptp.conf, plugin: ptp, mtu: 1460 }\nwireguard:\n  wg0: { source: /var/lib/secret/wg0.conf, target: /var/lib/wireguard/wg0.conf, mtu: 1420 }\n";
    let crowd = crowd();
    inside(Place::Host, DropIn::None, |world| {
        world.sh("mkdir -m 700 /var/lib/wireguard; ip link add wg0 type veth peer name wg1");
        let mut command = Command::new(program());
        command.args(["run", "--interval", "1s"]);
        let mut service = Daemon::spawn(command, &format!("{PODS}{DOCUMENT}"), &[]);
        service.wait_for("event=full-scan");
        let alone = slowest(world, "a", Setter::Service);

        world.sh("ip netns add hostile; ip link add calihostile type veth peer name eth0 netns hostile; ip link set calihostile up");
        let start = Instant::now();
        crowd.fill("hostile");
        let filled = start.elapsed();
        // Names are bytes, in the pod and on the host.
        world.sh("for n in 'ip -n hostile' ip; do $n link add \"$(printf 'x\\377y')\" type veth peer name other; done");
        let beside = slowest(world, "b", Setter::Service);

        // Each turn is an event of the host's end, for which the service looks into the pod again.
        let flapping = flap(Some(Duration::from_secs(1)));
        let flapped = slowest(world, "c", Setter::Service);
        drop(flapping);
        let flapping = flap(None);
        let restless = slowest(world, "e", Setter::Service);
        drop(flapping);

        world.sh("for f in /var/lib/secret/wg0.conf /var/lib/cni/10-ptp.conf /run/netkeel/history /var/lib/netkeel/history; do [ ! -e $f ] || { mkfifo $f.new; mv $f.new $f; }; done");
        let with_fifos = slowest(world, "d", Setter::Service);
        let asked = Instant::now();
        let status = world.netkeel(&["status"]);
        assert_eq!(status.code, 0, "{status:?}");
        let asked = asked.elapsed();
        let memory = peak(service.pid());
        super::tell(&format!(
            "beside a pod with {crowd:?} (made in {filled:.1?}), the slowest of {POD_COUNT} new pods each: {alone:.2?} before, {beside:.2?} beside it, {flapped:.2?} while its link flaps, {with_fifos:.2?} with FIFOs for files; status after {asked:.2?}; peak memory {memory} KiB"
        ));
        for (what, time) in [
            ("beside it", beside),
            ("flapping", flapped),
            ("FIFOs", with_fifos),
        ] {
            assert!(time <= most(alone), "{what}: {time:?}, alone {alone:?}");
        }
        assert!(asked < most(Duration::ZERO), "status took {asked:?}");
        assert!(memory < MEMORY, "{memory} KiB");
        let (code, log) = service.stop();
        assert_eq!(code, 0, "{log}");
        assert!(log.contains("event=full-scan"), "{log}");

        // A link that flaps without a pause makes the kernel itself hold everybody up: it walks all routes under its lock
        // each time. What it takes without a service is the measure.
        let flapping = flap(None);
        let by_hand = slowest(world, "f", Setter::Hand);
        drop(flapping);
        super::tell(&format!(
            "while a link flaps without a pause: {restless:.2?}, without a service {by_hand:.2?}"
        ));
        assert!(
            restless <= most(by_hand + alone),
            "{restless:?}, without a service {by_hand:?}"
        );
    });
}

/// What takes memory, not time: next hops and default routes, of which each pod has as many as it likes, and further names
/// of interfaces.
#[test]
fn next_hops_default_routes_and_further_names_of_pods_take_no_memory() {
    /// As many as `ip` puts into a message.
    const HOPS: usize = 480;
    // The kernel takes long for very many names.
    let (pods, defaults, interfaces) = match is_full() {
        true => (12, 20_000, 200),
        false => (8, 5_000, 30),
    };
    inside(Place::Host, DropIn::None, |world| {
        const UP: &str = "link set lo up\nlink set eth0 up\n";
        // Too many words for a batch.
        let hops = " nexthop dev lo".repeat(HOPS);
        let routes =
            format!("for n in $(seq 0 299); do ip route add 10.$((n / 256)).$((n % 256)).0/24 {hops}; done");
        for number in 0..pods {
            let pod = format!("crowd{number}");
            world.sh(&format!(
                "ip netns add {pod}; ip link add cali{pod} type veth peer name eth0 netns {pod}; ip link set cali{pod} up"
            ));
            batch(&pod, UP);
            if number > 0 {
                world.sh(&format!("ip netns exec {pod} sh -ec '{routes}'"));
            }
        }
        let many = (1..=defaults).map(|metric| format!("route add default dev lo metric {metric}\n"));
        batch("crowd0", &many.collect::<String>());
        let mut names = String::new();
        for interface in 0..interfaces {
            if interface % 2 == 0 {
                let _ = writeln!(
                    names,
                    "link add d{interface} type veth peer name d{}",
                    interface + 1
                );
            }
            for seven in 0..450 / 7 {
                let _ = write!(names, "link property add dev d{interface}");
                for number in 0..7 {
                    let _ = write!(names, " altname {:x<100}-{interface}-{seven}-{number}", "");
                }
                names.push('\n');
            }
        }
        batch("crowd0", &names);
        let mut command = Command::new(program());
        command.args(["run", "--interval", "1s"]);
        let mut service = Daemon::spawn(command, PODS, &[]);
        service.wait_for("event=full-scan");
        // The routes of all pods are read at the end of a window, after 10 seconds at least.
        let start = Instant::now();
        let has_window = || {
            let status = world.netkeel(&["status", "--output", "json"]).stdout;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            status["doctor"]["window_ms"].as_u64().unwrap() > 0
        };
        while !has_window() {
            assert!(start.elapsed() < Duration::from_secs(120), "no window ends");
            std::thread::sleep(Duration::from_millis(200));
        }
        let memory = peak(service.pid());
        super::tell(&format!(
            "{pods} pods, each with 300 routes of {HOPS} next hops but one, which has {defaults} default routes and {interfaces} interfaces of 448 further names: peak memory {memory} KiB"
        ));
        assert!(memory < MEMORY, "{memory} KiB");
        assert_eq!(service.stop().0, 0);
    });
}

#[test]
fn a_stop_ends_a_pass_that_reads_many_pods() {
    /// Routes that are read: a pod with more than 10,000 is skipped.
    const ROUTES: usize = 9_000;
    const PODS_TO_READ: usize = 30;
    inside(Place::Host, DropIn::None, |world| {
        let mut script = "link set lo up\nlink set eth0 up\n".to_owned();
        for number in 0..ROUTES {
            let _ = writeln!(
                script,
                "route add 11.0.{}.{}/32 dev lo",
                number / 256,
                number % 256
            );
        }
        for number in 0..PODS_TO_READ {
            let pod = format!("many{number}");
            world.sh(&format!(
                "ip netns add {pod}; ip link add cali{pod} type veth peer name eth0 netns {pod}"
            ));
            batch(&pod, &script);
        }
        let start = || {
            let mut command = Command::new(program());
            command.arg("run");
            let mut service = Daemon::spawn(command, PODS, &[]);
            service.wait_for("event=started");
            (service, Instant::now())
        };
        let (mut service, began) = start();
        service.wait_for("event=full-scan");
        let whole = began.elapsed();
        assert_eq!(service.stop().0, 0);
        let (service, _) = start();
        std::thread::sleep(whole / 4);
        let asked = Instant::now();
        let (code, log) = service.stop();
        let took = asked.elapsed();
        super::tell(&format!(
            "the pass takes {whole:.2?}, and a stop within it {took:.2?}"
        ));
        assert_eq!(code, 0, "{log}");
        assert!(!log.contains("event=full-scan"), "{log}");
        assert!(
            took < whole / 4 + Duration::from_millis(300),
            "{took:?} of {whole:?}"
        );
    });
}
