//! Pods' ends of veths on the real kernel: namespaces play the pods, each with a veth as Calico makes
//! it. Needs root, iproute2 and python3.

#[path = "pods/apart.rs"]
mod apart;
#[path = "support/namespace.rs"]
mod namespace;
#[path = "pods/unwritable.rs"]
mod unwritable;

use namespace::Namespace;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The address of the host that pods speak to.
const SERVER: &str = "10.99.0.1";

/// A host with pods.
struct Node {
    host: Namespace,
    pods: Vec<Namespace>,
    scratch: tempfile::TempDir,
}

impl Node {
    /// Makes a host with so many pods: cali0 leads to the first one. Every second pod's default
    /// route has an MTU of its own.
    fn new(pods: usize) -> Self {
        let node = Node {
            host: Namespace::new(),
            pods: (0..pods).map(|_| Namespace::new()).collect(),
            scratch: tempfile::tempdir().unwrap(),
        };
        let mut script = format!(
            "ip link set lo up; ip addr add {SERVER}/32 dev lo; ip addr add 169.254.1.1/32 dev lo; sysctl -qw net.ipv4.ip_forward=1\n"
        );
        for (at, pod) in node.pods.iter().enumerate() {
            let _ = writeln!(
                script,
                "ip link add cali{at} type veth peer name eth0 netns {}
                 ip link set cali{at} up
                 ip route add {} dev cali{at}",
                pod.name,
                address(at)
            );
        }
        node.host.sh(&script);
        for (at, pod) in node.pods.iter().enumerate() {
            let mtu = if at % 2 == 0 { "mtu 1500" } else { "" };
            pod.sh(&format!(
                "ip link set lo up; ip addr add {}/32 dev eth0; ip link set eth0 up
                 ip route add default via 169.254.1.1 dev eth0 onlink {mtu}",
                address(at)
            ));
        }
        node
    }

    fn document(&self, text: &str) {
        std::fs::write(self.scratch.path().join("pods.yaml"), text).unwrap();
    }

    /// Runs netkeel on the host's namespace, with names that do not change from run to run.
    fn netkeel(&self, verb: &[&str]) -> (i32, String) {
        let output = self.command(verb).output().unwrap();
        (output.status.code().unwrap_or(-1), self.said(&output))
    }

    fn command(&self, verb: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netkeel"));
        command.args(verb).args(["--netns", &self.host.name]);
        command
            .current_dir(self.scratch.path())
            .env_remove("SSH_CONNECTION");
        command
    }

    fn said(&self, output: &Output) -> String {
        let mut text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        for (at, pod) in self.pods.iter().enumerate().rev() {
            text = text.replace(&pod.name, &format!("pod{at}"));
        }
        let text = text.replace(&self.host.name, "host");
        // The name of the namespace decides where the first line of a plan ends.
        match text.split_once(").\n\n") {
            Some((first, rest)) if first.starts_with("Drift:") => {
                format!("{}).\n\n{rest}", first.replace("\n  ", " "))
            }
            _ => text,
        }
    }

    /// The MTUs of both ends of a veth and of the pod's default route.
    fn mtus(&self, at: usize) -> String {
        self.mtus_of(&format!("cali{at}"), at)
    }

    /// The same of a veth that is not called after its pod.
    fn mtus_of(&self, link: &str, at: usize) -> String {
        let of = |place: &Namespace, link: &str| {
            place.sh(&format!(
                "ip -o link show dev {link} | sed 's/.* mtu \\([0-9]*\\).*/\\1/'"
            ))
        };
        let pod = self.pods.get(at).unwrap();
        let host = of(&self.host, link);
        format!(
            "host {} pod {} route {}",
            host.trim(),
            of(pod, "eth0").trim(),
            pod.sh("ip route show default").trim()
        )
    }
}

fn address(at: usize) -> String {
    format!("10.65.{}.{}", at / 250, 1 + at % 250)
}

const PODS: &str = "version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1460 }\n";

#[test]
fn both_ends_and_the_route_of_a_pod_follow_and_come_back() {
    let node = Node::new(2);
    node.document(PODS);
    let (code, plan) = node.netkeel(&["plan", "-f", "pods.yaml", "--commands"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(plan, @r#"
    Drift: 5 of 5 declared facts, on 2 objects (netns host).

      ~ link cali0                                                       pods.yaml:3
          mtu                      1500 -> 1460
          pod mtu                  1500 -> 1460
          pod route 0.0.0.0/0 mtu  1500 -> 1460
      ~ link cali1  mtu 1500 -> 1460, pod mtu 1500 -> 1460               pods.yaml:3

    Commands
      nsenter --net=/run/netns/pod0 ip route change 0.0.0.0/0 dev eth0 via 169.254.1.1 onlink mtu 1460
      ip -n host link set dev cali0 mtu 1460
      nsenter --net=/run/netns/pod0 ip link set dev eth0 mtu 1460
      ip -n host link set dev cali1 mtu 1460
      nsenter --net=/run/netns/pod1 ip link set dev eth0 mtu 1460

    5 writes, all with exact undo.
    Plan: 0 to create, 5 to change, 0 to destroy (2 objects).
    "#);
    let before = [node.mtus(0), node.mtus(1)];
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    insta::assert_snapshot!(node.mtus(0) + "\n" + &node.mtus(1), @"
    host 1460 pod 1460 route default via 169.254.1.1 dev eth0 onlink mtu 1460
    host 1460 pod 1460 route default via 169.254.1.1 dev eth0 onlink
    ");
    assert_eq!(node.netkeel(&["check", "-f", "pods.yaml"]).0, 0);
    // A pod that was brought back by somebody is drift.
    node.pods[1].sh("ip link set eth0 mtu 1500");
    let (code, check) = node.netkeel(&["check", "-f", "pods.yaml"]);
    assert_eq!(code, 2, "{check}");
    let (_, lint) = node.netkeel(&["lint"]);
    let black_hole: Vec<&str> = lint.lines().filter(|line| line.contains("NK013")).collect();
    insta::assert_snapshot!(black_hole.join("\n"), @"warning NK013 cali1: its MTU is 1460 and that of its other end, eth0 in a pod, is 1500: packets above 1464 bytes are dropped on the way from the pod, without an ICMP error");
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    let (code, said) = node.netkeel(&["release"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!([node.mtus(0), node.mtus(1)], before);
}

/// The host's end stays as another program wrote it, and the pod's end goes back.
#[test]
fn a_release_names_the_value_to_restore_and_the_black_hole_that_it_leaves() {
    let node = Node::new(1);
    node.document(PODS);
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    node.host.sh("ip link set cali0 mtu 1400");
    let (code, said) = node.netkeel(&["release"]);
    assert_eq!(code, 0, "{said}");
    let words: Vec<&str> = said.split_whitespace().collect();
    let words = words.join(" ");
    for told in [
        "NK011 link cali0 mtu: it is 1400 now, netkeel wrote 1460, and before that it was 1500: another program",
        "restore it by hand if needed: `ip -n host link set dev cali0 mtu 1500`",
        "NK013 cali0: its MTU is 1400 and that of its other end, eth0 in a pod, is 1500",
    ] {
        assert!(words.contains(told), "{told}: {said}");
    }
}

#[test]
fn what_others_keep_is_left_alone_and_what_is_said_otherwise_is_done() {
    let node = Node::new(3);
    node.host
        .sh("ip link set cali0 name lxc0; ip link add cilium_host type veth peer name cilium_net");
    node.pods[1].sh("ip link add k6t-eth0 type bridge");
    node.document(
        "version: 1\nlink:\n  cilium: { match: { name: \"lxc*\" }, mtu: 1460 }\n  pods: { match: { name: \"cali*\" }, mtu: 1460 }\n  cali2: { pod_mtu: 1440 }\n",
    );
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(said, @r#"
    Drift: 3 of 3 declared facts, 2 pods stale and skipped, on 1 object (netns host).

      ~ link cali2                                                         pods.yaml
          mtu                      1500 -> 1460                                   :4
          pod mtu                  1500 -> 1440                                   :5
          pod route 0.0.0.0/0 mtu  1500 -> 1440                                   :5

    warning NK013 cali2: its MTU is 1460 and that of its other end, eth0 in a pod,
      is 1440: packets above 1444 bytes are dropped on the way to the pod, without
      an ICMP error
      give both ends of the veth one MTU
    warning NK045 lxc0: packets of up to 1500 leave the pod, but netkeel does not
      change it: Cilium's agent keeps it; 1460 on this end alone would black-hole
      packets, so it is not set
      set `mtu` in the ConfigMap cilium-config
    warning NK045 cali1: packets of up to 1500 leave the pod, but netkeel does not
      change it: a virtual machine has its own interface behind it; 1460 on this end
      alone would black-hole packets, so it is not set
      change the guest's MTU by DHCP, or recreate the guest

    3 writes, all with exact undo.
    Plan: 0 to create, 3 to change, 0 to destroy (1 object); 3 warnings.
    Applied: 3 writes; verified, nothing left to change.
    "#);
    assert!(node.mtus(2).starts_with("host 1460 pod 1440"), "{}", node.mtus(2));
    let pods = |arguments: &[&str]| node.netkeel(&[&["pods"], arguments].concat());
    insta::assert_snapshot!(pods(&["-f", "pods.yaml"]).1, @"
    HOST END  MTU   POD END  MTU   ROUTE  WANTED     POD
    cali1     1500  eth0     1500  -      1460       /run/netns/pod1  stale; a virtual machine has its own interface behind it
    cali2     1460  eth0     1440  1440   1460/1440  /run/netns/pod2
    lxc0      1500  eth0     1500  1500   1460       /run/netns/pod0  stale; Cilium's agent keeps it

    3 pods, 2 stale.
    ");
    assert_eq!(pods(&["-f", "pods.yaml", "--detailed-exitcode"]).0, 2);
    let (_, json) = pods(&["--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["pods"][2]["pod_mtu"], 1500, "{json:#}");
    // The host's ends of those that are left alone stay with them: netkeel makes no black hole.
    let (code, check) = node.netkeel(&["check", "-f", "pods.yaml"]);
    insta::assert_snapshot!(format!("{code} {check}"), @r#"
    0 In sync: 3 facts as declared, 2 pods stale and skipped (netns host); 3 warnings. `netkeel plan --netns host` shows NK013, NK045.
    "#);
    for (link, at) in [("lxc0", 0), ("cali1", 1)] {
        let mtus = node.mtus_of(link, at);
        assert!(mtus.starts_with("host 1500 pod 1500"), "{mtus}");
    }
    // And one end that is to stay.
    node.document("version: 1\nlink:\n  cali2: { mtu: 1400, pod_mtu: leave }\n");
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    assert!(node.mtus(2).starts_with("host 1400 pod 1440"), "{}", node.mtus(2));
}

#[test]
fn what_netkeel_set_is_given_back_where_the_pod_does_not_follow_any_more() {
    let node = Node::new(2);
    node.document(PODS);
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    node.pods[1].sh("ip link set eth0 mtu 1500; ip link add k6t-eth0 type bridge");
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    insta::assert_snapshot!(format!("{code} {said}"), @r#"
    0 Drift: 0 of 3 declared facts, 1 to give back, 1 pod stale and skipped, on 1 object (netns host).

      ~ link cali1  mtu 1460 -> 1500

    warning NK045 cali1: packets of up to 1500 leave the pod, but netkeel does not
      change it: a virtual machine has its own interface behind it
      change the guest's MTU by DHCP, or recreate the guest

    1 write, all with exact undo.
    Plan: 0 to create, 1 to change, 0 to destroy (1 object); 1 warning.
    Applied: 1 write; verified, nothing left to change.
    "#);
    assert!(node.mtus(1).starts_with("host 1500 pod 1500"), "{}", node.mtus(1));
    assert_eq!(node.netkeel(&["check", "-f", "pods.yaml"]).0, 0);
}

#[test]
fn routes_of_every_kind_follow_and_come_back() {
    let node = Node::new(1);
    let pod = &node.pods[0];
    pod.sh(
        "ip route add default via 169.254.1.1 dev eth0 onlink mtu 1500 metric 100
         ip route add default via 169.254.1.1 dev eth0 onlink mtu 1500 table 100
         ip route add 10.1.0.0/16 mtu 1500 nexthop via 169.254.1.1 dev eth0 onlink weight 2 nexthop via 169.254.1.2 dev eth0 onlink
         ip route add 10.2.0.0/16 via 169.254.1.1 dev eth0 onlink mtu 1470
         ip addr add fd00::5/64 dev eth0 nodad
         ip -6 route add fd01::/64 via fd00::1 dev eth0 mtu 1500
         ip -6 route add fd02::/64 via fd00::1 dev eth0 mtu 1480
         ip -6 route add fd03::/64 via fd00::1 dev eth0 mtu 1400",
    );
    let routes = || {
        let of = |family: &str| pod.sh(&format!("ip {family} -o route show table all | grep 'mtu '"));
        format!("{}{}", of("-4"), of("-6")).replace(" pref medium", "")
    };
    let before = routes();
    node.document(PODS);
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(routes(), @r"
    default via 169.254.1.1 dev eth0 table 100 onlink mtu 1460 
    default via 169.254.1.1 dev eth0 onlink mtu 1460 
    default via 169.254.1.1 dev eth0 metric 100 onlink mtu 1460 
    10.1.0.0/16 mtu 1460 \	nexthop via 169.254.1.1 dev eth0 weight 2 onlink \	nexthop via 169.254.1.2 dev eth0 weight 1 onlink 
    10.2.0.0/16 via 169.254.1.1 dev eth0 onlink mtu 1460 
    fd01::/64 via fd00::1 dev eth0 metric 1024 mtu 1460
    fd02::/64 via fd00::1 dev eth0 metric 1024 mtu 1460
    fd03::/64 via fd00::1 dev eth0 metric 1024 mtu 1400
    ");
    // They are wanted as they are, and not told to have left the document.
    let (code, check) = node.netkeel(&["check", "-f", "pods.yaml"]);
    insta::assert_snapshot!(format!("{code} {check}"), @"0 In sync: 9 facts as declared (netns host).");
    let (_, pods) = node.netkeel(&["pods", "-f", "pods.yaml"]);
    assert!(pods.contains("1400..1460"), "{pods}");
    // A smaller wish and then a larger one: up to what was found, and no further.
    node.document(&PODS.replace("1460", "1450"));
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    node.document(&PODS.replace("1460", "1490"));
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(routes(), @r"
    default via 169.254.1.1 dev eth0 table 100 onlink mtu 1490 
    default via 169.254.1.1 dev eth0 onlink mtu 1490 
    default via 169.254.1.1 dev eth0 metric 100 onlink mtu 1490 
    10.1.0.0/16 mtu 1490 \	nexthop via 169.254.1.1 dev eth0 weight 2 onlink \	nexthop via 169.254.1.2 dev eth0 weight 1 onlink 
    10.2.0.0/16 via 169.254.1.1 dev eth0 onlink mtu 1470 
    fd01::/64 via fd00::1 dev eth0 metric 1024 mtu 1490
    fd02::/64 via fd00::1 dev eth0 metric 1024 mtu 1480
    fd03::/64 via fd00::1 dev eth0 metric 1024 mtu 1400
    ");
    node.document(&PODS.replace("1460", "1500"));
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(routes(), before);
    node.document(PODS);
    assert_eq!(node.netkeel(&["apply", "-f", "pods.yaml"]).0, 0);
    let (code, said) = node.netkeel(&["release"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(routes(), before);
}

#[test]
fn a_pod_below_1280_loses_ipv6_only_when_that_is_allowed() {
    let node = Node::new(1);
    node.pods[0].sh("ip addr add fd00::5/64 dev eth0 nodad");
    node.document("version: 1\nlink:\n  pods: { match: { name: \"cali*\" }, mtu: 1222 }\n");
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("fd00::5/64"), "{said}");
    assert!(node.mtus(0).starts_with("host 1500 pod 1500"));
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml", "--allow-lossy"]);
    assert_eq!(code, 0, "{said}");
    assert!(node.mtus(0).starts_with("host 1222 pod 1222"));
}

/// What the connections of a node went through while `work` was done.
fn traffic(node: &Node, seconds: u32, work: impl FnOnce()) -> serde_json::Value {
    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("testinfra/pods/traffic.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args([&seconds.to_string(), "7000", SERVER, &node.host.name])
        .args(node.pods.iter().map(|pod| &pod.name))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    work();
    // It goes on until then.
    drop(child.stdin.take());
    let told = lines.next().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    serde_json::from_str(&told).unwrap()
}

#[test]
fn two_hundred_pods_change_under_load_without_a_reset() {
    let node = Node::new(200);
    // From beyond the host, to see who says that a packet is too big.
    let beyond = Namespace::new();
    node.host.sh(&format!(
        "ip link add eth0 type veth peer name eth0 netns {}; ip addr add 198.51.100.1/24 dev eth0; ip link set eth0 up",
        beyond.name
    ));
    beyond.sh(
        "ip addr add 198.51.100.2/24 dev eth0; ip link set eth0 up; ip route add default via 198.51.100.1",
    );
    node.document(PODS);
    let control = traffic(&node, 8, || {});
    let changed = traffic(&node, 8, || {
        let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
        assert_eq!(code, 0, "{said}");
    });
    let gap = |run: &serde_json::Value| run["longest_gap_ms"].as_u64().unwrap();
    let summary = format!("control {control}\nchanged {changed}");
    assert_eq!(changed["broken"], serde_json::json!([]), "{summary}");
    assert_eq!(changed["connections"], 200);
    // Beside other tests only what hangs is told from what is slow.
    let full = std::env::var_os("NETKEEL_FULL").is_some_and(|value| value == "1");
    let more = if full { 1_000 } else { 30_000 };
    assert!(gap(&changed) <= gap(&control) + more, "{summary}");
    assert_eq!(
        changed["mss_before"],
        serde_json::json!([1448, 1448]),
        "{summary}"
    );
    assert_eq!(changed["mss_after"], serde_json::json!([1408, 1408]), "{summary}");
    for at in [0, 1, 199] {
        assert!(
            node.mtus(at).starts_with("host 1460 pod 1460"),
            "{}",
            node.mtus(at)
        );
    }
    let told = beyond.sh(&format!(
        "python3 -c '
import socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, 10, 2)
sock.connect((\"{}\", 9))
for _ in range(1500):
    try:
        sock.send(bytes(1433))
    except OSError:
        pass
    time.sleep(0.02)
    if sock.getsockopt(socket.IPPROTO_IP, 14) == 1460:
        break
print(sock.getsockopt(socket.IPPROTO_IP, 14))
'",
        address(0)
    ));
    assert_eq!(told, "1460\n", "no ICMP from the host");
}

/// A user who may not look into pods gets one error for all of them, and no number that hides them.
#[test]
fn without_root_one_error_names_the_pods_that_cannot_be_read() {
    let node = Node::new(4);
    let program = node.scratch.path().join("netkeel");
    // Not by this process: while a child of another test still has it open to write, it cannot be run.
    let mut copy = Command::new("install");
    copy.args(["-m", "755", env!("CARGO_BIN_EXE_netkeel")])
        .arg(&program);
    assert!(copy.status().unwrap().success());
    node.host
        .sh(&format!("chmod 755 {}", node.scratch.path().display()));
    let nobody = |verb: &str| {
        let done = Command::new("ip")
            .args(["netns", "exec", &node.host.name])
            // What other programs left there, and who may pass, is not this test's.
            .args([
                "sh",
                "-ec",
                "mkdir -p /run/netkeel; mount -t tmpfs -o mode=711 none /run/netkeel; exec \"$@\"",
                "sh",
            ])
            .args(["setpriv", "--reuid", "65534", "--clear-groups"])
            .args([program.to_str().unwrap(), verb])
            .output()
            .unwrap();
        (
            done.status.code().unwrap(),
            String::from_utf8(done.stdout).unwrap(),
            String::from_utf8(done.stderr).unwrap(),
        )
    };
    let (code, stdout, stderr) = nobody("pods");
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(stdout, "", "a number of pods that nobody looked at");
    assert!(
        stderr.contains("the pods' ends of 4 veths (cali0 to cali3): "),
        "{stderr}"
    );
    assert!(stderr.contains("help: run it as root"), "{stderr}");
    assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
    let (code, stdout, _) = nobody("lint");
    assert_eq!(code, 1);
    // The fifth is the underlay of the pods: there is no default route.
    assert!(
        stdout.ends_with("; 5 parts of the host could not be read.\n"),
        "{stdout}"
    );
}

#[test]
fn a_pod_with_more_than_netkeel_reads_stops_no_other_pod() {
    let node = Node::new(5);
    node.document(PODS);
    // Pod 0 has 20,000 routes with an MTU, pod 1 2,000 addresses, pod 2 1,500 interfaces, pod 3 ninety
    // routes with an MTU.
    let batch = |at: usize, lines: String| {
        let path = node.scratch.path().join("batch");
        std::fs::write(&path, lines).unwrap();
        node.pods[at].sh(&format!("ip -batch {}", path.display()));
    };
    let routes = |number: usize| {
        (0..number).fold(String::new(), |mut lines, at| {
            let _ = writeln!(
                lines,
                "route add 10.{}.{}.{}/32 via 169.254.1.1 dev eth0 onlink mtu 1500",
                100 + at / 65_536,
                at / 256 % 256,
                at % 256
            );
            lines
        })
    };
    batch(0, routes(20_000));
    batch(
        1,
        (1..=2_000).fold(String::new(), |mut lines, at| {
            let _ = writeln!(lines, "address add 2001:db8::{at:x}/128 dev eth0 nodad");
            lines
        }),
    );
    batch(
        2,
        (0..750).fold(String::new(), |mut lines, at| {
            let _ = writeln!(lines, "link add a{at} type veth peer name b{at}");
            lines
        }),
    );
    batch(3, routes(90));
    let (code, said) = node.netkeel(&["plan", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    for (at, why) in [
        (0, "more than 100 routes with an MTU"),
        (1, "more than 1000 IPv6 addresses"),
        (2, "more than 1000 interfaces"),
    ] {
        let unwrapped = said.replace("\n  ", " ");
        let line = unwrapped
            .lines()
            .find(|line| line.contains(&format!("NK045 cali{at}:")));
        assert!(line.is_some_and(|line| line.contains(why)), "{said}");
    }
    let (code, said) = node.netkeel(&["apply", "-f", "pods.yaml"]);
    assert_eq!(code, 0, "{said}");
    for at in 0..3 {
        assert!(
            node.mtus(at).starts_with("host 1500 pod 1500"),
            "{}",
            node.mtus(at)
        );
    }
    for at in 3..5 {
        assert!(
            node.mtus(at).starts_with("host 1460 pod 1460"),
            "{}",
            node.mtus(at)
        );
    }
    let lowered = node.pods[3].sh("ip route show | grep -c 'mtu 1460'");
    assert_eq!(lowered.trim(), "90");
}
