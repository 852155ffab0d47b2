//! The seam between the operations and the engine of the store. An operation runs statements in a transaction and reads rows; it
//! is synchronous and may be run again. None knows how an engine is reached.
//!
//! Statements are in the words of SQLite; `postgres/dialect.rs` says what they are on PostgreSQL. The verbs are those of
//! rust-postgres. Each prepares its statement once per connection.

mod changed;
mod column;
mod params;
#[cfg_attr(not(feature = "postgres"), path = "no_postgres.rs")]
mod postgres;
mod row;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{CachedStatement, TransactionBehavior};

pub(super) use changed::Changed;
pub(super) use column::{Column, bad};
pub(super) use params::Params;
pub use postgres::Server;
pub(super) use postgres::{
    Beat, Ear, Fate, Mark, Pulse, Session, SharedServer, demand_made, demand_makeable, demand_usable, make,
};
pub(super) use row::Row;
pub(super) use rusqlite::named_params;
pub(super) use rusqlite::types::{FromSql, ToSql, Value, ValueRef};

use super::StoreError;

/// Returns an array of PostgreSQL with ids or numbers.
pub(super) fn array(items: &[impl ToString]) -> String {
    format!("{{{}}}", items.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// Between two tests of whether a read is still wanted; well under a millisecond of SQLite's work.
const INSTRUCTIONS_BETWEEN_TESTS: i32 = 10_000;

/// A connection to a store, which has one transaction at a time.
pub(super) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<postgres::Session>),
}

/// Who else writes at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Nobody.
    Alone,
    /// On PostgreSQL, other daemons that do the same: each locks the rows about which it decides. On SQLite nobody.
    Beside,
}

/// A transaction.
pub(super) enum Transaction<'t> {
    Sqlite(rusqlite::Transaction<'t>),
    Postgres(postgres::Transaction<'t>),
}

/// A statement that is run several times, or whose rows are read one by one.
pub(super) enum Statement<'t> {
    Sqlite(CachedStatement<'t>),
    Postgres(postgres::Statement<'t>),
}

/// The rows of a statement, each of which is read when it is asked for.
pub(super) enum Rows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres(postgres::Rows),
}

impl Connection {
    /// Ends a connection that has written.
    pub(super) fn close(self) {
        if let Self::Sqlite(_) = self {
            // A clean end leaves one file behind, not three.
            let _ = self.batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
        }
    }

    /// Connects anew to a server; a file is as it was.
    pub(super) fn reconnect(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.reconnect(),
        }
    }

    /// Returns what became of a transaction whose COMMIT was not confirmed; `None` if that is not decided.
    pub(super) fn fate_of(&mut self, mark: &Mark) -> Result<Option<Fate>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Some(Fate::Lost)),
            Self::Postgres(session) => session.fate_of(mark),
        }
    }

    /// Returns whether it can be used. That costs a way to a server and back.
    pub(super) fn is_alive(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(session) => session.is_alive(),
        }
    }

    /// Runs statements of this engine that return nothing, outside a transaction.
    pub(super) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => session.batch(sql),
        }
    }

    /// Interrupts what is read as soon as `unwanted` is set, even if that happened before it began.
    pub(super) fn stop_when(&mut self, unwanted: Arc<AtomicBool>) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => {
                let is_unwanted = move || unwanted.load(Ordering::Relaxed);
                connection.progress_handler(INSTRUCTIONS_BETWEEN_TESTS, Some(is_unwanted))?;
            }
            Self::Postgres(session) => session.stop_when(unwanted),
        }
        Ok(())
    }

    /// Returns a number that changes with every commit of others. It costs next to nothing.
    pub(super) fn version(&self) -> Result<i64, StoreError> {
        match self {
            Self::Sqlite(connection) => {
                Ok(connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
            }
            Self::Postgres(session) => session.version(),
        }
    }

    /// Whether a statement is a way to a server and back.
    pub(super) fn is_far(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        Self::Sqlite(rusqlite::Connection::open_in_memory().unwrap())
    }
}

impl<'t> Transaction<'t> {
    /// Begins a transaction that writes: nobody else can until it ends.
    pub(super) fn begin(connection: &'t mut Connection) -> Result<Self, StoreError> {
        Self::begin_as(connection, Writing::Alone)
    }

    /// Begins a transaction that writes.
    pub(super) fn begin_as(connection: &'t mut Connection, writing: Writing) -> Result<Self, StoreError> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                Self::Sqlite(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
            }
            Connection::Postgres(session) => Self::Postgres(postgres::Transaction::begin(session, writing)?),
        })
    }

    /// Begins a transaction that only reads: everything that it sees is of one moment.
    pub(super) fn begin_to_read(connection: &'t Connection) -> Result<Self, StoreError> {
        Ok(match connection {
            Connection::Sqlite(connection) => Self::Sqlite(connection.unchecked_transaction()?),
            Connection::Postgres(session) => Self::Postgres(postgres::Transaction::begin_to_read(session)?),
        })
    }

    /// Commits it, or returns its mark if the connection ended before that was confirmed.
    pub(super) fn commit(self) -> Result<Option<Mark>, StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.commit().map(|()| None)?),
            Self::Postgres(transaction) => transaction.commit(),
        }
    }

    /// Returns which history of its server this is; `None` if the store has no server, or that does not say so.
    pub(super) fn history(&self) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(transaction) => transaction.history(),
        }
    }

    /// Waits until everything is done that was put.
    ///
    /// # Errors
    /// That of the first one that could not be done.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.settle(),
        }
    }

    /// Makes the savepoint that [`Transaction::undo`] goes back to.
    pub(super) fn save(&self) -> Result<(), StoreError> {
        self.batch("SAVEPOINT work")
    }

    /// Undoes what was done since the savepoint, which stays.
    pub(super) fn undo(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => self.batch("ROLLBACK TO work"),
            Self::Postgres(transaction) => transaction.undo("ROLLBACK TO work"),
        }
    }

    /// Removes the savepoint.
    pub(super) fn release(&self) -> Result<(), StoreError> {
        self.batch("RELEASE work")
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.execute_batch(sql)?),
            Self::Postgres(transaction) => transaction.batch(sql),
        }
    }

    /// Whether a statement is a way to a server and back.
    pub(super) fn is_far(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Waits for those who give places to runs, if they or this one are to be alone in that; until the end of the transaction.
    pub(super) fn wait_for_places(&self, writing: Writing) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => transaction.wait_for_places(writing),
        }
    }

    /// Returns how each statement that this connection has prepared is found by PostgreSQL, whatever its parameters are.
    #[cfg(test)]
    pub(super) fn plans(&self) -> Result<Vec<(String, String)>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Postgres(transaction) => transaction.plans(),
        }
    }

    /// Whether the engine has rolled the transaction back by itself.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Sqlite(transaction) => transaction.is_autocommit(),
            Self::Postgres(transaction) => transaction.is_over(),
        }
    }

    /// Lets the engine renew what it knows about its tables, as far as it sees fit. PostgreSQL does so by itself.
    pub(super) fn optimize(&self) -> Result<(), StoreError> {
        self.pragma("PRAGMA optimize")
    }

    /// Lets the engine overwrite whatever it deletes from now on with zeros, whole pages included, or only where that costs
    /// no further write. PostgreSQL cannot: it overwrites them by and by.
    pub(super) fn overwrite_deleted(&self, all: bool) -> Result<(), StoreError> {
        self.pragma(if all { "PRAGMA secure_delete = ON" } else { "PRAGMA secure_delete = FAST" })
    }

    fn pragma(&self, sql: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => self.batch(sql),
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Returns how many pages of the file hold nothing, which is for SQLite to overwrite.
    pub(super) fn unused_pages(&self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(_) => self.query_count("PRAGMA freelist_count", ()),
            Self::Postgres(_) => Ok(0),
        }
    }

    pub(super) fn page_bytes(&self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(_) => self.query_count("PRAGMA page_size", ()),
            Self::Postgres(_) => self.query_count("SELECT current_setting('block_size')::bigint", ()),
        }
    }

    /// Returns how large the tables are, which for SQLite its file tells.
    pub(super) fn bytes(&self) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(_) => self.query_count(postgres::BYTES, ()),
        }
    }

    pub(super) fn prepare(&self, sql: &str) -> Result<Statement<'_>, StoreError> {
        Ok(match self {
            Self::Sqlite(transaction) => Statement::Sqlite(transaction.prepare_cached(sql)?),
            Self::Postgres(transaction) => Statement::Postgres(transaction.prepare(sql)),
        })
    }

    /// Returns how many rows the statement has changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.prepare(sql)?.execute(params)
    }

    /// Does the same without waiting for it, if nobody needs to know how many rows that are. If it fails, so does the transaction.
    pub(super) fn put(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        self.prepare(sql)?.put(params).map(drop)
    }

    /// Puts a statement that changes the row of this key, or adds it. On a server, what is put so by the same statement is one
    /// statement, which is run before anything that is not put so.
    pub(super) fn gather(
        &self,
        key: impl ToString,
        sql: &str,
        params: impl Params,
    ) -> Result<(), StoreError> {
        self.prepare(sql)?.gather(key, params).map(drop)
    }

    /// Does the same, and says later whether the row was changed: on a server, the statement returns its key if so.
    pub(super) fn gather_counted(
        &self,
        key: impl ToString,
        sql: &str,
        params: impl Params,
    ) -> Result<Changed, StoreError> {
        self.prepare(sql)?.gather(key, params)
    }

    /// Asks what is asked soon in the same words: on a server, what is foreseen together is one way there and back. Nothing that
    /// changes the answer may be done in between.
    pub(super) fn foresee(&self, sql: &str, params: impl Params) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(transaction) => {
                let mut statement = transaction.prepare(sql);
                params.bind(&mut statement)?;
                statement.foresee()
            }
        }
    }

    /// Reads every row.
    pub(super) fn query<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each(sql, params, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Calls `visit` for every row.
    pub(super) fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            visit(&row)?;
        }
        Ok(())
    }

    /// Reads rows until one is what is looked for.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            if let Some(found) = read(&row)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Reads the first row, or returns `None` if there is none.
    pub(super) fn query_opt<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params)?;
        let Some(row) = rows.next()? else { return Ok(None) };
        read(&row).map(Some)
    }

    /// Reads the row of a statement that always has one.
    pub(super) fn query_one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_opt(sql, params, read)?
            .ok_or_else(|| StoreError::BadRow("the store lacks a row that it always has".to_owned()))
    }

    /// Reads the only value of a statement that always has one.
    pub(super) fn query_value<T: FromSql>(&self, sql: &str, params: impl Params) -> Result<T, StoreError> {
        self.query_one(sql, params, |row| row.get(0))
    }

    /// Reads the count that is the only value of a statement.
    pub(super) fn query_count(&self, sql: &str, params: impl Params) -> Result<u64, StoreError> {
        self.query_one(sql, params, |row| row.count(0))
    }
}

impl Statement<'_> {
    /// Returns how many rows the statement has changed.
    pub(super) fn execute(&mut self, params: impl Params) -> Result<usize, StoreError> {
        match self {
            Self::Sqlite(statement) => {
                params.bind(&mut **statement as &mut rusqlite::Statement<'_>)?;
                Ok(statement.raw_execute()?)
            }
            Self::Postgres(statement) => {
                params.bind(statement)?;
                statement.execute()
            }
        }
    }

    /// Runs it without waiting for its end.
    pub(super) fn put(&mut self, params: impl Params) -> Result<Changed, StoreError> {
        match self {
            Self::Sqlite(_) => self.execute(params).map(Changed::Known),
            Self::Postgres(statement) => {
                params.bind(statement)?;
                statement.put()
            }
        }
    }

    fn gather(&mut self, key: impl ToString, params: impl Params) -> Result<Changed, StoreError> {
        match self {
            Self::Sqlite(_) => self.execute(params).map(Changed::Known),
            Self::Postgres(statement) => {
                params.bind(statement)?;
                statement.gather(key.to_string())
            }
        }
    }

    pub(super) fn query(&mut self, params: impl Params) -> Result<Rows<'_>, StoreError> {
        match self {
            Self::Sqlite(statement) => {
                params.bind(&mut **statement as &mut rusqlite::Statement<'_>)?;
                Ok(Rows::Sqlite(statement.raw_query()))
            }
            Self::Postgres(statement) => {
                params.bind(statement)?;
                statement.query().map(Rows::Postgres)
            }
        }
    }
}

impl Rows<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, StoreError> {
        match self {
            Self::Sqlite(rows) => Ok(rows.next()?.map(Row::Sqlite)),
            Self::Postgres(rows) => Ok(rows.next().map(Row::Postgres)),
        }
    }
}

#[cfg(test)]
mod tests;
