//! The MTUs of routes that have one of their own.

use std::sync::Arc;

use crate::live::snapshot::Live;
use crate::rtnetlink::link;
use crate::rtnetlink::route_row;
use netkeel_core::error::Error;
use netkeel_host::snapshot::Snapshot;
use netkeel_host::snapshot::problem::{Problem, Subject};
use netkeel_host::snapshot::route::MOST_ROUTE_MTUS;

impl Live {
    /// Reads them, each with its interfaces.
    pub(super) fn read_route_mtus(&mut self, rows: &mut [link::Row], snapshot: &mut Snapshot) {
        let found = match route_row::own_mtus(&mut self.socket) {
            Ok(found) => found,
            Err(refusal) => {
                snapshot.problems.push(Problem {
                    what: Subject::Other("the MTUs of the routes".to_owned()),
                    why: Error::from(refusal).message,
                });
                return;
            }
        };
        for (indices, route) in found {
            for index in indices {
                let Some((_, link)) = link::by_index_mut(rows, index) else {
                    continue;
                };
                let kept = &mut Arc::make_mut(link).route_mtus;
                kept.insert(route);
                if kept.len() > MOST_ROUTE_MTUS {
                    kept.pop_first();
                }
            }
        }
    }
}
