//! Waits for file descriptors.

use std::future::poll_fn;
use std::os::fd::BorrowedFd;
use std::task::Poll;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long to wait at most for a source that the kernel does not let the runtime watch.
const UNWATCHED: Duration = Duration::from_millis(100);

/// Waits until one of these can be read.
///
/// Each is registered with the runtime for this wait only. So a source that was not drained ends the next
/// wait at once, as with poll(2), and sources may change between waits.
pub(crate) async fn readable(sources: &[BorrowedFd<'_>]) {
    let watched: Vec<AsyncFd<BorrowedFd<'_>>> = sources.iter().filter_map(|one| watch(*one)).collect();
    let any = poll_fn(|context| {
        // A failure means that the runtime is shutting down.
        match watched.iter().any(|one| one.poll_read_ready(context).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    });
    if watched.len() == sources.len() {
        return any.await;
    }
    // Without memory or watches for one (`fs.epoll.max_user_watches`), the caller looks itself.
    tokio::select! {
        () = any => {}
        () = tokio::time::sleep(UNWATCHED) => {}
    }
}

/// Registers a source with the runtime, if the kernel lets it.
#[expect(
    deprecated,
    reason = "deprecated for types that may close or change their descriptor; a BorrowedFd keeps it open"
)]
fn watch(source: BorrowedFd<'_>) -> Option<AsyncFd<BorrowedFd<'_>>> {
    AsyncFd::with_interest(source, Interest::READABLE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use tokio::time::timeout;

    #[test]
    fn what_was_left_unread_ends_each_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (first, _other) = UnixStream::pair().unwrap();
        let (second, mut writer) = UnixStream::pair().unwrap();
        let soon = Duration::from_millis(50);
        runtime.block_on(async {
            let sources = [first.as_fd(), second.as_fd()];
            assert!(timeout(soon, readable(&sources)).await.is_err());
            writer.write_all(b"x").unwrap();
            for _ in 0..2 {
                assert!(timeout(soon, readable(&sources)).await.is_ok());
            }
        });
    }
}
