//! The service: what the kernel, files, signals and the clock tell goes to the
//! [state machine](crate::reconcile), and what it asks for is done. One thread does it all but
//! answering `netkeel status` and those who scrape, who see the [picture](picture::Picture) only.

pub mod client;
mod files;
mod guard;
mod handshakes;
mod hearing;
mod keep;
mod load;
mod log;
mod metrics;
mod mtus;
mod notify;
mod paths;
mod picture;
mod serve;
mod service;
mod signals;
mod tell;
mod worker;
mod writers;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use picture::{FORMAT, Picture};

use crate::document::Document;
use crate::error::{Error, ErrorKind};
use crate::kernel::Live;
use crate::netns::Netns;
use crate::store::Store;

/// Where the document comes from.
pub trait Source: Send {
    /// Reads it.
    ///
    /// # Errors
    /// All that is wrong with it, as text for people.
    fn read(&mut self) -> Result<Document, String>;

    /// The files and directories that it is read from.
    fn paths(&self) -> Vec<PathBuf>;

    /// What tells what would be read from what was read before.
    fn digest(&mut self) -> u64;
}

/// How the service runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace.
    pub netns: Netns,
    /// It writes; else it only looks.
    pub enforces: bool,
    /// Its worker sends nothing, whatever the document says.
    pub dry_run: bool,
    /// The whole host is looked at once in this time at least.
    pub interval: Duration,
    /// It may lose what an undo does not bring back.
    pub lossy: bool,
    /// It may change the interface that the host is managed through.
    pub management: bool,
    /// Bytes of events that the kernel may queue.
    pub queue: usize,
    /// Where the metrics and the health are answered.
    pub listen: Option<SocketAddr>,
}

/// Runs the service until it is told to end.
///
/// # Errors
/// When it cannot begin: no document was ever good, or the kernel cannot be listened to.
pub fn run(options: &Options, source: &mut dyn Source) -> Result<(), Error> {
    // Before there are other threads, which would take the signals.
    let signals = signals::Signals::new()?;
    let store = Store::open(&options.netns)?;
    let mode = if options.enforces { "enforce" } else { "observe" };
    let netns = options.netns.name().map(str::to_owned);
    let picture = Arc::new(Mutex::new(Picture::new(mode, netns, crate::store::now())));
    let tcp = options.listen.map(listen).transpose()?;
    let socket = store.listen()?;
    let (wake, woken) = UnixStream::pair().map_err(|error| refused(&error))?;
    serve::Server::start(tcp, socket, Arc::clone(&picture), wake)?;
    let done = Live::with(&options.netns, |live| {
        let senses = service::Senses {
            signals,
            events: live.events(options.queue)?,
            woken,
        };
        service::Service::new(options, source, store.clone(), senses, picture)?.run(live)
    });
    store.listen_no_longer();
    done?
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .map_err(|error| Error::new(ErrorKind::Refused, format!("listening at {address}: {error}")))
}

fn refused(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, error.to_string())
}

/// What a document has to do with events.
fn interest(document: &Document) -> crate::reconcile::Interest {
    crate::reconcile::Interest {
        made: document.makes().into_iter().collect::<BTreeSet<_>>(),
        whole: document.limits.max_matches.is_some(),
        pods: document.scope().pods,
    }
}
