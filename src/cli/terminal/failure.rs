//! Why a command did not do what it was asked to: the message and the exit code.

use std::io;

use serde_json::{Value, json};

use crate::api::wire::Verdict;
use crate::config::{ConfigError, ConfigErrors};
use crate::daemon::DaemonError;
use crate::present::counted;
use crate::store::StoreError;

/// The exit code for wrong usage and for a wrong configuration.
pub(in crate::cli) const USAGE: u8 = 2;
const FAILED: u8 = 1;
const STORE: u8 = 3;
const ANOTHER_DAEMON: u8 = 4;
/// The exit codes of `status` and `health`.
const NEEDS_PERSON: u8 = 5;
const DAEMON_DOWN: u8 = 6;
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
    /// The command did what it was asked to, and what it has printed is not all well.
    #[error("not well")]
    Unwell(Verdict),
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
            Failure::Daemon(DaemonError::LoopEnded(_)) | Failure::Failed(_) => FAILED,
            // The reader closed the pipe, having seen enough: `agentcron history | head -1` has not failed.
            Failure::Output(_) if self.is_closed_pipe() => 0,
            Failure::Output(_) => FAILED,
            Failure::Unwell(verdict) => code_of(*verdict),
            Failure::StoppedAtOnce => STOPPED_AT_ONCE,
        }
    }

    /// Returns the failure as one object.
    pub(super) fn to_json(&self) -> Value {
        let (errors, consequences) = match self {
            Failure::Config(errors) => (errors, &Vec::new()),
            Failure::Mistakes(errors, consequences) => (errors, consequences),
            _ => return message_json(self.exit_code(), &self.to_string()),
        };
        let mistakes: Vec<Value> = errors.0.iter().map(mistake_json).collect();
        let message = format!("{} in the configuration", counted(mistakes.len() as u64, "mistake"));
        let mut object = message_json(self.exit_code(), &message);
        object["mistakes"] = Value::Array(mistakes);
        object["consequences"] = json!(consequences);
        object
    }

    pub(in crate::cli) fn is_closed_pipe(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Returns the exit code that says how things are.
pub(in crate::cli) fn code_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Well => 0,
        Verdict::NeedsPerson => NEEDS_PERSON,
        Verdict::DaemonDown => DAEMON_DOWN,
    }
}

/// Returns an error or, with code 0, a warning as one object. Our messages say what was got, and after a semicolon what to do.
pub(in crate::cli) fn message_json(code: u8, text: &str) -> Value {
    let (message, hint) = text.split_once("; ").map_or((text, None), |(message, hint)| (message, Some(hint)));
    json!({ "code": code, "message": message, "hint": hint })
}

pub(super) fn mistake_json(mistake: &ConfigError) -> Value {
    let position = mistake.position;
    json!({
        "file": mistake.file.display().to_string(),
        "line": position.map(|position| position.line),
        "column": position.map(|position| position.column),
        "message": mistake.message,
        "hint": mistake.hint,
    })
}
