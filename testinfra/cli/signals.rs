//! What a program inherits of signals depends on who started it. Ctrl-C, `kill` and children must work all the same.

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
    let ctrl_c = r#"echo y; seen "Enter keeps"; printf "\003"; seen COMMAND_EXIT_CODE"#;
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
    let types = format!(r#"echo y; seen "Enter keeps"; {look}; printf "\003"; seen COMMAND_EXIT_CODE"#);
    for (wrapper, ignored) in [("env", false), (INHERITED, true)] {
        let program = format!("{wrapper} {PROGRAM}");
        let done = on_a_terminal(&scratch, &types, &program, arguments, &namespace);
        assert_eq!(done.code, 3, "{done:?}");
        let mask = fs::read_to_string(scratch.path().join("ignored")).unwrap();
        let mask = u64::from_str_radix(mask.trim_start_matches("SigIgn:").trim(), 16).unwrap();
        // Bit n - 1 is signal n (proc(5)).
        assert_eq!(mask & 1 << (Signal::SIGHUP as u32 - 1) != 0, ignored, "{mask:x}");
    }
}
