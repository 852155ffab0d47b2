//! The binary: hands over to the command line.

use std::process::ExitCode;

/// A run makes thousands of small allocations on several threads, and musl's allocator has one lock for all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    agentcron::cli::main()
}
