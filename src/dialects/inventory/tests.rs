//! The same inventory in both formats, and what is wrong with others.

use super::*;
use crate::inventory::groups::Member;
use netkeel_source::report::render::render;

const KEYS: [&str; 2] = ["sysctl", "link"];

const INI: &str = "\
lone.example.org
[k8s]
k8s[1001:1003] ansible_user=root  # ours
[k8s:vars]
netkeel_stage = rest
[canary]
k8s1002 netkeel_stage=\"canary\"
[db]
db1:2222
[rack1]
k8s1001
db1
[workers:children]
k8s
[rack1:vars]
ansible_group_priority=9
[workers:vars]
netkeel_stage=never
";

const YAML: &str = "\
all:
  hosts: { lone.example.org: }
  children:
    workers:
      vars: { netkeel_stage: never }
      children:
        k8s:
          vars: { netkeel_stage: rest }
          hosts: { \"k8s[1001:1003]\": { ansible_user: root } }
    db: { hosts: { db1: } }
canary: { hosts: { k8s1002: { netkeel_stage: canary } } }
rack1: { vars: { ansible_group_priority: 9 }, hosts: { k8s1001: , db1: } }
";

fn read(name: &str, text: &str) -> (Members, String) {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let members = if is_ini(name, text) {
        let file = sources.add(name, text);
        of_ini(&mut sources, file, &KEYS, &mut diagnostics)
    } else {
        let nodes = sources.load_foreign(name, text.into(), false, &reads, &mut diagnostics);
        of_yaml(nodes.first().unwrap(), &KEYS, &mut diagnostics)
    };
    (members, render(&diagnostics, &sources, false))
}

fn shown(members: &Members) -> Vec<String> {
    let stage = |member: &Member| member.stage.map(|stage| members.stages[stage].as_str());
    let hosts = members.hosts.iter();
    hosts
        .map(|(name, member)| {
            format!(
                "{name} {} {}",
                stage(member).unwrap_or("-"),
                member.groups.join(" ")
            )
        })
        .collect()
}

#[test]
fn both_formats_give_hosts_their_groups_and_stages() {
    for (name, text) in [("hosts", INI), ("inventory.ini", INI), ("inventory.yml", YAML)] {
        let (members, errors) = read(name, text);
        assert_eq!(errors, "0 errors\n", "{name}");
        assert_eq!(
            shown(&members),
            [
                "db1 - all db rack1",
                "k8s1001 rest all workers rack1 k8s",
                "k8s1002 canary all canary workers k8s",
                "k8s1003 rest all workers k8s",
                "lone.example.org - all ungrouped",
            ],
            "{name}"
        );
    }
}

#[test]
fn errors_have_their_line_and_show_no_value_of_a_variable() {
    let (_, errors) = read(
        "hosts.ini",
        "web[1:x\ndb1 netkeel_link=hunter2 ansible_password='hunter2\n[a:host]\n[a:vars]\nnetkeel_sysctl={x: hunter2}\n\
         ansible_group_priority=hunter2\n[a:children]\na\n[b]\nx y hunter2 netkeel_stage={{hunter2}}\n",
    );
    insta::assert_snapshot!(errors);
    assert!(!errors.contains("hunter2"), "{errors}");
    let (_, errors) = read(
        "hosts.yaml",
        "a: { hosts: [web1], host: {} }\nb: { vars: { netkeel_link: hunter2, ansible_password: hunter2 }, children: { b: } }\n",
    );
    insta::assert_snapshot!(errors);
    assert!(!errors.contains("hunter2"), "{errors}");
    for text in ["plugin: aws_ec2\n", "_meta: { hostvars: {} }\n", "- web1\n"] {
        assert!(read("x.yaml", text).1.starts_with("error: "), "{text}");
    }
}

#[test]
fn hosts_are_those_that_ansible_reads() {
    let hosts = |name: &str, text: &str| {
        let (members, errors) = read(name, text);
        assert_eq!(errors, "0 errors\n", "{text}");
        shown(&members)
    };
    assert_eq!(
        hosts("x.yaml", "a: { hosts: { \"db1:2222\": , \"x[1:2]:22\": } }\n"),
        ["db1 - all a", "x1 - all a", "x2 - all a"]
    );
    assert_eq!(
        hosts(
            "x.yaml",
            "a: { hosts: web1, children: b }\nb: { hosts: { web2: } }\n"
        ),
        ["web1 - all a", "web2 - all a b"]
    );
    assert_eq!(hosts("x.ini", "web1#old\n"), ["web1 - all ungrouped"]);
    for (value, stage) in [
        ("\"canary\" # ours", "canary"),
        ("'canary'", "canary"),
        ("canary # ours", "canary # ours"),
    ] {
        let text = format!("[a]\nweb1\n[a:vars]\nnetkeel_stage={value}\n[all:vars]\nx=1\n");
        assert_eq!(hosts("x.ini", &text), [format!("web1 {stage} all a")]);
    }
}

#[test]
fn groups_without_a_section_are_errors() {
    for (text, expected) in [
        (
            "[workers:children]\nk8ss\n[k8s]\nweb1\n",
            "error: the group `k8ss` is a child of another group, and not defined",
        ),
        (
            "[canary]\nweb1\n[canry:vars]\nnetkeel_stage=canary\n",
            "error: the group `canry` is given variables, and not defined",
        ),
    ] {
        let (_, errors) = read("x.ini", text);
        assert!(errors.starts_with(expected), "{errors}");
    }
    let (_, errors) = read("x.ini", "[a:vars]\nx=1\n[b:children]\na\n[a]\nweb1\n");
    assert_eq!(errors, "0 errors\n");
}

#[test]
fn variables_below_no_header_are_neither_hosts_nor_shown() {
    for text in [
        "[a]\nweb1\nansible_password=hunter2\n",
        "[a]\nansible_password=x[hunter2\n",
        "[a]\nansible_password =hunter2\n",
        "[a]\nansible_password = hunter2\n",
    ] {
        let (_, errors) = read("x.ini", text);
        assert!(
            errors.starts_with("error: ") && !errors.contains("hunter2"),
            "{text}{errors}"
        );
    }
}

#[test]
fn the_number_of_hosts_has_a_bound() {
    let lines: String = (0..11).map(|line| format!("w{line}-[1:99999]\n")).collect();
    let (_, errors) = read("x.ini", &lines);
    assert!(
        errors.starts_with("error: the inventory names more than 1000000 hosts")
            && errors.contains("1 error"),
        "{errors}"
    );
}

#[test]
fn a_long_line_of_groups_is_placed_in_one_pass() {
    // Each group is below the next one by name, which took as many passes as there are groups.
    const GROUPS: usize = 20_000;
    let mut text = "[g00000]\nhost\n".to_owned();
    for number in 1..GROUPS {
        text += &format!("[g{number:05}:children]\ng{:05}\n", number - 1);
    }
    let (members, errors) = read("hosts.ini", &text);
    assert_eq!(errors, "0 errors\n");
    let groups = &members.hosts["host"].groups;
    let ends = (groups.len(), groups[1].as_str(), groups[GROUPS].as_str());
    assert_eq!(ends, (GROUPS + 1, "g19999", "g00000"));
}
