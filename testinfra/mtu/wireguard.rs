//! `netkeel wireguard-mtu` in the place of an entrypoint script: what it prints, what it falls back
//! to, and the three ways in which such a script failed before it worked.

use crate::run::{Done, PROGRAM, Scratch};

/// A pod whose eth0 has an MTU of 1450, with a configuration in a mounted Secret: read-only, and a
/// symbolic link to a directory that is exchanged as a whole.
const POD: &str = "mkdir -p secret/..now && mount -t tmpfs tmpfs secret && mkdir secret/..now
printf '[Interface]\\nPrivateKey = c2VjcmV0\\n[Peer]\\nEndpoint = vpn.example:51820\\n' > secret/..now/wg0.conf
ln -s ..now secret/..data && ln -s ..data/wg0.conf secret/wg0.conf
mount -o remount,ro secret
ip link add eth0 type veth peer name far && ip link set eth0 mtu 1450 && ip link set eth0 up && ip link set far up
ip address add 192.0.2.1/24 dev eth0\n";

const ROUTE: &str = "ip route add default via 192.0.2.2\n";

fn pod(script: &str) -> Done {
    let scratch = Scratch::new(&[]);
    let script = format!("{POD}netkeel() {{ {PROGRAM} \"$@\"; }}\n{script}");
    scratch.command("unshare", &["--mount", "--net", "sh", "-ec", &script])
}

const TO_COPY: &str = "netkeel wireguard-mtu secret/wg0.conf --directory copy\n";

/// The output with the test's own directory removed from the path of the copy.
fn shown(done: &Done) -> String {
    let (before, path) = done.stdout.rsplit_once("copy: ").unwrap_or(("", ""));
    let name = path.trim_end().rsplit('/').take(2).collect::<Vec<_>>();
    format!(
        "{before}copy: {}\n",
        name.into_iter().rev().collect::<Vec<_>>().join("/")
    )
}

/// A warning on the host name in the configuration of [`POD`].
const NAMED: &str =
    "warning: netkeel does not resolve host names: for 1 of the endpoints it assumes the default route\n";

/// Standard error, apart from [`NAMED`].
fn warned_of(done: &Done) -> String {
    assert!(done.stderr.contains(NAMED), "{done:?}");
    done.stderr.replace(NAMED, "")
}

#[test]
fn it_prints_what_the_script_did_and_the_copy_is_private() {
    let done = pod(&format!(
        "{ROUTE}{TO_COPY}stat -c %a copy copy/wg0.conf >&2; cat copy/wg0.conf >&2; ls -A copy >&2"
    ));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        shown(&done),
        "underlay: eth0, MTU 1450 (default route)
overhead: 80 bytes (WireGuard)
MTU: 1370
copy: copy/wg0.conf
"
    );
    assert_eq!(
        warned_of(&done),
        "700\n600\n[Interface]\nMTU = 1370\nPrivateKey = c2VjcmV0\n[Peer]\nEndpoint = vpn.example:51820\nwg0.conf\n"
    );
}

#[test]
fn it_follows_a_new_mtu_and_writes_nothing_twice() {
    let done = pod(&format!(
        "{ROUTE}{TO_COPY}stat -c %i copy/wg0.conf >&2
{TO_COPY}stat -c %i copy/wg0.conf >&2
ip link set eth0 mtu 1400
{TO_COPY}grep -c MTU copy/wg0.conf >&2; grep MTU copy/wg0.conf >&2"
    ));
    let stderr = warned_of(&done);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(done.code, 0, "{done:?}");
    assert!(lines.len() == 4 && lines[0] == lines[1], "{lines:?}");
    assert_eq!(lines[2..], ["1", "MTU = 1320"]);
}

/// Version 0.6.5 edited the mounted file in place, 0.6.6 moved another one over it: both are
/// refused before anything is tried. 0.6.7 gave the copy another name, and the interface with it.
#[test]
fn the_mount_is_left_alone_and_the_name_stays() {
    let over = pod(&format!(
        "{ROUTE}netkeel wireguard-mtu secret/wg0.conf --directory secret"
    ));
    assert_eq!((over.code, over.stdout.as_str()), (1, ""), "{over:?}");
    assert!(
        over.stderr
            .contains("the copy would overwrite its source secret/wg0.conf")
            && over.stderr.contains("a mounted Secret cannot be written"),
        "{}",
        over.stderr
    );
    let by_link = pod(&format!(
        "{ROUTE}ln -s secret other; netkeel wireguard-mtu secret/wg0.conf --directory other"
    ));
    assert!(
        by_link.code == 1 && by_link.stderr.contains("would overwrite its source"),
        "{by_link:?}"
    );
    for name in ["wg0.conf.new", "a-name-that-is-too-long.conf", "wg0", "all.conf"] {
        let other = pod(&format!(
            "cp secret/wg0.conf {name}; netkeel wireguard-mtu {name} --directory copy"
        ));
        assert!(
            other.code == 1 && other.stderr.contains("is not a file name that wg-quick accepts"),
            "{name}: {other:?}"
        );
    }
}

#[test]
fn what_cannot_be_told_is_what_is_usual_with_a_warning() {
    let without_route = pod(TO_COPY);
    assert_eq!(
        (without_route.code, warned_of(&without_route).as_str()),
        (0, "warning: there is no default route: using eth0\n")
    );
    assert!(without_route.stdout.contains("MTU: 1370\n"));
    let nothing = pod(&format!("ip link del eth0\n{TO_COPY}"));
    assert_eq!(
        warned_of(&nothing),
        "warning: there is no default route: using eth0\n\
         warning: cannot read the MTU of eth0: using 1500\n"
    );
    assert!(nothing.stdout.contains("MTU: 1420\n"), "{nothing:?}");
}

/// In the pod's own network nothing is said, also where its PID 1 is its own.
#[test]
fn only_the_network_of_the_host_is_told_of() {
    let scratch = Scratch::new(&[]);
    let script = format!(
        "{POD}{ROUTE}KUBERNETES_SERVICE_HOST=10.96.0.1 {PROGRAM} wireguard-mtu secret/wg0.conf --directory copy"
    );
    let arguments = [
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-ec",
        &script,
    ];
    let done = scratch.command("unshare", &arguments);
    assert_eq!((done.code, warned_of(&done).as_str()), (0, ""), "{done:?}");
}

#[test]
fn a_floor_is_an_error_and_no_clamp() {
    let refused = pod(&format!("{ROUTE}ip link set eth0 mtu 1359\n{TO_COPY}"));
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("the floor of 1280 leaves no room for the headers")
            && refused.stderr.contains("--floor 68"),
        "{}",
        refused.stderr
    );
    for (change, mtu) in [
        ("ip link set eth0 mtu 1360; ", 1280),
        ("export NETKEEL_MTU=1300; ", 1300),
        ("export NETKEEL_OVERHEAD=100; ", 1350),
    ] {
        let done = pod(&format!("{ROUTE}{change}{TO_COPY}"));
        let line = format!("\nMTU: {mtu}\n");
        assert!(
            done.code == 0 && done.stdout.contains(&line),
            "{change}: {done:?}"
        );
    }
    // Whatever is set by hand and does not come out as it says is told.
    let warned = |change: &str, more: &str| {
        let done = pod(&format!("{ROUTE}{change}{} {more}", TO_COPY.trim_end()));
        assert_eq!(done.code, 0, "{done:?}");
        let mtu = done.stdout.lines().find_map(|line| line.strip_prefix("MTU: "));
        format!("{}\n{}", mtu.unwrap_or_default(), warned_of(&done))
    };
    let shown = [
        warned("", ""),
        warned("export NETKEEL_OVERHEAD=200; ", ""),
        warned("export NETKEEL_OVERHEAD=20; ", ""),
        warned("export NETKEEL_MTU=1450; ", ""),
        warned("export NETKEEL_MTU=1200; ", ""),
        warned("ip link set eth0 mtu 1300; ", "--floor 68"),
    ];
    insta::assert_snapshot!(shown.join("\n"), @"
    1370

    1280
    warning: NETKEEL_OVERHEAD sets 200 bytes, but the layers take 80
    warning: the floor of 1280 adds 30 bytes back; the headers on the wire still fit

    1430
    warning: NETKEEL_OVERHEAD sets 20 bytes, but the layers take 80
    warning: full packets do not fit: with their headers they are 60 bytes larger than the underlay allows

    1450
    warning: NETKEEL_MTU sets 1450; without it the MTU would be 1370
    warning: full packets do not fit: with their headers they are 80 bytes larger than the underlay allows

    1280
    warning: NETKEEL_MTU sets 1200; without it the MTU would be 1370
    warning: the floor of 1280 adds 80 bytes back; the headers on the wire still fit

    1220
    warning: 1220 is below 1280: the kernel disables IPv6 on an interface with such an MTU
    ");
    let over_ipv4 = pod(&format!(
        "{ROUTE}netkeel wireguard-mtu secret/wg0.conf --directory copy --family ipv4"
    ));
    assert!(over_ipv4.stdout.contains("\nMTU: 1390\n"), "{over_ipv4:?}");
}

#[test]
fn a_key_goes_nowhere_that_others_write_and_into_no_message() {
    let shared = pod(&format!("{ROUTE}mkdir -m 777 copy\n{TO_COPY}"));
    assert!(
        shared.code == 1
            && shared
                .stderr
                .contains("is not a directory that only this user can write"),
        "{shared:?}"
    );
    let theirs = pod(&format!(
        "{ROUTE}mkdir -m 700 copy; touch copy/wg0.conf; chown 65534 copy/wg0.conf\n{TO_COPY}"
    ));
    assert!(
        theirs.code == 1 && theirs.stderr.contains("is somebody else's"),
        "{theirs:?}"
    );
    let link = pod(&format!(
        "{ROUTE}mkdir -m 700 copy; ln -s ../elsewhere copy/wg0.conf\n{TO_COPY}"
    ));
    assert!(
        link.code == 1 && link.stderr.contains("symbolic link"),
        "{link:?}"
    );
    let strange =
        pod("printf 'PrivateKey = c2VjcmV0\\n' > wg1.conf; netkeel wireguard-mtu wg1.conf --directory copy");
    let marked = pod(
        "printf '\\357\\273\\277[Interface]\\nPrivateKey = c2VjcmV0\\n' > wg1.conf; netkeel wireguard-mtu wg1.conf --directory copy",
    );
    assert!(
        marked.code == 1 && marked.stderr.contains("byte order mark"),
        "{marked:?}"
    );
    assert!(
        strange.code == 1 && strange.stderr.contains("it has no [Interface]"),
        "{strange:?}"
    );
    for done in [shared, theirs, link, marked, strange] {
        assert!(!done.stderr.contains("c2VjcmV0"), "{}", done.stderr);
    }
}

/// Copies a configuration with these lines in `[Interface]` and these endpoints; returns the output.
fn copied(setup: &str, interface: &str, endpoints: &[&str], options: &str) -> Done {
    let peers: String = endpoints
        .iter()
        .map(|endpoint| format!("[Peer]\\nEndpoint = {endpoint}\\n"))
        .collect();
    pod(&format!(
        "{ROUTE}{setup}\nprintf '[Interface]\\n{interface}{peers}' > wg1.conf; netkeel wireguard-mtu wg1.conf --directory copy {options}"
    ))
}

/// A private network by an interface with a smaller MTU.
const PRIVATE: &str = "ip link add eth1 type veth peer name far1 && ip link set eth1 mtu 1400 && ip link set eth1 up && ip link set far1 up
ip address add 198.51.100.1/24 dev eth1";

#[test]
fn the_least_of_the_routes_to_literal_endpoints_counts() {
    let both = copied(PRIVATE, "", &["198.51.100.7:51820", "203.0.113.1:51820"], "");
    assert_eq!((both.code, both.stderr.as_str()), (0, ""), "{both:?}");
    let first = both.stdout.lines().next();
    assert_eq!(first, Some("underlay: eth1, MTU 1400 (route to 198.51.100.7)"));
    assert!(both.stdout.contains("\nMTU: 1320\n"), "{both:?}");
    let wide = copied(PRIVATE, "", &["203.0.113.1:51820"], "");
    assert!(wide.stdout.contains("\nMTU: 1370\n"), "{wide:?}");
    let metric = format!("{PRIVATE}; ip route add 203.0.113.1 via 192.0.2.2 mtu 1350");
    let narrow = copied(&metric, "", &["203.0.113.1:51820"], "--floor 1200");
    assert!(narrow.stdout.contains("\nMTU: 1270\n"), "{narrow:?}");
    let marked = format!(
        "{PRIVATE}; ip rule add fwmark 51820 lookup 100; ip route add default via 198.51.100.2 dev eth1 table 100"
    );
    let marked = copied(&marked, "FwMark = 51820\\n", &["203.0.113.1:51820"], "");
    assert!(marked.stdout.contains("\nMTU: 1320\n"), "{marked:?}");
    let named = |literal: &[&str], assumed: &str| {
        let endpoints = [literal, &["vpn.example:51820"]].concat();
        let done = copied(PRIVATE, "", &endpoints, "");
        let told =
            format!("netkeel does not resolve host names: for 1 of the endpoints it assumes the {assumed}\n");
        assert!(done.code == 0 && done.stderr.contains(&told), "{done:?}");
    };
    named(&[], "default route");
    named(&["198.51.100.7:51820"], "routes to the other endpoints");
    let lost = copied("", "", &["[2001:db8::1]:51820"], "");
    assert!(
        lost.stderr
            .contains("there is no route to the endpoint 2001:db8::1"),
        "{lost:?}"
    );
}

#[test]
fn a_family_counts_only_its_own_routes_and_ipv6_its_own_mtu() {
    let six = "ip link add eth6 type veth peer name far6 && ip link set eth6 mtu 1400 && ip link set eth6 up && ip link set far6 up
ip -6 address add 2001:db8:6::1/64 dev eth6 nodad && ip -6 route add default via 2001:db8:6::2
sysctl -qw net.ipv6.conf.eth6.mtu=1380";
    for (options, mtu) in [("--family ipv4", 1390), ("--family ipv6", 1300), ("", 1300)] {
        let done = copied(six, "", &[], options);
        assert!(
            done.stdout.contains(&format!("\nMTU: {mtu}\n")),
            "{options}: {done:?}"
        );
    }
}

#[test]
fn a_smaller_mtu_of_the_file_is_kept_and_hooks_are_named() {
    let kept = copied("", "MTU = 1300\\n", &[], "");
    assert!(kept.stdout.contains("\nMTU: 1300\n"), "{kept:?}");
    assert!(
        kept.stderr.contains("1300 is kept; --override replaces it"),
        "{kept:?}"
    );
    let replaced = copied("", "MTU = 1300\\n", &[], "--override");
    assert!(
        replaced.stdout.contains("\nMTU: 1370\n") && replaced.stderr.is_empty(),
        "{replaced:?}"
    );
    let lowered = copied("", "MTU = 1420\\n", &[], "");
    assert!(
        lowered.stdout.contains("\nMTU: 1370\n") && lowered.stderr.is_empty(),
        "{lowered:?}"
    );
    let hook = copied("", "PostUp = ip link set mtu 1500 dev wg1\\n", &[], "");
    assert!(
        hook.stderr.contains("PostUp of the config mentions an MTU"),
        "{hook:?}"
    );
}

#[test]
fn programs_get_a_path_or_json() {
    let path = copied("", "", &[], "--print-path");
    assert!(
        path.stdout.ends_with("/copy/wg1.conf\n") && path.stdout.lines().count() == 1,
        "{path:?}"
    );
    let json = copied("", "MTU = 1300\\n", &[], "--output json");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["mtu"], 1300);
    assert_eq!(json["interface"], "eth0");
    assert_eq!(json["warnings"].as_array().map(Vec::len), Some(1), "{json}");
}
