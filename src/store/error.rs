//! What can go wrong with the store, by what is to be done about it.

use std::path::PathBuf;

use crate::domain::run::IllegalTransition;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has this file: do not start.
    #[error(
        "{path} belongs to another agentcron daemon (pid {pid}); stop it first, or use another store.path"
    )]
    Taken {
        /// The database.
        path: PathBuf,
        /// Who has it.
        pid: String,
    },
    /// The file cannot be used: tell the person, touch nothing.
    #[error("{path}: {problem}")]
    Unusable {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Nothing true can be said any more: end, and read the truth at the next start.
    #[error("the store is lost to this process: {0}")]
    Lost(String),
    /// One operation failed and was undone; the others are not touched.
    #[error("{0}")]
    Refused(String),
    /// A read was too large a question.
    #[error("this would take longer than 10 s to read; ask for less")]
    TookTooLong,
    /// SQLite's own words; the writer sorts them into the others.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Whether SQLite says that there is no room.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }

    /// Whether another process holds the write lock.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, StoreError::Sqlite(error)
            if matches!(error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)))
    }

    /// Whether the file itself can no longer be trusted or reached.
    pub(super) fn is_fatal(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            StoreError::Lost(_) | StoreError::Taken { .. } | StoreError::Unusable { .. } => true,
            StoreError::Refused(_) | StoreError::TookTooLong => false,
            StoreError::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    Code::SystemIoFailure
                        | Code::DatabaseCorrupt
                        | Code::NotADatabase
                        | Code::ReadOnly
                        | Code::CannotOpen
                        | Code::OutOfMemory
                )
            ),
        }
    }
}

impl From<IllegalTransition> for StoreError {
    fn from(illegal: IllegalTransition) -> Self {
        StoreError::Refused(illegal.to_string())
    }
}
