//! Shows the results of the document's probes in the status and the log. They change nothing on the host.

use std::fmt::Display;

use crate::effects::log::Level;
use crate::service::Service;
use netkeel_apply::clock::now;
use netkeel_core::probe::{ProbeName, ProbeResult};
use netkeel_reconcile::status::probes::{ProbeState, ProbeStatus};

impl Service<'_> {
    /// Passes the document's probes to their thread, and lists them in the status.
    pub(crate) fn follow_probes(&mut self) {
        let wanted = &self.state.document.probes;
        let new = self.effects.probes.follow(wanted);
        let before = std::mem::take(&mut self.state.status.probes);
        let known = |name: &ProbeName| {
            let same = before.iter().find(|one| one.name == *name);
            same.filter(|_| !new.contains(name)).cloned()
        };
        let listed = wanted.keys().map(|name| {
            known(name).unwrap_or_else(|| ProbeStatus {
                name: name.clone(),
                at: None,
                result: None,
            })
        });
        self.state.status.probes = listed.collect();
    }

    /// Takes the results that came. The log has those whose state changed.
    pub(crate) fn poll_probes(&mut self) {
        for (name, result) in self.effects.probes.poll() {
            let mut probes = self.state.status.probes.iter_mut();
            let Some(shown) = probes.find(|one| one.name == name) else {
                continue;
            };
            let before = shown.result.is_some().then(|| shown.state());
            shown.at = Some(now());
            shown.result = Some(result.clone());
            let state = shown.state();
            if before != Some(state) {
                self.log_probe(&name, state, &result);
            }
        }
    }

    fn log_probe(&mut self, name: &ProbeName, state: ProbeState, result: &ProbeResult) {
        let (level, event) = match state {
            ProbeState::Ok => (Level::Info, "probe-ok"),
            ProbeState::Failed => (Level::Warning, "probe-failed"),
            ProbeState::Unknown => (Level::Warning, "probe-unknown"),
        };
        let fields: &[(&str, &dyn Display)] = &[("probe", name), ("result", &result.outcome)];
        self.effects.log.say(level, event, fields);
    }
}
