//! Properties that all output formats of a plan share.

mod thousand_pods;

use crate::plan::of::Of;
use crate::plan::text::Style;
use crate::plan::{diff, markdown, summary, text};
use netkeel_core::fact::Fact;
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::reading::File;
use netkeel_host::sysctl_d::drop_in;
use netkeel_plan::plan::Plan;
use netkeel_plan::plan::groups::Grouping;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// A document with its sources.
fn document(text: &str) -> (Document, Sources) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let node = sources.load("a.yaml", text.as_bytes().to_vec(), None, &mut diagnostics);
    let document = Document::read(node.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (document, sources)
}

const STYLE: Style = Style {
    colour: false,
    commands: false,
    full: false,
    of: Of::Here,
};

/// A plan in each of the formats for people, and as text of every object.
fn formats(plan: &Plan, sources: &Sources) -> [String; 4] {
    let with = |full| Style {
        commands: true,
        full,
        ..STYLE
    };
    [
        text::plan(plan, sources, with(false)),
        diff::plan(plan, Grouping::Identical),
        markdown::plan(plan, sources, Of::Here),
        text::plan(plan, sources, with(true)),
    ]
}

/// The plan of a document on a host, in the formats of [`formats`].
fn shown(text: &str, host: &Snapshot) -> [String; 4] {
    let (document, sources) = document(text);
    let plan = netkeel_diagnose::lint::plan::plan(&document, host).unwrap();
    formats(&plan, &sources)
}

#[test]
fn side_effects_of_the_kernel_are_part_of_a_plan() {
    let host = Snapshot::from_json(
        r#"{"format":1,"netns":null,"kernel":"6.12","families":{"ipv4":true,"ipv6":false},
        "sysctls":{"net/ipv4/conf/all/accept_redirects":{"value":"1","writable":true},
          "net/ipv4/conf/default/forwarding":{"value":"0","writable":true},
          "net/ipv4/ip_forward":{"value":"0","writable":true}},
        "links":{"eth0":{"index":2,"mtu":1500,"up":true,"rp_filter":0,"forwarding":0},
          "eth1":{"index":3,"mtu":1500,"up":true,"rp_filter":0,"forwarding":0}}}"#,
    )
    .unwrap();
    let [plan, ..] = shown(
        "version: 1\npersist: no\nsysctl: { net.ipv4.ip_forward: 1 }\n",
        &host,
    );
    let line = plan.split("\n\n").find(|part| part.starts_with("Also changes"));
    assert_eq!(
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")),
        Some(
            "Also changes, by the kernel: forwarding 0 -> 1 of 2 links; net.ipv4.conf.all.accept_redirects 1 -> 0; \
             net.ipv4.conf.default.forwarding 0 -> 1"
                .to_owned()
        ),
        "{plan}"
    );
}

#[test]
fn a_document_that_names_nothing_here_is_not_in_sync() {
    let line = |text: &str| {
        let (document, _) = document(text);
        let plan = netkeel_diagnose::lint::plan::plan(&document, &host(&[("eth0", "")])).unwrap();
        summary::summary(&plan, Of::Here) + &summary::codes(&plan)
    };
    let missing = "version: 1\npersist: no\nlink: { ethh0: { mtu: 1500 }, pods: { match: { name: \"veth*\" }, mtu: 1460 } }\n";
    assert_eq!(
        line(missing),
        "Nothing matched: the document names nothing that is here (this host); 2 warnings. `netkeel plan` shows NK005, NK073."
    );
    assert_eq!(
        line(&missing.replace("ethh0", "eth0")),
        "In sync: 1 fact as declared (this host); 1 warning. `netkeel plan` shows NK073."
    );
    // An empty document declares nothing, and nothing is missing.
    assert_eq!(
        line("version: 1\npersist: no\n"),
        "In sync: 0 facts as declared (this host)."
    );
}

fn host(links: &[(&str, &str)]) -> Snapshot {
    let mut host = Snapshot::empty(Netns::CURRENT);
    for (number, (name, alias)) in links.iter().enumerate() {
        let link = Link {
            index: number as u32 + 1,
            mtu: 1500,
            alias: Some((*alias).into()),
            rp_filter: Some(0),
            ..Link::default()
        };
        host.links.insert(name.parse().unwrap(), link.into());
    }
    host
}

#[test]
fn observed_text_cannot_control_the_terminal_or_forge_a_line() {
    let evil = "e\u{1b}[2J\u{202e}";
    let mut host = host(&[(evil, "up\n  link lo\n`````\n+mtu: 9\u{9b}1m")]);
    let file = File {
        content: "# \u{1b}]0;t\u{7}\ttab\r\nlast".into(),
        mode: 0o644,
    };
    host.files.insert(drop_in::path("default"), Some(file));
    host.sysctls.insert(
        "net.ipv4.tcp_ecn".parse().unwrap(),
        netkeel_host::snapshot::reading::SysctlReading::Absent,
    );
    let text = "version: 1\nlink: { all: { match: { name: \"e*\" }, mtu: 1400, alias: ours, rp_filter: strict } }\nsysctl: { net.ipv4.conf.all.rp_filter: 0 }\n";
    let key = "net.ipv4.conf.all.rp_filter".parse().unwrap();
    let reading = netkeel_host::snapshot::reading::SysctlReading::Value {
        value: "1\u{1b}c".into(),
        writable: true,
    };
    host.sysctls.insert(key, reading);
    for shown in shown(text, &host) {
        let harmless =
            |char: char| matches!(char, '\n' | '\t') || !netkeel_core::text::escape::is_deceptive(char);
        assert!(shown.chars().all(harmless), "{shown:?}");
        assert!(!shown.lines().any(|line| line.trim() == "link lo"), "{shown}");
        assert!(
            shown.contains(r"e\u{1b}[2J") || shown.contains(r"e\\u{1b}\[2J"),
            "{shown}"
        );
    }
}

#[test]
fn a_host_with_unread_facts_is_not_in_sync() {
    let mut host = host(&[("eth0", "")]);
    host.problems.push(Problem {
        what: Subject::Fact(Fact::file(std::path::Path::new("/etc/sysctl.d/90-netkeel.conf"))),
        why: "it is not UTF-8 text".into(),
    });
    host.sysctls.insert(
        "net.ipv4.tcp_ecn".parse().unwrap(),
        netkeel_host::snapshot::reading::SysctlReading::Value {
            value: "1".into(),
            writable: true,
        },
    );
    let text = "version: 1\nsysctl: { net.ipv4.tcp_ecn: 1 }\n";
    insta::assert_snapshot!(shown(text, &host)[..3].join("---\n"), @r#"
    Not in sync: 1 problem; otherwise nothing differs of 2 declared facts (this host).
    ---
    # problem: file /etc/sysctl.d/90-netkeel.conf: it is not UTF-8 text
    ---
    ### netkeel plan

    Not in sync: 1 problem; otherwise nothing differs of 2 declared facts (this host).

    - **problem** file /etc/sysctl.d/90-netkeel.conf: it is not UTF-8 text
    "#);
    let text = "version: 1\nsysctl: { net.ipv4.tcp_ecn: 2 }\n";
    insta::assert_snapshot!(shown(text, &host)[..3].join("---\n"), @r#"
    Drift: 1 of 2 declared facts, on 1 object (this host).

      ~ sysctl net.ipv4.tcp_ecn  1 -> 2                                     a.yaml:2

    Commands
      sysctl -w net.ipv4.tcp_ecn=2

    1 write, all with exact undo.
    Plan: 0 to create, 1 to change, 0 to destroy (1 object); 1 problem.
    ---
    # problem: file /etc/sysctl.d/90-netkeel.conf: it is not UTF-8 text
    --- observed sysctl net.ipv4.tcp_ecn
    +++ desired sysctl net.ipv4.tcp_ecn
    @@ -1 +1 @@
    -value: 1
    +value: 2
    ---
    ### netkeel plan

    **Plan: 0 to create, 1 to change, 0 to destroy (1 object); 1 problem.**

    Drift: 1 of 2 declared facts, on 1 object (this host).

    | objects | create | change | destroy | writes | destructive | without exact undo | findings | problems |
    |---|---|---|---|---|---|---|---|---|
    | 1 | 0 | 1 | 0 | 1 | 0 | 0 | 0 | 1 |

    | object | changes | declared at |
    |---|---|---|
    | ~ sysctl net.ipv4.tcp\_ecn | 1 -> 2 | a.yaml:2 |

    - **problem** file /etc/sysctl.d/90-netkeel.conf: it is not UTF-8 text

    <details><summary>diff</summary>

    `````diff
    --- observed sysctl net.ipv4.tcp_ecn
    +++ desired sysctl net.ipv4.tcp_ecn
    @@ -1 +1 @@
    -value: 1
    +value: 2
    `````

    </details>
    "#);
}
