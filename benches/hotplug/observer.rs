//! Looks on: when each interface was first told of, and when both of its values were as wanted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use nix::unistd::gettid;

use crate::MTU;
use crate::measure::run;
use crate::rtnetlink::{LINK, NETCONF, listen, read};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::netns::Netns;
use netkeel_kernel::namespace::enter::inside;

/// One interface.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub first: Instant,
    pub right: Option<Instant>,
    mtu: bool,
    rp_filter: bool,
}

impl Seen {
    /// How long it took.
    pub fn took(&self) -> Option<Duration> {
        Some(self.right?.duration_since(self.first))
    }
}

/// A thread that looks on.
pub struct Observer {
    ends: Arc<AtomicBool>,
    right: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Observer {
    /// Looks on from now on.
    pub fn start(netns: &Netns) -> Result<Self, Error> {
        let (ends, right) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (tell, told) = channel();
        let (netns, end, count) = (netns.clone(), Arc::clone(&ends), Arc::clone(&right));
        let thread = spawn(move || {
            let looked = inside(&netns, || {
                let socket = goes_first().and_then(|()| listen(&[LINK, NETCONF]));
                let _ = tell.send(socket.as_ref().map(drop).map_err(Clone::clone));
                let Ok(socket) = socket else { return Vec::new() };
                let _ = setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000));
                let mut buffer = vec![0; 64 * 1024];
                let mut seen: BTreeMap<u32, Seen> = BTreeMap::new();
                while !end.load(Ordering::Relaxed) {
                    let Ok(length) = socket.recv(&mut &mut *buffer, 0) else {
                        continue;
                    };
                    let now = Instant::now();
                    read(buffer.get(..length).unwrap_or_default(), |told| {
                        if told.name.starts_with("cali") {
                            seen.entry(told.index).or_insert(Seen {
                                first: now,
                                right: None,
                                mtu: false,
                                rp_filter: false,
                            });
                        }
                        let Some(one) = seen.get_mut(&told.index) else {
                            return;
                        };
                        one.mtu |= told.mtu == Some(MTU);
                        one.rp_filter |= told.rp_filter == Some(1);
                        if one.mtu && one.rp_filter && one.right.is_none() {
                            one.right = Some(now);
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                seen.into_values().collect()
            });
            looked.unwrap_or_default()
        });
        let ready = told.recv();
        ready.unwrap_or_else(|_| Err(Error::new(ErrorKind::Refused, "the observer ended")))?;
        Ok(Observer { ends, right, thread })
    }

    /// How many interfaces are as wanted.
    pub fn right(&self) -> usize {
        self.right.load(Ordering::Relaxed)
    }

    /// Ends it: what it saw.
    pub fn stop(self) -> Vec<Seen> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Gives the calling thread real-time priority (chrt(1)). Without it, what it sees waits for whoever it
/// shares a processor with: a subject that goes on with other things, after it wrote, would be seen to
/// write later than it did.
fn goes_first() -> Result<(), Error> {
    let thread = gettid().to_string();
    let arguments = ["--fifo", "--pid", "1", &thread].map(OsStr::new);
    run("chrt", &arguments, 0).map(drop)
}
