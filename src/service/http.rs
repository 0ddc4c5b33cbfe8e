//! The HTTP server: metrics and health over TCP, the status over a Unix socket that only root can
//! open. It has one thread, a limited number of connections, and a deadline for each connection, so
//! that clients cannot slow down the service.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use netkeel_core::error::{Error, ErrorKind as Kind};
use netkeel_reconcile::status::Status;
use netkeel_render::metrics;

/// Maximum number of connections per transport; a new one closes the oldest.
const AT_ONCE: usize = 16;

/// Deadline of a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum size of a request, bytes.
const LONGEST: usize = 8 * 1024;

/// Maximum number of request headers.
const HEADERS: usize = 64;

/// The transport of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Serves metrics and health to anyone.
    Tcp,
    /// Also serves the status, to root on this host.
    Unix,
}

/// A connected socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A client connection.
pub(crate) struct Connection {
    stream: Stream,
    way: Way,
    since: Instant,
    request: Vec<u8>,
    /// The response and the number of bytes sent, once the request is complete.
    answer: Option<(Vec<u8>, usize)>,
}

/// The HTTP server.
pub(crate) struct Server {
    tcp: Option<TcpListener>,
    unix: UnixListener,
    status: Arc<Mutex<Status>>,
    /// Wakes the service to check whether it is paused.
    wake: UnixStream,
    connections: Vec<Connection>,
}

impl Server {
    /// Starts the server in a thread that ends with the process.
    ///
    /// # Errors
    /// When a socket cannot be made nonblocking or the thread cannot be started.
    pub fn start(
        tcp: Option<TcpListener>,
        unix: UnixListener,
        status: Arc<Mutex<Status>>,
        wake: UnixStream,
    ) -> Result<(), Error> {
        let refused = |error: std::io::Error| {
            Error::new(Kind::Refused, format!("cannot start the HTTP server: {error}"))
        };
        if let Some(tcp) = &tcp {
            tcp.set_nonblocking(true).map_err(refused)?;
        }
        unix.set_nonblocking(true).map_err(refused)?;
        wake.set_nonblocking(true).map_err(refused)?;
        let mut server = Server {
            tcp,
            unix,
            status,
            wake,
            connections: Vec::new(),
        };
        let thread = thread::Builder::new().name("answers".into());
        thread
            .spawn(move || {
                loop {
                    server.turn();
                }
            })
            .map(drop)
            .map_err(refused)
    }

    fn turn(&mut self) {
        self.wait();
        self.accept();
        let now = Instant::now();
        let (status, wake) = (&self.status, &mut self.wake);
        self.connections
            .retain_mut(|connection| connection.since + PATIENCE > now && connection.go_on(status, wake));
    }

    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.unix.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            self.tcp
                .iter()
                .map(|tcp| PollFd::new(tcp.as_fd(), PollFlags::POLLIN)),
        );
        for connection in &self.connections {
            let what = match connection.answer {
                Some(_) => PollFlags::POLLOUT,
                None => PollFlags::POLLIN,
            };
            fds.push(PollFd::new(connection.stream.fd(), what));
        }
        let oldest = self
            .connections
            .iter()
            .map(|connection| connection.since + PATIENCE)
            .min();
        let left = oldest.map(|end| end.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = left.and_then(|left| PollTimeout::try_from(left).ok());
        if poll(&mut fds, timeout.unwrap_or(PollTimeout::NONE)).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.unix.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.add(Stream::Unix(stream), Way::Unix);
            }
        }
        // Without free file descriptors accept fails; the next turn retries.
        while let Some(Ok((stream, _))) = self.tcp.as_ref().map(TcpListener::accept) {
            if stream.set_nonblocking(true).is_ok() {
                self.add(Stream::Tcp(stream), Way::Tcp);
            }
        }
    }

    fn add(&mut self, stream: Stream, way: Way) {
        let of_way = self.connections.iter().filter(|connection| connection.way == way);
        if of_way.count() >= AT_ONCE
            && let Some(oldest) = self
                .connections
                .iter()
                .position(|connection| connection.way == way)
        {
            self.connections.remove(oldest);
        }
        self.connections.push(Connection {
            stream,
            way,
            since: Instant::now(),
            request: Vec::new(),
            answer: None,
        });
    }
}

impl Stream {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Connection {
    /// Reads and writes without blocking; returns whether the connection stays open.
    fn go_on(&mut self, status: &Mutex<Status>, wake: &mut UnixStream) -> bool {
        if self.answer.is_none() {
            match self.read() {
                Ok(false) => return true,
                Ok(true) => {}
                Err(()) => return false,
            }
            self.answer = Some((respond(&self.request, self.way, status, wake), 0));
        }
        let Some((bytes, sent)) = &mut self.answer else {
            return true;
        };
        while let Some(rest) = bytes.get(*sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return false,
                Ok(length) => *sent += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Reads the request; returns whether it is complete or too long.
    fn read(&mut self) -> Result<bool, ()> {
        let mut buffer = [0; 2048];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(()),
                Ok(length) => {
                    self.request.extend(buffer.iter().take(length));
                    if is_complete_request(&self.request) || self.request.len() > LONGEST {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(()),
            }
        }
    }
}

fn is_complete_request(request: &[u8]) -> bool {
    request.windows(4).any(|bytes| bytes == b"\r\n\r\n") || request.windows(2).any(|bytes| bytes == b"\n\n")
}

fn respond(request: &[u8], way: Way, status: &Mutex<Status>, wake: &mut UnixStream) -> Vec<u8> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let complete = parsed.parse(request).is_ok_and(|status| status.is_complete());
    let (Some(method), Some(path), true) = (parsed.method, parsed.path, complete) else {
        return answer("400 Bad Request", TEXT, b"malformed request\n", true);
    };
    let body = method != "HEAD";
    // No path takes a query.
    let path = path.split('?').next().unwrap_or_default();
    let locked = || status.lock().unwrap_or_else(PoisonError::into_inner);
    match (method, path, way) {
        ("GET" | "HEAD", "/metrics", _) => {
            // Copy the status, so that the service does not wait for the lock while the text is formatted.
            let status = locked().clone();
            answer(
                "200 OK",
                metrics::TYPE,
                metrics::text(status, Instant::now()).as_bytes(),
                body,
            )
        }
        ("GET" | "HEAD", "/healthz", _) => match locked().healthy(Instant::now()) {
            Ok(()) => answer("200 OK", TEXT, b"ok\n", body),
            Err(why) => answer(
                "503 Service Unavailable",
                TEXT,
                format!("{why}\n").as_bytes(),
                body,
            ),
        },
        ("GET", "/status", Way::Unix) => {
            let shown = locked().to_show();
            let json = serde_json::to_vec(&shown).unwrap_or_default();
            answer("200 OK", "application/json", &json, true)
        }
        ("POST", "/look", Way::Unix) => {
            // A full pipe already wakes the service.
            let _ = wake.write(&[1]);
            answer("202 Accepted", TEXT, b"the service will check\n", true)
        }
        ("GET" | "HEAD", ..) => answer(
            "404 Not Found",
            TEXT,
            b"not found; try /metrics or /healthz\n",
            body,
        ),
        _ => answer("405 Method Not Allowed", TEXT, b"only GET is supported\n", true),
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn answer(status: &str, kind: &str, body: &[u8], with_body: bool) -> Vec<u8> {
    let length = body.len();
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(request: &[u8], way: Way) -> String {
        let status = Mutex::new(Status::new("enforce", None, 0, 1, Instant::now()));
        let (mut wake, _other) = UnixStream::pair().unwrap();
        let answer = respond(request, way, &status, &mut wake);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn each_transport_has_its_responses() {
        let code = |request: &str, way| asked(request.as_bytes(), way)[9..12].to_owned();
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(code(&get("/metrics"), Way::Tcp), "200");
        assert_eq!(code(&get("/metrics?x=1"), Way::Tcp), "200");
        assert_eq!(code(&get("/healthz"), Way::Tcp), "503");
        assert_eq!(code(&get("/status"), Way::Tcp), "404");
        assert_eq!(code(&get("/status"), Way::Unix), "200");
        assert_eq!(code("POST /look HTTP/1.1\r\n\r\n", Way::Tcp), "405");
        assert_eq!(code("POST /look HTTP/1.1\r\n\r\n", Way::Unix), "202");
        assert_eq!(code("GET /metrics\r\n\r\n", Way::Tcp), "400");
        assert_eq!(code(&"x".repeat(LONGEST + 1), Way::Tcp), "400");
        let head = asked(b"HEAD /healthz HTTP/1.0\r\n\r\n", Way::Tcp);
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }

    proptest! {
        #[test]
        fn no_request_makes_it_panic(request in proptest::collection::vec(any::<u8>(), 0..512)) {
            asked(&request, Way::Tcp);
            asked(&request, Way::Unix);
            is_complete_request(&request);
        }
    }
}
