//! Every kind of op that there is, refused with every error: on the model kernel, which can do also
//! what this kernel has no module for. And the library on the real kernel, when nothing can be
//! undone: what remains is the commands that put things right.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::kill::RICH;
use crate::rollback::{TUNNELS, document, host, same};
use crate::world::{DropIn, Place, inside};
use crate::{names, tell};
use netkeel_apply::engine::apply::apply;
use netkeel_apply::engine::session::{Session, Unlogged, Unwatched};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::link::LinkName;
use netkeel_core::name::netns::Netns;
use netkeel_core::op::Op;
use netkeel_document::document::Document;
use netkeel_host::kernel::Kernel;
use netkeel_host::model::kernel::ModelKernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::link::Link;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::live::snapshot::Live;
use netkeel_plan::goal::{Goal, Release};
use netkeel_plan::ledger::Ledger;
use netkeel_plan::loss::Loss;
use netkeel_plan::outcome::{Failure, Rollback};
use netkeel_plan::plan::Plan;

/// What the kernel may say, and what netkeel makes of it.
const ERRORS: &[(&str, ErrorKind)] = &[
    ("Device or resource busy (EBUSY)", ErrorKind::Refused),
    ("Operation not permitted (EPERM)", ErrorKind::Permission),
    ("No space left on device (ENOSPC)", ErrorKind::Refused),
    ("Invalid argument (EINVAL)", ErrorKind::Refused),
];

/// A rule of iptables-nft that logs.
const LOGGED: &str = r#"{"support":"yes","others":[{"writer":"iptables-nft","family":"ip","table":"raw",
    "chain":"PREROUTING","position":1,"group":33,"interfaces":{"named":"eth0"},"ipv4":true,"ipv6":false,
    "whole":true,"text":"-i eth0 -p icmp -m icmp --icmp-type 3/4 -j NFLOG --nflog-group 33",
    "content":{"expressions":"00"}}]}"#;

fn run(goal: &dyn Goal, kernel: &mut dyn Kernel) -> Result<(), Failure> {
    let session = Session {
        kernel,
        log: &mut Unlogged,
        lossy: true,
        watch: &mut Unwatched,
    };
    apply(goal, session).outcome.map(|_| ())
}

/// The records of an apply, those of interfaces that it made included.
fn claims(plan: &Plan, after: &Snapshot) -> Ledger {
    let made = after.devices();
    plan.claims().map(|claim| claim.on_made(&made)).collect()
}

/// Refuses each op of a goal with each error, and adds what was tried.
fn refuse_each(goal: &dyn Goal, host: &Snapshot, tried: &mut BTreeSet<(&'static str, &'static str)>) {
    let mut whole = ModelKernel::new(host.clone());
    run(goal, &mut whole).unwrap();
    for (at, op) in whole.done.iter().enumerate() {
        for (message, of_kind) in ERRORS {
            let mut kernel = ModelKernel::new(host.clone()).failing(at, Error::new(*of_kind, *message));
            let Err(Failure::Failed(rollback)) = run(goal, &mut kernel) else {
                panic!("{op}: {message}, and nobody noticed");
            };
            let Rollback { cause, remaining, .. } = &*rollback;
            assert_eq!(cause.kind, *of_kind, "{op}");
            assert!(cause.message.ends_with(message), "{op}: {}", cause.message);
            assert!(remaining.is_empty(), "{op}: {message}: {remaining:?}");
            let again: BTreeSet<LinkName> = rollback.undone.iter().filter_map(made).collect();
            let lost = without(&kernel.model.host, &rollback.lost, &again);
            same(
                &lost,
                &without(host, &rollback.lost, &again),
                &format!("{op}: {message}"),
            );
            tried.insert((names::name(op), *message));
        }
    }
}

fn made(op: &Op) -> Option<LinkName> {
    match op {
        Op::CreateTunnel { target, .. } | Op::RecreateTunnel { target, .. } => Some(target.name),
        _ => None,
    }
}

/// Aside from devices that the plan says are lost, and the index of those that were made again.
fn without(host: &Snapshot, lost: &[Loss], again: &BTreeSet<LinkName>) -> Snapshot {
    let mut host = host.clone();
    host.links
        .retain(|name, _| !lost.contains(&Loss::Device { link: *name }));
    for (name, link) in &mut host.links {
        if again.contains(name) {
            Arc::make_mut(link).index = 0;
        }
    }
    host
}

#[test]
fn every_kind_of_op_refused_with_every_error_rolls_back_on_the_model() {
    let mut tried = BTreeSet::new();
    let tunnels = document(TUNNELS);
    let empty = host(&tunnels);
    refuse_each(&tunnels, &empty, &mut tried);

    // A tunnel of the name that is another one, one that lacks an address, and a queue.
    let other = document(
        "version: 1\ntunnel:\n  ipip0: { mode: ipip, addresses: [127.0.0.42/32] }\n  ipip60: { mode: ip6tnl, addresses: [127.0.0.43/32] }\nlink:\n  eth0: { txqueuelen: 77 }\n",
    );
    let mut there = ModelKernel::new(host(&other));
    run(
        &document("version: 1\ntunnel:\n  ipip60: { mode: ip6tnl }\n"),
        &mut there,
    )
    .unwrap();
    let mut there = there.model.host;
    let mut stranger = Link::clone(&there.links[&"ipip60".parse().unwrap()]);
    (stranger.index, stranger.kind, stranger.external) = (900, Some("ipip".into()), false);
    (stranger.up, stranger.addresses) = (false, Default::default());
    there.links.insert("ipip0".parse().unwrap(), stranger.into());
    refuse_each(&other, &there, &mut tried);

    // A value in a file of somebody else.
    let pods = document("version: 1\npersist: false\ncni:\n  pods: { plugin: calico, mtu: 1460 }\n");
    let mut node = host(&pods);
    let seen = r#"{"runtime": {"directory": "/etc/cni/net.d"}, "files": {"/etc/cni/net.d/10-calico.conflist":
        {"sha256": "", "plugins": [{"type": "calico", "at": "plugins[0].mtu", "mtu": 1500}]}}}"#;
    node.cni = Some(serde_json::from_str(seen).unwrap());
    refuse_each(&pods, &node, &mut tried);

    // A copy of a configuration that holds keys.
    let copied = document(
        "version: 1\npersist: false\nwireguard:\n  wg0: { source: /etc/wireguard/wg0.conf, target: /run/wireguard/wg0.conf, mtu: 1370 }\n",
    );
    let mut with_copy = host(&copied);
    let seen = r#"{"/run/wireguard/wg0.conf": {"source": "/etc/wireguard/wg0.conf", "source_there": true, "is": 1420}}"#;
    with_copy.wireguard = serde_json::from_str(seen).unwrap();
    refuse_each(&copied, &with_copy, &mut tried);

    // Rules that log, in the place of somebody else's.
    let logging =
        document("version: 1\npersist: no\nnflog:\n  packet-too-big: { interfaces: [eth0], adopt: true }\n");
    let mut logged = host(&logging);
    logged.nflog = Some(serde_json::from_str(LOGGED).unwrap());
    refuse_each(&logging, &logged, &mut tried);
    // A pod's end of a veth, and a route by it.
    let pod = document("version: 1\nlink:\n  eth0: { mtu: 1400 }\n");
    let mut node = host(&pod);
    let end = r#"{"sandbox": {"path": "/run/netns/pod", "inode": 7}, "index": 2, "name": "eth0", "mtu": 1500,
        "routes": {"0.0.0.0/0": {"mtu": 1500, "rest": "via 169.254.1.1 onlink"}}}"#;
    let veth = node.link_mut("eth0".parse().unwrap()).unwrap();
    veth.peer_netns = Some(0);
    veth.pod = Some(serde_json::from_str(end).unwrap());
    refuse_each(&pod, &node, &mut tried);

    // Metrics of a route: one that it has, and one that it gets.
    let routed = document("version: 1\nroute:\n  default: { mtu: 1400, advmss: 1360 }\n");
    let mut node = host(&routed);
    let seen = r#"{"0.0.0.0/0": {"rest": "via 192.0.2.1", "metrics": {"mtu": 1450}}}"#;
    node.link_mut("eth0".parse().unwrap()).unwrap().routes = serde_json::from_str(seen).unwrap();
    node.routes = routed.scope().routes;
    refuse_each(&routed, &node, &mut tried);

    // And everything given back.
    for (document, before) in [
        (&tunnels, &empty),
        (&other, &there),
        (&logging, &logged),
        (&copied, &with_copy),
        (&routed, &node),
    ] {
        let plan = Goal::plan(document, before).unwrap().plan;
        let mut kernel = ModelKernel::new(before.clone());
        run(document, &mut kernel).unwrap();
        let ledger = claims(&plan, &kernel.model.host);
        let release = Release {
            ledger: &ledger,
            owner: "default",
            netns: &Netns::CURRENT,
        };
        refuse_each(&release, &kernel.model.host, &mut tried);
    }
    let missing: Vec<String> = names::ALL
        .iter()
        .flat_map(|kind| ERRORS.iter().map(move |(error, _)| (*kind, *error)))
        .filter(|pair| !tried.contains(pair))
        .map(|(kind, error)| format!("{kind}: {error}"))
        .collect();
    assert!(missing.is_empty(), "never refused: {missing:#?}");
    tell(&format!(
        "on the model: {} kinds of op refused with {} errors each, all rolled back",
        names::ALL.len(),
        ERRORS.len()
    ));
}

/// The real kernel until an op, and from there on one that refuses everything.
struct Breaking<'a> {
    kernel: &'a mut Live,
    /// Ops that are done yet.
    left: usize,
}

impl Kernel for Breaking<'_> {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.kernel.snapshot(scope)
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        if self.left == 0 {
            return Err(Error::new(ErrorKind::Refused, "Device or resource busy (EBUSY)"));
        }
        self.left -= 1;
        self.kernel.execute(op)
    }
}

#[test]
fn what_the_library_could_not_undo_is_told_as_commands_that_undo_it() {
    let document: &Document = &document(RICH);
    let mut left = 0;
    for done in [1, 5, 9] {
        inside(Place::Host, DropIn::Theirs, |world| {
            let before = world.look();
            let failure = Live::with(&Netns::CURRENT, |kernel| {
                run(document, &mut Breaking { kernel, left: done })
            })
            .unwrap();
            let Err(Failure::Failed(rollback)) = failure else {
                panic!("{failure:?}");
            };
            assert!(rollback.cause.message.ends_with("(EBUSY)"), "{rollback:?}");
            assert!(rollback.undone.is_empty(), "{rollback:?}");
            assert!(rollback.remaining.len() >= done, "{rollback:?}");
            assert!(world.look().difference(&before).is_some());
            let commands: Vec<String> = rollback.remaining.iter().map(|(op, _)| op.command()).collect();
            world.by_hand(&commands.join("\n"));
            assert_eq!(world.look().difference(&before), None, "{commands:#?}");
            left += commands.len();
        });
    }
    tell(&format!(
        "library: {left} writes could not be undone, and the commands told undid them"
    ));
}
