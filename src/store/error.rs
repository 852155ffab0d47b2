//! Failures of the store, sorted by how the caller recovers from them.

use std::path::PathBuf;

use super::sql::{ServerError, in_words, is_contention, is_of_connection};
use crate::domain::run::IllegalTransition;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another daemon has locked the file. The caller must not start.
    #[error(
        "{path} belongs to another agentcron daemon (pid {pid}); stop it first, or use another store.path"
    )]
    Taken {
        path: PathBuf,
        /// The other daemon's process id, or `unknown`.
        pid: String,
    },
    /// The file cannot be used and was not changed. An operator must act.
    #[error("{path}: {problem}")]
    Unusable {
        path: PathBuf,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// There is no room on the disk for what belongs to the file, or another process keeps it from being written. It passes.
    #[error("{path}: {problem}")]
    NoRoom { path: PathBuf, problem: String },
    /// This user may not read the file.
    #[error("{path}: permission denied; run this as root, or as the user that the daemon runs as")]
    Denied { path: PathBuf },
    /// A store cannot be on this server. An operator must act.
    #[error("{server}: {problem}")]
    ServerUnusable {
        server: String,
        /// What is wrong and what to do about it.
        problem: String,
    },
    /// The server of the store does not let us in.
    #[error("{server}: {problem}")]
    ServerDenied { server: String, problem: String },
    /// The server of the store cannot be reached now. It passes.
    #[error("{server}: {problem}")]
    ServerAway { server: String, problem: String },
    /// The connection ended before the server had confirmed a COMMIT.
    #[error("the connection to the server of the store ended before a commit was confirmed")]
    Unconfirmed,
    /// The state in the file is unknown to this process. The daemon must end and read it again at its next
    /// start.
    #[error("the store is lost to this process: {0}")]
    Lost(String),
    /// Others that share the store have taken this daemon for gone, and have what it held. It must begin anew.
    #[error(
        "this daemon was taken for gone, or its store has gone back to an earlier state; it does not hold what it held"
    )]
    Ousted,
    /// The run, definition or webhook that was named does not exist. Nothing was changed.
    #[error("{0}")]
    NotFound(String),
    /// The stored state does not allow the operation, or a limit would be exceeded. Nothing was changed; the
    /// caller must ask for something else, or ask later.
    #[error("{0}")]
    Conflict(String),
    /// Too many runs wait to start for more to be added. Nothing was changed; the caller must ask later.
    #[error(
        "{what} wait to start, and at most {max} may; nothing was done; try again once some of them have started, \
         or cancel some"
    )]
    TooManyWaiting {
        /// How many runs of what wait.
        what: String,
        max: usize,
    },
    /// A row or a stored definition cannot be read back. Other rows are not affected, so a caller that reads
    /// many of them can leave this one out.
    #[error("{0}")]
    BadRow(String),
    /// The run's state does not allow the change, because another request or task has changed the run.
    /// Nothing was done.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// What was to be said about a run, a webhook or a thread does not count, because this daemon does not hold it any more.
    /// Nothing was done.
    #[error("this daemon does not hold it any more")]
    NotHeld,
    /// A read was interrupted because it took too long.
    #[error("this would take longer than 10 s to read; ask for less")]
    TookTooLong,
    /// An error of SQLite that the writer has not sorted into the others.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// An error of PostgreSQL.
    #[error("PostgreSQL: {}", in_words(.0))]
    Postgres(#[from] ServerError),
}

impl StoreError {
    /// Returns whether only this operation failed and was undone, so that its caller can report it and
    /// continue.
    pub fn concerns_one_operation(&self) -> bool {
        match self {
            StoreError::NotFound(_)
            | StoreError::Conflict(_)
            | StoreError::TooManyWaiting { .. }
            | StoreError::BadRow(_)
            | StoreError::IllegalTransition(_)
            | StoreError::NotHeld => true,
            StoreError::Taken { .. }
            | StoreError::Unusable { .. }
            | StoreError::NoRoom { .. }
            | StoreError::Denied { .. }
            | StoreError::ServerUnusable { .. }
            | StoreError::ServerDenied { .. }
            | StoreError::ServerAway { .. }
            | StoreError::Unconfirmed
            | StoreError::Lost(_)
            | StoreError::Ousted
            | StoreError::TookTooLong
            | StoreError::Sqlite(_)
            | StoreError::Postgres(_) => false,
        }
    }

    /// Returns whether SQLite found no room on the disk.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, StoreError::Sqlite(error) if is_disk_full(error))
    }

    /// Returns whether another process holds the write lock.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, StoreError::Sqlite(error)
            if matches!(error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)))
    }

    /// Returns whether the server of the store cannot be reached, or the connection to it is over.
    pub(super) fn is_away(&self) -> bool {
        match self {
            StoreError::ServerAway { .. } | StoreError::Unconfirmed => true,
            StoreError::Postgres(error) => is_of_connection(error),
            _ => false,
        }
    }

    /// Returns whether it passes by itself: a full disk, a file that another process locks, a server that cannot be reached.
    pub fn passes(&self) -> bool {
        matches!(self, StoreError::NoRoom { .. }) || self.is_away()
    }

    /// Returns whether somebody else may read the store and this user may not.
    pub fn is_denied(&self) -> bool {
        matches!(self, StoreError::Denied { .. } | StoreError::ServerDenied { .. })
    }

    /// Returns whether others on a server were in the way of the whole transaction, which is undone: it may be run again.
    pub(super) fn is_contention(&self) -> bool {
        matches!(self, StoreError::Postgres(error) if is_contention(error))
    }

    /// Returns whether the file itself can no longer be trusted or reached.
    pub(super) fn is_fatal(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            StoreError::Lost(_)
            | StoreError::Ousted
            | StoreError::Taken { .. }
            | StoreError::Unusable { .. }
            | StoreError::NoRoom { .. }
            | StoreError::Denied { .. }
            | StoreError::ServerUnusable { .. }
            | StoreError::ServerDenied { .. }
            | StoreError::Unconfirmed
            | StoreError::ServerAway { .. } => true,
            StoreError::NotFound(_)
            | StoreError::Conflict(_)
            | StoreError::TooManyWaiting { .. }
            | StoreError::BadRow(_)
            | StoreError::IllegalTransition(_)
            | StoreError::NotHeld
            | StoreError::TookTooLong => false,
            StoreError::Postgres(error) => is_of_connection(error),
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

/// Returns whether SQLite found no room on the disk. What it shares with other processes is memory of a file, and too little
/// room for that is an error of its own.
pub(super) fn is_disk_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == rusqlite::ErrorCode::DiskFull
            || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    })
}
