//! Runs the replication worker as the document declares, and copies its state into the status.

use crate::effects::log::Level;
use crate::service::Service;
use netkeel_core::error::Error;
use netkeel_core::replication::cluster_peers::{ClusterPeers, PeerNews, PeerObjects};
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_replicate::supervisor::{LogRecord, Severity};

/// Above so many nodes, watching them is a load for the API server: a heartbeat is about 11 kB, and every agent
/// gets each one.
const MANY_NODES: usize = 200;

impl Service<'_> {
    /// Passes the document's settings to the worker. With `--mode observe` or `--dry-run` the worker checks
    /// and counts packets but sends no copies.
    pub(crate) fn configure_worker(&mut self) {
        let wanted = self.state.replication();
        let cluster = wanted.as_ref().and_then(|wanted| wanted.cluster.clone());
        let records = self.effects.supervisor.want(wanted);
        self.log_worker(records);
        if self.effects.cluster.follow(cluster.as_ref())
            && let Some(source) = &cluster
        {
            self.recall_peers(source);
        }
    }

    /// Starts with the peers that the cluster named last.
    fn recall_peers(&mut self, source: &ClusterPeers) {
        match self.effects.runner.store.cluster_peers(source) {
            Ok(Some(addresses)) => {
                let objects = 0;
                let records = self
                    .effects
                    .supervisor
                    .learn(PeerNews::Peers { addresses, objects });
                self.log_worker(records);
            }
            Ok(None) => {}
            Err(error) => self.say_peers_not_kept(&error),
        }
    }

    /// Passes the peers that the cluster names to the worker, and keeps them for the next start.
    pub(crate) fn learn_peers(&mut self, source: &ClusterPeers, news: PeerNews) {
        // The document may name other objects by now.
        if self.effects.cluster.followed() != Some(source) {
            return;
        }
        let listed = match &news {
            PeerNews::Peers { addresses, objects } => Some((addresses.clone(), *objects)),
            PeerNews::Trouble(_) => None,
        };
        let records = self.effects.supervisor.learn(news);
        self.log_worker(records);
        let Some((addresses, objects)) = listed else {
            return;
        };
        self.effects.log.say(
            Level::Info,
            "peers",
            &[("count", &addresses.len()), ("objects", &objects)],
        );
        if matches!(source.objects, PeerObjects::Nodes { .. }) && objects > MANY_NODES {
            let then = "each heartbeat of a node goes to each watcher: use `endpoints`";
            self.effects.log.say(
                Level::Warning,
                "many-nodes",
                &[("nodes", &objects), ("then", &then)],
            );
        }
        if let Err(error) = self.effects.runner.store.keep_cluster_peers(source, &addresses) {
            self.say_peers_not_kept(&error);
        }
    }

    fn say_peers_not_kept(&mut self, error: &Error) {
        self.effects
            .log
            .say(Level::Warning, "peers-not-kept", &[("why", error)]);
    }

    /// Reads messages of the worker, and restarts the worker when due.
    pub(crate) fn poll_worker(&mut self) {
        let records = self.effects.supervisor.poll();
        self.log_worker(records);
        let status = self.effects.supervisor.status();
        let off = status.health == WorkerHealth::Off;
        self.state.status.set_worker(Some(status).filter(|_| !off));
    }

    fn log_worker(&mut self, records: Vec<LogRecord>) {
        for LogRecord { severity, text } in records {
            let level = match severity {
                Severity::Information => Level::Info,
                Severity::Error => Level::Error,
            };
            self.effects.log.say(level, "worker", &[("what", &text)]);
        }
    }
}
