//! Runs the replication worker as the document declares, and copies its state into the status.

use crate::effects::log::Level;
use crate::service::Service;
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_replicate::supervisor::{LogRecord, Severity};

impl Service<'_> {
    /// Passes the document's settings to the worker. With `--mode observe` or `--dry-run` the worker checks
    /// and counts packets but sends no copies.
    pub(crate) fn configure_worker(&mut self) {
        let wanted = self.state.replication();
        let records = self.effects.supervisor.want(wanted);
        self.log_worker(records);
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
