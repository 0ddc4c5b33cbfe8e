//! A way to the API server that a test closes, stalls and slows down.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// How often a connection looks at what the test wants.
const LOOK: Duration = Duration::from_millis(20);

/// The most bytes of one read. A slow way gives this many in `LOOK`.
const PIECE: usize = 4096;

#[derive(Default)]
struct State {
    closed: AtomicBool,
    slow: AtomicBool,
    /// Connections with a smaller number get nothing from the server.
    stalled_below: AtomicUsize,
    connections: AtomicUsize,
    /// Bytes from the server.
    bytes: AtomicU64,
}

/// The way; it ends with the process.
pub struct Gate {
    state: Arc<State>,
    port: u16,
}

impl Gate {
    /// A way to a port of this host.
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Without a server, or behind a closed gate, the connection ends at once.
                if shared.closed.load(SeqCst) {
                    continue;
                }
                let Ok(upstream) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else {
                    continue;
                };
                let number = shared.connections.fetch_add(1, SeqCst);
                for stream in [&client, &upstream] {
                    stream.set_read_timeout(Some(LOOK)).unwrap();
                }
                let both = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                let (up, down) = (shared.clone(), shared.clone());
                std::thread::spawn(move || carry(client, upstream, |_| up.closed.load(SeqCst)));
                std::thread::spawn(move || carry(both.1, both.0, |bytes| down.holds_back(number, bytes)));
            }
        });
        Gate { state, port }
    }

    /// A configuration of the client that goes this way.
    pub fn kubeconfig(&self, of: &Path, server: u16) -> PathBuf {
        let text = std::fs::read_to_string(of).unwrap();
        let (from, to) = (format!("127.0.0.1:{server}"), format!("127.0.0.1:{}", self.port));
        assert!(text.contains(&from), "{text}");
        let path = of.with_extension(format!("{}.kubeconfig", self.port));
        std::fs::write(&path, text.replace(&from, &to)).unwrap();
        path
    }

    /// Ends all connections, and takes no other.
    pub fn close(&self) {
        self.state.closed.store(true, SeqCst);
    }

    pub fn open(&self) {
        self.state.closed.store(false, SeqCst);
    }

    /// The connections of now stay open, and get nothing from the server any more.
    pub fn stall(&self) {
        let connections = self.state.connections.load(SeqCst);
        self.state.stalled_below.store(connections, SeqCst);
    }

    /// Gives 200 kB a second to each connection.
    pub fn slow_down(&self) {
        self.state.slow.store(true, SeqCst);
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// The bytes from the server so far.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(SeqCst)
    }
}

impl State {
    /// Waits as long as the test wants. Returns whether the connection ends.
    fn holds_back(&self, number: usize, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes as u64, SeqCst);
        if bytes > 0 && self.slow.load(SeqCst) {
            std::thread::sleep(LOOK);
        }
        while number < self.stalled_below.load(SeqCst) && !self.closed.load(SeqCst) {
            std::thread::sleep(LOOK);
        }
        self.closed.load(SeqCst)
    }
}

/// Copies until one side ends or `ends`, which gets the number of bytes before they are passed on, and 0 while there are none.
fn carry(mut from: TcpStream, mut to: TcpStream, ends: impl Fn(usize) -> bool) {
    let mut piece = [0; PIECE];
    loop {
        let bytes = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => bytes,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                0
            }
            Err(_) => break,
        };
        if ends(bytes) || to.write_all(&piece[..bytes]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
