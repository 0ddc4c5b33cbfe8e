//! Starts the service. One thread receives events from the kernel, files, signals and the clock, passes
//! them to the [reconciler](netkeel_reconcile::reconciler), runs its actions, and answers clients. Reads and
//! writes of the kernel block that thread.

use std::process;

use tokio::runtime::Builder;
use tokio::sync::mpsc::channel;

use crate::effects::cluster::ClusterFollower;
use crate::effects::policies::PolicyFollower;
use crate::effects::{Effects, Inputs};
use crate::http::server;
use crate::inbox::{CAPACITY, forward_signals};
use crate::options::{Options, Source};
use crate::service::Service;
use netkeel_apply::store::Store;
use netkeel_apply::store::socket::Listening;
use netkeel_core::error::{Error, ErrorKind};
use netkeel_kernel::live::snapshot::Live;
use netkeel_kernel::netlink::interrupt::Interrupt;
use netkeel_reconcile::status::Status;

/// Runs the service until a signal stops it.
///
/// # Errors
/// When the service cannot start: there is no valid document, or an event source cannot be opened.
pub fn run(options: &Options, source: &mut dyn Source) -> Result<(), Error> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(
                ErrorKind::Refused,
                format!("cannot start the event loop: {error}"),
            )
        })?;
    let (sender, inbox) = channel(CAPACITY);
    let interrupt = Interrupt::default();
    // The lock is held until the end.
    let (store, _lock) = {
        let _context = runtime.enter();
        forward_signals(&sender, &interrupt)?;
        let store = Store::open(&options.netns)?;
        let tcp = options.listen.map(server::listen).transpose()?;
        let Listening { listener, lock } = store.listen()?;
        server::start(tcp, options.page_for_anyone, listener, &sender)?;
        (store, lock)
    };
    let mode = if options.enforces { "enforce" } else { "observe" };
    let netns = options.netns.name().map(str::to_owned);
    let mut status = Status::new(mode, netns, netkeel_apply::clock::now(), process::id());
    status.metrics_per_interface = options.metrics_per_interface;
    let done = Live::with(&options.netns, |live| {
        live.stop_on(interrupt.clone());
        let inputs = Inputs {
            inbox,
            interrupt,
            events: live.events(options.queue)?,
            cluster: ClusterFollower::new(runtime.handle().clone(), sender.clone()),
            policies: (options.node.as_deref())
                .map(|node| PolicyFollower::new(runtime.handle(), node, sender.clone())),
        };
        let effects = Effects::new(options, source, store.clone(), inputs);
        let mut service = Service::new(options, effects, status)?;
        runtime.block_on(service.run(live));
        Ok(())
    });
    store.listen_no_longer();
    done?
}
