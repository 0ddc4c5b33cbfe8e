//! Parses the command line, runs it and exits with its code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// musl's own allocator takes several times as long.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    netkeel::command_line::main()
}
