//! Small hosts, and which line decides one key on each. Most tests run the real programs instead:
//! see testinfra/explain.

use proptest::prelude::*;

use crate::sysctl_d::answer::{Outcome, answer};
use crate::sysctl_d::file::{Content, File, Files};
use crate::sysctl_d::mention::{Fate, Mention};
use crate::sysctl_d::order::DIRECTORIES;
use netkeel_core::name::sysctl::SysctlKey;

/// Files given as `/etc/sysctl.d/10-a.conf: line; line`, one file per line.
fn host(text: &str) -> Files {
    let mut files = Files::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (path, lines) = line.split_once(": ").unwrap();
        let (directory, name) = path.rsplit_once('/').unwrap();
        let (content, target) = match lines.strip_prefix("-> ") {
            Some("/dev/null") => (Content::Null, "/dev/null"),
            Some(target) => {
                let conf: &File = files.sysctl_conf.as_ref().unwrap();
                (conf.content.clone(), target)
            }
            None => (Content::Text(lines.replace("; ", "\n")), path),
        };
        let file = File {
            directory: DIRECTORIES.iter().position(|d| *d == directory).unwrap_or(0),
            name: name.to_owned(),
            target: target.to_owned(),
            content,
        };
        match path {
            "/etc/sysctl.conf" => files.sysctl_conf = Some(file),
            _ => files.dropins.push(file),
        }
    }
    files
}

fn shown(outcome: &Outcome) -> String {
    let place = outcome.place.as_ref().map(ToString::to_string);
    format!(
        "{} by {:?} at {}",
        outcome.value.as_deref().unwrap_or("the kernel's"),
        outcome.how,
        place.as_deref().unwrap_or("no line")
    )
}

fn resolved(text: &str, key: &str) -> String {
    let answers = answer(&host(text), &key.parse().unwrap(), false);
    let mut text_out = String::new();
    for (name, answer) in [("systemd", &answers.systemd), ("procps", &answers.procps)] {
        text_out.push_str(&format!("{name}: {}\n", shown(&answer.boot)));
        if let Some(later) = &answer.later {
            text_out.push_str(&format!("    later {}\n", shown(later)));
        }
    }
    let fate = |fate: &Fate| match fate {
        Fate::Overridden { by } | Fate::Replaced { by } | Fate::Exempt { by } | Fate::Repeats { of: by } => {
            let word = format!("{fate:?}");
            let word = word.split([' ', '{']).next().unwrap_or_default().to_owned();
            format!("{word} {by}")
        }
        fate => format!("{fate:?}"),
    };
    for Mention {
        place,
        text,
        systemd,
        procps,
        ..
    } in &answers.lines
    {
        text_out.push_str(&format!(
            "{place} `{text}`: {} | {}\n",
            fate(systemd),
            fate(procps)
        ));
    }
    text_out
}

#[test]
fn an_exclusion_cancels_an_earlier_line_for_systemd_only() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.d/10-ubuntu.conf: net.ipv4.conf.default.rp_filter=1; net.ipv4.conf.all.rp_filter=1
         /usr/lib/sysctl.d/50-default.conf: net.ipv4.conf.default.rp_filter = 2; net.ipv4.conf.*.rp_filter = 2; -net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.all.rp_filter"
    ), @r"
    systemd: the kernel's by Unset at no line
    procps: 1 by Exact at /etc/sysctl.d/10-ubuntu.conf:2
    /etc/sysctl.d/10-ubuntu.conf:2 `net.ipv4.conf.all.rp_filter=1`: Replaced /usr/lib/sysctl.d/50-default.conf:3 | Decides
    /usr/lib/sysctl.d/50-default.conf:2 `net.ipv4.conf.*.rp_filter = 2`: Exempt /usr/lib/sysctl.d/50-default.conf:3 | Exempt /etc/sysctl.d/10-ubuntu.conf:2
    /usr/lib/sysctl.d/50-default.conf:3 `-net.ipv4.conf.all.rp_filter`: Excludes | Excludes
    ");
}

#[test]
fn a_line_anywhere_keeps_patterns_off_its_key() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.d/10-a.conf: net.ipv4.conf.eth0.rp_filter = 0
         /etc/sysctl.d/90-netkeel.conf: net/ipv4/conf/default/rp_filter = 1
         /usr/lib/sysctl.d/50-default.conf: net.ipv4.conf.default.rp_filter = 2; net.ipv4.conf.*.rp_filter = 2; -net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.eth0.rp_filter"
    ), @r"
    systemd: 0 by Exact at /etc/sysctl.d/10-a.conf:1
        later 0 by Exact at /etc/sysctl.d/10-a.conf:1
    procps: 0 by Exact at /etc/sysctl.d/10-a.conf:1
        later 1 by Inherited at /etc/sysctl.d/90-netkeel.conf:1
    /etc/sysctl.d/10-a.conf:1 `net.ipv4.conf.eth0.rp_filter = 0`: Decides | Decides
    /usr/lib/sysctl.d/50-default.conf:2 `net.ipv4.conf.*.rp_filter = 2`: Exempt /etc/sysctl.d/10-a.conf:1 | Exempt /etc/sysctl.d/10-a.conf:1
    ");
}

#[test]
fn a_pattern_overrides_default_for_later_interfaces() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.d/60-a.conf: net.ipv4.conf.cali*.rp_filter = 1; net.ipv4.conf.default.rp_filter = 0
         /usr/lib/sysctl.d/50-default.conf: net.ipv4.conf.*.rp_filter = 2; -net.ipv4.conf.all.rp_filter",
        "net.ipv4.conf.default.rp_filter"
    ), @r#"
    systemd: 0 by Exact at /etc/sysctl.d/60-a.conf:2
        later 2 by Pattern { pattern: "net/ipv4/conf/*/rp_filter" } at /usr/lib/sysctl.d/50-default.conf:1
    procps: 0 by Exact at /etc/sysctl.d/60-a.conf:2
        later 0 by Inherited at /etc/sysctl.d/60-a.conf:2
    /usr/lib/sysctl.d/50-default.conf:1 `net.ipv4.conf.*.rp_filter = 2`: Exempt /etc/sysctl.d/60-a.conf:2 | Exempt /etc/sysctl.d/60-a.conf:2
    /etc/sysctl.d/60-a.conf:2 `net.ipv4.conf.default.rp_filter = 0`: Decides | Decides
    "#);
}

#[test]
fn files_hide_their_namesakes_and_sysctl_conf_comes_last_for_procps() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.conf: # local; net.ipv4.conf.eth0.100.rp_filter = 1; net/ipv4/conf/eth0.100/rp_filter = 1
         /etc/sysctl.d/50-default.conf: -> /dev/null
         /usr/lib/sysctl.d/50-default.conf: net.ipv4.conf.*.rp_filter = 2
         /etc/sysctl.d/99-sysctl.conf: -> /etc/sysctl.conf
         /run/sysctl.d/99-z.conf: net.ipv4.conf.eth0/100.rp_filter = 2",
        "net/ipv4/conf/eth0.100/rp_filter"
    ), @r#"
    systemd: 2 by Exact at /run/sysctl.d/99-z.conf:1
        later 2 by Exact at /run/sysctl.d/99-z.conf:1
    procps: 1 by Exact at /etc/sysctl.conf:3
        later the kernel's by Inherited at no line
    /usr/lib/sysctl.d/50-default.conf:1 `net.ipv4.conf.*.rp_filter = 2`: Hidden { by: "/etc/sysctl.d/50-default.conf" } | Hidden { by: "/etc/sysctl.d/50-default.conf" }
    /etc/sysctl.d/99-sysctl.conf:2 `net.ipv4.conf.eth0.100.rp_filter = 1`: AnotherKey | AnotherKey
    /etc/sysctl.d/99-sysctl.conf:3 `net/ipv4/conf/eth0.100/rp_filter = 1`: Replaced /run/sysctl.d/99-z.conf:1 | Overridden /etc/sysctl.conf:3
    /run/sysctl.d/99-z.conf:1 `net.ipv4.conf.eth0/100.rp_filter = 2`: Decides | Overridden /etc/sysctl.conf:3
    /etc/sysctl.conf:2 `net.ipv4.conf.eth0.100.rp_filter = 1`: NotRead | AnotherKey
    /etc/sysctl.conf:3 `net/ipv4/conf/eth0.100/rp_filter = 1`: NotRead | Decides
    "#);
}

#[test]
fn forwarding_is_copied_to_interfaces() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.d/10-a.conf: net.ipv4.conf.eth0.forwarding = 0
         /etc/sysctl.d/20-a.conf: net.ipv4.ip_forward = 1; net.ipv4.conf.all.forwarding = 1",
        "net.ipv4.conf.eth0.forwarding"
    ), @r#"
    systemd: 1 by Copied { from: "net/ipv4/ip_forward" } at /etc/sysctl.d/20-a.conf:1
        later 0 by Exact at /etc/sysctl.d/10-a.conf:1
    procps: 1 by Copied { from: "net/ipv4/ip_forward" } at /etc/sysctl.d/20-a.conf:1
        later 1 by Inherited at /etc/sysctl.d/20-a.conf:1
    /etc/sysctl.d/10-a.conf:1 `net.ipv4.conf.eth0.forwarding = 0`: Overridden /etc/sysctl.d/20-a.conf:1 | Overridden /etc/sysctl.d/20-a.conf:1
    /etc/sysctl.d/20-a.conf:1 `net.ipv4.ip_forward = 1`: Decides | Decides
    /etc/sysctl.d/20-a.conf:2 `net.ipv4.conf.all.forwarding = 1`: NoChange | NoChange
    "#);
}

#[test]
fn what_the_kernel_refuses_changes_nothing() {
    insta::assert_snapshot!(resolved(
        "/etc/sysctl.d/10-a.conf: net.ipv4.conf.eth0.rp_filter = 1
         /etc/sysctl.d/20-a.conf: net.ipv4.conf.eth0.rp_filter = strict",
        "net.ipv4.conf.eth0.rp_filter"
    ), @r"
    systemd: the kernel's by Unset at no line
        later the kernel's by Inherited at no line
    procps: 1 by Exact at /etc/sysctl.d/10-a.conf:1
        later the kernel's by Inherited at no line
    /etc/sysctl.d/10-a.conf:1 `net.ipv4.conf.eth0.rp_filter = 1`: Replaced /etc/sysctl.d/20-a.conf:1 | Decides
    /etc/sysctl.d/20-a.conf:1 `net.ipv4.conf.eth0.rp_filter = strict`: Refused | Refused
    ");
}

proptest! {
    #[test]
    fn no_file_is_a_panic(
        texts in proptest::collection::vec("([-#; \t]{0,2}[a-d*?{},\\[\\]./-]{0,12}[ =]{0,3}[0-9x]{0,2}[\n\r\0 ]{0,2}){0,6}", 1..6),
        key in "[a-d]{1,3}([./][a-d0]{1,3}){1,4}",
    ) {
        let dropins = texts.iter().enumerate().map(|(at, text)| File {
            directory: at % DIRECTORIES.len(),
            name: format!("{}.conf", at % 3),
            target: format!("{at}"),
            content: Content::Text(text.clone()),
        });
        let mut files = Files { dropins: dropins.collect(), sysctl_conf: None };
        files.sysctl_conf = files.dropins.pop();
        if let Ok(key) = key.parse::<SysctlKey>() {
            answer(&files, &key, false);
        }
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,80}", raw in any::<Vec<u8>>()) {
        let key: SysctlKey = "net.ipv4.conf.eth0.rp_filter".parse().unwrap();
        for text in [text, String::from_utf8_lossy(&raw).into_owned()] {
            let mut files = host("/etc/sysctl.d/a.conf: x");
            files.dropins[0].content = Content::Text(text);
            answer(&files, &key, false);
        }
    }

    /// The answer does not depend on the order in which the directory lists files.
    #[test]
    fn the_order_of_listing_does_not_matter(turn in 0usize..6) {
        let text = "/etc/sysctl.d/a.conf: net.ipv4.ip_forward = 1
            /run/sysctl.d/b.conf: net.ipv4.ip_forward = 0
            /usr/lib/sysctl.d/a.conf: net.ipv4.ip_forward = 2";
        let mut turned = host(text);
        turned.dropins.rotate_left(turn % 3);
        if turn > 2 {
            turned.dropins.reverse();
        }
        let key = "net.ipv4.ip_forward".parse().unwrap();
        prop_assert_eq!(answer(&turned, &key, true), answer(&host(text), &key, true));
    }
}
