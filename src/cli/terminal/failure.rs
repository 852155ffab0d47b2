//! Why a command did not do what it was asked to: the message and the exit code.

use std::io;

use crate::config::ConfigErrors;
use crate::daemon::DaemonError;
use crate::store::StoreError;

/// The exit code for wrong usage and for a wrong configuration.
pub(in crate::cli) const USAGE: u8 = 2;
const FAILED: u8 = 1;
const STORE: u8 = 3;
const ANOTHER_DAEMON: u8 = 4;
/// What a shell reports of a process that SIGINT ended.
const STOPPED_AT_ONCE: u8 = 130;

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum Failure {
    /// Every mistake in the configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// Every mistake, and what a daemon does with these files.
    #[error("{0}")]
    Mistakes(ConfigErrors, Vec<String>),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// A second signal arrived while the daemon was stopping.
    #[error("stopped at once; work in progress is recovered at the next start")]
    StoppedAtOnce,
}

impl Failure {
    /// Returns the exit code of the process.
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Failure::Config(_) | Failure::Mistakes(..) | Failure::Usage(_) => USAGE,
            Failure::Store(StoreError::Taken { .. })
            | Failure::Daemon(DaemonError::Store(StoreError::Taken { .. })) => ANOTHER_DAEMON,
            Failure::Store(_) | Failure::Daemon(DaemonError::Store(_)) => STORE,
            Failure::Daemon(DaemonError::LoopEnded(_) | DaemonError::Definition { .. })
            | Failure::Failed(_) => FAILED,
            // The reader closed the pipe, having seen enough: `agentcron history | head -1` has not failed.
            Failure::Output(_) if self.is_closed_pipe() => 0,
            Failure::Output(_) => FAILED,
            Failure::StoppedAtOnce => STOPPED_AT_ONCE,
        }
    }

    pub(in crate::cli) fn is_closed_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
