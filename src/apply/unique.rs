//! Names that nothing else has.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

use crate::clock;

/// A name that no other apply or ledger has: the moment and 64 random bits.
pub(crate) fn name() -> String {
    let mut bytes = [0; 8];
    // Kept open: a service names an apply for each interface that comes.
    static RANDOM: OnceLock<Option<File>> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "a device of the kernel, which neither waits nor ends here"
    )]
    let random = RANDOM.get_or_init(|| File::open("/dev/urandom").ok());
    let read = random.as_ref().map(|mut file| file.read_exact(&mut bytes));
    let random = if matches!(read, Some(Ok(()))) {
        u64::from_ne_bytes(bytes)
    } else {
        u64::from(std::process::id())
    };
    format!("{}-{random:016x}", clock::now())
}
