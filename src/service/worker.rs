//! The worker that replicates, as the service keeps it: started, told and stopped as the document
//! says, and its state in the picture.

use crate::log::Level;
use crate::service::Service;
use netkeel_core::replication::worker::WorkerHealth;
use netkeel_replicate::supervisor::{LogRecord, Severity};

impl Service<'_> {
    /// Tells the worker what the document says. Who only observes, or was told to run dry, sends
    /// nothing: packets are judged and counted.
    pub(crate) fn want_worker(&mut self) {
        let mut wanted = self.document.replicate.clone();
        if let Some(wanted) = &mut wanted {
            wanted.settings.dry_run |= self.dry_run || !self.enforces;
        }
        let notes = self.supervisor.want(wanted);
        self.log_worker(notes);
    }

    /// Hears what the worker says, and does what is due.
    pub(crate) fn mind_worker(&mut self) {
        let notes = self.supervisor.poll();
        self.log_worker(notes);
        let status = self.supervisor.status();
        let off = status.health == WorkerHealth::Off;
        self.picture().worker = Some(status).filter(|_| !off);
    }

    fn log_worker(&mut self, notes: Vec<LogRecord>) {
        for LogRecord { severity, text } in notes {
            let level = match severity {
                Severity::Information => Level::Info,
                Severity::Error => Level::Error,
            };
            self.log.say(level, "worker", &[("what", &text)]);
        }
    }
}
