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
