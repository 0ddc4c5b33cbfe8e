//! Writes to the routes of one pod, which are read once for all of them.

use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink::socket::{Listener, Received, Socket};
use crate::rtnetlink::route;
use crate::rtnetlink::route_change::{self, MetricChange};
use crate::rtnetlink::route_row::{Row, read, with_mtu};
use netkeel_core::error::{Error, ErrorKind};
use netkeel_core::name::route::RouteKey;
use netkeel_core::name::sandbox::Sandbox;

/// Bytes that the kernel may queue of changes. Where they do not fit, the routes are read again.
const QUEUE: usize = 256 * 1024;

/// The routes of one pod, for several writes: they are read once, and again only when somebody else has
/// changed a route since.
pub(crate) struct PodRoutes {
    sandbox: Sandbox,
    socket: Socket,
    /// Changes of routes in the pod.
    changes: Listener,
    /// None when the routes must be read.
    rows: Option<Vec<Row>>,
}

impl PodRoutes {
    /// Opens the routes of the namespace that the calling thread is in.
    pub(crate) fn open(sandbox: Sandbox) -> Result<Self, Error> {
        let mut changes = Listener::open(NETLINK_ROUTE, QUEUE)?;
        for group in [libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE] {
            changes.follow(group, true)?;
        }
        Ok(PodRoutes {
            sandbox,
            socket: Socket::open()?,
            changes,
            rows: None,
        })
    }

    /// Whether these are the routes of this sandbox.
    pub(crate) fn are_of(&self, sandbox: &Sandbox) -> bool {
        self.sandbox == *sandbox
    }

    /// The socket in the pod.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Changes a metric of a route.
    pub(crate) fn set(&mut self, index: u32, key: RouteKey, change: &MetricChange) -> Result<(), Error> {
        if self.changed(None) {
            self.rows = None;
        }
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => with_mtu(&mut self.socket)?.ok_or_else(|| {
                Error::new(ErrorKind::Refused, "the pod has more routes than netkeel reads")
            })?,
        };
        let rows = self.rows.insert(rows);
        let Some(request) = route_change::request(rows, index, key, change)? else {
            return Ok(());
        };
        self.socket.change(request)?;
        for row in rows.iter_mut().filter(|row| row.key == key) {
            match change.to {
                Some(to) => row.metrics.values.insert(change.metric, to),
                None => row.metrics.values.remove(&change.metric),
            };
        }
        if self.changed(Some((key, change))) {
            self.rows = None;
        }
        Ok(())
    }

    /// Whether the routes changed since the last call, apart from one that this process wrote.
    fn changed(&mut self, own: Option<(RouteKey, &MetricChange)>) -> bool {
        let mut changed = false;
        let more = self.changes.take(|received| {
            changed |= match received {
                Received::Message(message) if message.kind == libc::RTM_NEWROUTE => {
                    let row = route::header(&message)
                        .ok()
                        .flatten()
                        .and_then(|header| read(&message, &header, &|index| format!("if{index}")).ok());
                    !row.zip(own).is_some_and(|(row, (key, change))| {
                        row.key == key && row.metrics.values.get(&change.metric).copied() == change.to
                    })
                }
                Received::Message(_) | Received::Lost => true,
            };
        });
        changed || more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netkeel_core::name::route::Metric;

    const LOWER: MetricChange = MetricChange {
        metric: Metric::Mtu,
        was: Some(1500),
        to: Some(1460),
    };

    /// Needs root and iproute2.
    #[test]
    fn the_routes_of_a_pod_are_read_once_and_again_after_a_change_by_others() {
        let ip = |words: &str| {
            let done = std::process::Command::new("ip")
                .args(words.split(' '))
                .status()
                .unwrap();
            assert!(done.success(), "ip {words}");
        };
        let writes = || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            let key = |at: u8| RouteKey {
                destination: format!("10.0.0.{at}/32").parse().unwrap(),
                metric: 0,
                table: 254,
            };
            for at in 1..=20 {
                ip(&format!("route add 10.0.0.{at}/32 dev lo mtu 1500"));
            }
            let mut routes = PodRoutes::open(Sandbox::new("/proc/self/ns/net".into(), 1)).unwrap();
            for at in 1..=10 {
                routes.set(1, key(at), &LOWER).unwrap();
                assert!(routes.rows.is_some(), "an own write is no reason to read again");
            }
            // Somebody else's write is seen, although the routes were read before it.
            ip("route replace 10.0.0.11/32 dev lo mtu 1400");
            let error = routes.set(1, key(11), &LOWER).unwrap_err();
            assert!(error.message.contains("was 1500 and is 1400"), "{error:?}");
            ip("route del 10.0.0.12/32 dev lo");
            let error = routes.set(1, key(12), &LOWER).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Missing);
            routes.set(1, key(13), &LOWER).unwrap();
            let rows = with_mtu(&mut routes.socket).unwrap().unwrap();
            let lowered = rows
                .iter()
                .filter(|row| row.metrics.values[&Metric::Mtu] == 1460)
                .count();
            assert_eq!((rows.len(), lowered), (19, 11));
            for at in 21..=120 {
                ip(&format!("route add 10.0.0.{at}/32 dev lo mtu 1500"));
            }
            assert!(with_mtu(&mut routes.socket).unwrap().is_none());
            let error = routes.set(1, key(14), &LOWER).unwrap_err();
            assert_eq!(error.message, "the pod has more routes than netkeel reads");
        };
        std::thread::scope(|scope| scope.spawn(writes).join().unwrap());
    }
}
