//! The document that is in force where the current one cannot be: for the service and for the boot unit the same one,
//! which is the last that was applied and neither rolled back, released nor undone. And rules that a service could not
//! remove when it stopped.

use std::fs;
use std::process::{Child, Command};

use crate::confirmed::{Ended, kill, start, until, until_unwatched, watchdog};
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside, program};

fn world<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        work(world)
    })
}

/// Puts a document in place that sets an MTU.
fn declare(world: &World, mtu: u32) {
    world.document(&format!(
        "version: 1\npersist: no\nlink:\n  cali1: {{ mtu: {mtu} }}\n"
    ));
}

fn mtu(world: &World) -> u32 {
    let text = world.sh("cat /proc/sys/net/ipv6/conf/cali1/mtu");
    text.trim().parse().unwrap()
}

fn apply(world: &World, more: &[&str]) -> Ran {
    let ran = world.netkeel(&[&["apply", "-f", DOCUMENT], more].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran
}

/// Applies an MTU that nobody confirms.
fn unconfirmed(world: &World, to: u32) {
    let before = mtu(world);
    declare(world, to);
    apply(world, &["--confirm-within", "600s"]);
    assert_eq!(mtu(world), to);
    kill("TERM", watchdog().unwrap());
    until_unwatched();
    assert_eq!(mtu(world), before);
}

/// Runs a service until its status says something.
fn serve(world: &World, mode: &str, says: &str) -> Child {
    let service = start(&["run", "-f", DOCUMENT, "--mode", mode]);
    until(&format!("the status says `{says}`"), || {
        world.netkeel(&["status"]).stdout.contains(says)
    });
    service
}

fn stop(mut service: Child) {
    kill("TERM", service.id());
    assert!(service.wait().unwrap().success());
}

/// A service with a document that cannot be read, and none to fall back to.
fn does_not_begin(world: &World) {
    let before = mtu(world);
    world.document("version: 1\nlink: [\n");
    // One that begins does not end by itself.
    let ran = world.run(Command::new("timeout").args(["120", program(), "run", "-f", DOCUMENT]));
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(mtu(world), before);
}

#[test]
fn the_service_and_the_boot_unit_fall_back_to_the_same_document() {
    world(|world| {
        declare(world, 1401);
        stop(serve(world, "enforce", "in sync"));
        assert_eq!(mtu(world), 1401);
        // By hand, while no service runs.
        declare(world, 1402);
        apply(world, &[]);
        unconfirmed(world, 1403);
        apply(world, &["--fall-back"]);
        assert_eq!(mtu(world), 1402);
        // The current document was rolled back.
        stop(serve(world, "enforce", "in sync"));
        assert_eq!(mtu(world), 1402);
        // It cannot be read.
        world.document("version: 1\nlink: [\n");
        world.sh("ip link set cali1 mtu 1500");
        let service = serve(world, "enforce", "in sync");
        until("the service enforces it", || mtu(world) == 1402);
        stop(service);
    });
}

#[test]
fn a_service_does_not_bring_back_what_was_released_or_undone() {
    for back in [&["release"] as &[&str], &["undo", "--yes"]] {
        world(|world| {
            declare(world, 1401);
            apply(world, &[]);
            stop(serve(world, "enforce", "in sync"));
            let ran = world.netkeel(back);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(mtu(world), 1500);
            does_not_begin(world);
        });
    }
}

/// The host was as it says before.
#[test]
fn a_release_of_an_owner_that_holds_nothing_forgets_its_document() {
    world(|world| {
        declare(world, 1500);
        apply(world, &[]);
        stop(serve(world, "enforce", "in sync"));
        for (arguments, said) in [
            (&["release", "--dry-run"][..], "would be forgotten"),
            (&["release"], "is forgotten"),
        ] {
            let ran = world.netkeel(arguments);
            assert!(
                ran.code == 1 && ran.stderr.contains(&format!("its last accepted document {said}")),
                "{ran:?}"
            );
        }
        let ran = world.netkeel(&["release"]);
        assert!(
            ran.code == 1 && !ran.stderr.contains("accepted document"),
            "{ran:?}"
        );
        does_not_begin(world);
    });
}

#[test]
fn a_document_that_was_only_observed_is_not_fallen_back_to() {
    world(|world| {
        declare(world, 1401);
        stop(serve(world, "observe", "1 fact of 1 declared differ"));
        assert_eq!(mtu(world), 1500);
        does_not_begin(world);
    });
}

#[test]
fn an_apply_that_had_nothing_to_confirm_is_accepted() {
    world(|world| {
        declare(world, 1401);
        apply(world, &[]);
        world.sh("ip link set cali1 mtu 1402");
        declare(world, 1402);
        apply(world, &["--confirm-within", "600s"]);
        until_unwatched();
        unconfirmed(world, 1403);
        apply(world, &["--fall-back"]);
        assert_eq!(mtu(world), 1402);
    });
}

/// Another owner's apply waits to be confirmed while the service stops, and is undone later.
#[test]
fn rules_that_a_stop_could_not_remove_go_at_the_next_start() {
    for by_a_service in [true, false] {
        world(|world| {
            let listed = || world.sh("nft list ruleset").contains("group 40");
            let rules = "version: 1\nowner: service\npersist: no\nnflog:\n  first: { interfaces: [eth0], group: 40 }\n";
            fs::write("/run/service.yaml", rules).unwrap();
            let service = start(&["run", "-f", "/run/service.yaml"]);
            until("the service has its rule", listed);
            declare(world, 1401);
            apply(world, &["--confirm-within", "600s"]);
            stop(service);
            assert!(listed(), "an apply that waits holds up all writes");
            kill("TERM", watchdog().unwrap());
            until_unwatched();
            assert!(listed());
            if by_a_service {
                fs::write("/run/service.yaml", "version: 1\nowner: service\n").unwrap();
                let service = start(&["run", "-f", "/run/service.yaml"]);
                until("the rule is gone", || !listed());
                stop(service);
            }
            if !by_a_service {
                // Whether a service runs is not known.
                world.sh("ln -s status.sock /run/netkeel/status.sock");
                let ran = world.netkeel(&["recover"]);
                assert!(ran.code == 1 && listed(), "{ran:?}");
                world.sh("rm /run/netkeel/status.sock");
            }
            let ran = world.netkeel(&["recover"]);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(ran.stdout.contains("Nothing to recover"), by_a_service, "{ran:?}");
            assert!(!listed());
        });
    }
}
