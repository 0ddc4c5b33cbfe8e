//! Names and texts of others: an interface whose name is no UTF-8, and characters that a terminal acts on.

use std::fs;

use crate::confirmed::{CHANGES, Ended, kill, start, until};
use crate::world::{DOCUMENT, DropIn, Place, inside};

/// Names with bytes that are no UTF-8, a terminal escape and a right-to-left override.
const NAMES: &str = r"link add $'\xffx\xfe' type veth peer name $'\xc3(\x1b[3'; ip link add $'a\xe2\x80\xaeb' type veth peer name $'\xf0\x9f'";

fn is_deceptive(text: &str) -> bool {
    let acts = |char: char| (char.is_control() && char != '\n') || ('\u{202a}'..='\u{202e}').contains(&char);
    text.contains(acts) || text.contains('\u{fffd}')
}

#[test]
fn an_interface_whose_name_is_no_text_does_not_make_the_rest_fail() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        world.sh(&format!("bash -c \"ip {}\"", NAMES.replace('$', "\\$")));
        world.document(&CHANGES.replace(
            "  cali1p:",
            "  every: { match: { kind: veth }, rp_filter: loose }\n  cali1p:",
        ));
        let mut service = start(&["run", "-f", DOCUMENT, "--allow-management"]);
        until("the service has set what there is", || {
            world
                .sh("cat /proc/sys/net/ipv4/conf/*x*/rp_filter")
                .contains('2')
                && world.netkeel(&["status"]).stdout.contains("in sync")
        });
        let verbs: &[&[&str]] = &[
            &["status"],
            &["status", "--output", "json"],
            &["history", "--commands"],
            &["history", "--output", "json"],
            &["plan", "-f", DOCUMENT],
            &["plan", "-f", DOCUMENT, "--output", "json"],
            &["check", "-f", DOCUMENT],
            &["observe"],
            &["lint", "-f", DOCUMENT],
            &["explain", "eth0"],
            &["pods"],
        ];
        for verb in verbs {
            let ran = world.netkeel(verb);
            assert_eq!(ran.code, 0, "{verb:?}: {ran:?}");
            assert!(
                !is_deceptive(&ran.stdout) && !is_deceptive(&ran.stderr),
                "{verb:?}: {ran:?}"
            );
        }
        kill("TERM", service.id());
        assert!(service.wait().unwrap().success());
    });
}

/// Stored text may come from others: an error message, a path, a command line.
#[test]
fn history_and_status_escape_what_a_terminal_acts_on() {
    inside(Place::Host, DropIn::Theirs, |world| {
        let _ended = Ended;
        world.sh("mkdir -p -m 700 /run/netkeel /var/lib/netkeel");
        let evil = r"e\u001b[2J\u202e\u009b\nforged";
        let line = format!(
            "{{\"time\":1,\"actor\":\"{evil}\",\"owner\":\"{evil}\",\"document\":\"{evil}\",\"commands\":[\"{evil}\"],\"result\":\"{evil}\"}}\n"
        );
        fs::write("/var/lib/netkeel/history", line).unwrap();
        for verb in [
            &["history", "--commands"] as &[&str],
            &["history", "--output", "json"],
        ] {
            let ran = world.netkeel(verb);
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(
                !is_deceptive(&ran.stdout) && !ran.stdout.contains("\nforged"),
                "{ran:?}"
            );
        }
        let document = "/run/e\u{202e}\u{1b}[2J.yaml";
        fs::write(
            document,
            "version: 1\npersist: no\nsysctl: { net.ipv4.tcp_ecn: 1 }\n",
        )
        .unwrap();
        let mut service = start(&["run", "-f", document, "--mode", "observe"]);
        until("it has a status", || world.netkeel(&["status"]).code == 0);
        until("it has looked", || {
            world.netkeel(&["status"]).stdout.contains("differ")
        });
        for verb in [&["status"] as &[&str], &["status", "--output", "json"]] {
            let ran = world.netkeel(verb);
            assert!(!is_deceptive(&ran.stdout), "{ran:?}");
        }
        kill("TERM", service.id());
        assert!(service.wait().unwrap().success());
    });
}
