//! Sandboxes that no veth leads into, on the real kernel: a host of its own, with its own processes,
//! has one over macvlan, one with nothing, one that leads elsewhere, and a pod on its network.

use std::process::Command;

use crate::Node;

/// Runs a script as a host of its own and returns all it prints.
fn on_a_host(script: &str) -> String {
    let preamble = "set -e; exec 2>&1
        mount -t tmpfs tmpfs /run
        mount -t tmpfs tmpfs /var/log
        mkdir /run/netns
        ip link set lo up\n";
    let directory = std::path::Path::new(env!("CARGO_BIN_EXE_netkeel"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc"])
        .args(["sh", "-c", &format!("{preamble}{script}")])
        .env("PATH", path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn every_sandbox_without_a_veth_is_listed_with_the_reason() {
    let said = on_a_host(
        "ip link add eth1 type bridge; ip link set eth1 up
         for name in blue elsewhere empty macvlan veth; do ip netns add $name; done
         ip link add cali0 type veth peer name eth0 netns veth
         ip link add eth0 netns macvlan link eth1 mtu 1450 type macvlan mode bridge
         ip -n elsewhere link add eth0 type veth peer name uplink netns blue
         touch /run/netns/left-behind
         netkeel pods
         netkeel pods --output json | tr -d ' \\n' | sed 's/.*\"sandbox\":\"\\/run\\/netns\\/macvlan\"/macvlan/; s/\\(left_alone[^}]*}\\).*/\\1/'; echo
         echo; netkeel pods --netns blue",
    );
    insta::assert_snapshot!(said, @r#"
    HOST END  MTU   POD END  MTU   ROUTE  WANTED  POD
    cali0     1500  eth0     1500  -      -       /run/netns/veth

    1 pod, 0 stale.

    SKIPPED               MTU
    /run/netns/blue       1500  it has no veth from here: veth uplink to another namespace
    /run/netns/elsewhere  1500  it has no veth from here: veth eth0 to another namespace
    /run/netns/empty      -     it has no veth from here: it has only lo
    /run/netns/macvlan    1450  it has no veth from here: macvlan eth0 over the host's eth1
    macvlan,"name":null,"interfaces":[{"name":"lo","kind":null,"mtu":65536},{"name":"eth0","kind":"macvlan","mtu":1450}],"left_alone":"ithasnovethfromhere:macvlaneth0overthehost'seth1"}

    HOST END  MTU   POD END  MTU   ROUTE  WANTED  POD
    uplink    1500  eth0     1500  -      -       /run/netns/elsewhere

    1 pod, 0 stale.
    "#);
}

#[test]
fn pods_on_the_hosts_network_are_counted_and_named() {
    let said = on_a_host(
        "ip netns add other
         sleep 60 & host=$!
         sleep 60 & same=$!
         ip netns exec other sleep 60 & other=$!
         uid=0f3c5a1e-7f0d-4b6e-9d3f-2a51c8f0e7b4
         echo 0::/kubepods/burstable/pod$uid/9b1c >/run/of-a-pod
         echo 0::/kubepods/burstable/pod1$(echo $uid | cut -c 2-)/9b1c >/run/of-another
         mkdir -p /var/log/pods/kube-system_kube-proxy-x7k2p_$uid
         until [ \"$(ip netns identify $other)\" = other ]; do sleep 0.05; done
         mount --bind /run/of-a-pod /proc/$host/cgroup
         mount --bind /run/of-a-pod /proc/$same/cgroup
         mount --bind /run/of-another /proc/$other/cgroup
         netkeel pods --detailed-exitcode; echo $?
         netkeel pods --output json | sed -n '/on_the_host/,/]/p'
         netkeel pods --netns other",
    );
    insta::assert_snapshot!(said, @r#"
    HOST END  MTU  POD END  MTU  ROUTE  WANTED  POD

    0 pods, 0 stale.

    SKIPPED           MTU
    /run/netns/other  -    it has no veth from here: it has only lo

    1 pod on the host's network: skipped.
    0
      "on_the_host": [
        {
          "uid": "0f3c5a1e-7f0d-4b6e-9d3f-2a51c8f0e7b4",
          "name": "kube-system/kube-proxy-x7k2p"
        }
      ]
    HOST END  MTU  POD END  MTU  ROUTE  WANTED  POD

    0 pods, 0 stale.
    "#);
}

#[test]
fn a_user_who_sees_no_processes_gets_an_error_and_no_number() {
    let said = on_a_host(
        "cp $(command -v netkeel) /run/copy
         sleep 60 &
         set +e
         setpriv --reuid 65534 --clear-groups /run/copy pods; echo $?
         setpriv --reuid 65534 --clear-groups /run/copy pods --output json | tr -d ' \\n'",
    );
    let error =
        "error: the network namespaces of 2 processes: this user may not look\n  help: run it as root";
    assert!(said.starts_with(error), "{said}");
    assert!(said.contains("\n1\n") && !said.contains("0 pods"), "{said}");
}

#[test]
fn in_a_named_namespace_only_what_stands_on_it_is_told() {
    let node = Node::new(1);
    node.host.sh("ip link add eth1 type bridge");
    let sandbox = crate::Namespace::new();
    node.host.sh(&format!(
        "ip link add eth0 netns {} link eth1 type macvlan",
        sandbox.name
    ));
    let (_, said) = node.netkeel(&["pods"]);
    let left_alone = said
        .lines()
        .skip_while(|line| !line.starts_with("SKIPPED"))
        .skip(1);
    let left_alone: Vec<String> = left_alone
        .map(|line| line.replace(&sandbox.name, "macvlan"))
        .collect();
    insta::assert_snapshot!(left_alone.join("\n"), @"
    /run/netns/macvlan  1500  it has no veth from here: macvlan eth0 over the host's eth1
    ");
}

/// A container with two NICs, as Docker and LXD make it: nothing in it shows the namespace of their other ends.
#[test]
fn the_nics_of_a_container_are_no_pods_and_are_set_alone() {
    let said = on_a_host(
        "ip netns add container
         ip link add c0 type veth peer name eth0 netns container
         ip link add c1 type veth peer name eth1 netns container
         ip addr add 10.9.0.1/24 dev c0; ip link set c0 up; ip link set c1 mtu 9000 up
         ip netns exec container unshare --mount --pid --fork --mount-proc sh -ec '
            exec 2>&1
            mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib
            ip link set lo up
            ip addr add 10.9.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.9.0.1
            ip addr add 10.10.0.2/24 dev eth1; ip link set eth1 mtu 9000 up
            printf \"version: 1\\npersist: no\\nlink: { eth0: { mtu: 1400 } }\\n\" > /run/a.yaml
            netkeel lint || echo lint ends with $?
            netkeel pods
            netkeel check -f /run/a.yaml || echo check ends with $?
            netkeel apply -f /run/a.yaml --allow-management > /run/applied || cat /run/applied
            ip -o link show eth0 | grep -o \"mtu [0-9]*\"
            netkeel check -f /run/a.yaml'
         ip -o link show c0 | grep -o 'mtu [0-9]*'",
    );
    assert!(!said.contains("NK047") && said.contains("0 pods"), "{said}");
    assert!(
        said.contains("check ends with 2\nmtu 1400\nIn sync: 1 fact"),
        "{said}"
    );
    assert!(said.ends_with("mtu 1500\n"), "{said}");
}

#[test]
fn a_skipped_veth_that_the_document_names_is_not_in_sync() {
    let node = Node::new(1);
    node.host
        .sh("ip link set cali0 name lxc0; ip link add cilium_host type veth peer name cilium_net");
    for (document, code, said) in [
        (
            "pods: { match: { name: \"lxc*\" }, mtu: 1460 }",
            0,
            "In sync: 0 facts as declared, 1 pod stale",
        ),
        (
            "lxc0: { mtu: 1460 }",
            2,
            "Not in sync: 1 interface that the document names and netkeel skips;",
        ),
    ] {
        node.document(&format!("version: 1\nlink:\n  {document}\n"));
        let (is, check) = node.netkeel(&["check", "-f", "pods.yaml"]);
        assert!(is == code && check.starts_with(said), "{is} {check}");
    }
    // No task of Ansible changes it, so that none says so, run after run.
    let task = serde_json::json!({
        "document": { "link": { "lxc0": { "mtu": 1460 } } },
        "netns": node.host.name,
    });
    let file = node.scratch.path().join("task.json");
    std::fs::write(&file, task.to_string()).unwrap();
    let mut module = std::process::Command::new(env!("CARGO_BIN_EXE_netkeel"));
    let done = module.arg("ansible-module").arg(&file).output().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(result["changed"], false, "{result:#}");
    let warning = result["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("netkeel NK045 lxc0"), "{warning}");
}

/// With `enable-endpoint-routes`, Cilium gives each pod a route by its device. Its rules are beside the kernel's.
#[test]
fn lint_reads_the_routes_to_the_pods_of_cilium() {
    let node = Node::new(2);
    node.host.sh(&format!(
        "for at in 0 1; do
             ip link set cali$at down; ip link set cali$at name lxc$at; ip link set lxc$at up
         done
         ip route add {} dev lxc0
         ip link add cilium_host type veth peer name cilium_net
         ip rule add fwmark 0x200/0xf00 lookup 2004 pref 9; ip rule add lookup local pref 100; ip rule del pref 0
         sysctl -qw net.ipv4.conf.all.rp_filter=1",
        crate::address(0)
    ));
    let (_, lint) = node.netkeel(&["lint"]);
    let found: Vec<&str> = lint.lines().filter(|line| line.contains("NK063")).collect();
    assert!(
        matches!(found.as_slice(), [line] if line.starts_with("warning NK063 lxc1: ")),
        "{lint}"
    );
}
