//! `review` shows what a change of documents does to the hosts of saved snapshots.

use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::run::{Done, Scratch, netkeel};

const OLD: &str = "version: 1\npersist: false\nallow: { NK005: some hosts have no eth1 }\nsysctl: { net.core.rmem_max: 212992 }\n\
link:\n  pods: { match: { name: \"cali*\" }, mtu: 1460, pod_mtu: leave }\n";

/// One key of the sysctls changes, and one rule; eth1 is new in the document.
const NEW: &str = "version: 1\npersist: false\nallow: { NK005: some hosts have no eth1 }\nsysctl: { net.core.rmem_max: 26214400 }\n\
link:\n  pods: { match: { name: \"cali*\" }, mtu: 1440, pod_mtu: leave }\n  eth1: { mtu: 1500 }\n";

/// A host with these interfaces, by name and MTU.
pub fn host(links: &[(String, u32)]) -> String {
    let links: serde_json::Map<String, Value> = links
        .iter()
        .enumerate()
        .map(|(number, (name, mtu))| {
            let kind = name.starts_with("cali").then_some("veth");
            let link = json!({ "index": number + 2, "mtu": mtu, "kind": kind, "min_mtu": 68, "max_mtu": 9216,
                "up": true, "rp_filter": 0 });
            (name.clone(), link)
        })
        .collect();
    json!({ "format": 1, "netns": null, "kernel": "6.1", "families": { "ipv4": true, "ipv6": false },
        "sysctls": { "net/core/rmem_max": { "value": "212992", "writable": true } }, "links": links })
    .to_string()
}

/// 40 workers with 1 to 8 pods each, 12 load balancers without pods, and 2 with eth1.
pub fn fleet() -> Scratch {
    let scratch = Scratch::new(&[("old.yaml", OLD), ("new.yaml", NEW)]);
    fs::create_dir(scratch.path().join("snapshots")).unwrap();
    let add = |name: String, links: &[(String, u32)]| {
        fs::write(scratch.path().join(format!("snapshots/{name}.json")), host(links)).unwrap();
    };
    let link = |name: &str, mtu: u32| (name.to_owned(), mtu);
    for number in 1..=40 {
        // Drift that both documents correct: one pod has another MTU.
        let pods = (0..number % 8 + 1).map(|pod| link(&format!("cali{number:02}{pod}"), 1460 + pod));
        add(format!("k8s{}", 1000 + number), &pods.collect::<Vec<_>>());
    }
    for number in 1..=12 {
        add(format!("lb{number}.example.org"), &[link("eth0", 1500)]);
    }
    for number in 3..=4 {
        add(
            format!("lvs100{number}"),
            &[link("eth0", 1500), link("eth1", 9000)],
        );
    }
    scratch
}

fn review(scratch: &Scratch, more: &[&str]) -> Done {
    let arguments = ["review", "old.yaml", "new.yaml", "--snapshots", "snapshots"];
    scratch.run(&[&arguments, more].concat())
}

#[test]
fn three_changes_are_three_groups() {
    let scratch = fleet();
    let done = review(&scratch, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(done.stdout, @r"
    old: old.yaml   new: new.yaml

      2 hosts  lvs[1003-1004]
        ~ sysctl net.core.rmem_max  212992 -> 26214400                    new.yaml:4
        ~ link eth1  mtu 9000 -> 1500                                     new.yaml:7

      40 hosts  k8s[1001-1040]
        ~ sysctl net.core.rmem_max  212992 -> 26214400                    new.yaml:4
        ~ 1 to 8 links cali*  mtu 1460 -> 1440                            new.yaml:6

      12 hosts  lb[1-9].example.org, lb[10-12].example.org
        ~ sysctl net.core.rmem_max  212992 -> 26214400                    new.yaml:4

    Review: 54 of 54 hosts change in 3 ways. Existing drift is not shown.
    ");
    for line in done.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // The number of threads makes no difference.
    for jobs in ["1", "7"] {
        assert_eq!(review(&scratch, &["--jobs", jobs]).stdout, done.stdout);
    }
}

#[test]
fn a_review_is_json_markdown_and_html_too() {
    let scratch = fleet();
    let json: Value = serde_json::from_str(&review(&scratch, &["--output", "json"]).stdout).unwrap();
    let schema: Value = serde_json::from_str(&netkeel(&["schema", "review"]).stdout).unwrap();
    assert!(
        jsonschema::validator_for(&schema).unwrap().is_valid(&json),
        "{json:#}"
    );
    assert_eq!(json["counts"]["changed"], json!(54));
    let names = |group: usize| json["groups"][group]["hosts"]["names"].clone();
    assert_eq!(names(0), json!(["lvs[1003-1004]"]));
    assert_eq!(names(1), json!(["k8s[1001-1040]"]));
    assert_eq!(names(2), json!(["lb[1-9].example.org", "lb[10-12].example.org"]));
    let markdown = review(&scratch, &["--output", "markdown"]).stdout;
    assert!(
        markdown.contains("**2 hosts**<br>lvs\\[1003-1004\\]"),
        "{markdown}"
    );
    let html = review(&scratch, &["--output", "html"]).stdout;
    assert!(
        html.starts_with("<!doctype html>") && html.contains("lvs[1003-1004]"),
        "{html}"
    );
}

#[test]
fn a_host_that_cannot_be_planned_is_named_and_the_review_fails() {
    let scratch = fleet();
    let put = |name: &str, text: &str| fs::write(scratch.path().join("snapshots").join(name), text).unwrap();
    put("db1.json", "{ \"format\": 9 }");
    put(
        "db2.json",
        &host(&[("eth0".into(), 1500)]).replace("1500", "\"x\""),
    );
    put("notes.txt", "not a snapshot");
    let done = review(&scratch, &[]);
    assert_eq!(done.code, 1);
    assert_eq!(
        done.stderr,
        "note: ignored in snapshots: 1 file not named HOST.json\n"
    );
    let shown = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "2 hosts cannot be planned: the snapshot cannot be read",
        "the snapshot has format 9; this netkeel reads format 1",
        "field `links.eth0.mtu`: invalid type: string",
        "2 hosts not planned",
    ] {
        assert!(shown.contains(part), "{part}: {}", done.stdout);
    }
    let refused = Scratch::new(&[("old.yaml", OLD), ("new.yaml", &NEW.replace("1440", "20000"))]);
    fs::create_dir(refused.path().join("snapshots")).unwrap();
    let pods = [("cali1".to_owned(), 1460)];
    fs::write(refused.path().join("snapshots/k1.json"), host(&pods)).unwrap();
    let done = review(&refused, &[]);
    assert_eq!(done.code, 1);
    assert!(
        done.stdout.contains("the new document is refused"),
        "{}",
        done.stdout
    );
}

#[test]
fn fail_on_names_the_kinds_of_changes_that_fail() {
    let scratch = fleet();
    let failed = |kind: &str| {
        let done = review(&scratch, &["--fail-on", kind]);
        (done.code, done.stderr)
    };
    assert_eq!(
        failed("change"),
        (2, "error: --fail-on: 54 hosts change\n".to_owned())
    );
    assert_eq!(failed("destructive"), (0, String::new()));
    let same = scratch.run(&[
        "review",
        "old.yaml",
        "old.yaml",
        "--snapshots",
        "snapshots",
        "--fail-on",
        "change",
    ]);
    assert_eq!((same.code, same.stderr.as_str()), (0, ""));
    assert!(
        same.stdout.contains("Review: no change on 54 hosts"),
        "{}",
        same.stdout
    );
}

#[test]
fn a_change_of_the_worker_alone_is_a_change() {
    let scratch = fleet();
    let put = |name: &str, text: &str| fs::write(scratch.path().join(name), text).unwrap();
    let old = "version: 1\npersist: false\nnflog: { big: { interfaces: [eth0] } }\n";
    put("old.yaml", old);
    put(
        "new.yaml",
        &format!("{old}prune: true\nreplicate: {{ nflog: big, peers: [192.0.2.1] }}\n"),
    );
    let done = review(&scratch, &["--fail-on", "change"]);
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (2, "error: --fail-on: 54 hosts change\n")
    );
    assert!(
        done.stdout.contains("~ also changes: replicate, prune"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.contains("no change"), "{}", done.stdout);
    for format in ["markdown", "html"] {
        let shown = review(&scratch, &["--output", format]).stdout;
        assert!(shown.contains("also changes: replicate, prune"), "{shown}");
    }
    // Without sysctls there is no file to persist: the documents differ, and no host changes.
    put("new.yaml", &old.replace("persist: false\n", ""));
    let done = review(&scratch, &[]);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("no change on 54 hosts; the documents differ in entries that have no effect on them"),
        "{text}"
    );
}

#[test]
fn each_host_of_a_group_keeps_its_own_losses_and_findings() {
    let scratch = Scratch::new(&[
        (
            "old.yaml",
            "version: 1\npersist: false\nlink: { eth1: { mtu: 1500 } }\n",
        ),
        (
            "new.yaml",
            "version: 1\npersist: false\nlink: { eth1: { mtu: 1200 } }\n",
        ),
    ]);
    fs::create_dir(scratch.path().join("snapshots")).unwrap();
    for number in 1..=3 {
        let mut snapshot: Value = serde_json::from_str(&host(&[("eth1".to_owned(), 1500)])).unwrap();
        snapshot["links"]["eth1"]["addresses"] = json!([format!("2001:db8::{number}/64")]);
        snapshot["links"]["eth1"]["disable_ipv6"] = json!(0);
        snapshot["families"]["ipv6"] = json!(true);
        fs::write(
            scratch.path().join(format!("snapshots/h{number}.json")),
            snapshot.to_string(),
        )
        .unwrap();
    }
    let done = review(&scratch, &[]);
    insta::assert_snapshot!(done.stdout, @r"
    old: old.yaml   new: new.yaml

    ! 3 hosts  h[1-3]
        ~ link eth1  mtu 1500 -> 1200                                     new.yaml:3
            lossy, for example on h1: loses 2001:db8::1/64 of eth1: undo adds it
            again, without its lifetime and routes; the settings below
            net.ipv6.conf.eth1, which start anew from `default`; the losses of the
            other 2 objects vary
        warning NK004 eth1: an MTU below 1280 removes IPv6 from it, and with it
          2001:db8::1/64 (on 1 of 3 hosts: h1)
          use 1280 or more, or declare allow_ipv6_loss: true
        warning NK004 eth1: an MTU below 1280 removes IPv6 from it, and with it
          2001:db8::2/64 (on 1 of 3 hosts: h2)
          use 1280 or more, or declare allow_ipv6_loss: true
        warning NK004 eth1: an MTU below 1280 removes IPv6 from it, and with it
          2001:db8::3/64 (on 1 of 3 hosts: h3)
          use 1280 or more, or declare allow_ipv6_loss: true

    Review: 3 of 3 hosts change in 1 way; lossy on 3 hosts; new findings on 3 hosts.
    Existing drift is not shown.
    ");
}

#[test]
fn no_name_of_a_file_stops_a_review() {
    let scratch = fleet();
    let put = |name: &str| {
        let file = scratch.path().join(format!("snapshots/{name}.json"));
        fs::write(file, host(&[("eth0".to_owned(), 1500)])).unwrap();
    };
    for letter in ["x", "y", "z"] {
        put(&format!("{}1[0-18446744073709551615]", letter.repeat(150)));
    }
    let done = review(&scratch, &[]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    assert!(done.stdout.contains("57 of 57 hosts change"), "{}", done.stdout);
}

#[test]
fn a_host_of_the_inventory_without_a_snapshot_is_not_planned() {
    let scratch = fleet();
    let inventory = "hosts: { k8s1001: { stage: a }, k8s7777: { stage: a }, \"*\": { stage: b } }\n";
    fs::write(scratch.path().join("hosts.yaml"), inventory).unwrap();
    let done = review(&scratch, &["--hosts", "hosts.yaml"]);
    assert_eq!(done.code, 1);
    for part in [
        "! 1 host  cannot be planned: the inventory names it, and it has no snapshot\n    \
         k8s7777: snapshots/k8s7777.json does not exist\n",
        "1 host not planned",
    ] {
        assert!(done.stdout.contains(part), "{}", done.stdout);
    }
}

/// A repository with the directory site, whose files are a.yaml, b.yaml and a link.
pub fn repository(scratch: &Scratch) -> impl Fn(&[&str]) -> String + '_ {
    let git = |arguments: &[&str]| scratch.git(arguments).stdout.trim().to_owned();
    let site = scratch.path().join("site");
    fs::create_dir(&site).unwrap();
    let write = |name: &str, key: &str| {
        let text = format!("version: 1\npersist: false\nsysctl: {{ net.core.{key}: 212992 }}\n");
        fs::write(site.join(name), text).unwrap();
    };
    write("a.yaml", "rmem_max");
    write("b.yaml", "wmem_max");
    git(&["init", "--quiet"]);
    git(&["add", "site"]);
    git(&["commit", "--quiet", "--message", "one"]);
    git
}

#[test]
fn a_document_that_git_cannot_read_is_an_error_and_not_absent() {
    let scratch = fleet();
    let git = repository(&scratch);
    let arguments = |old: &'static str| ["review", old, "site", "--snapshots", "snapshots"];
    let whole = scratch.run(&arguments("git:main:site"));
    assert_eq!((whole.code, whole.stderr.as_str()), (0, ""));
    assert!(whole.stdout.contains("no change on 54 hosts"), "{}", whole.stdout);
    let inventory = "hosts: { \"*\": { layers: [a.yaml, b.yaml] } }\n";
    fs::write(scratch.path().join("hosts.yaml"), inventory).unwrap();
    let lose = |name: &str| {
        let id = git(&["rev-parse", name]);
        let (directory, file) = id.split_at(2);
        fs::remove_file(scratch.path().join(format!(".git/objects/{directory}/{file}"))).unwrap();
    };
    lose("main:site/b.yaml");
    for more in [&[][..], &["--hosts", "hosts.yaml"]] {
        let done = scratch.run(&[&arguments("git:main:site")[..], more].concat());
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
        assert!(
            done.stderr
                .starts_with("error: main:site/b.yaml: git cat-file blob "),
            "{done:?}"
        );
    }
    lose("main:site");
    for more in [&[][..], &["--hosts", "hosts.yaml"]] {
        let done = scratch.run(&[&arguments("git:main:site")[..], more].concat());
        assert_eq!(done.code, 1);
        assert!(done.stderr.starts_with("error: git ls-tree -z "), "{done:?}");
    }
}

#[test]
fn a_path_in_a_commit_is_found_as_git_finds_it() {
    let scratch = fleet();
    let git = repository(&scratch);
    std::os::unix::fs::symlink("a.yaml", scratch.path().join("site/link.yaml")).unwrap();
    git(&["add", "site"]);
    git(&["commit", "--quiet", "--message", "two"]);
    let documents = |old: &str| {
        let old = format!("git:{old}");
        scratch.run(&["review", &old, "site/a.yaml", "--snapshots", "snapshots"])
    };
    for path in ["main:site/a.yaml", "main~1:./site/a.yaml", "main:site//a.yaml"] {
        let done = documents(path);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{path}");
        assert!(done.stdout.contains("no change on 54 hosts."), "{}", done.stdout);
    }
    for (path, why) in [
        ("main:site/a.yaml/x", "git has no main:site/a.yaml/x"),
        ("main:", "main: has no documents"),
        (
            "main:site/link.yaml",
            "main:site/link.yaml is a symbolic link, not a file",
        ),
        ("main:site", "main:site/link.yaml is a symbolic link, not a file"),
    ] {
        let done = documents(path);
        assert_eq!(done.code, 1, "{path}");
        assert!(done.stderr.starts_with(&format!("error: {why}\n")), "{done:?}");
    }
}

#[test]
fn documents_come_from_commits_and_layers_from_an_inventory() {
    let scratch = fleet();
    fs::create_dir(scratch.path().join("site")).unwrap();
    let put = |name: &str, text: &str| fs::write(scratch.path().join("site").join(name), text).unwrap();
    put(
        "base.yaml",
        "version: 1\npersist: false\nsysctl: { net.core.rmem_max: 212992 }\n",
    );
    put(
        "pods.yaml",
        "version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1460, pod_mtu: leave }\n",
    );
    scratch.git(&["init", "--quiet"]);
    scratch.git(&["add", "site"]);
    scratch.git(&["commit", "--quiet", "--message", "one"]);
    put(
        "pods.yaml",
        "version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1440, pod_mtu: leave }\n",
    );
    let inventory = "hosts:\n  k8s1001: { layers: [base.yaml, pods.yaml], stage: canary }\n  \
        \"k8s*\": { layers: [base.yaml, pods.yaml], stage: rest }\n  \"lb*\": { layers: [base.yaml] }\n";
    fs::write(scratch.path().join("hosts.yaml"), inventory).unwrap();
    let arguments = ["review", "git:main:site", "site", "--snapshots", "snapshots"];
    let done = scratch.run(&arguments);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(
        done.stdout.contains("40 hosts  k8s[1001-1040]"),
        "{}",
        done.stdout
    );
    let layered = scratch.run(&[&arguments[..], &["--hosts", "hosts.yaml"]].concat());
    // The inventory has no entry for two hosts.
    assert_eq!(layered.code, 1, "{layered:?}");
    assert!(
        layered.stdout.contains("(canary 1, rest 39)"),
        "{}",
        layered.stdout
    );
    assert!(
        layered
            .stdout
            .contains("the inventory has no valid document for it"),
        "{}",
        layered.stdout
    );
    let missing = scratch.run(&["review", "git:main:nothing", "site", "--snapshots", "snapshots"]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.starts_with("error: git has no main:nothing\n"),
        "{missing:?}"
    );
    let unknown = scratch.run(&["review", "git:nobranch:site", "site", "--snapshots", "snapshots"]);
    assert!(
        unknown
            .stderr
            .starts_with("error: git knows no commit nobranch\n  help: name a commit, a branch or a tag"),
        "{unknown:?}"
    );
}

#[test]
fn many_kinds_of_changes_still_fit_a_comment() {
    let scratch = Scratch::new(&[("old.yaml", "version: 1\npersist: false\n")]);
    fs::create_dir(scratch.path().join("snapshots")).unwrap();
    // Each host has an interface with a name of its own.
    let mut new = "version: 1\npersist: false\nlink:\n".to_owned();
    for number in 0..900 {
        let name = format!("eth{number}");
        let _ = writeln!(new, "  {name}: {{ mtu: {} }}", 1400 + number % 50);
        let host = host(&[(name, 1500)]);
        fs::write(scratch.path().join(format!("snapshots/h{number}.json")), host).unwrap();
    }
    fs::write(scratch.path().join("new.yaml"), new).unwrap();
    let markdown = review(&scratch, &["--output", "markdown"]).stdout;
    assert!(markdown.len() <= 60 * 1024, "{}", markdown.len());
    assert!(
        markdown.contains("Left out, because a comment has a limited length"),
        "{markdown}"
    );
}
