//! MTU budgets: every vector of a file of published, derived and measured numbers, each as one
//! command of the real program.

#[path = "cli/run.rs"]
#[allow(dead_code)]
mod run;
#[path = "mtu/wireguard.rs"]
mod wireguard;

use run::{Scratch, netkeel};

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The fields of a line, by the names in the first one.
fn vectors() -> Vec<Vec<String>> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("testinfra/mtu/vectors.csv");
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(
        lines.next(),
        Some("underlay|arguments|mtu|overhead|mss_ipv4|mss_ipv6|status|source|note")
    );
    lines
        .map(|line| line.split('|').map(str::to_owned).collect())
        .collect()
}

#[test]
fn every_vector_is_one_command() {
    let vectors = vectors();
    assert!(vectors.len() > 130, "only {} vectors", vectors.len());
    let mut wrong = Vec::new();
    for vector in &vectors {
        let [underlay, arguments, mtu, rest @ ..] = vector.as_slice() else {
            panic!("{vector:?}");
        };
        let mut command = vec!["mtu", "--underlay", underlay, "--output", "json"];
        command.extend(arguments.split_whitespace());
        let done = netkeel(&command);
        if mtu == "error" {
            if done.code != 1 || !done.stderr.contains("floor") || !done.stdout.is_empty() {
                wrong.push(format!("{}: {done:?}", command.join(" ")));
            }
            continue;
        }
        let json: Value = serde_json::from_str(&done.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", command.join(" "), done.stderr));
        let number = |key: &str| json.get(key).and_then(Value::as_i64).unwrap().to_string();
        let [overhead, mss_ipv4, mss_ipv6, ..] = rest else {
            panic!("{vector:?}");
        };
        for (key, expected) in [
            ("mtu", mtu),
            ("overhead", overhead),
            ("mss_ipv4", mss_ipv4),
            ("mss_ipv6", mss_ipv6),
        ] {
            if number(key) != *expected {
                wrong.push(format!(
                    "{}: {key} is {} and should be {expected}",
                    command.join(" "),
                    number(key)
                ));
            }
        }
        // The steps are the derivation: each takes its bytes from the one before.
        let steps = json["steps"].as_array().unwrap();
        let left = steps.iter().fold(underlay.parse::<i64>().unwrap(), |mtu, step| {
            assert_eq!(
                mtu - step["bytes"].as_i64().unwrap(),
                step["mtu"].as_i64().unwrap()
            );
            step["mtu"].as_i64().unwrap()
        });
        assert_eq!(left.to_string(), *mtu, "{}", command.join(" "));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_derivation_shows_what_is_exact() {
    let done = netkeel(&[
        "mtu",
        "--underlay",
        "1500",
        "kubespan",
        "kube-ovn",
        "--margin",
        "98",
    ]);
    assert_eq!(
        done.stdout,
        "  underlay                1500  as given
  kubespan          -80   1420  IPv6 40 + UDP 8 + WireGuard 32
  kube-ovn         -100   1320  by convention; on the wire 58: IPv4 20 + UDP 8 + Geneve 8 + OVN option 8 + Ethernet 14
  margin            -98   1222
  MTU                     1222
  MSS                     1182  over IPv4
                          1162  over IPv6
  exact maximum           1362  140 are left over
note: 1222 is below 1280: the kernel disables IPv6 on an interface with such an MTU
"
    );
    let refused = netkeel(&["mtu", "--underlay", "1222", "wireguard", "--floor", "1280"]);
    assert_eq!(
        (refused.code, refused.stdout.as_str(), refused.stderr.as_str()),
        (
            1,
            "",
            "error: the floor of 1280 is above the underlay, which has 1222\n  \
             help: use an underlay of 1360, or remove the floor: below 1280 IPv6 does not work inside\n"
        )
    );
}

/// Variables are set for a child only: tests share one environment.
#[test]
fn the_environment_overrides() {
    let scratch = Scratch::new(&[]);
    let run = |variables: &[&str], arguments: &[&str]| {
        let all: Vec<&str> = variables
            .iter()
            .copied()
            .chain([run::PROGRAM, "mtu", "--output", "json"])
            .chain(arguments.iter().copied())
            .collect();
        scratch.command("env", &all)
    };
    let mtu = |variables: &[&str], arguments: &[&str]| {
        let done = run(variables, arguments);
        let json: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
        (json["mtu"].as_i64().unwrap(), json["notes"].to_string())
    };
    let over = ["--underlay", "1500", "wireguard:ipv6"];
    assert_eq!(mtu(&["NETKEEL_MTU="], &over).0, 1420);
    let (forced, notes) = mtu(&["NETKEEL_MTU=1400"], &over);
    assert!(forced == 1400 && notes.contains("NETKEEL_MTU sets 1400; without it the MTU would be 1420"));
    let (large, notes) = mtu(&["NETKEEL_MTU=1440"], &over);
    assert!(
        large == 1440 && notes.contains("full packets do not fit"),
        "{notes}"
    );
    let (overhead, notes) = mtu(&["NETKEEL_OVERHEAD=60"], &over);
    assert!(
        overhead == 1440 && notes.contains("the layers take 80"),
        "{notes}"
    );
    for (variables, arguments, text) in [
        (
            ["NETKEEL_MTU=many"],
            &over[..],
            "environment variable NETKEEL_MTU: `many`",
        ),
        (["NETKEEL_MTU=9000"], &over[..], "above the underlay"),
        (["NETKEEL_MTU=12"], &over[..], "from 68 to 65535"),
        (
            ["NETKEEL_MTU=1200"],
            &["--underlay", "1250", "--floor", "1280"][..],
            "above the underlay",
        ),
    ] {
        let done = run(&variables, arguments);
        assert!(done.code == 1 && done.stderr.contains(text), "{done:?}");
    }
}

#[test]
fn an_underlay_is_looked_up_on_the_host() {
    let script = "ip link add p0 type veth peer name p1 && ip link add q0 type veth peer name q1 &&
        for name in p0 p1 q0 q1; do ip link set $name up; done &&
        ip address add 192.0.2.1/24 dev p0 && ip address add 198.51.100.1/24 dev q0 &&
        ip link set p0 mtu 1450 && ip link set q0 mtu 1400";
    let mtu = |more: &str, arguments: &str| {
        let scratch = Scratch::new(&[]);
        let script = format!("{script} && {more} {} mtu {arguments}", run::PROGRAM);
        let done = scratch.command("unshare", &["--net", "sh", "-ec", &script]);
        if done.code == 0 { done.stdout } else { done.stderr }
    };
    let first = |text: String| text.lines().next().unwrap_or_default().trim().to_owned();
    assert_eq!(
        first(mtu("", "--underlay p0 wireguard")),
        "underlay                1450  p0"
    );
    assert_eq!(
        first(mtu("ip route add default via 192.0.2.2 &&", "wireguard")),
        "underlay                1450  the default route's p0"
    );
    assert_eq!(
        first(mtu(
            "ip route add default via 192.0.2.2 metric 1 && ip route add default via 198.51.100.2 metric 2 &&",
            "vxlan"
        )),
        "underlay                1400  the default route's q0, the smallest; also p0 1450"
    );
    assert_eq!(
        first(mtu(
            "ip route add default nexthop via 192.0.2.2 nexthop via 198.51.100.2 &&",
            "vxlan"
        )),
        "underlay                1400  the default route's q0, the smallest; also p0 1450"
    );
    assert_eq!(
        first(mtu("ip route add default via 192.0.2.2 mtu 1300 &&", "vxlan")),
        "underlay                1300  the MTU of the route by p0"
    );
    assert_eq!(
        first(mtu(
            "ip -6 address add fd00::1/64 dev q0 nodad && ip -6 route add default via fd00::2 &&",
            "vxlan"
        )),
        "underlay                1400  the default route's q0"
    );
    assert_eq!(
        mtu("", "vxlan"),
        "error: there is no default route to take the underlay's MTU from\n  help: name the interface, or give its MTU\n"
    );
    assert_eq!(
        mtu("", "--underlay wlan0 vxlan"),
        "error: the underlay wlan0 does not exist\n"
    );
}

/// The service follows what a budget stands on, although it is not what the interface itself
/// stands on.
#[test]
fn the_service_follows_an_underlay() {
    let document = "version: 1
link:
  wg0: { mtu: { underlay: eth0, layers: [wireguard] } }
  cali1: { mtu: { underlay: default-route, layers: [vxlan] } }
";
    let scratch = Scratch::new(&[("d.yaml", document)]);
    let script = format!(
        "mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /var/lib
        for pair in eth0:far wg0:wg1 cali1:pod1; do ip link add ${{pair%:*}} type veth peer name ${{pair#*:}}; done
        ip link set eth0 mtu 1450; ip link set eth0 up; ip link set far up
        ip address add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.2
        {} run -f d.yaml --mode enforce & service=$!
        has() {{
            for attempt in $(seq 600); do
                ip -o link show wg0 | grep -q \"mtu $1 \" && ip -o link show cali1 | grep -q \"mtu $2 \" && return
                sleep 0.1
            done
            echo \"not $1 and $2\"; ip -o link
        }}
        has 1370 1400
        ip link set eth0 mtu 1400; has 1320 1350
        ip link set eth0 mtu 1500; has 1420 1450
        kill $service; wait $service",
        run::PROGRAM
    );
    let done = scratch.command("unshare", &["--mount", "--net", "sh", "-c", &script]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:?}");
}
