//! Others write the ruleset while netkeel does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::namespace::Namespace;
use super::{WHOLE, applied, document, listed, undone};

/// Every change of anybody makes a new generation, which netkeel's own was not made for.
#[test]
fn a_ruleset_that_changes_meanwhile_is_read_again() {
    let namespace = Namespace::new();
    let whole = document(WHOLE, &namespace);
    let stop = AtomicBool::new(false);
    let changes = AtomicUsize::new(0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                namespace.sh(
                    "for n in 1 2 3 4 5 6 7 8; do nft add table ip other; nft delete table ip other; done",
                );
                changes.fetch_add(16, Ordering::Relaxed);
            }
        });
        for _ in 0..20 {
            let done = applied(&whole, &namespace);
            assert_eq!(done.done, 4);
            undone(&done, &namespace);
        }
        while changes.load(Ordering::Relaxed) < 16 {
            thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    assert_eq!(listed(&namespace), "");
}
