//! Parses the command line, runs it and exits with its code.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
use netkeel::kernel::memory::Memory;

/// In the static binary: musl's own takes several times as long.
#[cfg(target_env = "musl")]
#[global_allocator]
static MEMORY: Memory = Memory::new();

fn main() -> ExitCode {
    netkeel::cli::main()
}
