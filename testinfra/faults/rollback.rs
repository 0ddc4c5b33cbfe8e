//! Undoing that fails too: exit 4, and commands that an operator can type to put things right. And
//! the kinds of op that need a tunnel, on the model kernel, which can be told to fail.

use std::sync::Arc;

use crate::kill::RICH;
use crate::trace::Point;
use crate::world::{DOCUMENT, DropIn, Place, Ran, inside};
use crate::{tell, trace};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::outcome::Failure;
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

const APPLY: &[&str] = &["apply", "-f", DOCUMENT];

const RELEASE: &[&str] = &["release", "--allow-lossy"];

/// The drop-in.
const FILE: &str = "/etc/sysctl.d/90-netkeel.conf";

/// What the new text of the CNI configuration is written to first.
const CONFIGURATION: &str = "/var/lib/cni/.10-ptp.conf.netkeel.tmp";

/// The sysctls of the document.
const SYSCTLS: &[&str] = &[
    "/proc/sys/net/ipv4/conf/all/rp_filter",
    "/proc/sys/net/ipv4/conf/default/rp_filter",
    "/proc/sys/net/ipv4/ip_local_port_range",
    "/proc/sys/net/ipv4/tcp_rmem",
    "/proc/sys/net/ipv4/tcp_wmem",
    "/proc/sys/net/ipv4/conf/eth0/rp_filter",
];

/// A call that fails, once or from a point on for good.
struct Fault {
    error: &'static str,
    /// The first call that fails, by what it writes in an apply that nobody disturbs.
    from: From,
    lasting: bool,
}

/// A call by what it writes.
enum From {
    /// The n-th change of an interface.
    Link(usize),
    /// The n-th write to one of [`SYSCTLS`].
    Sysctl(usize),
    /// Each rename after the one that put the drop-in in place: undoing needs another one.
    RenameAfterDropIn,
    /// Each removal after those that clear the way for the file of a CNI configuration.
    UnlinkAfterConfiguration,
}

const fn fault(error: &'static str, from: From, lasting: bool) -> Fault {
    Fault { error, from, lasting }
}

/// What fails: each of them lets some ops through and then stops both the apply and its undoing.
const BROKEN: &[&[Fault]] = &[
    &[fault("EPERM", From::Link(4), true)],
    &[fault("EBUSY", From::Link(11), true)],
    &[fault("EINVAL", From::Sysctl(4), true)],
    &[
        fault("EBUSY", From::Link(6), false),
        fault("ENOSPC", From::RenameAfterDropIn, true),
    ],
    &[
        fault("EBUSY", From::Link(6), false),
        fault("EPERM", From::UnlinkAfterConfiguration, true),
    ],
];

impl Fault {
    /// What strace injects for it, and on which paths.
    fn injection(&self, points: &[Point]) -> (String, &'static [&'static str]) {
        let (call, number, paths): (_, _, &[&str]) = match self.from {
            From::Link(number) => {
                let point = trace::nth(points, number, "change an interface", Point::changes_a_link);
                (point.call, point.number, &[])
            }
            // strace counts the calls on these paths only.
            From::Sysctl(number) => ("write", number, SYSCTLS),
            From::RenameAfterDropIn => {
                let point = trace::nth(points, 1, "put the drop-in in place", |point| {
                    point.replaces(FILE)
                });
                (point.call, point.number + 1, &[])
            }
            From::UnlinkAfterConfiguration => {
                let point = trace::nth(points, 1, "clear the way for a configuration", |point| {
                    point.removes(CONFIGURATION)
                });
                (point.call, point.number, &[])
            }
        };
        let lasting = if self.lasting { "+" } else { "" };
        (
            format!("{call}:error={}:when={number}{lasting}", self.error),
            paths,
        )
    }
}

#[test]
fn what_a_rollback_leaves_is_printed_as_commands_that_do_it() {
    let mut remained = 0;
    for drop_in in [DropIn::None, DropIn::Theirs] {
        let points = inside(Place::Host, drop_in, |world| {
            world.document(RICH);
            let (points, ran) = trace::points(world, APPLY);
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            points
        });
        for faults in BROKEN {
            let injections = faults.iter().map(|fault| fault.injection(&points));
            let (what, paths): (Vec<String>, Vec<_>) = injections.unzip();
            let what: Vec<&str> = what.iter().map(String::as_str).collect();
            let (what, paths) = (&*what, &*paths.concat());
            for by_hand in [true, false] {
                remained += inside(Place::Host, drop_in, |world| {
                    world.document(RICH);
                    let before = world.look();
                    let ran = trace::inject_all(world, what, paths, APPLY);
                    let commands = match ran.code {
                        4 => remaining(&ran),
                        // No file was there to put back by a rename, or none to remove.
                        3 => String::new(),
                        _ => panic!("{what:?}: {ran:?}"),
                    };
                    let check = world.netkeel(&["check", "-f", DOCUMENT]);
                    if ran.code == 4 {
                        assert_ne!(world.look(), before, "{ran:?}");
                        assert_eq!(check.code, 1, "{check:?}");
                    }
                    if by_hand {
                        world.by_hand(&commands);
                    } else {
                        let recover = world.netkeel(&["recover"]);
                        assert_eq!(recover.code, 0, "{recover:?}");
                    }
                    let difference = world.look().difference(&before);
                    assert_eq!(
                        difference.as_deref(),
                        None,
                        "{what:?}, by hand {by_hand}: {ran:?}"
                    );
                    // Whoever mended it by hand tells netkeel by recover.
                    let recover = world.netkeel(&["recover"]);
                    assert_eq!(recover.code, 0, "{recover:?}");
                    assert_eq!(world.look().difference(&before), None);
                    assert_eq!(world.netkeel(&["check", "-f", DOCUMENT]).code, 2);
                    usize::from(ran.code == 4)
                });
            }
        }
    }
    tell(&format!(
        "rollbacks that failed too: {remained}, each put right by the commands printed or by recover"
    ));
    assert!(remained >= 14, "only {remained} rollbacks failed");
}

/// The commands that a failed rollback prints.
fn remaining(ran: &Ran) -> String {
    let (_, after) = ran
        .stderr
        .split_once("Commands that remain to be run:\n")
        .unwrap_or_else(|| panic!("{ran:?}"));
    let end = after.find("\n  not restored:").unwrap_or(after.len());
    after[..end].to_owned()
}

#[test]
fn a_file_that_cannot_be_removed_or_put_back_rolls_a_release_back() {
    for (drop_in, call) in [(DropIn::None, "unlink"), (DropIn::Theirs, "rename")] {
        for error in ["EBUSY", "EPERM", "ENOSPC", "EINVAL"] {
            inside(Place::Host, drop_in, |world| {
                world.document(RICH);
                assert_eq!(world.netkeel(APPLY).code, 0);
                let wanted = world.look();
                // strace tells a rename by neither of its names.
                let path: &[&str] = if call == "unlink" {
                    &["/etc/sysctl.d/90-netkeel.conf"]
                } else {
                    &[]
                };
                let ran = trace::inject(world, &format!("{call}:error={error}:when=1"), path, RELEASE);
                assert_eq!(ran.code, 3, "{ran:?}");
                assert!(ran.stderr.contains(error), "{ran:?}");
                assert_eq!(world.look().difference(&wanted), None, "{ran:?}");
                assert_eq!(world.netkeel(&["check", "-f", DOCUMENT]).code, 0);
                assert_eq!(world.netkeel(RELEASE).code, 0);
            });
        }
    }
}

/// Tunnels, with what happens to them and around them.
pub const TUNNELS: &str = "\
version: 1
sysctl:
  net.ipv4.conf.all.rp_filter: 0
  net.ipv4.ip_forward: 1
tunnel:
  ipip0: { mode: ipip, addresses: [127.0.0.42/32, 10.9.9.9/32], rp_filter: off, mtu: 1400 }
  ipip60: { mode: ip6tnl, addresses: [127.0.0.43/32] }
link:
  eth0: { mtu: 1400, alias: uplink }
  cali2: { mtu: 1200, allow_ipv6_loss: true }
";

pub fn document(text: &str) -> Document {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let layers = sources.load("tunnels.yaml", text.as_bytes().to_vec(), None, &mut diagnostics);
    let document = Document::read(layers.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty());
    document
}

pub fn host(document: &Document) -> Snapshot {
    let mut scope = Scope::wide();
    scope.extend(document.scope());
    let mut host = inside(Place::Host, DropIn::None, |_| {
        Live::with(&Netns::CURRENT, |live| live.snapshot(&scope))
            .unwrap()
            .unwrap()
    });
    // The model can make tunnels whatever this kernel can.
    host.tunnels.clear();
    host
}

fn run(document: &Document, kernel: &mut ModelKernel) -> Result<(), Failure> {
    let session = Session {
        kernel,
        log: &mut Unlogged,
        lossy: true,
        watch: &mut Unwatched,
    };
    apply(document, session).outcome.map(|_| ())
}

#[test]
fn an_op_for_a_tunnel_that_fails_on_the_model_rolls_back() {
    let document = document(TUNNELS);
    let host = host(&document);
    let mut whole = ModelKernel::new(host.clone());
    run(&document, &mut whole).unwrap();
    let ops: Vec<String> = whole.done.iter().map(ToString::to_string).collect();
    for kind in [
        "link add name ipip0",
        "addr add 10.9.9.9/32",
        "sysctl -w",
        "write ",
        "dev ipip0 up",
    ] {
        assert!(
            ops.iter().any(|op| op.contains(kind)),
            "no op does `{kind}`: {ops:#?}"
        );
    }
    let (mut rolled_back, mut left) = (0, 0);
    for (at, name) in ops.iter().enumerate() {
        let refusal = || Error::new(ErrorKind::Refused, "Device or resource busy (EBUSY)");
        let mut kernel = ModelKernel::new(host.clone()).failing(at, refusal());
        let Err(Failure::Failed(rollback)) = run(&document, &mut kernel) else {
            panic!("{} failed and nobody noticed", name);
        };
        assert!(
            rollback.remaining.is_empty(),
            "{}: {:?}",
            name,
            rollback.remaining
        );
        same(&kernel.model.host, &host, name);
        rolled_back += 1;
        // Each write of the undoing fails once too: what remains puts it right.
        for second in at + 1..at + 1 + rollback.undone.len() {
            let mut kernel = ModelKernel::new(host.clone())
                .failing(at, refusal())
                .failing(second, refusal());
            let Err(Failure::Failed(rollback)) = run(&document, &mut kernel) else {
                panic!("{} failed and nobody noticed", name);
            };
            // One that is refused can be what others need.
            assert!(!rollback.remaining.is_empty(), "{}", name);
            for (op, _) in &rollback.remaining {
                kernel.execute(op).unwrap();
            }
            same(&kernel.model.host, &host, name);
            left += 1;
        }
    }
    tell(&format!(
        "on the model: {rolled_back} ops refused and rolled back; {left} rollbacks refused too and put right by what remained"
    ));
}

/// Aside from the addresses that the kernel makes by itself.
pub fn same(is: &Snapshot, should: &Snapshot, what: &str) {
    let strip = |host: &Snapshot| {
        let mut host = host.clone();
        for link in host.links.values_mut().map(Arc::make_mut) {
            link.addresses
                .retain(|address| !address.addr().to_string().starts_with("fe80:"));
        }
        host
    };
    let (is, should) = (strip(is), strip(should));
    assert_eq!(is.links, should.links, "{what}");
    assert_eq!(is.sysctls, should.sysctls, "{what}");
    assert_eq!(is.files, should.files, "{what}");
}
