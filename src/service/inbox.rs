//! Messages to the main loop: requests of clients and of signals. Only the loop answers, so a loop that
//! hangs answers nobody.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;

use crate::http::answer::{Answer, Question};
use netkeel_core::cluster_policies::PolicyNews;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::probe::Probe;
use netkeel_core::replication::cluster_peers::{ClusterPeers, PeerNews};
use netkeel_document::policy::eviction::news::EvictionNews;
use netkeel_document::policy::wish::SlotNews;
use netkeel_kernel::netlink::interrupt::Interrupt;

/// Messages that may wait for the loop. A client waits while there are more.
pub(crate) const CAPACITY: usize = 64;

/// A message to the main loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// Reload the document.
    Reload,
    /// Stop the service.
    Stop,
    /// A client's question, and where its answer goes.
    Ask(Question, oneshot::Sender<Answer>),
    /// News of the peers that these objects of a cluster name.
    Peers(ClusterPeers, PeerNews),
    /// News of the cluster's policies.
    Policies(PolicyNews),
    /// News of the slots of policies.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(dead_code, reason = "no cluster is asked")
    )]
    Slots(SlotNews),
    /// The probes of a policy that pass: its UID, the hash of its document, and the probes.
    Asked(String, String, Vec<Probe>),
    /// News of the evictions of pods.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(dead_code, reason = "no cluster is asked")
    )]
    Evictions(EvictionNews),
    /// Why an event on the Node was not written.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(dead_code, reason = "no cluster is asked")
    )]
    EventLost(String),
    /// Why the state of the node is not in the cluster, or not all of it; `None` when that has ended.
    NodeState(Option<String>),
    /// A client could not be accepted, for this reason.
    NotAccepted(String),
}

/// Forwards signals to the loop. SIGTERM and SIGINT also set `interrupt`, because the loop receives no
/// message during a pass.
///
/// # Errors
/// When a signal handler cannot be installed.
pub(crate) fn forward_signals(inbox: &Sender<Message>, interrupt: &Interrupt) -> Result<(), Error> {
    let refused = |error: std::io::Error| {
        Error::new(
            ErrorKind::Refused,
            format!("cannot install signal handlers: {error}"),
        )
    };
    for number in [SIGTERM, SIGINT] {
        flag::register(number, interrupt.flag()).map_err(refused)?;
    }
    let kinds: [(SignalKind, fn() -> Message); 3] = [
        (SignalKind::hangup(), || Message::Reload),
        (SignalKind::terminate(), || Message::Stop),
        (SignalKind::interrupt(), || Message::Stop),
    ];
    for (kind, message) in kinds {
        let mut arrived = signal(kind).map_err(refused)?;
        let inbox = inbox.clone();
        tokio::spawn(async move {
            while arrived.recv().await.is_some() {
                if inbox.send(message()).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
