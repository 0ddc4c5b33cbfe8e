//! Guards of the service, which nobody can ask for a confirmation: changes of the interface that the host is
//! managed through, and more writes than the document allows, are not done but reported.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::session::Watch;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::fact::Fact;
use netkeel_core::name::link::LinkName;
use netkeel_host::snapshot::Snapshot;
use netkeel_kernel::management;
use netkeel_kernel::management::Sessions;
use netkeel_plan::plan::Plan;

/// A default route is looked for no more often than this.
const FRESH: Duration = Duration::from_secs(2);

/// Looks at each plan of the service.
#[derive(Debug)]
pub struct Guard {
    /// The host is managed through its interfaces; another namespace is not.
    pub host: bool,
    /// Changes of them are allowed.
    pub allowed: bool,
    /// Writes that may be done yet; none for no limit.
    pub budget: Option<usize>,
    management: Option<(Instant, BTreeMap<LinkName, &'static str>)>,
    /// The facts of the last plan that were refused.
    pub refused: Vec<Fact>,
}

impl Guard {
    /// A guard of a host, or of another namespace.
    pub fn new(host: bool, allowed: bool) -> Self {
        Guard {
            host,
            allowed,
            budget: None,
            management: None,
            refused: Vec::new(),
        }
    }

    fn management(&mut self) -> Result<&BTreeMap<LinkName, &'static str>, Error> {
        let fresh = |at: &Instant| at.elapsed() < FRESH;
        let known = self.management.take().filter(|(at, _)| fresh(at));
        let known = match known {
            Some(known) => known,
            None => (Instant::now(), management::links(Sessions::OfTheHost)?),
        };
        let (_, links) = self.management.insert(known);
        Ok(links)
    }
}

impl Watch for Guard {
    fn permits(&mut self, plan: &Plan, host: &Snapshot) -> Result<(), Error> {
        self.refused.clear();
        if let Some(budget) = self.budget.filter(|budget| plan.steps.len() > *budget) {
            let message = format!(
                "{} writes are more than limits.changes_per_minute allows now: {budget}",
                plan.steps.len()
            );
            return Err(Error::new(ErrorKind::Refused, message));
        }
        if self.allowed || !self.host {
            return Ok(());
        }
        let management = self.management()?;
        let Some(felt) = plan.first_felt_by(&management.keys().copied().collect(), host) else {
            return Ok(());
        };
        let (name, what) = (felt.link, felt.what);
        let refused = plan.steps.iter().filter(|step| step.op == *felt.op);
        self.refused = refused.map(|step| step.fact.clone()).collect();
        let message = format!("{name} is what this host is managed through, and the plan changes {what}");
        Err(Error::new(ErrorKind::Refused, message)
            .hint("netkeel apply --confirm-within 60s does it once; run --allow-management always"))
    }
}
