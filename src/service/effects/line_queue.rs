//! Lines that a thread of their own writes, so that a reader who does not read holds up only that thread.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of lines that may wait. A line that does not fit is not taken.
const MOST: usize = 256 * 1024;

/// How long the end of the process waits for the lines that are left.
const LAST: Duration = Duration::from_secs(1);

/// The queue. Its end waits at most a second for the lines that are left.
#[derive(Debug)]
pub(crate) struct LineQueue {
    shared: Arc<Shared>,
    /// Makes the writer; called by the thread.
    open: fn() -> Box<dyn Write>,
    /// The thread runs. It starts with the first line, and again if it could not be started.
    started: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<String>,
    /// Bytes of the lines, with the one that is being written.
    bytes: usize,
    /// Nothing more comes.
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until nothing more comes.
    fn write(&self, mut out: impl Write) {
        let mut waiting = self.lock();
        loop {
            let Some(line) = waiting.lines.pop_front() else {
                if waiting.closed {
                    return;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(waiting);
            // There is nowhere to report that it is closed.
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            waiting = self.lock();
            waiting.bytes -= line.len();
            self.changed.notify_all();
        }
    }
}

impl LineQueue {
    /// A queue for what `open` makes.
    pub(crate) fn new(open: fn() -> Box<dyn Write>) -> Self {
        LineQueue {
            shared: Arc::default(),
            open,
            started: false,
        }
    }

    /// Whether at least half of the queue is free.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.lock().bytes <= MOST / 2
    }

    /// Adds a line, unless there is no room for it; returns whether there was.
    pub(crate) fn push(&mut self, line: String) -> bool {
        let mut waiting = self.shared.lock();
        let taken = waiting.bytes + line.len() <= MOST;
        if taken {
            waiting.bytes += line.len();
            waiting.lines.push_back(line);
        }
        drop(waiting);
        self.shared.changed.notify_all();
        if !self.started {
            let (shared, open) = (Arc::clone(&self.shared), self.open);
            let thread = thread::Builder::new().name("log".into());
            self.started = thread.spawn(move || shared.write(open())).is_ok();
        }
        taken
    }
}

impl Drop for LineQueue {
    fn drop(&mut self) {
        let end = Instant::now() + LAST;
        let mut waiting = self.shared.lock();
        waiting.closed = true;
        self.shared.changed.notify_all();
        while self.started && waiting.bytes > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc;

    /// The pipe of a test: its reading end, and the end that the thread writes to.
    static READER: Mutex<Option<io::PipeReader>> = Mutex::new(None);

    fn open() -> Box<dyn Write> {
        let (reader, writer) = io::pipe().unwrap();
        *READER.lock().unwrap() = Some(reader);
        Box::new(writer)
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let mut queue = LineQueue::new(open);
        let line = "x".repeat(1023) + "\n";
        let start = Instant::now();
        let taken = (0..10_000).filter(|_| queue.push(line.clone())).count();
        // A pipe has room for some, too.
        assert!((256..1024).contains(&taken), "{taken}");
        assert!(!queue.has_room());
        assert!(start.elapsed() < Duration::from_secs(60));
        let start = Instant::now();
        let (sender, read) = mpsc::channel();
        drop(queue);
        assert!(start.elapsed() >= LAST && start.elapsed() < 60 * LAST);
        // What was taken is not lost to a reader that reads again.
        let mut reader = READER.lock().unwrap().take().unwrap();
        thread::spawn(move || {
            let mut text = String::new();
            io::Read::read_to_string(&mut reader, &mut text).unwrap();
            sender.send(text.len()).unwrap();
        });
        assert_eq!(
            read.recv_timeout(Duration::from_secs(60)).unwrap(),
            taken * line.len()
        );
    }
}
