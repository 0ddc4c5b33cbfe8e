//! Takes, renews and gives back the slots of the policies, and the Lease by which others see that this agent lives.

mod nodes;
#[cfg(test)]
mod tests;

pub(crate) use crate::slots::nodes::{LEASES, complete};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, KeptClient};
use crate::lease::{FOR, SlotLease, given_back, of_agent, of_slot, slot};
use crate::pause::{PAUSE, wait_after};
use crate::slots::nodes::{Nodes, in_force};
use crate::trouble::{Failed, of_client};
use netkeel_document::policy::slots::{
    Counts, Decision, Holder, Phase, Sightings, View, decide, must_list_again,
};
use netkeel_document::policy::wish::{SlotNews, SlotState, Wish, Wishes};

/// How often an agent writes and reads.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// A Lease is renewed after so long.
    pub renew: Duration,
    /// A Lease that was not written for so long has expired.
    pub expires: Duration,
    /// A node that waits looks again after so long, and 10 ms more for each node of the cluster.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            renew: Duration::from_secs(30),
            expires: Duration::from_secs(90),
            look: Duration::from_secs(2),
        }
    }
}

/// Holds the slots that a node wants, until the caller drops the future or the sender of the wishes. `spread` is from 0
/// to 1: it spreads the requests of many agents over time.
pub async fn hold_slots(
    connection: Connection,
    node: String,
    pace: Pace,
    spread: f64,
    mut wanted: Receiver<Option<Wishes>>,
    news: Sender<SlotNews>,
) {
    let spread = spread.clamp(0.0, 1.0);
    let start = Instant::now();
    let mut holder = SlotHolder {
        node,
        pace,
        start,
        looks_back: start + pace.renew.mul_f64(spread),
        beat: None,
        agent_version: None,
        leases: Sightings::default(),
        nodes: Nodes::default(),
        is_new: true,
        written: BTreeMap::new(),
    };
    let mut client = KeptClient::new(connection);
    let mut reported = SlotNews::default();
    let mut due = start;
    let mut after_failure = PAUSE;
    while !news.is_closed() {
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            () = sleep_until(due) => {}
        }
        let Some(wishes) = wanted.borrow_and_update().clone() else {
            due = Instant::now() + pace.renew;
            continue;
        };
        let done = match client.get().await {
            Ok(client) => holder.round(&client, &wishes).await,
            Err(why) => Err(why),
        };
        let failed = done.as_ref().err().cloned();
        let found = match done {
            Ok((states, pause)) => {
                after_failure = PAUSE;
                due = Instant::now() + pause.mul_f64(1.0 + spread / 4.0);
                SlotNews {
                    states,
                    trouble: None,
                }
            }
            Err(why) => SlotNews {
                states: reported.states.clone(),
                trouble: Some(why.text),
            },
        };
        if found != reported {
            reported = found.clone();
            if news.send(found).await.is_err() {
                return;
            }
        }
        if let Some(why) = failed {
            client.failed(&why);
            // Also where the wishes change meanwhile.
            wait_after(&why, &mut after_failure, spread).await;
            due = Instant::now();
        }
    }
}

struct SlotHolder {
    node: String,
    pace: Pace,
    start: Instant,
    /// When an agent that wants no slot looks for those of a run before. When all agents start at one time, the list of all
    /// Leases for each of them would be the greatest part of the server's work.
    looks_back: Instant,
    /// When the agent's own Lease was renewed.
    beat: Option<Instant>,
    /// The version of that Lease, or that there is none; `None` if this is not known.
    agent_version: Option<Option<String>>,
    /// When the Leases changed.
    leases: Sightings,
    nodes: Nodes,
    /// No list of slots was read yet: a run before may have left some.
    is_new: bool,
    /// When each slot of this node was written, by name.
    written: BTreeMap<String, Instant>,
}

type Round = (BTreeMap<String, SlotState>, Duration);

impl SlotHolder {
    /// Writes and reads what is due. Returns the states of the wanted slots, and the time until the next round.
    async fn round(&mut self, client: &Client, wishes: &Wishes) -> Result<Round, Failed> {
        let api: Api<Lease> = Api::default_namespaced(client.clone());
        let beat = self.beat.map_or(Duration::ZERO, |beat| {
            (beat + self.pace.renew).saturating_duration_since(Instant::now())
        });
        let beat = match beat.is_zero() {
            true => {
                self.beat(&api, &wishes.node_uid).await?;
                self.pace.renew
            }
            false => beat,
        };
        if wishes.slots.is_empty() && self.written.is_empty() {
            let left = self.looks_back.saturating_duration_since(Instant::now());
            match self.is_new {
                false => return Ok((BTreeMap::new(), beat)),
                true if !left.is_zero() => return Ok((BTreeMap::new(), beat.min(left))),
                true => {}
            }
        }
        let listed = self.list(&api).await?;
        let own = listed.iter().map(|(_, found)| found);
        let own = own.filter(|found| self.is_own(found, &wishes.node_uid));
        let own: BTreeSet<String> = own.map(|found| found.name.clone()).collect();
        self.written.retain(|name, _| own.contains(name));
        for (lease, found) in &listed {
            if self.is_own(found, &wishes.node_uid) && !wishes.slots.contains_key(&found.policy) {
                self.give_back(&api, lease, found).await?;
                self.written.remove(&found.name);
            }
        }
        self.is_new = false;
        let (mut states, mut pause) = (BTreeMap::new(), beat);
        for (uid, wish) in &wishes.slots {
            let own = listed
                .iter()
                .find(|(_, found)| found.policy == *uid && self.is_own(found, &wishes.node_uid));
            let state = match own {
                Some((_, found)) => self.keep(&api, uid, wish, wishes, found).await?,
                // Somebody freed it, and takes the failure upon himself.
                None if wish.phase == Phase::Failed => SlotState::Waiting("its slot was freed".to_owned()),
                None => self.take(client, &api, uid, wish, wishes, &listed).await?,
            };
            if matches!(state, SlotState::Waiting(_)) && wish.phase != Phase::Failed {
                let nodes = self.nodes.all.len();
                let more = Duration::from_millis(10).saturating_mul(u32::try_from(nodes).unwrap_or(u32::MAX));
                pause = pause.min(self.pace.look + more);
            }
            states.insert(uid.clone(), state);
        }
        Ok((states, pause))
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn is_own(&self, found: &SlotLease, node_uid: &str) -> bool {
        let holder = found.slot.holder.as_ref();
        holder.is_some_and(|holder| {
            holder.node == self.node && (holder.uid.is_empty() || holder.uid == node_uid)
        })
    }

    /// Renews the Lease of this agent.
    async fn beat(&mut self, api: &Api<Lease>, node_uid: &str) -> Result<(), Failed> {
        let version = match self.agent_version.take() {
            Some(version) => version,
            None => {
                let found = api.get_opt(&self.node).await;
                let found = found.map_err(|error| of_client(&error, "get", LEASES))?;
                found.and_then(|lease| lease.metadata.resource_version)
            }
        };
        let lease = of_agent(&self.node, node_uid, version.as_deref(), self.pace.expires);
        let written = match version {
            Some(_) => api.replace(&self.node, &PostParams::default(), &lease).await,
            None => api.create(&PostParams::default(), &lease).await,
        };
        match written {
            Ok(lease) => {
                self.agent_version = Some(lease.metadata.resource_version);
                self.beat = Some(Instant::now());
                Ok(())
            }
            Err(error) => {
                let why = of_client(&error, "write", LEASES);
                // What the server refuses for now has changed nothing.
                if why.is_throttled {
                    self.agent_version = Some(version);
                }
                Err(why)
            }
        }
    }

    /// All slots, each with its Lease.
    async fn list(&mut self, api: &Api<Lease>) -> Result<Vec<(Lease, SlotLease)>, Failed> {
        let list = api
            .list(&ListParams::default().labels(&format!("{FOR}=slot")))
            .await;
        let list = list.map_err(|error| of_client(&error, "list", LEASES))?;
        complete(&list.metadata, LEASES)?;
        let longest = self.pace.expires;
        let read = list.items.into_iter().filter_map(|lease| {
            let found = slot(&lease, longest)?;
            Some((lease, found))
        });
        let read: Vec<_> = read.collect();
        let seen = read.iter().map(|(_, found)| (&*found.name, &*found.version));
        let now = self.now();
        self.leases.see(seen, now);
        Ok(read)
    }

    async fn give_back(&self, api: &Api<Lease>, lease: &Lease, found: &SlotLease) -> Result<(), Failed> {
        let lease = given_back(lease.clone());
        match api.replace(&found.name, &PostParams::default(), &lease).await {
            Ok(_) => Ok(()),
            // It is gone, or another node has it.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(of_client(&error, "write", LEASES)),
        }
    }

    /// Renews a slot of this node, and writes its progress.
    async fn keep(
        &mut self,
        api: &Api<Lease>,
        uid: &str,
        wish: &Wish,
        wishes: &Wishes,
        found: &SlotLease,
    ) -> Result<SlotState, Failed> {
        let mut wanted = self.holder(wish, wishes);
        let held = |phase, failed| SlotState::Held {
            document: wish.document.clone(),
            phase,
            failed,
        };
        let state = held(wish.phase, None);
        let there = found.slot.holder.as_ref();
        // The agent before a restart could not keep that the change failed: the server knows it.
        if wanted.phase == Phase::Taken && there.is_some_and(|there| has_failed(there, &wanted)) {
            let why = found.why.clone().unwrap_or_else(|| "it failed before".to_owned());
            return Ok(held(Phase::Failed, Some(why)));
        }
        // Before a restart it may have changed something.
        if wanted.phase == Phase::Taken && there.is_some_and(|there| there.phase == Phase::Begun) {
            wanted.phase = Phase::Begun;
        }
        let written = self.written.get(&found.name);
        if there == Some(&wanted) && written.is_some_and(|at| at.elapsed() < self.pace.renew) {
            return Ok(state);
        }
        let index = found.slot.index;
        let lease = of_slot(
            uid,
            index,
            wish,
            Some(&wanted),
            Some(&found.version),
            self.pace.expires,
        );
        match api.replace(&found.name, &PostParams::default(), &lease).await {
            Ok(_) => {
                self.written.insert(found.name.clone(), Instant::now());
                Ok(state)
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                Ok(SlotState::Waiting("another node took the slot".to_owned()))
            }
            Err(error) => Err(of_client(&error, "write", LEASES)),
        }
    }

    fn holder(&self, wish: &Wish, wishes: &Wishes) -> Holder {
        Holder {
            node: self.node.clone(),
            uid: wishes.node_uid.clone(),
            phase: wish.phase,
            document: wish.document.clone(),
            generation: Some(wish.generation),
        }
    }

    /// Tries to take a slot.
    async fn take(
        &mut self,
        client: &Client,
        api: &Api<Lease>,
        uid: &str,
        wish: &Wish,
        wishes: &Wishes,
        listed: &[(Lease, SlotLease)],
    ) -> Result<SlotState, Failed> {
        let of_policy: Vec<&SlotLease> = listed
            .iter()
            .map(|(_, found)| found)
            .filter(|found| found.policy == uid)
            .collect();
        let start = self.start;
        let clock = || start.elapsed();
        let with_times = of_policy
            .iter()
            .map(|found| (&found.slot, self.leases.since(&found.name)));
        let again = |listed| must_list_again(&self.nodes.all, listed, with_times);
        if !self.nodes.is_fresh(clock()) || self.nodes.listed.is_none_or(again) {
            let longest = self.pace.expires;
            self.nodes.list(client, api, &self.node, longest, &clock).await?;
        }
        let now = self.now();
        let is_expired = |found: &&&SlotLease| self.leases.is_expired(&found.name, found.slot.expires, now);
        let expired: Vec<&&SlotLease> = of_policy.iter().filter(is_expired).collect();
        let mut reported = BTreeMap::new();
        for found in &expired {
            if let Some(holder) = found.slot.holder.as_ref().filter(|one| one.phase == Phase::Begun)
                && let Some(document) = in_force(client, &holder.node, &wish.policy).await?
            {
                reported.insert(holder.node.clone(), document);
            }
        }
        let slots: Vec<_> = of_policy.iter().map(|found| found.slot.clone()).collect();
        let is_counted = |name: &&String| {
            let node = self.nodes.all.get(*name);
            node.is_some_and(|node| wish.selector.selects(&node.labels))
        };
        let decision = decide(
            View {
                own: &self.node,
                nodes: &self.nodes.all,
                slots: &slots,
                expired: &expired.iter().map(|found| found.slot.index).collect(),
                reported: &reported,
                living: self.nodes.living.iter().filter(is_counted).count(),
            },
            wish.max,
        );
        let index = match decision {
            Decision::Wait(counts) => return Ok(SlotState::Waiting(waiting(counts))),
            Decision::Own(index) | Decision::Take(index) => index,
        };
        let wanted = self.holder(wish, wishes);
        let there = of_policy.iter().find(|found| found.slot.index == index);
        let version = there.map(|found| found.version.as_str());
        let lease = of_slot(uid, index, wish, Some(&wanted), version, self.pace.expires);
        let name = lease.metadata.name.clone().unwrap_or_default();
        let written = match version {
            Some(_) => api.replace(&name, &PostParams::default(), &lease).await,
            None => api.create(&PostParams::default(), &lease).await,
        };
        match written {
            Ok(_) => {
                self.written.insert(name, Instant::now());
                let Holder { document, phase, .. } = wanted;
                Ok(SlotState::Held {
                    document,
                    phase,
                    failed: None,
                })
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                Ok(SlotState::Waiting("another node was faster".to_owned()))
            }
            Err(error) => Err(of_client(&error, "write", LEASES)),
        }
    }
}

fn waiting(counts: Counts) -> String {
    // Each node that waits reports this text, so it has no number that changes with every slot.
    let Counts {
        allowed,
        held: _,
        failed,
        silent,
    } = counts;
    let mut text = format!("other nodes change; at most {allowed} may");
    if failed > 0 {
        text = format!("{text}; the change failed on {failed}");
    }
    if silent > 0 {
        text = format!("{text}; no report from {silent}");
    }
    text
}

/// Whether the change that a node wants to begin failed on it before.
fn has_failed(there: &Holder, wanted: &Holder) -> bool {
    let is_same = there.document == wanted.document && there.generation == wanted.generation;
    there.phase == Phase::Failed && is_same
}
