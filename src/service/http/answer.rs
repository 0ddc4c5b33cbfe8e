//! The questions that a client may ask, and the form of the answers.

use hyper::{Method, StatusCode};

/// The transport of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Serves metrics and health to anyone.
    Tcp,
    /// Also serves the status, to root on this host.
    Unix,
}

/// A client's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// The metrics.
    Metrics,
    /// Whether the loop turns.
    Alive,
    /// Whether a first full scan was made.
    Ready,
    /// Whether the service works.
    Health,
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
}

/// The question of a request, or the answer to one that asks for nothing that is served.
pub(crate) fn question(method: &Method, path: &str, transport: Transport) -> Result<Question, Answer> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    match (path, transport) {
        ("/metrics", _) if reads => Ok(Question::Metrics),
        ("/livez", _) if reads => Ok(Question::Alive),
        ("/readyz", _) if reads => Ok(Question::Ready),
        ("/healthz", _) if reads => Ok(Question::Health),
        ("/status", Transport::Unix) if *method == Method::GET => Ok(Question::Status),
        ("/look", Transport::Unix) if *method == Method::POST => Ok(Question::Look),
        _ if reads => Err(Answer::text(
            StatusCode::NOT_FOUND,
            "not found; try /metrics, /livez, /readyz or /healthz\n",
        )),
        _ => Err(Answer::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is supported\n",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transport_has_its_questions() {
        let asked = |method, path, transport| question(&method, path, transport).map_err(|no| no.code);
        for transport in [Transport::Tcp, Transport::Unix] {
            assert_eq!(asked(Method::GET, "/metrics", transport), Ok(Question::Metrics));
            assert_eq!(asked(Method::HEAD, "/healthz", transport), Ok(Question::Health));
            assert_eq!(asked(Method::GET, "/livez", transport), Ok(Question::Alive));
            assert_eq!(asked(Method::GET, "/readyz", transport), Ok(Question::Ready));
            let other = asked(Method::GET, "/", transport);
            assert_eq!(other, Err(StatusCode::NOT_FOUND));
            let put = asked(Method::PUT, "/metrics", transport);
            assert_eq!(put, Err(StatusCode::METHOD_NOT_ALLOWED));
        }
        let unix = |method, path| asked(method, path, Transport::Unix);
        assert_eq!(unix(Method::GET, "/status"), Ok(Question::Status));
        assert_eq!(unix(Method::POST, "/look"), Ok(Question::Look));
        let tcp = |method, path| asked(method, path, Transport::Tcp);
        assert_eq!(tcp(Method::GET, "/status"), Err(StatusCode::NOT_FOUND));
        let look = tcp(Method::POST, "/look");
        assert_eq!(look, Err(StatusCode::METHOD_NOT_ALLOWED));
    }
}
