//! What netkeel keeps: torn, damaged, newer, of another boot, of another user; and one apply at a
//! time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::kill::{RICH, apply, halfway, killed_halfway};
use crate::trace::Point;
use crate::world::{DOCUMENT, DropIn, Place, World, inside, program};
use crate::{tell, trace};
use netkeel_apply::journal::Journal;
use netkeel_plan::ledger::Ledger;

const APPLY: &[&str] = &["apply", "-f", DOCUMENT];

const JOURNAL: &str = "/run/netkeel/journal";

const FILES: &str = "/var/lib/netkeel/journal-files";

const LEDGER: &str = "/var/lib/netkeel/ledger.json";

/// Verbs that write, and verbs that do not.
const VERBS: &[&[&str]] = &[
    &["plan", "-f", DOCUMENT],
    &["check", "-f", DOCUMENT],
    APPLY,
    &["recover"],
    &["recover", "--resume"],
    &["release"],
];

fn interrupted<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::Theirs, |world| {
        world.document(RICH);
        killed_halfway(world);
        work(world)
    })
}

/// Every verb refuses, says why, and writes nothing.
fn all_refuse(world: &World, verbs: &[&[&str]], why: &str) {
    let before = world.look();
    for verb in verbs {
        let ran = world.netkeel(verb);
        assert_eq!(ran.code, 1, "{verb:?}: {ran:?}");
        assert!(ran.stderr.contains(why), "{verb:?} does not say `{why}`: {ran:?}");
    }
    assert_eq!(world.look().difference(&before), None);
}

#[test]
fn the_rollback_of_a_killed_apply_has_the_old_values_in_the_history() {
    interrupted(|world| {
        let recovered = world.netkeel(&["recover"]);
        assert_eq!(recovered.code, 0, "{recovered:?}");
        let history = world.netkeel(&["history", "--output", "json"]);
        let newest: serde_json::Value = serde_json::from_str(history.stdout.lines().next().unwrap()).unwrap();
        assert_eq!(newest["event"], "rolled-back", "{newest:#}");
        let changes = newest["changes"].as_array().unwrap();
        let of = |fact: &str| changes.iter().find(|change| change["fact"] == fact);
        let linked = changes.iter().any(|change| {
            let fact = change["fact"].as_str().unwrap();
            fact.starts_with("link ") && change["from"] != change["to"]
        });
        assert!(linked, "{newest:#}");
        // A write that was never begun is not in it.
        assert!(of("sysctl net.ipv4.tcp_wmem").is_none(), "{newest:#}");
    });
}

#[test]
fn a_journal_torn_at_any_byte_is_read_as_far_as_it_goes() {
    let (journal, files) = interrupted(|_| {
        (
            fs::read_to_string(JOURNAL).unwrap(),
            fs::read_to_string(FILES).unwrap(),
        )
    });
    let mut cuts = 0;
    for text in [&journal, &files] {
        let mut begun = 0;
        for cut in 0..=text.len() {
            let read = Journal::read(&text[..cut]).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let now = read.map_or(0, |journal| journal.begun);
            assert!(now >= begun, "cut at {cut}");
            begun = now;
            cuts += 1;
        }
        assert_eq!(begun, Journal::read(text).unwrap().unwrap().begun);
        assert!(begun > 0);
    }
    // Torn before the end of its steps, nothing was begun: the file too is as it was.
    let steps = journal.find("\n{\"begun\"").unwrap();
    let mark = first_mark();
    for cut in [0, 1, steps / 2, steps, journal.len() - 1] {
        inside(Place::Host, DropIn::Theirs, |world| {
            world.document(RICH);
            let before = world.look();
            trace::kill(world, &mark, APPLY);
            assert_eq!(world.look().difference(&before), None, "something was written");
            let text = fs::read_to_string(JOURNAL).unwrap();
            fs::write(JOURNAL, &text[..cut.min(text.len())]).unwrap();
            let ran = world.netkeel(&["recover"]);
            assert_eq!(ran.code, 0, "cut at {cut}: {ran:?}");
            assert_eq!(world.look().difference(&before), None);
            assert_eq!(world.netkeel(APPLY).code, 0);
        });
    }
    tell(&format!("journals: torn at each of {cuts} bytes"));
}

/// The mark of the first op: the journals are whole by then, and nothing was done.
fn first_mark() -> Point {
    let points = apply();
    let is_mark = |point: &&Point| {
        point.call == "write" && point.line.contains(&format!(r#"<{FILES}>, "{{\"begun\":"#))
    };
    points
        .iter()
        .find(is_mark)
        .unwrap_or_else(|| panic!("{points:#?}"))
        .clone()
}

#[test]
fn a_damaged_or_newer_journal_is_refused_by_all_verbs() {
    for path in [JOURNAL, FILES] {
        interrupted(|world| {
            let text = fs::read_to_string(path).unwrap();
            fs::write(path, text.replacen("{\"op\"", "{\"po\"", 1)).unwrap();
            all_refuse(world, VERBS, "the journal is damaged");
            fs::write(path, text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
            all_refuse(
                world,
                VERBS,
                "the journal has format 2; this netkeel reads format 1",
            );
            // The netkeel that can read it goes on where the other one stopped.
            fs::write(path, &text).unwrap();
            assert_eq!(world.netkeel(&["recover"]).code, 0);
        });
    }
}

#[test]
fn a_ledger_of_a_newer_netkeel_is_refused_and_left_as_it_is() {
    inside(Place::Host, DropIn::Theirs, |world| {
        world.document(RICH);
        let before = world.look();
        assert_eq!(world.netkeel(APPLY).code, 0);
        let text = fs::read_to_string(LEDGER).unwrap();
        let newer = text.replacen("{\"format\":1", "{\"format\":2", 1) + "{\"of-the-future\":{}}\n";
        assert_ne!(newer.lines().next(), text.lines().next());
        fs::write(LEDGER, &newer).unwrap();
        let verbs: Vec<&[&str]> = VERBS
            .iter()
            .copied()
            .filter(|verb| verb[0] != "recover")
            .collect();
        all_refuse(
            world,
            &verbs,
            "the ledger has format 2; this netkeel reads format 1",
        );
        assert_eq!(fs::read_to_string(LEDGER).unwrap(), newer);
        fs::write(LEDGER, &text[..text.len() - 1]).unwrap();
        assert_eq!(
            Ledger::read(&text[..text.len() - 1])
                .unwrap()
                .of("default")
                .count(),
            0
        );
        fs::write(LEDGER, &text).unwrap();
        assert_eq!(world.netkeel(&["release", "--allow-lossy"]).code, 0);
        assert_eq!(world.look().difference(&before), None);
    });
}

/// What a reboot does to journals: /run is empty, and what is on disk has the id of a boot that was.
fn reboot() {
    let _ = fs::remove_file(JOURNAL);
    let text = fs::read_to_string(FILES).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let (start, boot) = header.split_once("\"boot\":\"").unwrap();
    fs::write(FILES, format!("{start}\"boot\":\"00000000{}\n{rest}", &boot[8..])).unwrap();
}

#[test]
fn after_a_reboot_only_files_are_undone() {
    let before = inside(Place::Host, DropIn::Theirs, |world| world.look());
    interrupted(|world| {
        let killed = world.look();
        reboot();
        for verb in [&VERBS[0], &VERBS[1]] {
            let ran = world.netkeel(verb);
            assert!(ran.code == 1 && ran.stderr.contains("was interrupted"), "{ran:?}");
        }
        let resume = world.netkeel(&["recover", "--resume"]);
        assert!(
            resume.code == 1 && resume.stderr.contains("rebooted"),
            "{resume:?}"
        );
        assert_eq!(world.look().difference(&killed), None);
        assert_eq!(world.netkeel(&["recover"]).code, 0);
        let file = |name: &str| name.starts_with("file ");
        let other = |name: &str| !name.starts_with("file ");
        assert_eq!(
            world.look().without(other).difference(&before.without(other)),
            None
        );
        assert_eq!(world.look().without(file).difference(&killed.without(file)), None);
        assert_eq!(world.netkeel(&["check", "-f", DOCUMENT]).code, 2);
    });
}

#[test]
fn a_power_cut_after_the_commit_undoes_nothing() {
    let points = apply();
    // From the ledger's line on it is committed; what is lost is the end of either journal.
    let is = |point: &&Point, call: &str, path: &str| point.call == call && point.line.contains(path);
    let cuts = [
        ("ftruncate", format!("<{JOURNAL}>")),
        ("unlink", format!("\"{FILES}\"")),
    ];
    for (call, path) in &cuts {
        let last = points.iter().rfind(|point| is(point, call, path));
        let point = last.unwrap_or_else(|| panic!("no {call} of {path}: {points:#?}"));
        inside(Place::Host, DropIn::Theirs, |world| {
            world.document(RICH);
            trace::kill(world, point, APPLY);
            let wanted = world.look();
            reboot();
            let check = world.netkeel(&["check", "-f", DOCUMENT]);
            assert_eq!(check.code, 0, "cut before {}: {check:?}", point.line);
            let recover = world.netkeel(&["recover"]);
            assert!(
                recover.code == 0 && recover.stdout.contains("Nothing to recover"),
                "{recover:?}"
            );
            assert_eq!(world.look().difference(&wanted), None);
        });
    }
}

#[test]
fn a_directory_that_somebody_else_can_write_is_refused() {
    for (directory, spoil) in [
        (
            "/run/netkeel",
            (|path: &str| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap()) as fn(&str),
        ),
        ("/var/lib/netkeel", |path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o720)).unwrap()
        }),
        ("/var/lib/netkeel", |path| chown(path, Some(12), None).unwrap()),
        ("/run/netkeel", |path| {
            fs::rename(path, "/run/elsewhere").unwrap();
            symlink("/run/elsewhere", path).unwrap();
        }),
    ] {
        interrupted(|world| {
            spoil(directory);
            let writing = &[APPLY, &["recover"], &["recover", "--resume"], &["release"]];
            all_refuse(
                world,
                writing,
                "must be a directory of the user that runs netkeel",
            );
        });
    }
}

/// What strace saw of the apply that is halted.
const HALTED: &str = "/run/halted";

/// An apply below strace that holds the lock: it is stopped at the second write to an interface.
struct Halted {
    strace: Child,
    apply: u32,
}

impl Halted {
    fn start() -> Self {
        let Point { call, number, .. } = halfway();
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", HALTED, "-e"])
            .arg(format!("inject={call}:signal=STOP:when={number}"))
            .arg(program())
            .args(APPLY)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let children = format!("/proc/{0}/task/{0}/children", strace.id());
        let mut halted = Halted { strace, apply: 0 };
        let start = Instant::now();
        loop {
            let child = fs::read_to_string(&children).unwrap_or_default();
            halted.apply = child.trim().parse().unwrap_or_default();
            if fs::read_to_string(HALTED).is_ok_and(|text| text.contains("stopped by SIGSTOP")) {
                return halted;
            }
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "the apply does not begin"
            );
            sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.apply.to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        if self.apply != 0 && matches!(self.strace.try_wait(), Ok(None)) {
            self.signal("KILL");
        }
    }
}

#[test]
fn a_second_apply_is_told_who_holds_the_lock_or_waits_for_it() {
    inside(Place::Host, DropIn::Theirs, |world| {
        world.document(RICH);
        let mut first = Halted::start();
        let limited = ["120", program()];
        let refused = world.run(Command::new("timeout").args(limited).args(APPLY));
        assert_eq!(refused.code, 1, "it waited without being told to: {refused:?}");
        let pid = refused
            .stderr
            .split("pid ")
            .nth(1)
            .and_then(|rest| rest.split(':').next())
            .unwrap_or_default();
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .unwrap_or_default()
            .replace('\0', " ");
        assert!(
            command.contains("apply -f /run/desired.yaml"),
            "pid {pid} is {command:?}: {refused:?}"
        );
        assert!(
            refused
                .stderr
                .contains(&format!("{} apply -f {DOCUMENT}", program())),
            "{refused:?}"
        );
        let short = world.netkeel(&[APPLY, &["--lock-timeout", "100ms"]].concat());
        assert!(
            short.code == 1 && short.stderr.contains("--lock-timeout"),
            "{short:?}"
        );
        let waited = std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_secs(1));
                first.signal("CONT");
            });
            world.netkeel(&[APPLY, &["--lock-timeout", "120s", "--detailed-exitcode"]].concat())
        });
        assert_eq!(waited.code, 0, "{waited:?}");
        assert!(first.strace.wait().unwrap().success());
    });
}

#[test]
fn two_applies_at_once_never_interleave() {
    for _ in 0..3 {
        inside(Place::Host, DropIn::None, |world| {
            let text = |mtu: u32| {
                format!(
                    "version: 1\nlink:\n  cali1: {{ mtu: {mtu} }}\n  cali1p: {{ mtu: {mtu} }}\n  cali2: {{ mtu: {mtu} }}\n  cali2p: {{ mtu: {mtu} }}\n  eth0p: {{ mtu: {mtu} }}\n"
                )
            };
            let applies: Vec<Child> = [1400, 1420, 1440]
                .into_iter()
                .map(|mtu| {
                    let path = format!("/run/{mtu}.yaml");
                    fs::write(&path, text(mtu)).unwrap();
                    Command::new(program())
                        .args(["apply", "--lock-timeout", "120s", "-f", &path])
                        .stdout(Stdio::null())
                        .spawn()
                        .unwrap()
                })
                .collect();
            for mut apply in applies {
                assert!(apply.wait().unwrap().success());
            }
            let mtus: Vec<String> = ["cali1", "cali1p", "cali2", "cali2p", "eth0p"]
                .map(|link| {
                    world
                        .sh(&format!("cat /proc/sys/net/ipv6/conf/{link}/mtu"))
                        .trim()
                        .to_owned()
                })
                .to_vec();
            assert!(
                mtus.iter().all(|mtu| *mtu == mtus[0] && mtu != "1500"),
                "{mtus:?}"
            );
            let history = fs::read_to_string("/var/lib/netkeel/history").unwrap();
            assert_eq!(
                history
                    .lines()
                    .filter(|line| line.contains("\"event\":\"applied\""))
                    .count(),
                3,
                "{history}"
            );
        });
    }
}
