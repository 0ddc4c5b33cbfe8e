//! What a command has to say while it holds the lock.

use crate::output;

/// Messages for standard error that are written when this is dropped. It is made before the lock is taken, so that it
/// is dropped after it: a write may wait for ever on a dead connection or a stopped terminal, and the watchdog and
/// every other command wait for the lock.
#[derive(Debug, Default)]
pub(crate) struct Said(String);

impl Said {
    /// Adds a message.
    pub(crate) fn add(&mut self, message: &str) {
        self.0.push_str(message);
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            output::say(&self.0);
        }
    }
}
