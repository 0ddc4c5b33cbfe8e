//! The state of replication: what the worker reports, and findings that it cannot know.

use crate::status::Status;
use netkeel_core::finding::Code;
use netkeel_core::replication::settings::Mode;
use netkeel_core::replication::worker::{WorkerHealth, WorkerStatus};

impl Status {
    /// Takes the status of the worker. A worker that finds nothing wrong does not see what the kernel drops:
    /// findings about that degrade replication.
    pub fn set_worker(&mut self, worker: Option<WorkerStatus>) {
        let ipip = |worker: &WorkerStatus| {
            worker
                .settings
                .as_ref()
                .is_some_and(|settings| settings.mode == Mode::Ipip)
        };
        self.worker = worker.map(|mut worker| {
            let ipip = ipip(&worker);
            let drops = |code: Code| match code {
                Code::NK039 | Code::NK062 => true,
                // A tunnel that drops what comes out of it.
                Code::NK009 => ipip,
                _ => false,
            };
            let found = self.findings.iter().find(|finding| drops(finding.code));
            if let (WorkerHealth::Ok | WorkerHealth::Degraded, Some(finding)) = (worker.health, found) {
                worker.health = WorkerHealth::Degraded;
                let why = format!("{} {}: {}", finding.code, finding.subject, finding.message);
                worker.error = Some(
                    worker
                        .error
                        .map_or(why.clone(), |error| format!("{error}; {why}")),
                );
            }
            worker
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::FindingStatus;

    fn worker(health: WorkerHealth) -> WorkerStatus {
        WorkerStatus {
            health,
            pid: None,
            uid: None,
            restarts: 0,
            error: None,
            settings: None,
            statistics: None,
        }
    }

    #[test]
    fn replication_whose_copies_are_dropped_is_not_ok() {
        let mut status = Status::new("enforce", None, 0, 1);
        let health = |status: &mut Status, health| {
            status.set_worker(Some(worker(health)));
            let worker = status.worker.clone().unwrap();
            (worker.health, worker.error)
        };
        assert_eq!(health(&mut status, WorkerHealth::Ok), (WorkerHealth::Ok, None));
        status.findings.push(FindingStatus {
            code: Code::NK039,
            subject: "eth1".into(),
            message: "copies are dropped".into(),
        });
        let why = Some("NK039 eth1: copies are dropped".to_owned());
        assert_eq!(
            health(&mut status, WorkerHealth::Ok),
            (WorkerHealth::Degraded, why)
        );
        // A worker that sends nothing is worse.
        assert_eq!(
            health(&mut status, WorkerHealth::Failed),
            (WorkerHealth::Failed, None)
        );
        status.findings[0].code = Code::NK009;
        assert_eq!(health(&mut status, WorkerHealth::Ok), (WorkerHealth::Ok, None));
    }
}
