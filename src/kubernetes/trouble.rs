//! Errors of the API server as one line for people.

#[cfg(test)]
pub(crate) mod server;

use std::io;

use kube::runtime::watcher;

use netkeel_core::replication::cluster_peers::{ClusterPeers, PeerObjects};

/// An error of a watch.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// One line.
    pub text: String,
    /// The credentials were refused, or the server no longer knows the version of the last list: the follower connects and
    /// lists anew.
    pub begins_anew: bool,
    /// The server no longer has the changes since the last list.
    pub is_gone: bool,
    /// The server answers that it cannot answer now.
    pub is_overloaded: bool,
    /// A watch was silent for too long. The server sends a bookmark only if something of its data has changed: perhaps nothing
    /// is wrong.
    pub is_silence: bool,
}

/// A request that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// One line.
    pub text: String,
    /// The server refuses requests for now (429). The connection to it is good.
    pub is_throttled: bool,
}

impl From<Failed> for String {
    fn from(failed: Failed) -> Self {
        failed.text
    }
}

/// A failure of the client or of the answer's content.
impl From<String> for Failed {
    fn from(text: String) -> Self {
        Failed {
            text,
            is_throttled: false,
        }
    }
}

/// Describes an error of a watch.
pub(crate) fn describe(error: &watcher::Error, wanted: &ClusterPeers) -> Trouble {
    use watcher::Error;
    let code = match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status)) => Some(status.code),
        Error::WatchError(status) => Some(status.code),
        _ => None,
    };
    Trouble {
        text: line(error, wanted).into(),
        is_silence: matches!(error, Error::WatchFailed(cause) if is_silent(cause)),
        begins_anew: matches!(code, Some(401 | 410)),
        is_gone: code == Some(410),
        // 502 and 503 are the answers of a load balancer without a server behind it.
        is_overloaded: matches!(code, Some(429 | 500 | 504)),
    }
}

/// Whether a connection had no byte for too long (`hyper_timeout`). The time of the system for a lost connection (ETIMEDOUT) is
/// another one.
fn is_silent(error: &kube::Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let mut of_system = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    of_system.any(|cause| cause.kind() == io::ErrorKind::TimedOut && cause.raw_os_error().is_none())
}

/// One line about an error of a watch.
fn line(error: &watcher::Error, wanted: &ClusterPeers) -> Failed {
    use watcher::Error;
    let what = match &wanted.objects {
        PeerObjects::Endpoints { namespace, .. } => {
            format!("endpointslices in the namespace {namespace}")
        }
        PeerObjects::Nodes { .. } => "nodes in the cluster".to_owned(),
    };
    match error {
        Error::InitialListFailed(cause) => of_client(cause, "list", &what),
        Error::WatchStartFailed(cause) | Error::WatchFailed(cause) => of_client(cause, "watch", &what),
        Error::WatchError(status) => of_status(status.code, &status.message, "watch", &what),
        Error::NoResourceVersion => {
            Failed::from("the API server gave a list without a resourceVersion".to_owned())
        }
    }
}

/// One line about an error of the client; `what` are the objects that were asked for.
pub(crate) fn of_client(error: &kube::Error, verb: &str, what: &str) -> Failed {
    match error {
        kube::Error::Api(status) => of_status(status.code, &status.message, verb, what),
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
            text.lines().next().unwrap_or_default().to_owned().into()
        }
    }
}

/// One line about an answer that is an error.
pub(crate) fn of_status(code: u16, message: &str, verb: &str, what: &str) -> Failed {
    let line = message.lines().next().unwrap_or_default();
    let text = match code {
        401 => "the API server does not accept the token (401)".to_owned(),
        403 => format!("the token may not {verb} {what} (403)"),
        410 => "the API server no longer has the changes since the last list (410)".to_owned(),
        429 => "the API server is overloaded (429)".to_owned(),
        _ => format!("the API server answers {code}: {line}"),
    };
    Failed {
        text,
        is_throttled: code == 429,
    }
}
