//! The questions that a client may ask, and the form of the answers.

use std::net::IpAddr;

use hyper::{Method, StatusCode};
use serde::Serialize;

use netkeel_core::replication::node_report::MOST_PEERS;
use netkeel_core::replication::probe::Token;

/// The kind of a client, by its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Anyone: gets metrics and health.
    Anyone,
    /// One that may see the page too: it comes from this host, or the page is for anyone.
    Viewer,
    /// Root on this host, by the Unix socket: also gets the status.
    Root,
}

/// A client's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The page for a browser.
    Page,
    /// The metrics.
    Metrics,
    /// Whether the loop turns.
    Alive,
    /// Whether a first full scan was made.
    Ready,
    /// Whether the service works.
    Health,
    /// What became of the packets of a probe, and the state of these peers.
    Probe { token: Token, peers: Vec<IpAddr> },
    /// The status as JSON.
    Status,
    /// Whether the service is paused: its file may have changed.
    Look,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    /// The content type.
    pub(crate) kind: &'static str,
    pub(crate) body: String,
}

impl Answer {
    /// An answer in plain text.
    pub(crate) fn text(code: StatusCode, body: impl Into<String>) -> Self {
        Answer {
            code,
            kind: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// An answer in JSON.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(body) => Answer {
                code: StatusCode::OK,
                kind: "application/json",
                body,
            },
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}

/// The question of a request, or the answer to one that asks for nothing that is served.
pub(crate) fn question(
    method: &Method,
    path: &str,
    query: Option<&str>,
    client: Client,
) -> Result<Question, Answer> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let (true, Some(token)) = (reads, path.strip_prefix("/probes/")) {
        return probe(token, query.unwrap_or_default());
    }
    match (path, client) {
        ("/", Client::Anyone) if reads => Err(Answer::text(
            StatusCode::FORBIDDEN,
            "the page is for clients on this host; use a tunnel, or run the service with --page-for-anyone\n",
        )),
        ("/", Client::Viewer | Client::Root) if reads => Ok(Question::Page),
        ("/metrics", _) if reads => Ok(Question::Metrics),
        ("/livez", _) if reads => Ok(Question::Alive),
        ("/readyz", _) if reads => Ok(Question::Ready),
        ("/healthz", _) if reads => Ok(Question::Health),
        ("/status", Client::Root) if *method == Method::GET => Ok(Question::Status),
        ("/look", Client::Root) if *method == Method::POST => Ok(Question::Look),
        _ if reads => Err(Answer::text(
            StatusCode::NOT_FOUND,
            "not found; try /, /metrics, /livez, /readyz or /healthz\n",
        )),
        _ => Err(Answer::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is supported\n",
        )),
    }
}

/// The question about a probe; the query is `peer=ADDRESS&peer=ADDRESS`.
fn probe(token: &str, query: &str) -> Result<Question, Answer> {
    let bad = |why: &str| Err(Answer::text(StatusCode::BAD_REQUEST, format!("{why}\n")));
    let Ok(token) = token.parse() else {
        return bad("expected /probes/TOKEN with 16 hexadecimal digits");
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let peers = pairs.map(|pair| pair.strip_prefix("peer=")?.parse().ok());
    match peers.collect::<Option<Vec<IpAddr>>>() {
        Some(peers) if peers.len() <= MOST_PEERS => Ok(Question::Probe { token, peers }),
        Some(_) => bad("too many peers"),
        None => bad("expected ?peer=ADDRESS&peer=ADDRESS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_has_a_token_and_peers() {
        let asked =
            |path, query| question(&Method::GET, path, query, Client::Anyone).map_err(|no| no.code.as_u16());
        let (token, path) = (Token(0xab), "/probes/00000000000000ab");
        let peers = |list: &[&str]| list.iter().map(|one| one.parse().unwrap()).collect();
        let found = |list| {
            Ok(Question::Probe {
                token,
                peers: peers(list),
            })
        };
        assert_eq!(asked(path, None), found(&[]));
        let two = Some("peer=192.0.2.1&peer=2001:db8::1");
        assert_eq!(asked(path, two), found(&["192.0.2.1", "2001:db8::1"]));
        assert_eq!(asked("/probes/ab", None), Err(400));
        assert_eq!(asked(path, Some("peer=potato")), Err(400));
        let many = "peer=192.0.2.1&".repeat(MOST_PEERS + 1);
        assert_eq!(asked(path, Some(&many)), Err(400));
        assert_eq!(asked("/probes", None), Err(404));
    }

    #[test]
    fn each_client_has_its_questions() {
        let asked = |method, path, client| question(&method, path, None, client).map_err(|no| no.code);
        for client in [Client::Anyone, Client::Viewer, Client::Root] {
            assert_eq!(asked(Method::GET, "/metrics", client), Ok(Question::Metrics));
            assert_eq!(asked(Method::HEAD, "/healthz", client), Ok(Question::Health));
            assert_eq!(asked(Method::GET, "/livez", client), Ok(Question::Alive));
            assert_eq!(asked(Method::GET, "/readyz", client), Ok(Question::Ready));
            let other = asked(Method::GET, "/favicon.ico", client);
            assert_eq!(other, Err(StatusCode::NOT_FOUND));
            let put = asked(Method::PUT, "/metrics", client);
            assert_eq!(put, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
        let page = |client| asked(Method::GET, "/", client);
        assert_eq!(page(Client::Anyone), Err(StatusCode::FORBIDDEN));
        assert_eq!(page(Client::Viewer), Ok(Question::Page));
        assert_eq!(page(Client::Root), Ok(Question::Page));
        let root = |method, path| asked(method, path, Client::Root);
        assert_eq!(root(Method::GET, "/status"), Ok(Question::Status));
        assert_eq!(root(Method::POST, "/look"), Ok(Question::Look));
        for client in [Client::Anyone, Client::Viewer] {
            let status = asked(Method::GET, "/status", client);
            assert_eq!(status, Err(StatusCode::NOT_FOUND));
            let look = asked(Method::POST, "/look", client);
            assert_eq!(look, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
    }
}
