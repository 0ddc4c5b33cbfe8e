//! A request to stop, which a long read of the kernel honours between two objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use netkeel_core::error::{Error, ErrorKind};

/// A request to stop. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
}

impl Interrupt {
    /// The flag that a signal handler sets.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Whether a stop was requested.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Holds the request back while a transaction runs, which must end first.
    pub fn hold(&self, on: bool) {
        self.held.store(on, Ordering::Relaxed);
    }

    /// Continues unless a stop was requested.
    ///
    /// # Errors
    /// When a stop was requested and is not held back.
    pub fn check(&self) -> Result<(), Error> {
        match self.is_asked() && !self.held.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Refused, "interrupted by a signal")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_for_the_end_of_a_transaction() {
        let interrupt = Interrupt::default();
        assert!(interrupt.check().is_ok());
        interrupt.hold(true);
        interrupt.flag().store(true, Ordering::Relaxed);
        assert!(interrupt.is_asked() && interrupt.check().is_ok());
        interrupt.hold(false);
        assert!(interrupt.check().is_err());
    }
}
