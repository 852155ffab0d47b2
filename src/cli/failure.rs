//! Why a command did not do what it was asked to: what to say, and the exit code.

use std::io;

use crate::config::ConfigErrors;
use crate::daemon::DaemonError;
use crate::store::StoreError;

/// It was asked for wrongly, or the configuration is wrong.
pub(super) const USAGE: u8 = 2;
const FAILED: u8 = 1;
const STORE: u8 = 3;
const ANOTHER_DAEMON: u8 = 4;
/// What a shell reports of a process that SIGINT ended.
const LEFT_AT_ONCE: u8 = 130;

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Every mistake of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
    /// What was to be said cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// A second signal.
    #[error("left at once; what was in flight is taken up at the next start")]
    LeftAtOnce,
}

impl Failure {
    /// The exit code of the process.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Failure::Config(_) | Failure::Usage(_) => USAGE,
            Failure::Store(StoreError::Taken { .. })
            | Failure::Daemon(DaemonError::Store(StoreError::Taken { .. })) => ANOTHER_DAEMON,
            Failure::Store(_) | Failure::Daemon(DaemonError::Store(_)) => STORE,
            Failure::Daemon(DaemonError::LoopEnded(_) | DaemonError::Definition { .. })
            | Failure::Failed(_) => FAILED,
            // Whoever closed the pipe has seen enough: `agentcron history | head -1` has not failed.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Output(_) => FAILED,
            Failure::LeftAtOnce => LEFT_AT_ONCE,
        }
    }

    /// Whether there is something to be said about it.
    pub(super) fn is_worth_a_word(&self) -> bool {
        !matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
