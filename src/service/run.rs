//! Starts the service. One thread receives events from the kernel, files, signals and the clock, passes
//! them to the [reconciler](netkeel_reconcile::reconciler), and runs its actions. A second thread serves HTTP
//! and sees only the [status](netkeel_reconcile::status::Status).

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

/// Runs the service until a signal stops it.
///
/// # Errors
/// When the service cannot start: there is no valid document, or an event source cannot be opened.
pub fn run(options: &Options, source: &mut dyn Source) -> Result<(), Error> {
    // Before other threads start: they would receive the signals.
    let signals = signals::Signals::new()?;
    let store = Store::open(&options.netns)?;
    let mode = if options.enforces { "enforce" } else { "observe" };
    let netns = options.netns.name().map(str::to_owned);
    let status = Arc::new(Mutex::new(Status::new(
        mode,
        netns,
        netkeel_apply::clock::now(),
        process::id(),
        Instant::now(),
    )));
    let tcp = options.listen.map(listen).transpose()?;
    let socket = store.listen()?;
    let (wake, woken) = UnixStream::pair().map_err(|error| refused(&error))?;
    http::Server::start(tcp, socket, Arc::clone(&status), wake)?;
    let done = Live::with(&options.netns, |live| {
        let sources = service::EventSources {
            signals,
            events: live.events(options.queue)?,
            woken,
        };
        service::Service::new(options, source, store.clone(), sources, status)?.run(live)
    });
    store.listen_no_longer();
    done?
}

pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .map_err(|error| Error::new(ErrorKind::Refused, format!("cannot listen on {address}: {error}")))
}

fn refused(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Refused, error.to_string())
}
