//! The kernel during a pass. Events that arrived before a scan are discarded after it, so netkeel does
//! not react to its own writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::watch::files::{FileWatches, Role};
use netkeel_apply::clock::since_boot;
use netkeel_core::error::Error;
use netkeel_core::name::link::LinkName;
use netkeel_core::op::Op;
use netkeel_host::event::HostEvent;
use netkeel_host::kernel::Kernel;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::scope::Scope;
use netkeel_kernel::rtnetlink::events::Events;
use netkeel_plan::goal::part::Extent;
use netkeel_reconcile::event::{Event, Now};
use netkeel_reconcile::reconciler::Reconciler;

/// The kernel, the event sources, and the reconciler that receives their events.
pub(crate) struct KernelView<'a> {
    /// The host.
    pub kernel: &'a mut dyn Kernel,
    /// Kernel events.
    pub events: &'a mut Events,
    /// File events.
    pub files: &'a mut FileWatches,
    /// Decides when to run a pass.
    pub(crate) reconciler: &'a mut Reconciler,
    /// When the service started, since boot.
    pub start: Duration,
    /// Indices of deleted interfaces.
    pub gone: &'a mut Vec<u32>,
    /// Netlink receive buffer overruns (ENOBUFS).
    pub lost: &'a mut u64,
}

impl KernelView<'_> {
    /// Time since the start of the service.
    pub fn now(&self) -> Now {
        since_boot().saturating_sub(self.start)
    }

    /// Passes the queued events to the reconciler. Returns whether more may be queued.
    pub fn listen(&mut self) -> bool {
        let now = self.now();
        let KernelView {
            events,
            files,
            reconciler,
            gone,
            lost,
            ..
        } = self;
        let more = events.take(|event| {
            match event {
                HostEvent::Gone(index) => gone.push(index),
                HostEvent::Lost => **lost += 1,
                _ => {}
            }
            reconciler.hear(event, now);
        });
        for role in files.take() {
            let event = match role {
                Role::Owned => Event::Rest,
                Role::Document => Event::DocumentTouched,
            };
            reconciler.handle(event, now);
        }
        more
    }

    /// The view of the kernel for a pass over a part of the host.
    pub fn scoped<'b>(&'b mut self, extent: &'b Extent) -> ScopedView<'b> {
        // Reborrow, so that all borrows have one lifetime.
        ScopedView {
            view: KernelView {
                kernel: &mut *self.kernel,
                events: &mut *self.events,
                files: &mut *self.files,
                reconciler: &mut *self.reconciler,
                start: self.start,
                gone: &mut *self.gone,
                lost: &mut *self.lost,
            },
            extent,
            indices: BTreeMap::new(),
        }
    }
}

/// The kernel during a pass.
pub(crate) struct ScopedView<'a> {
    view: KernelView<'a>,
    extent: &'a Extent,
    /// The index of each interface seen during the pass; for a deleted interface, its last index.
    pub(crate) indices: BTreeMap<LinkName, u32>,
}

impl ScopedView<'_> {
    /// Has the whole host scanned once more.
    pub(crate) fn look_again(&mut self) {
        let now = self.view.now();
        self.view.reconciler.handle(Event::Everything, now);
    }

    /// Passes on the events so far; the scan that follows covers them.
    fn begin(&mut self) {
        let view = &mut self.view;
        // Events that stay queued are handled later and cause another check.
        view.listen();
        let now = view.now();
        view.reconciler.handle(Event::Looking(self.extent.clone()), now);
    }

    /// Records the interfaces of a snapshot, and watches its files.
    fn saw(&mut self, snapshot: Snapshot) -> Snapshot {
        let view = &mut self.view;
        let indices = snapshot.links.iter().map(|(name, link)| (*name, link.index));
        self.indices.extend(indices);
        let whole = !matches!(self.extent, Extent::Links(_));
        view.reconciler.known.see(&snapshot, whole);
        // A CNI installer may create the directory later, so the nearest existing ancestor is watched. Changes
        // between the scan and the watch need another scan.
        for runtime in snapshot.cni.iter().flat_map(|cni| &cni.runtime) {
            let absent = |path: &&Path| !path.parent().is_none_or(Path::is_dir);
            let there = runtime.directory.ancestors().find(|path| !absent(path));
            if there.is_some_and(|path| view.files.watch(path, Role::Owned)) {
                let now = view.now();
                view.reconciler.handle(Event::Rest, now);
            }
        }
        // Which file takes effect depends on the other files of the directory.
        let configurations = snapshot.cni.iter().flat_map(|cni| cni.files.keys());
        for directory in configurations.filter_map(|path| path.parent()) {
            view.files.watch(directory, Role::Owned);
        }
        // Kubernetes updates a mounted Secret by replacing a symbolic link in its directory.
        for (copy, copied) in &snapshot.wireguard {
            view.files.watch(copy, Role::Owned);
            if let Some(directory) = copied.source.parent() {
                view.files.watch(directory, Role::Owned);
            }
        }
        snapshot
    }
}

impl Kernel for ScopedView<'_> {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.begin();
        let snapshot = self.view.kernel.snapshot(scope)?;
        Ok(self.saw(snapshot))
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        self.view.kernel.execute(op)
    }
}
