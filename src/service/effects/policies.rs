//! Follows the policies of the cluster, and writes the state of the node.

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::inbox::Message;

/// The state of the node: the UID of the Node, and the status.
type State = Option<(String, Value)>;

/// The tasks that follow the policies and write the state.
pub(crate) struct PolicyFollower {
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

impl PolicyFollower {
    /// Follows the policies for a node.
    pub(crate) fn new(runtime: &Handle, node: &str, inbox: Sender<Message>) -> Self {
        let (state, wanted) = watch::channel(None);
        let task = runtime.spawn(follow(node.to_owned(), wanted, inbox));
        PolicyFollower { state, task }
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
async fn follow(node: String, mut wanted: watch::Receiver<State>, inbox: Sender<Message>) {
    use crate::effects::cluster::spread;
    use netkeel_kubernetes::connection::Connection;
    use netkeel_kubernetes::node_state::{NodeState, write_node_state};
    use netkeel_kubernetes::policies::follow_policies;
    use tokio::sync::mpsc::channel;

    let (news, mut learned) = channel(1);
    let followed = follow_policies(Connection::Inferred, node.clone(), spread(), news);
    let policies_passed_on = async {
        while let Some(news) = learned.recv().await {
            // The loop ends before its inbox is closed.
            let _ = inbox.send(Message::Policies(news)).await;
        }
    };
    let (state, states) = watch::channel(None);
    let states_passed_on = async {
        while wanted.changed().await.is_ok() {
            let one = wanted.borrow_and_update().clone();
            let one = one.map(|(node_uid, status)| NodeState { node_uid, status });
            let _ = state.send(one);
        }
    };
    let (trouble, mut troubles) = channel(1);
    let written = write_node_state(Connection::Inferred, node, spread(), states, trouble);
    let troubles_passed_on = async {
        while let Some(trouble) = troubles.recv().await {
            let _ = inbox.send(Message::NodeState(trouble)).await;
        }
    };
    tokio::join!(
        followed,
        policies_passed_on,
        states_passed_on,
        written,
        troubles_passed_on
    );
}

#[cfg(not(feature = "kubernetes"))]
async fn follow(_node: String, wanted: watch::Receiver<State>, inbox: Sender<Message>) {
    let why = "this netkeel is built without the feature `kubernetes`".to_owned();
    let news = netkeel_core::cluster_policies::PolicyNews::Trouble(why.clone());
    let _ = inbox.send(Message::Policies(news)).await;
    let _ = inbox.send(Message::NodeState(Some(why))).await;
    drop(wanted);
}
