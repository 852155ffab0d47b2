//! A transaction.
//!
//! Operations are written as for SQLite: whoever writes is alone. So each transaction that writes first takes the store's lock,
//! which ends with it. A process that stops in between is cut off by the server, and what it did is undone.

use super::session::{History, Mark, Session};
use super::statement::Statement;
use crate::store::StoreError;

/// What a transaction that writes begins with. Each of its statements sees what was committed before it.
const WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// What a transaction that reads begins with: all that it sees is of one moment. Nobody waits for more.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'";
/// Every statement has an index for what it looks for, which the plan of a table that was empty then would not use.
const PLANS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
/// The number of the lock that writers take, in the database: `agcr` in ASCII.
const WRITERS: i64 = 0x6167_6372;

/// A transaction. It is rolled back if it is not committed.
pub(in crate::store) struct Transaction<'t> {
    session: &'t Session,
    is_open: bool,
    writes: bool,
}

impl<'t> Transaction<'t> {
    /// Begins a transaction that writes: nobody else can until it ends.
    pub(in crate::store::sql) fn begin(session: &'t Session) -> Result<Self, StoreError> {
        let alone = format!("SELECT pg_advisory_xact_lock({WRITERS}, hashtext('{}'))", session.schema());
        Self::begin_as(session, true, WRITE, &alone)
    }

    /// Begins a transaction that only reads.
    pub(in crate::store::sql) fn begin_to_read(session: &'t Session) -> Result<Self, StoreError> {
        Self::begin_as(session, false, READ, "")
    }

    fn begin_as(session: &'t Session, writes: bool, how: &str, last: &str) -> Result<Self, StoreError> {
        let transaction = Self { session, is_open: true, writes };
        transaction
            .batch(&format!("{how}; SET LOCAL search_path = \"{}\"; {PLANS}; {last}", session.schema()))?;
        session.forgive();
        Ok(transaction)
    }

    pub(in crate::store::sql) fn prepare(&self, sql: &str) -> Statement<'t> {
        Statement::new(self.session, self.session.know(sql))
    }

    /// Runs statements that return nothing, as they are.
    pub(in crate::store::sql) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.session.batch(sql)
    }

    /// Undoes what was done since the savepoint, and what has failed since.
    pub(in crate::store::sql) fn undo(&self, to_savepoint: &str) -> Result<(), StoreError> {
        let _ = self.session.settle();
        self.batch(to_savepoint)?;
        self.session.forgive();
        Ok(())
    }

    /// Waits until everything is done.
    pub(in crate::store::sql) fn settle(&self) -> Result<(), StoreError> {
        self.session.settle()
    }

    /// Commits it, or returns its mark if it is not known whether it is committed.
    ///
    /// # Errors
    /// [`StoreError::Ousted`] if the server has gone back to an earlier state since this session began.
    pub(in crate::store::sql) fn commit(mut self) -> Result<Option<Mark>, StoreError> {
        let mark = if self.writes { Some(self.session.mark()?) } else { None };
        self.settle()?;
        let mark = mark.and_then(|mark| mark.get().cloned());
        if let Some(mark) = &mark
            && mark.timeline.as_deref() != self.session.history()?.map(History::timeline)
        {
            return Err(StoreError::Ousted);
        }
        self.is_open = false;
        match self.session.batch("COMMIT") {
            Err(error) if error.is_away() => mark.map(Some).ok_or(error),
            committed => committed.map(|()| None),
        }
    }

    /// Returns which history of the server this is; `None` if the server does not say so.
    pub(in crate::store::sql) fn history(&self) -> Result<Option<String>, StoreError> {
        Ok(self.session.history()?.map(ToString::to_string))
    }

    pub(in crate::store::sql) fn is_over(&self) -> bool {
        self.session.is_closed()
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // A connection that has ended needs none.
            let _ = self.session.settle();
            let _ = self.session.batch("ROLLBACK");
        }
    }
}
