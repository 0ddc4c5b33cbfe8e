//! The state that a program inherits depends on its starter. Ctrl-C, `kill`, children and limits must work all the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::run::{PROGRAM, Scratch};
use crate::terminal::{mtu, on_a_terminal};
use crate::{PODS, pods, review};

/// Starts what follows with every signal blocked, and those of children and of a lost terminal ignored (env(1)).
const INHERITED: &str = "env --block-signal --ignore-signal=CHLD --ignore-signal=HUP";

#[test]
fn blocked_signals_do_not_take_ctrl_c_away() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let ctrl_c = r#"seen "y/N"; echo y; seen "Enter keeps"; printf "\003"; seen COMMAND_EXIT_CODE"#;
    let program = format!("{INHERITED} {PROGRAM}");
    let back = on_a_terminal(
        &scratch,
        ctrl_c,
        &program,
        "apply -f pods.yaml --confirm-within 300s",
        &namespace,
    );
    assert_eq!(back.code, 3, "{back:?}");
    assert_eq!(mtu(&namespace), "1500\n");
}

#[test]
fn blocked_signals_stop_the_service() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let mut words = INHERITED.split(' ');
    let mut service = Command::new(words.next().unwrap())
        .args(words)
        .args([PROGRAM, "run", "-f", "pods.yaml", "--netns", &namespace.name])
        .current_dir(scratch.path())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while mtu(&namespace) != "1460\n" {
        assert!(start.elapsed() < Duration::from_secs(120), "it does not begin");
        sleep(Duration::from_millis(100));
    }
    scratch.command("kill", &["-TERM", &service.id().to_string()]);
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = service.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            service.kill().unwrap();
            panic!("SIGTERM does not stop it");
        }
        sleep(Duration::from_millis(100));
    };
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn children_are_waited_for_where_their_signal_was_ignored() {
    let scratch = review::fleet();
    let _ = review::repository(&scratch);
    let arguments = ["review", "git:main:site", "site", "--snapshots", "snapshots"];
    let usual = scratch.run(&arguments);
    let mut words = INHERITED.split(' ');
    let program = words.next().unwrap();
    let words: Vec<&str> = words.chain([PROGRAM]).chain(arguments).collect();
    assert_eq!(scratch.command(program, &words), usual);
}

/// As nohup(1) has it. It is looked at where the apply has its handlers.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let arguments = "apply -f pods.yaml --confirm-within 300s --retry-rejected";
    let line = format!("{PROGRAM} {arguments} --netns {}", namespace.name);
    let look = format!(r#"grep SigIgn "/proc/$(pgrep -f -x "{line}")/status" >ignored"#);
    let types =
        format!(r#"seen "y/N"; echo y; seen "Enter keeps"; {look}; printf "\003"; seen COMMAND_EXIT_CODE"#);
    for (wrapper, ignored) in [("env --default-signal=HUP", false), (INHERITED, true)] {
        let program = format!("{wrapper} {PROGRAM}");
        let done = on_a_terminal(&scratch, &types, &program, arguments, &namespace);
        assert_eq!(done.code, 3, "{done:?}");
        let mask = fs::read_to_string(scratch.path().join("ignored")).unwrap();
        let mask = u64::from_str_radix(mask.trim_start_matches("SigIgn:").trim(), 16).unwrap();
        // Bit n - 1 is signal n (proc(5)).
        assert_eq!(mask & 1 << (Signal::SIGHUP as u32 - 1) != 0, ignored, "{mask:x}");
    }
}

/// A caller that waits for the end of a pipe, or for a lock, must not wait for the watchdog.
#[test]
fn a_watchdog_keeps_nothing_of_its_starter_open() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let apply = format!(
        "{PROGRAM} apply -f pods.yaml --confirm-within 300s --netns {} 7>&1 >apply.log 2>&1",
        namespace.name
    );
    // The test reads standard output to its end.
    let start = Instant::now();
    let done = scratch.command("sh", &["-c", &apply]);
    assert!(
        start.elapsed() < Duration::from_secs(200),
        "not by the end of the time"
    );
    assert_eq!(done.code, 0, "{done:?}");
    let back = scratch.run(&["recover", "--netns", &namespace.name]);
    assert_eq!((back.code, mtu(&namespace).as_str()), (0, "1500\n"), "{back:?}");
}

/// The journal meets the limit before the first write, or between two of them.
#[test]
fn a_limit_of_file_sizes_leaves_no_half() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let mut codes = BTreeSet::new();
    for limit in (0..4096).step_by(32) {
        let limit = format!("--fsize={limit}");
        let apply = [
            &limit,
            PROGRAM,
            "apply",
            "-f",
            "pods.yaml",
            "--netns",
            &namespace.name,
        ];
        let done = scratch.command("prlimit", &apply);
        let wanted = if done.code == 0 { "1460\n" } else { "1500\n" };
        for pod in 1..=3 {
            let found = namespace.sh(&format!("cat /proc/sys/net/ipv6/conf/cali{pod}/mtu"));
            assert_eq!(found, wanted, "{limit}, cali{pod}: {done:?}");
        }
        codes.insert(done.code);
        scratch.run(&["undo", "--netns", &namespace.name]);
    }
    // Refused, rolled back, and applied.
    assert_eq!(codes, BTreeSet::from([0, 1, 3]));
}

/// A stopped apply would keep the lock.
#[test]
fn ctrl_z_does_not_stop_an_apply() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let types =
        r#"seen "y/N"; echo y; seen "Enter keeps"; printf "\032"; sleep 1; echo; seen COMMAND_EXIT_CODE"#;
    let arguments = "apply -f pods.yaml --confirm-within 300s";
    let kept = on_a_terminal(&scratch, types, PROGRAM, arguments, &namespace);
    assert!(
        kept.code == 0 && kept.stdout.contains("Confirmed: the changes stay"),
        "{kept:?}"
    );
}

/// A write of a program in the background stops it, where the terminal is set so. It must end with its work done.
#[test]
fn an_apply_in_the_background_of_a_terminal_ends() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    // timeout(1) runs it in a process group of its own, which is not that of the terminal.
    fs::write(scratch.path().join("tostop"), r#"stty tostop; exec "$@""#).unwrap();
    let program = format!("sh tostop timeout -k 1 150 {PROGRAM}");
    let arguments = "apply -f pods.yaml --yes";
    let done = on_a_terminal(
        &scratch,
        "seen COMMAND_EXIT_CODE",
        &program,
        arguments,
        &namespace,
    );
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(mtu(&namespace), "1460\n");
}
