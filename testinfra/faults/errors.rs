//! Errors of the kernel at every point: the host is as it was, or, where nothing could be undone,
//! what remains is printed as commands that put it right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::kill::{RICH, apply};
use crate::observed::Observed;
use crate::random::Random;
use crate::trace::Point;
use crate::world::{DOCUMENT, DropIn, Place, Ran, World, inside, program};
use crate::{full, seed, tell, trace};

const ERRORS: &[&str] = &["EBUSY", "EPERM", "ENOSPC", "EINVAL"];

const APPLY: &[&str] = &["apply", "-f", DOCUMENT];

/// Points that a run without NETKEEL_FULL tries.
const SAMPLE: usize = 40;

/// Calls whose failure is told to netkeel by somebody other than the loader.
const FAILING: &[&str] = &[
    "write",
    "sendto",
    "renameat",
    "rename",
    "unlink",
    "fsync",
    "fdatasync",
    "mkdir",
    "ftruncate",
    "fchmod",
    "fchown",
    "openat",
    "openat2",
    "ioctl",
];

/// A value in a file of somebody else.
const CONFIGURED: &str =
    "version: 1\npersist: false\ncni:\n  pods: { file: /var/lib/cni/10-ptp.conf, plugin: ptp, mtu: 1460 }\n";

/// A copy of what holds keys.
const COPIED: &str = "version: 1\npersist: false\nwireguard:\n  wg0: { source: /var/lib/secret/wg0.conf, target: /var/lib/cni/wg0.conf, mtu: 1370 }\n";

/// Takes IPv6 off an interface and, undone, gives it back: the one way to an address without a
/// tunnel.
const LOSSY: &str = "\
version: 1
persist: false
link:
  cali1: { alias: first }
  cali2: { mtu: 1200, allow_ipv6_loss: true }
  vx0: { alias: last }
";

fn states(place: Place, document: &'static str) -> (Observed, Observed) {
    inside(place, DropIn::Theirs, |world| {
        world.document(document);
        let before = world.look();
        let ran = world.netkeel(APPLY);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        (before, world.look())
    })
}

fn in_a_world<T: Send>(document: &str, work: impl FnOnce(&World) -> T + Send) -> T {
    inside(Place::Host, DropIn::Theirs, |world| {
        world.document(document);
        work(world)
    })
}

#[test]
fn an_error_at_any_point_leaves_the_host_as_it_was_or_as_wanted() {
    let start = Instant::now();
    let (before, wanted) = states(Place::Host, RICH);
    let mut points = trace::interesting(apply().to_vec(), full());
    points.retain(|point| FAILING.contains(&point.call));
    assert!(points.len() >= SAMPLE, "only {} calls can fail", points.len());
    let mut tried: Vec<(&Point, &str)> = Vec::new();
    let all = points.len() * ERRORS.len();
    let mut random = Random::new(seed());
    for point in &points {
        tried.extend(ERRORS.iter().map(|error| (point, *error)));
    }
    while !full() && tried.len() > SAMPLE {
        tried.remove(random.below(tried.len()));
    }
    let mut mismatches = Vec::new();
    let mut codes = BTreeMap::new();
    for (point, error) in &tried {
        let result = in_a_world(RICH, |world| {
            let what = format!("{}:error={error}:when={}", point.call, point.number);
            let ran = trace::inject(world, &what, &[], APPLY);
            judge(world, &ran, &before, &wanted).map(|()| ran.code)
        });
        match result {
            Ok(code) => *codes.entry(code).or_insert(0) += 1,
            Err(difference) => mismatches.push(format!("{error} at {}: {difference}", point.line)),
        }
    }
    tell(&format!(
        "errors: {} of {all} points and errors (NETKEEL_SEED={}), exit codes {codes:?}, {} mismatches, {} s",
        tried.len(),
        seed(),
        mismatches.len(),
        start.elapsed().as_secs()
    ));
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
    assert!(codes.contains_key(&3), "no error led to a rollback: {codes:?}");
}

/// One call failed: whatever netkeel says of it is so.
fn judge(world: &World, ran: &Ran, before: &Observed, wanted: &Observed) -> Result<(), String> {
    let look = world.look();
    let expected = match ran.code {
        // 5: a fact that the apply did not write could not be read afterwards.
        0 | 5 => wanted,
        1 if ran.stderr.contains("cannot write the result") => wanted,
        1 | 3 => before,
        _ => return Err(format!("{ran:?}")),
    };
    if let Some(difference) = look.difference(expected) {
        return Err(format!("{ran:?}\n{difference}"));
    }
    // A journal that could not be closed is one that recover closes.
    let recovered = world.netkeel(&["recover"]);
    if recovered.code != 0 {
        return Err(format!("{ran:?}\nand then {recovered:?}"));
    }
    let settled = world.look();
    match settled.difference(expected) {
        Some(difference) if settled.difference(before).is_some() => {
            Err(format!("{ran:?}\nafter recover\n{difference}"))
        }
        _ => Ok(()),
    }
}

/// A kind of op, and the calls by which it is done and nothing else.
struct Kind {
    name: &'static str,
    document: &'static str,
    call: &'static str,
    /// Only calls on these; all where there are none.
    paths: &'static [&'static str],
    /// What the message that it failed begins with.
    told: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "SetMtu",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "ip link set dev mv0 mtu",
    },
    Kind {
        name: "SetUp",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "ip link set dev vx0 up",
    },
    Kind {
        name: "SetAlias",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "ip link set dev eth0 alias",
    },
    Kind {
        name: "SetTxQueueLength",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "ip link set dev eth0 txqueuelen",
    },
    Kind {
        name: "WriteSysctl",
        document: RICH,
        call: "write",
        paths: &["/proc/sys/net/ipv4/conf/eth0/rp_filter"],
        told: "sysctl -w net.ipv4.conf.eth0.rp_filter",
    },
    Kind {
        name: "WriteFile",
        document: RICH,
        call: "rename",
        paths: &[],
        told: "write /etc/sysctl.d/90-netkeel.conf",
    },
    Kind {
        name: "SetPluginMtu",
        document: CONFIGURED,
        call: "rename",
        paths: &[],
        told: "jq ",
    },
    Kind {
        name: "SetRules",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "nft 'add table inet netkeel",
    },
    Kind {
        name: "RemoveForeignRules",
        document: RICH,
        call: "sendto",
        paths: &[],
        told: "iptables-nft -t raw -D PREROUTING",
    },
    Kind {
        name: "SetWireguardMtu",
        document: COPIED,
        call: "rename",
        paths: &[],
        told: "(umask 077 && sed ",
    },
    Kind {
        name: "SetMtu that loses IPv6",
        document: LOSSY,
        call: "sendto",
        paths: &[],
        told: "ip link set dev vx0 alias",
    },
];

#[test]
fn each_kind_of_op_refused_by_the_kernel_rolls_back_with_exit_3() {
    let mut done = BTreeSet::new();
    for kind in KINDS {
        let (before, _) = states(Place::Host, kind.document);
        let number = number_of(kind);
        for error in ERRORS {
            let ran = in_a_world(kind.document, |world| {
                let what = format!("{}:error={error}:when={number}", kind.call);
                let ran = trace::inject(world, &what, kind.paths, APPLY);
                let difference = world.look().difference(&before);
                assert_eq!(difference.as_deref(), None, "{} {error}: {ran:?}", kind.name);
                let check = world.netkeel(&["check", "-f", DOCUMENT]);
                assert_eq!(check.code, 2, "{check:?}");
                ran
            });
            assert_eq!(ran.code, 3, "{} {error}: {ran:?}", kind.name);
            assert!(
                ran.stderr.contains(kind.told) && ran.stderr.contains(error),
                "{} {error}: {}",
                kind.name,
                ran.stderr
            );
            done.insert((kind.name, *error));
        }
    }
    tell(&format!(
        "op kinds refused: {} of kind and error, each rolled back with exit 3",
        done.len()
    ));
}

/// Which of its calls does the op: the one at whose failure netkeel names it. Some calls before it only read what an
/// apply can do without.
fn number_of(kind: &Kind) -> usize {
    for number in 1..500 {
        let ran = in_a_world(kind.document, |world| {
            trace::inject(
                world,
                &format!("{}:error=EBUSY:when={number}", kind.call),
                kind.paths,
                APPLY,
            )
        });
        if ran.stderr.contains(&format!("error: {}", kind.told)) {
            return number;
        }
    }
    panic!("no {} does {}", kind.call, kind.told);
}

/// One link is written, and the other is as declared until another program changes it.
const BESIDE: &str = "version: 1\npersist: false\nlink:\n  cali1: { mtu: 1400 }\n  cali2: { mtu: 1500 }\n";

#[test]
fn what_another_program_changes_meanwhile_is_new_drift_and_undoes_nothing() {
    in_a_world(BESIDE, |world| {
        // netkeel waits after each write to its journal, the first of which is before its first write to the host.
        let script = format!(
            "strace -f -qq -o /dev/null -P /run/netkeel/journal -e inject=write,pwrite64,writev:delay_exit=1500000 \
                {program} apply -f {DOCUMENT} --output json > /run/out 2> /run/err & pid=$!
            until [ -s /run/netkeel/journal ]; do kill -0 $pid; sleep 0.02; done
            ip link set cali2 mtu 1300
            code=0; wait $pid || code=$?; echo $code; cat /run/out /run/err",
            program = program()
        );
        let told = world.sh(&script);
        assert!(told.starts_with("5\n"), "{told}");
        assert!(told.contains(r#""result": "applied-with-new-drift""#), "{told}");
        assert!(
            told.contains("the writes hold") && told.contains("cali2"),
            "{told}"
        );
        let ends = world.sh("ip -o link show cali1; ip -o link show cali2");
        assert!(ends.contains("mtu 1400") && ends.contains("mtu 1300"), "{ends}");
    });
}
