//! The promise of `--confirm-within`: undone in time whatever becomes of its watchdog, kept when confirmed.

use std::fs;
use std::io::{Write, pipe};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::confirmed::{
    Ended, JOURNAL, applied, apply, in_time, kill, sent, start, until, until_unwatched, watchdog,
    without_end, words,
};
use crate::world::{DOCUMENT, DropIn, Place, World, inside, program};

/// A rule that goes when the service stops.
const LOGGING: &str =
    "version: 1\nowner: service\npersist: no\nnflog:\n  first: { interfaces: [eth0], group: 40 }\n";

fn world<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        work(world)
    })
}

/// Starts a service that enforces [`LOGGING`].
fn service(world: &World) -> std::process::Child {
    fs::write("/run/service.yaml", LOGGING).unwrap();
    let service = start(&["run", "-f", "/run/service.yaml"]);
    until("the service has its rule", || {
        world.sh("nft list ruleset").contains("group 40")
    });
    service
}

#[test]
fn a_service_that_stops_leaves_another_apply_s_journal_alone() {
    world(|world| {
        let mut service = service(world);
        let before = world.look();
        apply(world, "600s");
        let journal = fs::read(JOURNAL).unwrap();
        assert!(!journal.is_empty());
        kill("TERM", service.id());
        assert!(service.wait().unwrap().success());
        assert_eq!(
            fs::read(JOURNAL).unwrap(),
            journal,
            "the journal was written over"
        );
        assert_eq!(world.netkeel(&["recover"]).code, 0);
        assert_eq!(world.look().difference(&before), None);
    });
}

#[test]
fn a_service_that_stops_after_an_apply_was_killed_undoes_it_first() {
    world(|world| {
        let before = world.look();
        let mut service = service(world);
        apply(world, "600s");
        let killed = without_end(&fs::read_to_string(JOURNAL).unwrap());
        kill("KILL", watchdog().unwrap());
        fs::write(JOURNAL, killed).unwrap();
        kill("TERM", service.id());
        assert!(service.wait().unwrap().success());
        assert_eq!(world.look().difference(&before), None);
    });
}

/// `ip netns delete` removes the name. The namespace stays as long as a process lives in it.
#[test]
fn an_apply_in_a_namespace_that_lost_its_name_is_undone() {
    world(|world| {
        world.sh("ip netns add blue; ip -n blue link add v0 type veth peer name v1");
        let mut dweller = Command::new("ip")
            .args(["netns", "exec", "blue", "sleep", "600"])
            .spawn()
            .unwrap();
        let number = dweller.id().to_string();
        until("a process lives there", || {
            world.sh("ip netns pids blue").lines().any(|line| line == number)
        });
        let mtu = || world.sh(&format!("nsenter --net=/proc/{number}/ns/net ip -o link show v0"));
        world.document("version: 1\nlink: { v0: { mtu: 1400 } }\n");
        let arguments = [
            "apply",
            "--netns",
            "blue",
            "-f",
            DOCUMENT,
            "--confirm-within",
            "2s",
        ];
        let ran = world.netkeel(&arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(mtu().contains("mtu 1400"), "{}", mtu());
        // Another one of the same name is not touched.
        world.sh(
            "ip netns del blue; ip netns add blue; ip -n blue link add v0 mtu 1400 type veth peer name v1",
        );
        until_unwatched();
        let undone = mtu();
        let _ = dweller.kill();
        let _ = dweller.wait();
        assert!(undone.contains("mtu 1500"), "{undone}");
        assert!(world.sh("ip -n blue -o link show v0").contains("mtu 1400"));
    });
}

#[test]
fn a_signal_to_the_watchdog_undoes_at_once() {
    // One of a user, of a terminal, of its loss, and of a limit (`ulimit -t`).
    for signal in ["TERM", "INT", "HUP", "XCPU"] {
        world(|world| {
            let before = world.look();
            apply(world, "600s");
            assert!(world.look().difference(&before).is_some());
            kill(signal, watchdog().unwrap());
            until_unwatched();
            assert_eq!(world.look().difference(&before), None, "SIG{signal}");
            let confirm = world.netkeel(&["confirm"]);
            assert_eq!(confirm.code, 3, "{confirm:?}");
            let again = world.netkeel(&["apply", "-f", DOCUMENT]);
            assert!(
                again.code == 1 && again.stderr.contains("--retry-rejected"),
                "{again:?}"
            );
        });
    }
}

#[test]
fn confirm_ends_the_watchdog() {
    world(|world| {
        apply(world, "600s");
        assert!(watchdog().is_some());
        let confirm = world.netkeel(&["confirm"]);
        assert_eq!(confirm.code, 0, "{confirm:?}");
        until_unwatched();
        until("the watchdog leaves nothing", || {
            !world.sh("ls -A /run/netkeel").contains("watchdog")
        });
        assert_eq!(world.netkeel(&["check", "-f", DOCUMENT]).code, 0);
    });
}

#[test]
fn a_killed_watchdog_is_replaced_by_the_next_command() {
    let attempt = |world: &World, within: Duration| {
        let before = world.look();
        let begun = Instant::now();
        let ran = applied(world, &words(within));
        let killed = watchdog().is_some_and(|number| sent("KILL", number));
        until_unwatched();
        let mut refused = None;
        // The kernel closes the files of a process a moment after it has left /proc.
        until("somebody takes its place", || {
            refused = Some(world.netkeel(&["release"]));
            watchdog().is_some() || begun.elapsed() >= within
        });
        if begun.elapsed() >= within {
            return false;
        }
        assert!(ran.code == 0 && killed, "{ran:?}");
        let refused = refused.unwrap();
        assert!(
            refused.code == 1 && refused.stderr.contains("waits to be confirmed for another"),
            "{refused:?}"
        );
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
        true
    };
    in_time(Duration::from_secs(4), |within| {
        world(|world| attempt(world, within))
    });
}

#[test]
fn a_killed_watchdog_is_replaced_by_the_service_even_while_it_is_paused() {
    let attempt = |world: &World, within: Duration| {
        let mut service = service(world);
        let before = world.look();
        assert_eq!(world.netkeel(&["pause", "1h"]).code, 0);
        let begun = Instant::now();
        let ran = applied(world, &words(within));
        let killed = watchdog().is_some_and(|number| sent("KILL", number));
        let is_in_time = begun.elapsed() < within;
        if is_in_time {
            assert!(ran.code == 0 && killed, "{ran:?}");
            until("the service undoes it", || {
                fs::read_to_string(JOURNAL).is_ok_and(|text| text.is_empty())
            });
            assert_eq!(world.look().difference(&before), None);
        }
        kill("TERM", service.id());
        service.wait().unwrap();
        is_in_time
    };
    in_time(Duration::from_secs(3), |within| {
        world(|world| attempt(world, within))
    });
}

/// netkeel 700 s later, as a time namespace shows it.
fn later(arguments: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let clock = ["--time", "--boottime", "700", "--fork", program()];
    command.args(clock).args(arguments);
    command
}

/// It is no rollback.
#[test]
fn a_late_confirmation_that_cannot_undo_everything_says_so() {
    world(|world| {
        world.ip("link add vx9 type vxlan id 9 dev eth0 dstport 4799");
        world.document("version: 1\npersist: no\nlink:\n  vx9: { mtu: 1400 }\n");
        let ran = world.netkeel(&["apply", "-f", DOCUMENT, "--confirm-within", "600s"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        kill("KILL", watchdog().unwrap());
        until_unwatched();
        // The kernel refuses the MTU from before, since it does not fit this one (`vxlan_change_mtu`).
        world.ip("link set eth0 mtu 1420");
        let late = world.run(&mut later(&["confirm"]));
        assert!(
            late.code == 4 && late.stderr.contains("not undone: ip link set"),
            "{late:?}"
        );
        world.ip("link set eth0 mtu 1500");
        let ran = world.netkeel(&["recover"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    });
}

#[test]
fn an_overdue_promise_is_told() {
    world(|world| {
        let later = |arguments: &[&str]| world.run(&mut later(arguments));
        let before = world.look();
        apply(world, "600s");
        kill("KILL", watchdog().unwrap());
        until_unwatched();
        for verb in ["plan", "check"] {
            let ran = later(&[verb, "-f", DOCUMENT]);
            assert!(
                ran.code == 1 && ran.stderr.contains("its rollback is overdue by"),
                "{ran:?}"
            );
        }
        let status = later(&["status"]);
        assert!(
            (status.stdout.clone() + &status.stderr).contains("its rollback is overdue by"),
            "{status:?}"
        );
        let confirm = later(&["confirm"]);
        assert_eq!(confirm.code, 3, "{confirm:?}");
        assert_eq!(world.look().difference(&before), None);
    });
}

/// To finish an apply is not to confirm it.
#[test]
fn a_resumption_keeps_nothing_that_was_to_be_confirmed() {
    world(|world| {
        let before = world.look();
        apply(world, "600s");
        let resumed = world.netkeel(&["recover", "--resume"]);
        assert!(
            resumed.code == 1 && resumed.stderr.contains("waits to be confirmed for another"),
            "{resumed:?}"
        );
        assert_eq!(world.netkeel(&["recover"]).code, 0);
        until_unwatched();
        assert_eq!(world.look().difference(&before), None);
        let over = |complete: bool| {
            let command = ["apply", "-f", DOCUMENT, "--allow-management", "--retry-rejected"];
            let ran = world.netkeel(&[&command[..], &["--confirm-within", "600s"]].concat());
            assert_eq!(ran.code, 0, "{ran:?}");
            kill("KILL", watchdog().unwrap());
            until_unwatched();
            if !complete {
                let text = fs::read_to_string(JOURNAL).unwrap();
                fs::write(JOURNAL, without_end(&text)).unwrap();
            }
            let resumed = world.run(&mut later(&["recover", "--resume"]));
            assert!(
                resumed.code == 1 && resumed.stderr.contains("its rollback is overdue by"),
                "complete: {complete}: {resumed:?}"
            );
            // The watchdog that took the place of the killed one.
            until_unwatched();
            assert_eq!(world.look().difference(&before), None, "complete: {complete}");
        };
        [true, false].into_iter().for_each(over);
    });
}

/// A pipe whose reader has stopped reading, as on a dead connection.
#[test]
fn a_command_that_waits_for_its_reader_does_not_hold_the_lock() {
    const APPLY: &[&str] = &["apply", "-f", DOCUMENT, "--allow-management"];
    for command in [&["recover"] as &[&str], &["confirm"], &["release"], APPLY] {
        world(|world| {
            let before = world.look();
            apply(world, "600s");
            kill("KILL", watchdog().unwrap());
            until_unwatched();
            let (reader, mut writer) = pipe().unwrap();
            // The capacity of a pipe, pipe(7).
            writer.write_all(&[b' '; 65536]).unwrap();
            let mut waits = later(command)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(writer)
                .spawn()
                .unwrap();
            until("it is undone", || {
                fs::read_to_string(JOURNAL).is_ok_and(|text| text.is_empty())
            });
            let next = world.netkeel(&["recover", "--lock-timeout", "10s"]);
            assert!(
                next.code == 0 && next.stdout.contains("Nothing to recover"),
                "{command:?}: {next:?}"
            );
            assert!(
                waits.try_wait().unwrap().is_none(),
                "{command:?} waits for its reader"
            );
            drop(reader);
            waits.wait().unwrap();
            assert_eq!(world.look().difference(&before), None);
        });
    }
}

/// Ctrl-Z, or a terminal that stands still: the lock stays taken.
#[test]
fn an_apply_that_hangs_is_undone_all_the_same() {
    let attempt = |world: &World, within: Duration| {
        world.document(crate::confirmed::CHANGES);
        let before = world.look();
        let command = ["apply", "-f", DOCUMENT, "--allow-management", "--confirm-within"];
        let begun = Instant::now();
        let mut apply = start(&[&command[..], &[&words(within)]].concat());
        until("it has begun", || {
            let journal = fs::read_to_string(JOURNAL).unwrap_or_default();
            journal.contains("\"begun\"") || begun.elapsed() >= within
        });
        kill("STOP", apply.id());
        let in_time = begun.elapsed() < within;
        let complete = fs::read_to_string(JOURNAL).is_ok_and(|text| text.contains("\"complete\""));
        if in_time {
            until_unwatched();
            assert_eq!(world.look().difference(&before), None, "complete: {complete}");
        }
        let _ = apply.kill();
        let _ = apply.wait();
        in_time
    };
    in_time(Duration::from_secs(1), |within| {
        world(|world| attempt(world, within))
    });
}

/// The time that is promised is that of the boot clock, to the millisecond.
#[test]
fn a_promise_is_as_long_as_it_was_made() {
    let attempt = |world: &World, within: Duration| {
        let begun = Instant::now();
        let ran = applied(world, &words(within));
        let near = within.saturating_sub(Duration::from_millis(400));
        sleep(near.saturating_sub(begun.elapsed()));
        let confirm = world.netkeel(&["confirm"]);
        let took = begun.elapsed();
        if confirm.code != 0 && took >= within {
            return false;
        }
        assert_eq!(
            (ran.code, confirm.code),
            (0, 0),
            "{ran:?}, {confirm:?} after {took:?}"
        );
        true
    };
    in_time(Duration::from_millis(2900), |within| {
        world(|world| attempt(world, within))
    });
}

/// A host that was suspended for two minutes, as a time namespace shows it.
#[test]
fn time_in_suspension_counts() {
    world(|world| {
        let before = world.look();
        apply(world, "100s");
        let confirm = world.sh(&format!(
            "unshare --time --boottime 120 --fork {} confirm 2>&1 || echo exit $?",
            program()
        ));
        assert!(
            confirm.contains("exit 3") && confirm.contains("too late"),
            "{confirm}"
        );
        assert_eq!(world.look().difference(&before), None);
    });
}

/// A paused service has read the document of an apply that nobody confirms.
#[test]
fn a_service_goes_back_to_the_document_that_it_enforced_last() {
    const HELD: &str = "version: 1\npersist: no\nlink:\n  cali1: { mtu: 1470 }\n";
    const UNCONFIRMED: &str =
        "version: 1\npersist: no\nlink:\n  cali1: { mtu: 1430 }\n  cali1p: { mtu: 1480 }\n";
    world(|world| {
        let mtu = || world.sh("ip -o link show cali1 | grep -o 'mtu [0-9]*'");
        world.document(HELD);
        let run = || start(&["run", "-f", DOCUMENT]);
        let stop = |mut service: std::process::Child| {
            kill("TERM", service.id());
            service.wait().unwrap();
        };
        let service = run();
        until("the service enforces it", || mtu() == "mtu 1470\n");
        assert_eq!(world.netkeel(&["pause", "1h"]).code, 0);
        world.document(UNCONFIRMED);
        let ran = world.netkeel(&["apply", "-f", DOCUMENT, "--confirm-within", "600s"]);
        assert!(ran.code == 0 && mtu() == "mtu 1430\n", "{ran:?}");
        // Until it has read it, too.
        until("the service has the document", || {
            world.netkeel(&["status"]).stdout.contains("2 declared facts")
        });
        // It stops waiting at once, and nobody has confirmed it.
        kill("TERM", watchdog().unwrap());
        until_unwatched();
        assert_eq!(mtu(), "mtu 1470\n");
        stop(service);
        assert_eq!(world.netkeel(&["pause", "--end"]).code, 0);
        world.sh("ip link set cali1 mtu 1500");
        let service = run();
        until("the service enforces the one before", || mtu() == "mtu 1470\n");
        stop(service);
    });
}
