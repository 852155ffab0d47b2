//! The binary: arguments -> verb -> exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentcron::cli::main()
}
