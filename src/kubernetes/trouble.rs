//! What the API server's refusals mean for the peers.

use kube::runtime::watcher;

use netkeel_core::replication::cluster_peers::{ClusterPeers, PeerObjects};

/// An error of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// One line.
    pub text: String,
    /// The credentials were refused: they are read anew.
    pub refused: bool,
}

/// What an error of a watch means.
pub(crate) fn describe(error: &watcher::Error, wanted: &ClusterPeers) -> Trouble {
    use watcher::Error;
    let code = match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    Trouble {
        text: line(error, wanted),
        refused: code == Some(401),
    }
}

/// One line about an error of a watch.
fn line(error: &watcher::Error, wanted: &ClusterPeers) -> String {
    use watcher::Error;
    match error {
        Error::InitialListFailed(cause) => of_client(cause, "list", wanted),
        Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => of_client(cause, "watch", wanted),
        Error::WatchError(status) => of_status(status.code, &status.message, "watch", wanted),
        Error::NoResourceVersion => "the API server gave a list without a resourceVersion".to_owned(),
    }
}

/// One line about an error of the client.
fn of_client(error: &kube::Error, verb: &str, wanted: &ClusterPeers) -> String {
    match error {
        kube::Error::Api(status) => of_status(status.code, &status.message, verb, wanted),
        other => {
            // The causes say more than the outermost error.
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(next) = cause {
                let more = next.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = next.source();
            }
            text.lines().next().unwrap_or_default().to_owned()
        }
    }
}

fn of_status(code: u16, message: &str, verb: &str, wanted: &ClusterPeers) -> String {
    let (resource, place) = match &wanted.objects {
        PeerObjects::Endpoints { namespace, .. } => {
            ("endpointslices", format!("in the namespace {namespace}"))
        }
        PeerObjects::Nodes { .. } => ("nodes", "in the cluster".to_owned()),
    };
    let line = message.lines().next().unwrap_or_default();
    match code {
        401 => "the API server does not accept the token (401)".to_owned(),
        403 => format!("the token may not {verb} {resource} {place} (403)"),
        410 => "the API server no longer has the changes since the last list (410)".to_owned(),
        429 => "the API server is overloaded (429)".to_owned(),
        _ => format!("the API server answers {code}: {line}"),
    }
}
