//! The kernel as the service looks at it: what was heard before a look is answered by it, so that
//! the echo of what netkeel writes itself wakes nobody.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use crate::watch::files::{Files, Role};
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

/// All that the service hears by, and the machine that it tells.
pub(crate) struct KernelView<'a> {
    /// The host.
    pub kernel: &'a mut dyn Kernel,
    /// What the kernel tells.
    pub events: &'a mut Events,
    /// Files that changed.
    pub files: &'a mut Files,
    /// Who decides when to look.
    pub(crate) reconciler: &'a mut Reconciler,
    /// When the service began.
    pub start: Instant,
    /// Interfaces that went, by index.
    pub gone: &'a mut Vec<u32>,
    /// Times that the kernel had more to tell than there was room for.
    pub lost: &'a mut u64,
}

impl KernelView<'_> {
    /// The time since the service began.
    pub fn now(&self) -> Now {
        self.start.elapsed()
    }

    /// Takes all that was told since. More may be left when it returns true.
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
        let more = events.take(|heard| {
            match heard {
                HostEvent::Gone(index) => gone.push(index),
                HostEvent::Lost => **lost += 1,
                _ => {}
            }
            reconciler.hear(heard, now);
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

    /// The kernel as a pass over a part looks at it.
    pub fn over<'b>(&'b mut self, extent: &'b Extent) -> ScopedView<'b> {
        // The two lifetimes of what is borrowed become one.
        ScopedView {
            hearing: KernelView {
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
    hearing: KernelView<'a>,
    extent: &'a Extent,
    /// The index of each interface that was seen during the pass; of one that went, its last.
    pub(crate) indices: BTreeMap<LinkName, u32>,
}

impl ScopedView<'_> {
    /// Hears what was told until now, which the look that follows answers.
    fn begin(&mut self) {
        let hearing = &mut self.hearing;
        // What is still left is heard later, and is then looked at once more.
        hearing.listen();
        let now = hearing.now();
        hearing
            .reconciler
            .handle(Event::Looking(self.extent.clone()), now);
    }

    /// Remembers what was seen.
    fn saw(&mut self, snapshot: Snapshot) -> Snapshot {
        let hearing = &mut self.hearing;
        let indices = snapshot.links.iter().map(|(name, link)| (*name, link.index));
        self.indices.extend(indices);
        let whole = !matches!(self.extent, Extent::Links(_));
        hearing.reconciler.known.see(&snapshot, whole);
        // Also before there is a file in it, or it is there itself: what a CNI's installer brings first. What
        // came between the look and the watch is seen by another look.
        for runtime in snapshot.cni.iter().flat_map(|cni| &cni.runtime) {
            let absent = |path: &&Path| !path.parent().is_none_or(Path::is_dir);
            let there = runtime.directory.ancestors().find(|path| !absent(path));
            if there.is_some_and(|path| hearing.files.watch(path, Role::Owned)) {
                let now = hearing.now();
                hearing.reconciler.handle(Event::Rest, now);
            }
        }
        // Which file of a directory counts depends on the others.
        let configurations = snapshot.cni.iter().flat_map(|cni| cni.files.keys());
        for directory in configurations.filter_map(|path| path.parent()) {
            hearing.files.watch(directory, Role::Owned);
        }
        // A mounted Secret is replaced by replacing the link that its directory is reached by.
        for (copy, copied) in &snapshot.wireguard {
            hearing.files.watch(copy, Role::Owned);
            if let Some(directory) = copied.source.parent() {
                hearing.files.watch(directory, Role::Owned);
            }
        }
        snapshot
    }
}

impl Kernel for ScopedView<'_> {
    fn snapshot(&mut self, scope: &Scope) -> Result<Snapshot, Error> {
        self.begin();
        let snapshot = self.hearing.kernel.snapshot(scope)?;
        Ok(self.saw(snapshot))
    }

    fn execute(&mut self, op: &Op) -> Result<(), Error> {
        self.hearing.kernel.execute(op)
    }
}
