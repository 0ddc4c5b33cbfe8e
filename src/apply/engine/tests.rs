//! An apply to a kernel that reports something as missing, or that cannot be read the second time.

use crate::engine::apply::{apply, undo};
use crate::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_core::name::tunnel::TunnelKind;
use netkeel_core::op::{Made, Op, Target};
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::reading::{Support, SysctlReading};
use netkeel_host::snapshot::scope::Scope;
use netkeel_plan::goal::Goal as _;
use netkeel_plan::outcome::{Applied, Failure, Rollback};
use netkeel_source::diagnostic::Diagnostics;
use netkeel_source::sources::Sources;

/// The model kernel, with a turn.
struct Turning {
    model: ModelKernel,
    looks: usize,
    /// From this look on a sysctl cannot be read.
    blind_from: usize,
    /// Ops whose text holds this are refused: something is missing.
    missing: &'static str,
    /// The interface is deleted with the first op that is refused.
    goes: bool,
}

impl Kernel for Turning {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.looks += 1;
        let mut seen = self.model.snapshot(scope)?;
        if self.looks >= self.blind_from {
            for key in std::mem::take(&mut seen.sysctls).into_keys() {
                seen.problems.push(Problem {
                    what: Subject::sysctl(&seen.netns, &key),
                    why: "Input/output error (EIO)".into(),
                });
            }
        }
        Ok(seen)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        if op.to_string().contains(self.missing) {
            if let (true, Some(target)) = (self.goes, op.target()) {
                self.model.model.host.links.remove(&target.name);
            }
            return Err(Error::new(
                ErrorKind::Missing,
                "No such file or directory (ENOENT)",
            ));
        }
        self.model.execute(op)
    }
}

fn kernel(blind_from: usize, missing: &'static str, goes: bool) -> Turning {
    let mut host = Snapshot::empty(Netns::CURRENT);
    for (index, name) in [(2, "cali1"), (3, "cali2")] {
        let link = Link {
            index,
            mtu: 1500,
            min_mtu: 68,
            max_mtu: 9000,
            rp_filter: Some(0),
            forwarding: Some(0),
            ..Link::default()
        };
        host.links.insert(name.parse().unwrap(), link.into());
    }
    for key in ["net/ipv4/conf/all/rp_filter", "net/ipv4/tcp_ecn"] {
        let reading = SysctlReading::Value {
            value: "0".into(),
            writable: true,
        };
        host.sysctls.insert(key.parse().unwrap(), reading);
    }
    Turning {
        model: ModelKernel::new(host),
        looks: 0,
        blind_from,
        missing,
        goes,
    }
}

fn document(text: &str) -> Document {
    let (mut sources, mut diagnostics) = (Sources::default(), Diagnostics::default());
    let layers = sources.load("a.yaml", text.as_bytes().to_vec(), None, &mut diagnostics);
    let document = Document::read(layers.into_iter().collect(), Netns::CURRENT, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    document
}

fn run(text: &str, kernel: &mut Turning) -> Result<Applied, Failure> {
    let document = document(text);
    let session = Session {
        kernel,
        log: &mut Unlogged,
        lossy: false,
        watch: &mut Unwatched,
    };
    apply(&document, session).outcome
}

const SYSCTL: &str = "version: 1\npersist: no\nsysctl: { net.ipv4.tcp_ecn: 1 }\nlink: { pods: { match: { name: 'cali*' }, mtu: 1400, rp_filter: strict } }\n";

fn failed(text: &str, kernel: &mut Turning) -> Rollback {
    match run(text, kernel) {
        Err(Failure::Failed(rollback)) => *rollback,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_read_after_writing_is_not_taken_to_hold() {
    let mut kernel = kernel(2, "nothing", false);
    let before = kernel.model.model.host.clone();
    let rollback = failed(SYSCTL, &mut kernel);
    assert_eq!(
        rollback.cause.message,
        "after everything was written, sysctl net.ipv4.conf.all.rp_filter could not be read: Input/output error (EIO)"
    );
    assert!(rollback.remaining.is_empty());
    assert_eq!(kernel.model.model.host, before);
}

/// The model kernel with an underlay that changes at each snapshot.
struct Moving(ModelKernel, Vec<u32>);

impl Kernel for Moving {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        if let (Some(mtu), Some(link)) = (self.1.pop(), self.0.model.host.link_mut("cali1".parse().unwrap()))
        {
            link.mtu = mtu;
        }
        self.0.snapshot(scope)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        self.0.execute(op)
    }
}

#[test]
fn an_underlay_that_changes_meanwhile_is_followed_and_no_failure() {
    let document = document(
        "version: 1\npersist: no\nlink: { cali2: { mtu: { underlay: cali1, layers: [wireguard] } } }\n",
    );
    for (mtus, then) in [(vec![1400, 1450], 1320), (vec![1380, 1400, 1450], 1320)] {
        let mut kernel = Moving(kernel(99, "nothing", false).model, mtus);
        let session = Session {
            kernel: &mut kernel,
            log: &mut Unlogged,
            lossy: true,
            watch: &mut Unwatched,
        };
        let applied = apply(&document, session).outcome.unwrap();
        assert_eq!(applied.done, 2);
        let is = kernel.0.model.host.links[&"cali2".parse().unwrap()].mtu;
        assert_eq!(is, then);
    }
}

#[test]
fn a_missing_sysctl_of_an_interface_that_is_there_is_no_vanished_interface() {
    let mut there = kernel(99, "cali2.rp_filter=1", false);
    let rollback = failed(SYSCTL, &mut there);
    assert_eq!(
        rollback.cause.message,
        "sysctl -w net.ipv4.conf.cali2.rp_filter=1: No such file or directory (ENOENT)"
    );
    let mut gone = kernel(99, "cali2.rp_filter=1", true);
    let applied = run(SYSCTL, &mut gone).unwrap();
    assert_eq!(applied.vanished, ["cali2".parse().unwrap()]);
}

#[test]
fn an_undo_that_misses_something_remains_unless_its_interface_is_gone() {
    let ops = |kernel: &mut Turning| {
        let document = "version: 1\npersist: no\nlink: { cali1: { rp_filter: loose, mtu: 1400 } }\n";
        let applied = run(document, kernel).unwrap();
        let undo = applied
            .planned
            .plan
            .steps
            .into_iter()
            .rev()
            .map(|step| step.undo.ops);
        undo.collect::<Vec<Vec<Op>>>()
    };
    for (goes, left) in [(false, 1), (true, 0)] {
        let mut kernel = kernel(99, "cali1.rp_filter=0", goes);
        let ops = ops(&mut kernel);
        let (undone, remaining) = undo(&mut kernel, ops.iter().map(Vec::as_slice));
        let remaining: Vec<String> = remaining.iter().map(|(op, _)| op.to_string()).collect();
        assert_eq!(remaining.len(), left, "{remaining:?}");
        assert_eq!(undone.len(), usize::from(!goes), "{undone:?}");
    }
    let mut kernel = kernel(99, "tcp_ecn=0", false);
    let document = "version: 1\npersist: no\nsysctl: { net.ipv4.tcp_ecn: 1 }\n";
    let applied = run(document, &mut kernel).unwrap();
    let steps = &applied.planned.plan.steps;
    let (_, remaining) = undo(&mut kernel, steps.iter().map(|step| &*step.undo.ops));
    assert_eq!(
        remaining.len(),
        1,
        "a sysctl of no interface is missing, and nothing took it away"
    );
}

/// The model kernel, on which another program writes as soon as this one has.
struct Shared {
    model: ModelKernel,
    /// The writes of the other program.
    writes: Vec<(&'static str, &'static str)>,
    looks: usize,
}

impl Kernel for Shared {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.looks += 1;
        if self.looks == 2 {
            for (key, value) in std::mem::take(&mut self.writes) {
                self.model.model.apply(&Op::WriteSysctl {
                    netns: Netns::CURRENT,
                    key: key.parse().unwrap(),
                    value: value.into(),
                    link: None,
                });
            }
        }
        self.model.snapshot(scope)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        self.model.execute(op)
    }
}

fn shared(text: &str, writes: &[(&'static str, &'static str)]) -> (Result<Applied, Failure>, ModelKernel) {
    let mut kernel = Shared {
        model: kernel(99, "nothing", false).model,
        writes: writes.to_vec(),
        looks: 0,
    };
    let session = Session {
        kernel: &mut kernel,
        log: &mut Unlogged,
        lossy: false,
        watch: &mut Unwatched,
    };
    let outcome = apply(&document(text), session).outcome;
    (outcome, kernel.model)
}

const TWO: &str =
    "version: 1\npersist: no\nsysctl: { net.ipv4.tcp_ecn: 1, net.ipv4.conf.all.rp_filter: 0 }\n";

#[test]
fn what_holds_is_kept_though_another_program_changes_what_was_not_written() {
    let (outcome, kernel) = shared(TWO, &[("net.ipv4.conf.all.rp_filter", "2")]);
    let applied = outcome.unwrap();
    assert_eq!(applied.done, 1);
    let told: Vec<&str> = applied.new_drift.iter().map(|drift| &*drift.message).collect();
    assert_eq!(
        told,
        ["sysctl net.ipv4.conf.all.rp_filter is 2 (loose) and should be 0 (off)"]
    );
    let ecn = kernel.model.host.sysctl_number("net/ipv4/tcp_ecn");
    assert_eq!(ecn, Some(1), "the write that held is not undone");
}

#[test]
fn what_was_written_and_does_not_hold_is_undone_whatever_else_changed() {
    let writes = [("net.ipv4.conf.all.rp_filter", "2"), ("net.ipv4.tcp_ecn", "0")];
    let (outcome, kernel) = shared(TWO, &writes);
    let Err(Failure::Failed(rollback)) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(
        rollback.cause.message,
        "after everything was written, sysctl net.ipv4.tcp_ecn is 0 and should be 1"
    );
    assert_eq!(rollback.blamed.len(), 1);
    let filter = kernel.model.host.sysctl_number("net/ipv4/conf/all/rp_filter");
    assert_eq!(filter, Some(2), "what another program wrote is its own");
}

#[test]
fn what_was_not_written_and_cannot_be_read_any_more_undoes_nothing() {
    struct Blind(ModelKernel, usize);
    impl Kernel for Blind {
        fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
            self.1 += 1;
            let mut seen = self.0.snapshot(scope)?;
            let key = "net/ipv4/conf/all/rp_filter".parse().unwrap();
            if self.1 > 1 && seen.sysctls.remove(&key).is_some() {
                seen.problems.push(Problem {
                    what: Subject::sysctl(&seen.netns, &key),
                    why: "Input/output error (EIO)".into(),
                });
            }
            Ok(seen)
        }
        fn execute(&mut self, op: &Op) -> Result<(), Error> {
            self.0.execute(op)
        }
    }
    let mut kernel = Blind(kernel(99, "nothing", false).model, 0);
    let session = Session {
        kernel: &mut kernel,
        log: &mut Unlogged,
        lossy: false,
        watch: &mut Unwatched,
    };
    let applied = apply(&document(TWO), session).outcome.unwrap();
    let told: Vec<&str> = applied.new_drift.iter().map(|drift| &*drift.message).collect();
    assert_eq!(
        told,
        ["sysctl net.ipv4.conf.all.rp_filter could not be read: Input/output error (EIO)"]
    );
}

fn tunnel(index: u32) -> Target {
    Target {
        netns: Netns::CURRENT,
        index,
        name: "ipip0".parse().unwrap(),
    }
}

fn device(index: u32, kind: &str, external: bool) -> Link {
    Link {
        index,
        kind: Some(kind.into()),
        external,
        ..Link::default()
    }
}

/// A host with this device as `ipip0`.
fn with(link: Link) -> Turning {
    let mut kernel = kernel(usize::MAX, "nothing", false);
    let links = &mut kernel.model.model.host.links;
    links.insert(tunnel(0).name, link.into());
    kernel
}

#[test]
fn the_undo_of_a_creation_deletes_what_was_made_and_no_other_device() {
    for (link, instead_of, goes) in [
        (device(7, "ipip", true), 0, true),
        (device(7, "ipip", true), 5, true),
        // The apply was killed before it deleted the old device.
        (device(5, "ipip", true), 5, false),
        (device(5, "vxlan", true), 5, false),
        // Another program made one meanwhile.
        (device(7, "ipip", false), 0, false),
        (device(7, "veth", false), 0, false),
    ] {
        let mut kernel = with(link.clone());
        let mode = TunnelKind::Ipip;
        let delete = Op::DeleteLink {
            target: tunnel(0),
            made: Some(Made { mode, instead_of }),
        };
        let (undone, remaining) = undo(&mut kernel, [std::slice::from_ref(&delete)].into_iter());
        assert!(remaining.is_empty(), "{remaining:?}");
        assert_eq!(undone.len(), usize::from(goes), "{link:?}");
        let stays = kernel.model.model.host.links.contains_key(&tunnel(0).name);
        assert_eq!(stays, !goes, "{link:?}");
    }
}

#[test]
fn the_tunnel_of_another_program_does_not_keep_an_undo_from_ending() {
    let mut kernel = with(device(7, "ipip", true));
    let delete = Op::DeleteLink {
        target: Target {
            name: "ipip1".parse().unwrap(),
            ..tunnel(0)
        },
        made: Some(Made {
            mode: TunnelKind::Ipip,
            instead_of: 0,
        }),
    };
    let (undone, remaining) = undo(&mut kernel, [std::slice::from_ref(&delete)].into_iter());
    assert_eq!((undone.len(), remaining.len()), (0, 0), "{remaining:?}");
    assert!(kernel.model.model.host.links.contains_key(&tunnel(0).name));
}

#[test]
fn a_plan_that_creates_a_tunnel_knows_what_it_made() {
    let document = document("version: 1\npersist: no\ntunnel: { ipip0: { mode: ipip, force: yes } }\n");
    for old in [None, Some(device(5, "dummy", false))] {
        let mut host = kernel(usize::MAX, "nothing", false).model.model.host;
        host.tunnels.insert(TunnelKind::Ipip, Support::Yes);
        let instead_of = old.as_ref().map_or(0, |old| old.index);
        host.links.extend(old.map(|old| (tunnel(0).name, old.into())));
        let plan = document.plan(&host).unwrap().plan;
        let made = plan.steps.iter().find_map(|step| match step.undo.ops.first() {
            Some(Op::DeleteLink { made, .. }) => *made,
            _ => None,
        });
        let mode = TunnelKind::Ipip;
        assert_eq!(made, Some(Made { mode, instead_of }));
    }
}

#[test]
fn a_repeated_undo_accepts_the_tunnel_that_it_made_and_nothing_else() {
    let create = Op::CreateTunnel {
        target: tunnel(0),
        mode: TunnelKind::Ipip,
    };
    for (link, accepted) in [
        (device(7, "ipip", true), true),
        (device(7, "ipip", false), false),
        (device(7, "ip6tnl", true), false),
        (device(7, "veth", false), false),
    ] {
        let mut kernel = with(link.clone());
        let (undone, remaining) = undo(&mut kernel, [std::slice::from_ref(&create)].into_iter());
        assert_eq!(
            (undone.len(), remaining.len()),
            (usize::from(accepted), usize::from(!accepted)),
            "{link:?}"
        );
    }
    // The kernel refuses it because of another tunnel.
    let mut kernel = kernel(usize::MAX, "nothing", false);
    let links = &mut kernel.model.model.host.links;
    links.insert("other".parse().unwrap(), device(7, "ipip", true).into());
    let (undone, remaining) = undo(&mut kernel, [std::slice::from_ref(&create)].into_iter());
    assert_eq!((undone.len(), remaining.len()), (0, 1));
}
