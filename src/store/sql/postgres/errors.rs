//! What errors of PostgreSQL say.

use std::error::Error as _;

pub(in crate::store) use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

/// Says an error of PostgreSQL without the values that it concerns.
pub(in crate::store) fn in_words(error: &Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
    }
}

/// Returns whether the connection is of no use any more: it has ended, the server is going or coming, or it has become one that
/// only reads.
pub(in crate::store) fn is_of_connection(error: &Error) -> bool {
    const GONE: [SqlState; 8] = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::DATABASE_DROPPED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        SqlState::IDLE_SESSION_TIMEOUT,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    match error.code() {
        Some(code) => GONE.contains(code) || code.code().starts_with("08"),
        None => error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()),
    }
}

/// Returns whether others were in the way of the whole transaction, which is undone: it may be run again.
pub(in crate::store) fn is_contention(error: &Error) -> bool {
    matches!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE))
}
