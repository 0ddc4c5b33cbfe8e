//! Work on many items by several threads, for work that mostly waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Items that are worked on at once.
const AT_ONCE: usize = 8;

/// The results of `work` on all items, in their order. The threads are in the network namespace of the calling one.
pub fn at_once<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match items.get(at) {
                Some(item) => done.push((at, work(item))),
                None => break done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let others = (1..AT_ONCE.min(items.len())).map(|_| thread::Builder::new().spawn_scoped(scope, run));
        // Without a further thread the calling one does more of the work.
        let others: Vec<_> = others.filter_map(Result::ok).collect();
        let mut done = run();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        let doubled: Vec<u32> = items.iter().map(|item| item * 2).collect();
        assert_eq!(at_once(&items, |item| item * 2), doubled);
        assert!(at_once(&[0; 0], |item: &i32| *item).is_empty());
    }
}
