//! The `netkeel` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// musl's allocator is several times slower.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    netkeel::command_line::main()
}
