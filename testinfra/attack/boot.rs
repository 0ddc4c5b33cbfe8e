//! The power goes while an apply waits to be confirmed: the next boot has the values from before.

use std::fs;
use std::process::Command;

use crate::confirmed::{CHANGES, Ended, JOURNAL, apply, kill, until_unwatched, watchdog, without_end};
use crate::world::{DOCUMENT, DropIn, Place, World, inside, program};

const DROP_IN: &str = "/etc/sysctl.d/90-netkeel.conf";

const FILES: &str = "/var/lib/netkeel/journal-files";

/// Simulates a boot: /run and all processes are gone, and the journals have the id of an earlier boot.
fn power_cycle(world: &World) {
    kill("KILL", watchdog().unwrap());
    until_unwatched();
    world.sh("rm -rf /run/netkeel; ip link set eth0 mtu 1500; ip link set cali1 mtu 1500");
    let text = fs::read_to_string(FILES).expect("nothing durable says that an apply was not confirmed");
    let (header, rest) = text.split_once('\n').unwrap();
    let (start, boot) = header.split_once("\"boot\":\"").unwrap();
    fs::write(FILES, format!("{start}\"boot\":\"00000000{}\n{rest}", &boot[8..])).unwrap();
}

/// By the thread's own /proc/sys: /sys is that of the network namespace that mounted it.
fn mtu(world: &World) -> String {
    world.sh("cat /proc/sys/net/ipv6/conf/eth0/mtu")
}

/// Without files to write, the journal on disk has no steps, and yet says that nobody confirmed it.
const LIVE_ONLY: &str = "version: 1\npersist: no\nlink:\n  eth0: { mtu: 1420 }\n";

#[test]
fn what_nobody_confirmed_is_not_in_force_after_a_boot() {
    for document in [CHANGES, LIVE_ONLY] {
        for verb in [&["recover"] as &[&str], &["apply", "-f", DOCUMENT]] {
            inside(Place::Host, DropIn::Theirs, |world| {
                let _ended = Ended;
                let file = |world: &World| world.look().without(|name| !name.starts_with("file "));
                let before = file(world);
                world.document(document);
                let ran = world.netkeel(&[
                    "apply",
                    "-f",
                    DOCUMENT,
                    "--allow-management",
                    "--confirm-within",
                    "600s",
                ]);
                assert_eq!(ran.code, 0, "{ran:?}");
                assert_eq!(file(world).difference(&before), None, "a file was written");
                power_cycle(world);
                let ran = world.netkeel(verb);
                let boots = verb == ["recover"];
                assert_eq!(ran.code, if boots { 0 } else { 1 }, "{verb:?}: {ran:?}");
                let ran = world.netkeel(&["apply", "-f", DOCUMENT, "--allow-management"]);
                assert!(
                    ran.code == 1 && ran.stderr.contains("restarted before anybody confirmed it"),
                    "{ran:?}"
                );
                assert_eq!(file(world).difference(&before), None);
                assert_eq!(mtu(world), "1500\n");
                // Nor does a service begin with it.
                let ran = world.netkeel(&["run", "-f", DOCUMENT]);
                assert!(
                    ran.code == 1 && ran.stderr.contains("rolled back before"),
                    "{ran:?}"
                );
            });
        }
    }
}

/// The service is the first netkeel after the boot.
#[test]
fn a_service_does_not_begin_with_a_document_that_nobody_confirmed() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        apply(world, "600s");
        power_cycle(world);
        let ran = world.netkeel(&["run", "-f", DOCUMENT]);
        assert!(
            ran.code == 1 && ran.stderr.contains("rolled back before"),
            "{ran:?}"
        );
        assert_eq!(mtu(world), "1500\n");
    });
}

#[test]
fn files_are_written_by_the_confirmation_and_given_back() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        let before = world.look();
        world.document(CHANGES);
        let wanted = {
            assert_eq!(
                world
                    .netkeel(&["apply", "-f", DOCUMENT, "--allow-management"])
                    .code,
                0
            );
            let wanted = world.look();
            let release = world.netkeel(&["release", "--allow-lossy"]);
            assert_eq!(release.code, 0, "{release:?}");
            wanted
        };
        assert_eq!(world.look().difference(&before), None);
        let theirs = fs::read_to_string(DROP_IN).unwrap();
        let ran = world.netkeel(&[
            "apply",
            "-f",
            DOCUMENT,
            "--allow-management",
            "--confirm-within",
            "600s",
        ]);
        assert!(
            ran.code == 0 && ran.stderr.contains("2 file writes follow when you confirm"),
            "{ran:?}"
        );
        assert_eq!(fs::read_to_string(DROP_IN).unwrap(), theirs);
        let confirm = world.netkeel(&["confirm"]);
        assert!(
            confirm.code == 0 && confirm.stdout.contains("2 files written"),
            "{confirm:?}"
        );
        assert_eq!(world.look().difference(&wanted), None);
        let release = world.netkeel(&["release", "--allow-lossy"]);
        assert_eq!(release.code, 0, "{release:?}");
        assert_eq!(world.look().difference(&before), None);
    });
}

#[test]
fn a_file_that_somebody_wrote_meanwhile_is_not_written_over() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        let before = world.look();
        apply(world, "600s");
        fs::write(DROP_IN, "# somebody's\n").unwrap();
        let confirm = world.netkeel(&["confirm"]);
        assert!(
            confirm.code == 1 && confirm.stderr.contains("by another program since the apply"),
            "{confirm:?}"
        );
        // The first process of a container can leave no other watchdog.
        kill("KILL", watchdog().unwrap());
        until_unwatched();
        let alone = world.run(Command::new("unshare").args(["--pid", "--fork", program(), "confirm"]));
        assert!(
            alone.code == 1 && alone.stderr.contains("nothing undoes them by itself now"),
            "{alone:?}"
        );
        let again = world.netkeel(&["confirm"]);
        assert!(
            again.code == 1
                && again
                    .stderr
                    .contains("they are rolled back when their time is over"),
            "{again:?}"
        );
        kill("TERM", watchdog().unwrap());
        until_unwatched();
        assert_eq!(fs::read_to_string(DROP_IN).unwrap(), "# somebody's\n");
        let file = |name: &str| name.starts_with("file ");
        assert_eq!(world.look().without(file).difference(&before.without(file)), None);
    });
}

#[test]
fn a_resumption_does_not_write_over_a_file_that_somebody_wrote_meanwhile() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        let before = world.look();
        apply(world, "600s");
        kill("KILL", watchdog().unwrap());
        until_unwatched();
        // As an apply without a confirmation leaves it that is killed before its files.
        for journal in [JOURNAL, FILES] {
            let text = fs::read_to_string(journal).unwrap();
            let (start, rest) = text.split_once(",\"confirm_by\":").unwrap();
            let (_, rest) = rest.split_once('}').unwrap();
            let killed = format!("{start}}}{rest}");
            // Only the live one has an end.
            let killed = if journal == JOURNAL {
                without_end(&killed)
            } else {
                killed
            };
            fs::write(journal, killed).unwrap();
        }
        fs::write(DROP_IN, "# somebody's\n").unwrap();
        let resumed = world.netkeel(&["recover", "--resume"]);
        assert!(
            resumed.code == 1 && resumed.stderr.contains("by another program since the apply"),
            "{resumed:?}"
        );
        assert_eq!(world.netkeel(&["recover"]).code, 0);
        assert_eq!(fs::read_to_string(DROP_IN).unwrap(), "# somebody's\n");
        let file = |name: &str| name.starts_with("file ");
        assert_eq!(world.look().without(file).difference(&before.without(file)), None);
    });
}

/// What the boot unit runs: the host is as it was confirmed last.
#[test]
fn a_boot_applies_the_document_that_was_accepted_last() {
    const ACCEPTED: &str = "version: 1\npersist: no\nlink:\n  eth0: { mtu: 1450 }\n";
    const WITHIN: &[&str] = &["--confirm-within", "600s"];
    for confirmed in [false, true] {
        inside(Place::Host, DropIn::Theirs, |world| {
            let _ended = Ended;
            let apply = |more: &[&str]| {
                world.netkeel(&[&["apply", "-f", DOCUMENT, "--allow-management"], more].concat())
            };
            world.document(ACCEPTED);
            let ran = apply(if confirmed { WITHIN } else { &[] });
            assert_eq!(ran.code, 0, "{ran:?}");
            if confirmed {
                assert_eq!(world.netkeel(&["confirm"]).code, 0);
            }
            world.document(LIVE_ONLY);
            assert_eq!(apply(WITHIN).code, 0);
            power_cycle(world);
            assert_eq!(apply(&[]).code, 1);
            let ran = apply(&["--fall-back"]);
            assert!(
                ran.code == 0 && ran.stderr.contains("accepted last is applied instead"),
                "{ran:?}"
            );
            assert_eq!(mtu(world), "1450\n", "confirmed: {confirmed}");
            // Nothing is accepted any more.
            assert_eq!(world.netkeel(&["release", "--allow-lossy"]).code, 0);
            let ran = apply(&["--fall-back"]);
            assert!(
                ran.code == 1 && ran.stderr.contains("rolled back before"),
                "{ran:?}"
            );
            assert_eq!(mtu(world), "1500\n");
        });
    }
}
