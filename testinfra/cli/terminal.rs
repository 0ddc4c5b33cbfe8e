//! On a terminal, verbs that write show their plan and ask.

use std::fs;
use std::io::{Read, Write, pipe};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::review::{fleet, host};
use crate::run::{Done, PROGRAM, Scratch};
use crate::{Namespace, PODS, pods};

/// Runs a program, which is netkeel, on a terminal on which `types` types: a command of the shell, where `seen TEXT` waits
/// at most a minute for a text on the terminal. The program takes the place of the shell that script(1) starts, which
/// would take a Ctrl-C too and end with a status of its own.
pub fn on_a_terminal(
    scratch: &Scratch,
    types: &str,
    program: &str,
    arguments: &str,
    namespace: &Namespace,
) -> Done {
    let line = format!("exec {program} {arguments} --netns {}", namespace.name);
    let seen = "seen() { for _ in $(seq 600); do if grep -qs \"$1\" terminal.log; then return; fi; sleep 0.1; done; }";
    scratch.command(
        "sh",
        &[
            "-c",
            &format!("{seen}; : >terminal.log; ({types}) | SHELL=/bin/sh TERM=dumb script -qefc '{line}' terminal.log"),
        ],
    )
}

/// Agrees once the question is there.
const YES: &str = r#"seen "y/N"; echo y; seen COMMAND_EXIT_CODE"#;

pub fn mtu(namespace: &Namespace) -> String {
    namespace.sh("cat /sys/class/net/cali1/mtu 2>/dev/null || ip -o link show cali1 | grep -o 'mtu [0-9]*' | cut -d' ' -f2")
}

#[test]
fn apply_shows_the_plan_and_writes_after_a_yes_alone() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let apply = |types: &str, more: &str| {
        on_a_terminal(
            &scratch,
            types,
            PROGRAM,
            &format!("apply -f pods.yaml {more}"),
            &namespace,
        )
    };
    for no in [r#"seen "y/N"; echo n"#, r#"seen "y/N"; echo"#, "sleep 0.1"] {
        let refused = apply(no, "");
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.stdout.contains("cali1")
                && refused.stdout.contains("Apply these changes? [y/N]")
                && refused.stdout.contains("nothing was written"),
            "{refused:?}"
        );
        assert_eq!(mtu(&namespace), "1500\n");
    }
    let done = apply(YES, "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(mtu(&namespace), "1460\n");
    assert_eq!(done.stdout.matches("Plan: ").count(), 1, "shown once: {done:?}");
    assert!(done.stdout.contains("Applied: 6 writes; verified"), "{done:?}");
    // Nothing to write, so nothing to ask.
    let again = apply("sleep 0.1", "");
    assert!(again.code == 0 && !again.stdout.contains("[y/N]"), "{again:?}");
    let undone = on_a_terminal(&scratch, YES, PROGRAM, "undo", &namespace);
    assert!(
        undone.code == 0 && undone.stdout.contains("Undo these changes? [y/N]"),
        "{undone:?}"
    );
    assert_eq!(mtu(&namespace), "1500\n");
    // For scripts.
    let yes = apply("sleep 0.1", "--yes");
    assert!(yes.code == 0 && !yes.stdout.contains("[y/N]"), "{yes:?}");
    assert_eq!(mtu(&namespace), "1460\n");
}

#[test]
fn release_shows_what_it_gives_back_and_writes_after_a_yes_alone() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let netns = ["--netns", namespace.name.as_str()];
    let applied = scratch.run(&[&["apply", "-f", "pods.yaml"], &netns[..]].concat());
    assert_eq!(applied.code, 0, "{applied:?}");
    let release = |types: &str, more: &str| {
        on_a_terminal(&scratch, types, PROGRAM, &format!("release {more}"), &namespace)
    };
    let refused = release(r#"seen "y/N"; echo n; seen COMMAND_EXIT_CODE"#, "");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.stdout.contains("1460 -> 1500")
            && refused
                .stdout
                .contains("Give back the 6 facts of the owner default? [y/N]"),
        "{refused:?}"
    );
    assert_eq!(mtu(&namespace), "1460\n");
    let done = release(YES, "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.stdout.matches("Plan: ").count(), 1, "shown once: {done:?}");
    assert!(done.stdout.contains("6 writes done"), "{done:?}");
    assert_eq!(mtu(&namespace), "1500\n");
    let again = scratch.run(&[&["apply", "-f", "pods.yaml"], &netns[..]].concat());
    assert_eq!(again.code, 0, "{again:?}");
    let yes = release("sleep 0.1", "--yes");
    assert!(yes.code == 0 && !yes.stdout.contains("[y/N]"), "{yes:?}");
    assert_eq!(mtu(&namespace), "1500\n");
}

#[test]
fn a_change_while_somebody_reads_the_plan_is_not_overwritten() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let types = format!(
        r#"seen "y/N"; ip -n {} link set cali1 mtu 1300; echo y; seen COMMAND_EXIT_CODE"#,
        namespace.name
    );
    let refused = on_a_terminal(&scratch, &types, PROGRAM, "apply -f pods.yaml", &namespace);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused
            .stdout
            .contains("the host has changed since the plan was made; nothing was written"),
        "{refused:?}"
    );
    assert_eq!(mtu(&namespace), "1300\n");
}

#[test]
fn a_confirmation_is_waited_for_in_the_foreground() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let apply = |types: &str, within: &str| {
        let arguments = format!("apply -f pods.yaml --confirm-within {within}");
        on_a_terminal(&scratch, types, PROGRAM, &arguments, &namespace)
    };
    // The terminal stays open until netkeel has ended. The other key is Ctrl-\.
    for key in [r"\003", r"\034"] {
        let start = Instant::now();
        let types =
            format!(r#"seen "y/N"; echo y; seen "Enter keeps"; printf "{key}"; seen COMMAND_EXIT_CODE"#);
        let interrupted = apply(&types, "300s --retry-rejected");
        assert_eq!(interrupted.code, 3, "{interrupted:?}");
        assert!(
            interrupted
                .stdout
                .contains("Enter keeps them, Ctrl-C rolls them back"),
            "{interrupted:?}"
        );
        assert!(
            start.elapsed() < Duration::from_secs(200),
            "not by the end of the time"
        );
        assert_eq!(mtu(&namespace), "1500\n");
    }
    // Long enough for a busy machine to write everything before it is over.
    let late = apply(
        r#"seen "y/N"; echo y; seen COMMAND_EXIT_CODE"#,
        "20s --retry-rejected",
    );
    assert_eq!(late.code, 3, "{late:?}");
    assert!(
        late.stdout
            .contains("the changes were rolled back: nobody confirmed it in time"),
        "{late:?}"
    );
    assert_eq!(mtu(&namespace), "1500\n");
    let enter = r#"seen "y/N"; echo y; seen "Enter keeps"; echo; seen COMMAND_EXIT_CODE"#;
    let kept = apply(enter, "300s --retry-rejected");
    assert_eq!(kept.code, 0, "{kept:?}");
    assert!(kept.stdout.contains("Confirmed: the changes stay"), "{kept:?}");
    assert_eq!(mtu(&namespace), "1460\n");
}

/// The exit status is that of the apply, as without a terminal.
#[test]
fn a_confirmed_apply_says_by_its_exit_status_that_something_changed() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let arguments = "apply -f pods.yaml --confirm-within 300s --detailed-exitcode";
    let enter = r#"seen "y/N"; echo y; seen "Enter keeps"; echo; seen COMMAND_EXIT_CODE"#;
    let kept = on_a_terminal(&scratch, enter, PROGRAM, arguments, &namespace);
    assert!(
        kept.code == 2 && kept.stdout.contains("Confirmed: the changes stay"),
        "{kept:?}"
    );
}

/// Nobody has seen the plan then.
#[test]
fn what_was_typed_before_the_plan_does_not_agree_to_it() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let types = r#"printf "y\ny\n"; seen "y/N"; sleep 1; echo n; seen COMMAND_EXIT_CODE"#;
    // The terminal shows what is typed: netkeel starts after that.
    let typed = r#"while [ "$(grep -c "^y" terminal.log)" -lt 2 ]; do sleep 0.1; done; exec "$@""#;
    fs::write(scratch.path().join("after-typing"), typed).unwrap();
    let program = format!("sh after-typing {PROGRAM}");
    let refused = on_a_terminal(&scratch, types, &program, "apply -f pods.yaml", &namespace);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(mtu(&namespace), "1500\n");
}

/// A second Enter at the first question comes before anybody has seen the effect.
#[test]
fn what_was_typed_before_the_last_question_does_not_answer_it() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let types = r#"seen "y/N"; printf "y\n\n\ny\n"; seen "Enter keeps"; sleep 2; printf "\003"; seen COMMAND_EXIT_CODE"#;
    let arguments = "apply -f pods.yaml --confirm-within 300s";
    let interrupted = on_a_terminal(&scratch, types, PROGRAM, arguments, &namespace);
    assert_eq!(interrupted.code, 3, "{interrupted:?}");
    assert!(!interrupted.stdout.contains("Confirmed"), "{interrupted:?}");
    assert_eq!(mtu(&namespace), "1500\n");
}

#[test]
fn only_enter_or_a_yes_keeps_the_changes() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let apply = |answers: &str| {
        let types = format!(r#"seen "y/N"; echo y; seen "Enter keeps"; {answers}; seen COMMAND_EXIT_CODE"#);
        let arguments = "apply -f pods.yaml --confirm-within 300s --retry-rejected";
        on_a_terminal(&scratch, &types, PROGRAM, arguments, &namespace)
    };
    for no in ["echo no", r#"echo what; seen "please answer"; echo n"#] {
        let back = apply(no);
        assert_eq!(back.code, 3, "{no}: {back:?}");
        assert_eq!(mtu(&namespace), "1500\n", "{no}");
        let why = "the answer to its confirmation was no\r\nrolled back: 6 writes undone";
        assert!(
            back.stdout.contains(why) && !back.stdout.contains("interrupted"),
            "{back:?}"
        );
    }
    let netns = ["--netns", namespace.name.as_str()];
    let history = scratch.run(&[&["history"], &netns[..]].concat());
    assert!(
        history
            .stdout
            .contains("rolled back: the answer to its confirmation was no"),
        "{history:?}"
    );
    // As after the end of the time.
    let rejected = scratch.run(&[&["apply", "-f", "pods.yaml"], &netns[..]].concat());
    assert!(
        rejected.code == 1 && rejected.stderr.contains("this document was rolled back before"),
        "{rejected:?}"
    );
    let kept = apply(r#"echo what; seen "please answer"; echo yes"#);
    assert_eq!(kept.code, 0, "{kept:?}");
    assert!(kept.stdout.contains("Confirmed: the changes stay"), "{kept:?}");
    assert_eq!(mtu(&namespace), "1460\n");
    // The document in force stays accepted, whatever the answer about its next writes is.
    namespace.sh("ip link set cali1 mtu 1500");
    let back = apply("echo no");
    assert_eq!((back.code, mtu(&namespace).as_str()), (3, "1500\n"), "{back:?}");
    let again = scratch.run(&[&["apply", "-f", "pods.yaml"], &netns[..]].concat());
    assert_eq!(again.code, 0, "{again:?}");
}

/// A pipe that nobody reads holds the result back until the watchdog has rolled back.
#[test]
fn an_apply_that_is_rolled_back_before_it_can_print_does_not_succeed() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let netns = ["--netns", namespace.name.as_str()];
    let (mut reader, mut writer) = pipe().unwrap();
    // The capacity of a pipe, pipe(7).
    writer.write_all(&[b' '; 65536]).unwrap();
    let mut apply = Command::new(PROGRAM)
        .args(["apply", "-f", "pods.yaml", "--confirm-within", "20s"])
        .args(netns)
        .current_dir(scratch.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !scratch
        .run(&[&["history"], &netns[..]].concat())
        .stdout
        .contains("rolled back")
    {
        assert!(start.elapsed() < Duration::from_secs(120), "no rollback");
        sleep(Duration::from_millis(200));
    }
    assert!(apply.try_wait().unwrap().is_none(), "it waits for its reader");
    let mut printed = String::new();
    reader.read_to_string(&mut printed).unwrap();
    let done = apply.wait_with_output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(3), "{printed}{said}");
    assert!(
        said.contains("the changes were rolled back: nobody confirmed it in time"),
        "{said}"
    );
    assert_eq!(mtu(&namespace), "1500\n");
}

#[test]
fn a_dry_run_of_apply_is_a_plan() {
    let namespace = pods();
    let scratch = Scratch::new(&[("pods.yaml", PODS)]);
    let netns = ["-f", "pods.yaml", "--netns", namespace.name.as_str()];
    for more in [&[][..], &["--output", "json"], &["--detailed-exitcode"]] {
        let dry = scratch.run(&[&["apply", "--dry-run"], &netns[..], more].concat());
        let plan = scratch.run(&[&["plan"], &netns[..], more].concat());
        assert_eq!((dry.code, &dry.stdout), (plan.code, &plan.stdout));
        assert!(dry.stdout.contains("cali1"), "{dry:?}");
    }
    assert_eq!(mtu(&namespace), "1500\n");
}

#[test]
fn a_review_shows_its_progress_on_a_terminal_alone() {
    let scratch = fleet();
    let snapshots = scratch.path().join("snapshots");
    // Progress is shown when a review takes more than half a second.
    let links: Vec<_> = (0..1000)
        .map(|number| (format!("cali{number:04}"), 1460))
        .collect();
    fs::write(snapshots.join("big.json"), host(&links)).unwrap();
    for number in 0..60 {
        fs::hard_link(
            snapshots.join("big.json"),
            snapshots.join(format!("big{number}.json")),
        )
        .unwrap();
    }
    let review = format!("{PROGRAM} review old.yaml new.yaml --snapshots snapshots --jobs 1 >out");
    let done = scratch.command(
        "sh",
        &[
            "-c",
            &format!("SHELL=/bin/sh TERM=dumb script -qefc '{review}' terminal.log </dev/null"),
        ],
    );
    assert_eq!(done.code, 0, "{done:?}");
    let hosts = fs::read_dir(&snapshots).unwrap().count();
    let bar = format!("of {hosts} hosts");
    assert!(
        done.stdout.contains("planning  [") && done.stdout.contains(&bar),
        "{done:?}"
    );
    // The line is wiped at the end.
    assert!(done.stdout.trim_end().ends_with("\r\u{1b}[K"), "{done:?}");
    let out = fs::read_to_string(scratch.path().join("out")).unwrap();
    assert!(
        out.starts_with("old: old.yaml") && !out.contains('\u{1b}'),
        "{out}"
    );
    let quiet = scratch.command("sh", &["-c", &review]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}
