//! For generated documents: an apply changes what the document declares and what the kernel ties to
//! it, and a release brings back every field that netkeel wrote, and those too.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use crate::observed::COMPARISONS;
use crate::random::Random;
use crate::trace::Point;
use crate::world::{DOCUMENT, DropIn, Place, World, inside};
use crate::{full, seed, tell, trace};

const LINKS: &[&str] = &["eth0", "eth0p", "cali1", "cali1p", "cali2p", "mv0", "vx0"];

/// Keys with values that the kernel takes and does not change.
const KEYS: &[(&str, &[&str])] = &[
    ("net.ipv4.ip_forward", &["0", "1"]),
    ("net.ipv4.conf.all.rp_filter", &["0", "1", "2"]),
    ("net.ipv4.conf.default.rp_filter", &["0", "1", "2"]),
    ("net.ipv4.conf.default.accept_redirects", &["0", "1"]),
    ("net.ipv4.conf.cali1.accept_redirects", &["0", "1"]),
    ("net.ipv4.conf.cali1.forwarding", &["0", "1"]),
    ("net.ipv4.conf.eth0.arp_ignore", &["0", "1", "2"]),
    (
        "net.ipv4.tcp_rmem",
        &["[4096, 131072, 4194304]", "[4096, 65536, 8388608]"],
    ),
    ("net.ipv4.tcp_mtu_probing", &["0", "1", "2"]),
    ("net.ipv4.ip_local_port_range", &["[20000, 60000]"]),
    ("net.ipv6.conf.all.forwarding", &["0", "1"]),
    ("net.ipv6.conf.default.accept_ra", &["0", "1"]),
    ("net.ipv6.conf.eth0.accept_ra", &["0", "2"]),
];

/// A document, and words of which each fact that it may change has one.
struct Generated {
    text: String,
    touches: BTreeSet<String>,
}

fn generate(random: &mut Random) -> Generated {
    let mut text = "version: 1\n".to_owned();
    let mut touches = BTreeSet::from(["/90-netkeel.conf".to_owned()]);
    if random.once_in(3) {
        text.push_str("persist: false\n");
    }
    text.push_str("sysctl:\n  net.ipv4.tcp_ecn: 1\n");
    touches.insert("net/ipv4/tcp_ecn".to_owned());
    for (key, values) in KEYS {
        if !random.once_in(3) {
            continue;
        }
        writeln!(text, "  {key}: {}", *random.of(values)).unwrap();
        let leaf = key.rsplit('.').next().unwrap_or_default();
        // The kernel copies what is written to `all` and `default`, and forwarding decides over
        // redirects.
        touches.insert(match *key {
            // A router answers to the anycast address of each network.
            "net.ipv6.conf.all.forwarding" => "forwarding anycast".to_owned(),
            "net.ipv4.ip_forward" => "forward accept_redirects".to_owned(),
            _ => leaf.to_owned(),
        });
    }
    text.push_str("link:\n  cali2: { alias: here }\n");
    touches.insert("link cali2.ifalias".to_owned());
    // What stands on eth0 takes no more than it has.
    for link in LINKS {
        let mut settings = Vec::new();
        if random.once_in(4) {
            let most = if matches!(*link, "mv0" | "vx0") {
                1400
            } else {
                1700
            };
            settings.push(format!("mtu: {}", 1300 + random.below(most - 1299)));
            touches.insert("mtu".to_owned());
        }
        if random.once_in(4) {
            settings.push(format!("rp_filter: {}", *random.of(&["off", "strict", "loose"])));
            touches.insert("rp_filter".to_owned());
        }
        if random.once_in(6) {
            settings.push(format!("txqueuelen: {}", 1 + random.below(3000)));
            touches.insert(format!("link {link}.txqlen"));
        }
        if random.once_in(6) {
            settings.push(format!("alias: 'number {}'", random.below(100)));
            touches.insert(format!("link {link}.ifalias"));
        }
        if !settings.is_empty() {
            writeln!(text, "  {link}: {{ {} }}", settings.join(", ")).unwrap();
        }
    }
    if random.once_in(2) {
        let adopt = random.once_in(2);
        let interface = *random.of(&["eth0", "cali1", "absent0"]);
        writeln!(
            text,
            "nflog:\n  packet-too-big: {{ interfaces: [{interface}], adopt: {adopt} }}"
        )
        .unwrap();
        touches.insert("nftables".to_owned());
    }
    // Last: what is not for the host is without it.
    if random.once_in(2) {
        text.push_str("cni:\n  pods: { file: /var/lib/cni/10-ptp.conf, plugin: ptp, mtu: 1460 }\n");
        touches.insert("/10-ptp.conf".to_owned());
    }
    Generated { text, touches }
}

#[test]
fn an_apply_and_a_release_leave_the_host_as_it_was() {
    let start = Instant::now();
    let rounds = if full() { 300 } else { 15 };
    let mut mismatches = Vec::new();
    let mut applied = 0;
    for round in 0..rounds {
        let seed = seed() + round;
        let mut random = Random::new(seed);
        let generated = generate(&mut random);
        let place = *random.of(&[Place::Host, Place::Other]);
        let drop_in = *random.of(&[DropIn::None, DropIn::Theirs]);
        match inside(place, drop_in, |world| hold(world, &generated, &mut random)) {
            Ok(done) => applied += usize::from(done),
            Err(difference) => {
                mismatches.push(format!("NETKEEL_SEED={seed}\n{}{difference}", generated.text))
            }
        }
    }
    tell(&format!(
        "release: {applied} of {rounds} generated documents applied, the others refused (NETKEEL_SEED={}), {} mismatches, {} s; so far {} comparisons",
        seed(),
        mismatches.len(),
        start.elapsed().as_secs(),
        COMPARISONS.load(std::sync::atomic::Ordering::Relaxed),
    ));
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n\n"));
    assert!(applied * 2 > rounds as usize, "most documents were refused");
}

/// Applies and releases; no document may be refused after something was written.
fn hold(world: &World, generated: &Generated, random: &mut Random) -> Result<bool, String> {
    for link in LINKS {
        if random.once_in(2) {
            let value = *random.of(&["0", "1", "2"]);
            world.sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), value);
        }
    }
    world.document(&generated.text);
    let before = world.look();
    let apply = world.netkeel(&["apply", "-f", DOCUMENT]);
    let applied = world.look();
    if apply.code == 1 {
        return applied.difference(&before).map_or(Ok(false), |difference| {
            Err(format!("{apply:?} changed\n{difference}"))
        });
    }
    if apply.code != 0 {
        return Err(format!("{apply:?}"));
    }
    let touched = |name: &str| {
        let words = generated.touches.iter().flat_map(|words| words.split(' '));
        words.into_iter().any(|word| name.contains(word))
    };
    if let Some(difference) = applied.without(touched).difference(&before.without(touched)) {
        return Err(format!("the apply changed what nobody declared\n{difference}"));
    }
    let release = world.netkeel(&["release"]);
    if release.code != 0 {
        return Err(format!("{release:?}"));
    }
    match world.look().difference(&before) {
        None => Ok(true),
        Some(difference) => Err(format!("{}after the release\n{difference}", release.stdout)),
    }
}

#[test]
fn a_release_changes_the_management_interface_only_when_allowed() {
    inside(Place::Host, DropIn::None, |world| {
        world.sh("ip route add default via 10.0.0.2 dev eth0");
        world.document("version: 1\npersist: no\nlink:\n  eth0: { mtu: 1420 }\n");
        let before = world.look();
        let applied = world.netkeel(&["apply", "-f", DOCUMENT, "--allow-management"]);
        assert_eq!(applied.code, 0, "{applied:?}");
        let held = world.look();
        assert!(held.difference(&before).is_some());
        let refused = world.netkeel(&["release", "--allow-lossy"]);
        assert!(
            refused.code == 1
                && refused.stderr.contains("eth0 is the management interface")
                && refused.stderr.contains("--allow-management")
                && !refused.stderr.contains("--confirm-within"),
            "{refused:?}"
        );
        assert_eq!(world.look().difference(&held), None);
        let released = world.netkeel(&["release", "--allow-lossy", "--allow-management"]);
        assert_eq!(released.code, 0, "{released:?}");
        assert_eq!(world.look().difference(&before), None);
    });
}

#[test]
fn a_bridge_that_followed_its_ports_follows_them_after_a_release_too() {
    inside(Place::Host, DropIn::None, |world| {
        world.sh("ip link add br0 type bridge; ip link set cali1 master br0; ip link set cali2 master br0");
        let shown = || world.sh("ip -o link show br0");
        let is = |wanted: u32| shown().contains(&format!(" mtu {wanted} "));
        assert!(is(1500), "{}", shown());
        world.document("version: 1\npersist: false\nlink:\n  cali1: { mtu: 1400 }\n  cali2: { mtu: 1400 }\n");
        for (arguments, followed) in [(&["apply", "-f", DOCUMENT][..], 1400), (&["release"], 1500)] {
            let ran = world.netkeel(arguments);
            assert!(ran.code == 0 && is(followed), "{ran:?}");
        }
        // A bridge whose MTU was written follows no port any more.
        world.sh("ip link set cali1 mtu 1450");
        assert!(is(1450), "{}", shown());
    });
}

/// The document is accepted.
fn applied<T: Send>(work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::None, |world| {
        world.document("version: 1\nlink:\n  cali1: { mtu: 1400 }\n");
        let ran = world.netkeel(&["apply", "-f", DOCUMENT]);
        assert!(ran.code == 0 && accepted().exists(), "{ran:?}");
        work(world)
    })
}

fn accepted() -> &'static Path {
    Path::new("/var/lib/netkeel/accepted-default.json")
}

#[test]
fn what_is_killed_once_it_has_given_back_leaves_no_document_to_fall_back_to() {
    let is_end = |point: &Point| point.call == "ftruncate" && point.line.contains("/run/netkeel/journal>");
    for command in [&["release"], &["undo"]] {
        let points = applied(|world| {
            let (points, ran) = trace::points(world, command);
            assert_eq!(ran.code, 0, "{ran:?}");
            points
        });
        let end = points
            .iter()
            .rposition(is_end)
            .expect("a commit empties the journal");
        let after = points.iter().skip(end + 1).filter(|point| point.writes());
        for point in after.take(3) {
            applied(|world| {
                trace::kill(world, point, command);
                assert!(!accepted().exists(), "{command:?}: {}", point.line);
            });
        }
    }
}
