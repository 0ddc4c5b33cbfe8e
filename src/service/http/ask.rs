//! Asks the service of another node.

use std::fmt::Write as _;
use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::replication::node_report::{FORMAT, MOST_PEERS, NodeReport};
use netkeel_core::replication::probe::Token;

/// Maximum time for an answer.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 2 });

/// Maximum size of an answer, bytes.
const LONGEST: usize = 64 * 1024;

/// Asks a node for the packets of a probe and for the state of its peers, of which the first [`MOST_PEERS`] are named. It
/// blocks for two seconds at most, in the network namespace of the calling thread.
///
/// # Errors
/// When the node does not answer, or its answer is of another version or of another program.
pub fn node_report(node: SocketAddr, token: Token, peers: &[IpAddr]) -> Result<NodeReport, Error> {
    let mut path = format!("/probes/{token}");
    for (number, peer) in peers.iter().take(MOST_PEERS).enumerate() {
        let _ = write!(path, "{}peer={peer}", if number == 0 { '?' } else { '&' });
    }
    let answer = get(node, &path)
        .map_err(|error| Error::new(ErrorKind::Refused, format!("no answer from {node}: {error}")))?;
    let unexpected = || {
        Error::new(ErrorKind::Unreadable, format!("{node} gave an unexpected answer"))
            .hint("it may be another program, or another version of netkeel")
    };
    let report: NodeReport =
        serde_json::from_str(body(&answer).ok_or_else(unexpected)?).map_err(|_| unexpected())?;
    match report.format {
        FORMAT => Ok(report),
        _ => Err(unexpected()),
    }
}

/// Sends a request and reads the whole answer.
fn get(node: SocketAddr, path: &str) -> std::io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        // A timeout of zero means none.
        left.max(Duration::from_millis(1))
    };
    let mut stream = TcpStream::connect_timeout(&node, left())?;
    stream.set_write_timeout(Some(left()))?;
    // In one write: the other end may answer and close after the first bytes.
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if Instant::now() >= until {
            return Err(IoKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left()))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(chunk.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == IoKind::Interrupted => {}
            // The clock decides about the next turn.
            Err(error) if error.kind() == IoKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if answer.len() > LONGEST {
            return Err(std::io::Error::new(IoKind::InvalidData, "the answer is too long"));
        }
    }
    String::from_utf8(answer).map_err(|_| IoKind::InvalidData.into())
}

/// The body of a successful response.
pub(crate) fn body(answer: &str) -> Option<&str> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head.split(' ').nth(1)?;
    code.starts_with('2').then_some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// The error about a node that gives this answer, and the request that it got.
    fn asked(answer: &'static [u8], peers: &[IpAddr]) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = client.read(&mut request).unwrap();
            // The client may have closed the connection.
            let _ = client.write_all(answer);
            String::from_utf8(request[..length].to_vec()).unwrap()
        });
        let error = node_report(node, Token(0xab), peers).unwrap_err();
        (
            error.message.replace(&node.to_string(), "NODE"),
            server.join().unwrap(),
        )
    }

    #[test]
    fn an_answer_of_something_else_is_an_error() {
        let peers = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        let (error, request) = asked(b"HTTP/1.0 404 Not Found\r\n\r\nnot found", &peers);
        assert_eq!(error, "NODE gave an unexpected answer");
        assert_eq!(
            request,
            "GET /probes/00000000000000ab?peer=192.0.2.1&peer=2001:db8::1 HTTP/1.0\r\n\r\n"
        );
        let (error, _) = asked(b"HTTP/1.0 200 OK\r\n\r\n{\"format\": 7}", &[]);
        assert_eq!(error, "NODE gave an unexpected answer");
        let (error, _) = asked(b"HTTP/1.0 200 OK\r\n\r\n\xff", &[]);
        assert!(error.starts_with("no answer from NODE: "), "{error}");
    }

    #[test]
    fn a_node_that_does_not_listen_gives_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = listener.local_addr().unwrap();
        drop(listener);
        let error = node_report(node, Token(1), &[]).unwrap_err();
        assert!(error.message.starts_with("no answer from 127.0.0.1:"), "{error}");
    }

    #[test]
    fn only_a_successful_response_has_a_body() {
        assert_eq!(body("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}"), Some("{}"));
        assert_eq!(body("HTTP/1.0 404 Not Found\r\n\r\n{}"), None);
        assert_eq!(body("{}"), None);
    }
}
