//! Accepts clients, and passes their questions to the main loop.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::http::answer::{Answer, Client, question};
use crate::inbox::Message;
use netkeel_core::error::{Error, ErrorKind};

/// Maximum number of connections per transport; a new one closes the oldest.
const AT_ONCE: usize = 16;

/// Deadline of a connection.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });

/// Pause after a client could not be accepted, mostly because no file descriptor is free. The client
/// stays in the queue of the socket, so without a pause the next attempt would follow at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Maximum size of a request, bytes.
const LONGEST: usize = 8 * 1024;

/// Maximum number of request headers.
const HEADERS: usize = 64;

/// Listens on an address.
///
/// # Errors
/// When the address is not available.
pub(crate) fn listen(address: SocketAddr) -> Result<std::net::TcpListener, Error> {
    std::net::TcpListener::bind(address)
        .map_err(|error| Error::new(ErrorKind::Refused, format!("cannot listen on {address}: {error}")))
}

/// Starts the server; it ends with the runtime.
///
/// # Errors
/// When a socket cannot be made nonblocking.
pub(crate) fn start(
    tcp: Option<std::net::TcpListener>,
    page_for_anyone: bool,
    unix: std::os::unix::net::UnixListener,
    inbox: &Sender<Message>,
) -> Result<(), Error> {
    let refused = |error: std::io::Error| {
        Error::new(
            ErrorKind::Refused,
            format!("cannot start the HTTP server: {error}"),
        )
    };
    unix.set_nonblocking(true).map_err(refused)?;
    let unix = UnixListener::from_std(unix).map_err(refused)?;
    tokio::spawn(Clients::new(inbox.clone()).accept(unix));
    let Some(tcp) = tcp else { return Ok(()) };
    tcp.set_nonblocking(true).map_err(refused)?;
    let network = Network {
        listener: TcpListener::from_std(tcp).map_err(refused)?,
        page_for_anyone,
    };
    tokio::spawn(Clients::new(inbox.clone()).accept(network));
    Ok(())
}

/// A socket that clients connect to.
trait Listener: Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who its client is.
    fn poll(&self, context: &mut Context<'_>) -> Poll<std::io::Result<(Self::Stream, Client)>>;
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn poll(&self, context: &mut Context<'_>) -> Poll<std::io::Result<(UnixStream, Client)>> {
        self.poll_accept(context)
            .map_ok(|(stream, _)| (stream, Client::Root))
    }
}

/// A port of the network.
struct Network {
    listener: TcpListener,
    page_for_anyone: bool,
}

impl Listener for Network {
    type Stream = TcpStream;

    fn poll(&self, context: &mut Context<'_>) -> Poll<std::io::Result<(TcpStream, Client)>> {
        self.listener.poll_accept(context).map_ok(|(stream, from)| {
            let is_of_this_host = from.ip().to_canonical().is_loopback();
            let client = match self.page_for_anyone || is_of_this_host {
                true => Client::Viewer,
                false => Client::Anyone,
            };
            (stream, client)
        })
    }
}

/// The open connections of a transport, oldest first.
struct Clients {
    inbox: Sender<Message>,
    open: VecDeque<JoinHandle<()>>,
}

impl Clients {
    fn new(inbox: Sender<Message>) -> Self {
        Clients {
            inbox,
            open: VecDeque::new(),
        }
    }

    /// Accepts clients for ever.
    async fn accept<L: Listener>(mut self, listener: L) {
        loop {
            let accepted = poll_fn(|context| listener.poll(context)).await;
            self.add(accepted).await;
        }
    }

    /// Serves a new client, or reports that none could be accepted.
    async fn add<S>(&mut self, accepted: std::io::Result<(S, Client)>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.open.retain(|one| !one.is_finished());
        match accepted {
            Ok((stream, client)) => {
                if self.open.len() >= AT_ONCE {
                    self.close_oldest();
                }
                let served = serve(stream, client, self.inbox.clone());
                self.open.push_back(tokio::spawn(served));
            }
            Err(error) => {
                // Its file descriptor may be the one that the next client needs.
                self.close_oldest();
                // The loop may be busy; the next failure reports the same.
                let _ = self.inbox.try_send(Message::NotAccepted(error.to_string()));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn close_oldest(&mut self) {
        if let Some(oldest) = self.open.pop_front() {
            oldest.abort();
        }
    }
}

/// Serves one request of a client.
async fn serve<S>(stream: S, client: Client, inbox: Sender<Message>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let inbox = inbox.clone();
        async move {
            let answer = ask(&request, client, &inbox).await;
            Ok::<_, Infallible>(response(answer))
        }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        // `nc -N` and others close their half after the request.
        .half_close(true)
        .max_buf_size(LONGEST)
        .max_headers(HEADERS)
        // The deadline of the connection covers the headers.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    // A client that is too slow, or sends something else than HTTP, is the client's own problem.
    let _ = timeout(PATIENCE, connection).await;
}

/// The loop's answer to a request.
async fn ask(request: &Request<Incoming>, client: Client, inbox: &Sender<Message>) -> Answer {
    let uri = request.uri();
    let question = match question(request.method(), uri.path(), uri.query(), client) {
        Ok(question) => question,
        Err(answer) => return answer,
    };
    let stopping = || Answer::text(StatusCode::SERVICE_UNAVAILABLE, "the service is stopping\n");
    let (reply, answer) = oneshot::channel();
    if inbox.send(Message::Ask(question, reply)).await.is_err() {
        return stopping();
    }
    answer.await.unwrap_or_else(|_| stopping())
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::answer::Question;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// The server's answer to these bytes.
    fn answered(bytes: &[u8]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        client.write_all(bytes).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        runtime.block_on(async {
            let (inbox, mut asked) = tokio::sync::mpsc::channel(1);
            let server = tokio::net::UnixStream::from_std(server).unwrap();
            let served = tokio::spawn(serve(server, Client::Root, inbox));
            while let Some(Message::Ask(question, reply)) = asked.recv().await {
                assert_eq!(question, Question::Health);
                reply.send(Answer::text(StatusCode::OK, "ok\n")).unwrap();
            }
            served.await.unwrap();
        });
        let mut answer = Vec::new();
        // A server that closes before it has read everything resets the connection after its answer.
        let _ = client.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn a_request_is_answered_by_the_loop() {
        let answer = answered(b"GET /healthz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
        let head = answered(b"HEAD /healthz HTTP/1.0\r\n\r\n");
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
        assert!(head.contains("content-length: 3\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn a_loop_that_hangs_answers_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        client.set_nonblocking(true).unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
        runtime.block_on(async {
            let (inbox, mut asked) = tokio::sync::mpsc::channel(1);
            let server = tokio::net::UnixStream::from_std(server).unwrap();
            tokio::spawn(serve(server, Client::Root, inbox));
            let message = asked.recv().await;
            sleep(Duration::from_millis(100)).await;
            let error = client.read(&mut [0; 64]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            drop(message);
        });
    }

    #[test]
    fn a_request_that_is_not_http_is_rejected() {
        let code = |bytes: &[u8]| answered(bytes).get(9..12).unwrap_or_default().to_owned();
        assert_eq!(code(b"potato\r\n\r\n"), "400");
        assert_eq!(
            code(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST)).as_bytes()),
            "431"
        );
        let many = "x: y\r\n".repeat(HEADERS + 1);
        assert_eq!(code(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), "431");
    }
}
