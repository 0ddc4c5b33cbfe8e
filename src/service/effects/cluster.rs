//! Follows the objects of a cluster that name the replication worker's peers.

use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

use crate::inbox::Message;
use netkeel_core::replication::cluster_peers::ClusterPeers;

/// The task that follows them, if the document names any.
pub(crate) struct ClusterFollower {
    runtime: Handle,
    inbox: Sender<Message>,
    followed: Option<ClusterPeers>,
    task: Option<JoinHandle<()>>,
}

impl ClusterFollower {
    pub(crate) fn new(runtime: Handle, inbox: Sender<Message>) -> Self {
        ClusterFollower {
            runtime,
            inbox,
            followed: None,
            task: None,
        }
    }

    /// The objects that are followed.
    pub(crate) fn followed(&self) -> Option<&ClusterPeers> {
        self.followed.as_ref()
    }

    /// Follows other objects, or none. Returns whether that is a change.
    pub(crate) fn follow(&mut self, wanted: Option<&ClusterPeers>) -> bool {
        if self.followed.as_ref() == wanted {
            return false;
        }
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.followed = wanted.cloned();
        self.task = wanted
            .cloned()
            .map(|wanted| self.runtime.spawn(tell(wanted, self.inbox.clone())));
        true
    }
}

impl Drop for ClusterFollower {
    fn drop(&mut self) {
        self.follow(None);
    }
}

#[cfg(feature = "kubernetes")]
use {
    netkeel_kernel::files::read, netkeel_kubernetes::connection::Connection,
    netkeel_kubernetes::follow::follow, tokio::sync::mpsc::channel,
};

#[cfg(feature = "kubernetes")]
async fn tell(wanted: ClusterPeers, inbox: Sender<Message>) {
    let (sender, mut news) = channel(1);
    let followed = follow(Connection::Inferred, wanted.clone(), spread(), sender);
    let passed_on = async {
        while let Some(news) = news.recv().await {
            // The loop ends before its inbox is closed.
            let _ = inbox.send(Message::Peers(wanted.clone(), news)).await;
        }
    };
    tokio::join!(followed, passed_on);
}

#[cfg(not(feature = "kubernetes"))]
async fn tell(wanted: ClusterPeers, inbox: Sender<Message>) {
    let why = "this netkeel is built without the feature `kubernetes`".to_owned();
    let trouble = netkeel_core::replication::cluster_peers::PeerNews::Trouble(why);
    let _ = inbox.send(Message::Peers(wanted, trouble)).await;
}

/// A number from 0 to 1 that differs from host to host: it spreads the requests of many agents over time.
#[cfg(feature = "kubernetes")]
pub(super) fn spread() -> f64 {
    let name = read::system("/proc/sys/kernel/hostname").unwrap_or_default();
    // FNV-1a, 32 bits.
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    f64::from(hash) / f64::from(u32::MAX)
}
