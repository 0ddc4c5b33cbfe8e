//! Follows the policies of the cluster, holds the slots of their changes, and writes the state and the events of the node.

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::inbox::Message;
use crate::pass::probes::passing;
use netkeel_core::name::netns::Netns;
use netkeel_core::probe::Probe;
use netkeel_document::policy::eviction::news::EvictionRequest;
use netkeel_document::policy::wish::Wishes;

/// Events that may wait to be written. More are lost.
const EVENTS: usize = 16;

/// The state of the node: the UID of the Node, and the status.
type State = Option<(String, Value)>;

/// The tasks that follow the policies and write the state.
pub(crate) struct PolicyFollower {
    runtime: Handle,
    inbox: Sender<Message>,
    state: watch::Sender<State>,
    wishes: watch::Sender<Option<Wishes>>,
    events: Sender<NodeNews>,
    evictions: Sender<EvictionRequest>,
    task: JoinHandle<()>,
}

/// An event on the Node.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "kubernetes"),
    expect(dead_code, reason = "nothing writes it to a cluster")
)]
pub(crate) struct NodeNews {
    /// The UID of the Node.
    pub(crate) node_uid: String,
    /// One word.
    pub(crate) reason: &'static str,
    /// It needs somebody.
    pub(crate) is_warning: bool,
    /// One line.
    pub(crate) message: String,
}

/// The inputs of the tasks from the service.
struct Inputs {
    states: watch::Receiver<State>,
    wishes: watch::Receiver<Option<Wishes>>,
    events: Receiver<NodeNews>,
    evictions: Receiver<EvictionRequest>,
}

impl PolicyFollower {
    /// Follows the policies for a node.
    pub(crate) fn new(runtime: &Handle, node: &str, inbox: Sender<Message>) -> Self {
        let (state, states) = watch::channel(None);
        let (wishes, wished) = watch::channel(None);
        let (events, waiting) = channel(EVENTS);
        let (evictions, requests) = channel(1);
        let inputs = Inputs {
            states,
            wishes: wished,
            events: waiting,
            evictions: requests,
        };
        let task = runtime.spawn(follow(node.to_owned(), inputs, inbox.clone()));
        PolicyFollower {
            runtime: runtime.clone(),
            inbox,
            state,
            wishes,
            events,
            evictions,
            task,
        }
    }

    /// Asks for other slots, if they differ from those before.
    pub(crate) fn wish(&self, wishes: Option<Wishes>) {
        self.wishes.send_if_modified(|before| {
            let differs = *before != wishes;
            *before = wishes;
            differs
        });
    }

    /// Writes an event on the Node.
    ///
    /// # Errors
    /// When too many wait: this one is lost.
    pub(crate) fn tell(&self, news: NodeNews) -> Result<(), String> {
        let lost = |error: TrySendError<NodeNews>| match error {
            TrySendError::Full(news) => format!("{}: {EVENTS} events wait to be written", news.reason),
            TrySendError::Closed(news) => format!("{}: nothing writes events", news.reason),
        };
        self.events.try_send(news).map_err(lost)
    }

    /// Asks the API server for an eviction, or for the pods of the node.
    ///
    /// # Errors
    /// When the last request is not taken yet.
    pub(crate) fn ask_for_evictions(&self, request: EvictionRequest) -> Result<(), String> {
        let sent = self.evictions.try_send(request);
        sent.map_err(|_| "the last request was not answered".to_owned())
    }

    /// Asks the probes of a policy, whose document has this hash. A message has those that pass.
    pub(crate) fn ask(&self, uid: String, document: String, probes: Vec<Probe>, netns: Netns) {
        let inbox = self.inbox.clone();
        self.runtime.spawn_blocking(move || {
            let passed = passing(&probes, &netns);
            // The loop ends before its inbox is closed.
            let _ = inbox.blocking_send(Message::Asked(uid, document, passed));
        });
    }

    /// Publishes the state of the node, if it differs from the last one.
    pub(crate) fn publish(&self, node_uid: &str, status: Value) {
        let state = Some((node_uid.to_owned(), status));
        self.state.send_if_modified(|before| {
            let differs = *before != state;
            *before = state;
            differs
        });
    }
}

impl Drop for PolicyFollower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(feature = "kubernetes")]
async fn follow(node: String, inputs: Inputs, inbox: Sender<Message>) {
    use crate::effects::cluster::spread;
    use netkeel_kubernetes::connection::Connection;
    use netkeel_kubernetes::events::{NodeEvent, write_events};
    use netkeel_kubernetes::evictions::{evict_pods, pace};
    use netkeel_kubernetes::node_state::{NodeState, write_node_state};
    use netkeel_kubernetes::policies::follow_policies;
    use netkeel_kubernetes::slots::{Pace, hold_slots};

    let Inputs {
        mut states,
        wishes,
        events: mut waiting,
        evictions,
    } = inputs;
    let (news, mut learned) = channel(1);
    let followed = follow_policies(Connection::Inferred, node.clone(), spread(), news);
    let policies_passed_on = async {
        while let Some(news) = learned.recv().await {
            // The loop ends before its inbox is closed.
            let _ = inbox.send(Message::Policies(news)).await;
        }
    };
    let (state, wanted) = watch::channel(None);
    let states_passed_on = async {
        while states.changed().await.is_ok() {
            let one = states.borrow_and_update().clone();
            let one = one.map(|(node_uid, status)| NodeState { node_uid, status });
            let _ = state.send(one);
        }
    };
    let (trouble, mut troubles) = channel(1);
    let written = write_node_state(Connection::Inferred, node.clone(), spread(), wanted, trouble);
    let troubles_passed_on = async {
        while let Some(trouble) = troubles.recv().await {
            let _ = inbox.send(Message::NodeState(trouble)).await;
        }
    };
    let (slots, mut slot_news) = channel(1);
    let held = hold_slots(
        Connection::Inferred,
        node.clone(),
        Pace::default(),
        spread(),
        wishes,
        slots,
    );
    let slots_passed_on = async {
        while let Some(news) = slot_news.recv().await {
            let _ = inbox.send(Message::Slots(news)).await;
        }
    };
    let (event, events) = channel(1);
    let events_passed_on = async {
        while let Some(news) = waiting.recv().await {
            let NodeNews {
                node_uid,
                reason,
                is_warning,
                message,
            } = news;
            let one = NodeEvent {
                node_uid,
                reason,
                is_warning,
                message,
            };
            let _ = event.send(one).await;
        }
    };
    let (lost, mut losses) = channel(1);
    let losses_passed_on = async {
        while let Some(why) = losses.recv().await {
            let _ = inbox.send(Message::EventLost(why)).await;
        }
    };
    let (evicted, mut eviction_news) = channel(1);
    let pods_evicted = evict_pods(Connection::Inferred, node.clone(), pace(), evictions, evicted);
    let evictions_passed_on = async {
        while let Some(news) = eviction_news.recv().await {
            let _ = inbox.send(Message::Evictions(news)).await;
        }
    };
    let events_written = write_events(Connection::Inferred, node, spread(), events, lost);
    tokio::join!(
        followed,
        policies_passed_on,
        states_passed_on,
        written,
        troubles_passed_on,
        held,
        slots_passed_on,
        events_passed_on,
        events_written,
        losses_passed_on,
        pods_evicted,
        evictions_passed_on
    );
}

#[cfg(not(feature = "kubernetes"))]
async fn follow(_node: String, inputs: Inputs, inbox: Sender<Message>) {
    let why = "this netkeel is built without the feature `kubernetes`".to_owned();
    let news = netkeel_core::cluster_policies::PolicyNews::Trouble(why.clone());
    let _ = inbox.send(Message::Policies(news)).await;
    let _ = inbox.send(Message::NodeState(Some(why))).await;
    let Inputs {
        states,
        wishes,
        events,
        evictions,
    } = inputs;
    drop((states, wishes, events, evictions));
}
