//! Follows the objects that name the peers.

use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::ApiResource;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Connection, SILENCE, client};
use crate::node;
use crate::pause::Attempts;
use crate::peer_set::{Change, Named, PeerSet};
use crate::slice;
use crate::trouble::{self, Trouble};
use netkeel_core::replication::cluster_peers::{ClusterPeers, NotReady, PeerNews, PeerObjects};

/// The whole list is read again after so long: a watch stays silent when the server's data went back to an older
/// state.
const LIST_AGAIN: Duration = Duration::from_secs(600);

/// A watch that failed goes on if there is no other failure for so long: to connect takes at most 30 s, and an answer at most
/// the silence.
const GOES_ON: Duration = SILENCE.saturating_add(Duration::from_secs(35));

/// A list that the server no longer has the changes since is read again at once, if the last one of those was so long ago.
const AT_ONCE: Duration = Duration::from_secs(10);

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Follows the objects until the caller drops the future or the receiver of the news, and reports each change of the
/// list. `spread` is from 0 to 1: it spreads the requests of many agents over time.
///
/// The token's file is read again each minute, and when the server refuses the token.
pub async fn follow(connection: Connection, wanted: ClusterPeers, spread: f64, news: Sender<PeerNews>) {
    let wanted = &wanted;
    let mut set = PeerSet::default();
    let mut reported: Option<PeerNews> = None;
    let mut attempts = Attempts::default();
    let mut connected: Option<Client> = None;
    let mut was_gone: Option<Instant> = None;
    while !news.is_closed() {
        let client = match connected.take() {
            Some(client) => Ok(client),
            None => client(&connection).await,
        };
        let client = match client {
            Ok(client) => client,
            Err(why) => {
                tell(PeerNews::Trouble(why), &mut reported, &news).await;
                attempts.wait(false, set.peers(), spread).await;
                continue;
            }
        };
        let mut changes = pin!(changes(client.clone(), wanted));
        let end = Instant::now() + LIST_AGAIN.mul_f64(1.0 + spread.clamp(0.0, 1.0) / 2.0);
        let mut silent = end;
        loop {
            let change = tokio::select! {
                change = changes.next() => change,
                () = sleep_until(end) => None,
                () = news.closed() => None,
                () = sleep_until(silent) => {
                    silent = end;
                    attempts.succeeded();
                    // The stream does not say that a watch goes on. A failure would have come by now.
                    if let (Some(PeerNews::Trouble(_)), Some(addresses)) = (&reported, set.addresses()) {
                        let objects = set.len();
                        tell(PeerNews::Peers { addresses, objects }, &mut reported, &news).await;
                    }
                    continue;
                }
            };
            match change {
                None => break,
                Some(Ok(change)) => {
                    // The end of a trouble is told as well.
                    let is_within = matches!(change, Change::ListBegins | Change::Listed(_));
                    // A list begins before the server is asked.
                    if !is_within {
                        attempts.succeeded();
                    }
                    let was_told = matches!(reported, Some(PeerNews::Peers { .. }));
                    let differs = set.take(change);
                    let is_due = differs || !(is_within || was_told);
                    if let (true, Some(addresses)) = (is_due, set.addresses()) {
                        let objects = set.len();
                        tell(PeerNews::Peers { addresses, objects }, &mut reported, &news).await;
                    }
                }
                // The watch begins again. If it cannot, that is a trouble.
                Some(Err(trouble)) if trouble.is_silence => {}
                Some(Err(trouble)) => {
                    tell(PeerNews::Trouble(trouble.text), &mut reported, &news).await;
                    // The server is there, and a list is what it waits for.
                    let now = Instant::now();
                    if trouble.is_gone && was_gone.is_none_or(|last| now >= last + AT_ONCE) {
                        was_gone = Some(now);
                        connected = Some(client);
                        break;
                    }
                    attempts.wait(trouble.is_overloaded, set.peers(), spread).await;
                    // A client keeps a token for a minute, and this one is no longer good. A watch that is refused with 410
                    // would ask for the same version again.
                    if trouble.begins_anew {
                        break;
                    }
                    silent = Instant::now() + GOES_ON;
                }
            }
        }
    }
}

/// Reports what differs from the last report.
async fn tell(one: PeerNews, reported: &mut Option<PeerNews>, news: &Sender<PeerNews>) {
    if reported.as_ref() != Some(&one) {
        *reported = Some(one.clone());
        // Without a receiver the loops end.
        let _ = news.send(one).await;
    }
}

type Changes<'a> = std::pin::Pin<Box<dyn Stream<Item = Result<Change, Trouble>> + Send + 'a>>;

/// The changes of the objects.
fn changes(client: Client, wanted: &ClusterPeers) -> Changes<'_> {
    match &wanted.objects {
        PeerObjects::Endpoints { namespace, service } => {
            let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
            let config = watcher::Config::default().labels(&format!("{SERVICE_NAME}={service}"));
            let named = |slice: &EndpointSlice| Named {
                object: slice.name_any(),
                addresses: slice::addresses(slice, wanted),
            };
            Box::pin(
                watcher(slices, config)
                    .map_ok(move |event| change(event, named))
                    .map_err(|error| trouble::describe(&error, wanted)),
            )
        }
        PeerObjects::Nodes { selector, not_ready } => {
            let not_ready: NotReady = *not_ready;
            let nodes: Api<node::SlimNode> = Api::all_with(client, &ApiResource::erase::<Node>(&()));
            let labels: Vec<String> = selector
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            let config = watcher::Config::default().labels(&labels.join(","));
            let named = move |node: &node::SlimNode| Named {
                object: node.name_any(),
                addresses: node::addresses(node, wanted, not_ready),
            };
            Box::pin(
                watcher(nodes, config)
                    .map_ok(move |event| change(event, named))
                    .map_err(|error| trouble::describe(&error, wanted)),
            )
        }
    }
}

fn change<K: ResourceExt>(event: watcher::Event<K>, named: impl Fn(&K) -> Named) -> Change {
    match event {
        watcher::Event::Init => Change::ListBegins,
        watcher::Event::InitApply(object) => Change::Listed(named(&object)),
        watcher::Event::InitDone => Change::ListEnds,
        watcher::Event::Apply(object) => Change::Applied(named(&object)),
        watcher::Event::Delete(object) => Change::Deleted(object.name_any()),
    }
}
