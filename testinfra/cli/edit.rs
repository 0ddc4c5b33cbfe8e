//! `edit` changes one value of a file and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::run::{PROGRAM, Scratch};

const SITE: &str =
    "# The pods of this site.\nversion: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1460 } # all\n";
const BASE: &str = "version = 1\n[link.pods]\nmtu = 1400 # of the base\npod_mtu = 1400\n";

#[test]
fn the_last_file_with_the_value_is_changed_and_the_change_is_shown() {
    let scratch = Scratch::new(&[("base.toml", BASE), ("site.yaml", SITE)]);
    let site = scratch.path().join("site.yaml");
    fs::set_permissions(&site, fs::Permissions::from_mode(0o640)).unwrap();
    let edit = |sets: &[&str]| scratch.run(&[&["edit", "-f", "base.toml", "-f", "site.yaml"], sets].concat());
    let dry = edit(&["link.pods.mtu=1440", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert_eq!(fs::read_to_string(&site).unwrap(), SITE);
    let done = edit(&["link.pods.mtu=1440", "link.pods.pod_mtu=1440"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(
        done.stdout.starts_with(&dry.stdout) || done.stdout.ends_with(&dry.stdout),
        "{done:?}"
    );
    assert!(
        done.stdout
            .contains("+  pods: { match: { name: \"cali*\" }, mtu: 1440 } # all\n"),
        "{done:?}"
    );
    assert_eq!(fs::read_to_string(&site).unwrap(), SITE.replace("1460", "1440"));
    assert_eq!(fs::metadata(&site).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(
        fs::read_to_string(scratch.path().join("base.toml")).unwrap(),
        BASE.replace("pod_mtu = 1400", "pod_mtu = 1440")
    );
}

#[test]
fn what_would_be_invalid_or_is_not_there_is_refused() {
    let scratch = Scratch::new(&[("site.yaml", SITE)]);
    symlink("site.yaml", scratch.path().join("link.yaml")).unwrap();
    for (file, set, why) in [
        ("site.yaml", "link.pods.mtu=12", "12 is out of range"),
        ("site.yaml", "link.pods.mtuu=1400", "did you mean `mtu`"),
        ("site.yaml", "version=2", "nothing was written"),
        (
            "site.yaml",
            "link.pods.mtu=1400, up: yes",
            "is no value in one line of YAML",
        ),
        ("link.yaml", "link.pods.mtu=1400", "follows no link"),
    ] {
        let refused = scratch.run(&["edit", "-f", file, set]);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (1, ""),
            "{set}: {refused:?}"
        );
        assert!(refused.stderr.contains(why), "{set}: {refused:?}");
        assert_eq!(
            fs::read_to_string(scratch.path().join("site.yaml")).unwrap(),
            SITE
        );
    }
    let piped = scratch.run_with(&["edit", "-f", "-", "link.pods.mtu=1440"], SITE);
    assert_eq!((piped.code, piped.stdout), (0, SITE.replace("1460", "1440")));
}

#[test]
fn the_change_shows_no_secret() {
    let key = |last: &str| format!("  net.ipv4.tcp_fastopen_key: aaaa0000-00000000-00000000-{last}\n");
    let text = format!("version: 1\nsysctl:\n{}  net.ipv4.tcp_ecn: 1\n", key("bbbb0001"));
    let scratch = Scratch::new(&[("site.yaml", &text)]);
    for (set, line) in [
        ("sysctl.net.ipv4.tcp_ecn=0", "+  net.ipv4.tcp_ecn: 0\n"),
        (
            "sysctl.net.ipv4.tcp_fastopen_key=aaaa0000-00000000-00000000-bbbb0002",
            "+  net.ipv4.tcp_fastopen_key: *",
        ),
    ] {
        for more in [&["--dry-run"][..], &[]] {
            let done = scratch.run(&[&["edit", "-f", "site.yaml", set], more].concat());
            assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
            assert!(
                done.stdout.contains(line) && !done.stdout.contains("aaaa") && !done.stdout.contains("bbbb"),
                "{done:?}"
            );
        }
    }
    let text = fs::read_to_string(scratch.path().join("site.yaml")).unwrap();
    assert!(text.contains(&key("bbbb0002")), "{text}");
}

#[test]
fn several_files_are_changed_all_or_none() {
    let scratch = Scratch::new(&[("a/base.toml", BASE), ("b/site.yaml", SITE)]);
    let read_only = "mount --bind b b && mount -o remount,bind,ro b && exec \"$@\"";
    let refused = scratch.command(
        "unshare",
        &[
            "-m",
            "sh",
            "-c",
            read_only,
            "sh",
            PROGRAM,
            "edit",
            "-f",
            "a/base.toml",
            "-f",
            "b/site.yaml",
            "link.pods.pod_mtu=1440",
            "link.pods.mtu=1440",
        ],
    );
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(refused.stderr.contains("b/site.yaml"), "{refused:?}");
    for (file, text) in [("a/base.toml", BASE), ("b/site.yaml", SITE)] {
        assert_eq!(
            fs::read_to_string(scratch.path().join(file)).unwrap(),
            text,
            "{file}"
        );
        let directory = scratch.path().join(file);
        let left = fs::read_dir(directory.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing else is left beside {file}");
    }
}

#[test]
fn a_change_that_is_made_is_no_error_when_it_cannot_be_shown() {
    let scratch = Scratch::new(&[("site.yaml", SITE)]);
    let line = format!("{PROGRAM} edit -f site.yaml link.pods.mtu=1440 >/dev/full");
    let done = scratch.command("sh", &["-c", &line]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(
        done.stderr.contains("warning: cannot write the result"),
        "{done:?}"
    );
    let text = fs::read_to_string(scratch.path().join("site.yaml")).unwrap();
    assert_eq!(text, SITE.replace("1460", "1440"));
}

/// The second one would write over the change of the first.
#[test]
fn edits_at_once_lose_no_change() {
    let numbers = 1..=8;
    let text: String = numbers
        .clone()
        .map(|number| format!("  eth{number}: {{ mtu: 1500 }}\n"))
        .collect();
    let scratch = Scratch::new(&[("a.yaml", &format!("version: 1\nlink:\n{text}"))]);
    std::thread::scope(|scope| {
        for number in numbers.clone() {
            let scratch = &scratch;
            scope.spawn(move || {
                let done = scratch.run(&["edit", "-f", "a.yaml", &format!("link.eth{number}.mtu=1400")]);
                assert_eq!(done.code, 0, "{done:?}");
            });
        }
    });
    let after = fs::read_to_string(scratch.path().join("a.yaml")).unwrap();
    assert_eq!(after.matches("mtu: 1400").count(), 8, "{after}");
}

#[test]
fn a_file_in_a_directory_that_is_not_there_is_named() {
    let scratch = Scratch::new(&[]);
    let refused = scratch.run(&["edit", "-f", "none/a.yaml", "link.eth0.mtu=1400"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("none/a.yaml"),
        "{refused:?}"
    );
}
