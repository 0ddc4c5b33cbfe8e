//! The service: what the kernel, files, signals and the clock tell goes to the
//! [state machine](crate::reconcile), and what it asks for is done. One thread does it all but
//! answering `netkeel status` and those who scrape, who see the [picture](picture::Picture) only.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::options::{Options, Source};
use crate::watch::signals;
use crate::{http, service};
use netkeel_apply::store::Store;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::live::snapshot::Live;
use netkeel_reconcile::status::Status;

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
    let picture = Arc::new(Mutex::new(Status::new(
        mode,
        netns,
        netkeel_apply::clock::now(),
        process::id(),
        Instant::now(),
    )));
    let tcp = options.listen.map(listen).transpose()?;
    let socket = store.listen()?;
    let (wake, woken) = UnixStream::pair().map_err(|error| refused(&error))?;
    http::Server::start(tcp, socket, Arc::clone(&picture), wake)?;
    let done = Live::with(&options.netns, |live| {
        let senses = service::EventSources {
            signals,
            events: live.events(options.queue)?,
            woken,
        };
        service::Service::new(options, source, store.clone(), senses, picture)?.run(live)
    });
    store.listen_no_longer();
    done?
}

pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .map_err(|error| Error::new(ErrorKind::Refused, format!("listening at {address}: {error}")))
}

fn refused(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, error.to_string())
}
