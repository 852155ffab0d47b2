//! A transaction.
//!
//! Most operations are written as for SQLite: whoever writes is alone. So each transaction that writes first takes the store's lock,
//! which ends with it; those of the hot operations take it together, and lock rows as well (`store/hot/mod.rs`). One that were
//! SERIALIZABLE instead would not see what the hot ones do. A process that stops in between is cut off by the server, and what it
//! did is undone.

use super::session::{History, Mark, Session};
use super::statement::Statement;
use crate::store::StoreError;
use crate::store::sql::Writing;

/// What a transaction that writes begins with. Each of its statements sees what was committed before it.
const WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// What a transaction that reads begins with: all that it sees is of one moment. Nobody waits for more.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'";
/// Every statement has an index for what it looks for, which the plan of a table that was empty then would not use.
const PLANS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
/// The same for the hot operations, which read in the order of an index: however many rows there are, they need the first ones.
const HOT_PLANS: &str = "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off";
/// The number of the lock that writers take, in the database: `agcr` in ASCII.
const WRITERS: i64 = 0x6167_6372;
/// The number of the lock of those who give places to runs.
const PLACES: i64 = WRITERS + 1;

/// A transaction. It is rolled back if it is not committed.
pub(in crate::store) struct Transaction<'t> {
    session: &'t Session,
    is_open: bool,
    writes: bool,
}

impl<'t> Transaction<'t> {
    /// Begins a transaction that writes. It waits for those beside which it cannot be.
    pub(in crate::store::sql) fn begin(session: &'t Session, writing: Writing) -> Result<Self, StoreError> {
        let plans = match writing {
            Writing::Alone => "",
            Writing::Beside => HOT_PLANS,
        };
        Self::begin_as(session, true, WRITE, &format!("{plans}; {}", lock(session, WRITERS, writing)))
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

    /// Waits for those who give places to runs.
    pub(in crate::store::sql) fn wait_for_places(&self, writing: Writing) -> Result<(), StoreError> {
        self.batch(&lock(self.session, PLACES, writing))
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

    /// Returns every prepared statement with its plan, whatever its parameters are.
    #[cfg(test)]
    pub(in crate::store::sql) fn plans(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.batch("SET LOCAL plan_cache_mode = force_generic_plan")?;
        let mut plans = Vec::new();
        for (sql, types) in self.session.statements() {
            let nothing = vec!["NULL"; types.len()].join(", ");
            let with = |what: &str| if types.is_empty() { String::new() } else { format!("({what})") };
            let execute = format!("explained {}", with(&nothing));
            self.batch(&format!("PREPARE explained {} AS {sql}", with(&types.join(", "))))?;
            let explain =
                Statement::new(self.session, self.session.know(&format!("EXPLAIN EXECUTE {execute}")));
            let lines = explain.query()?.map(|row| Ok(row.value(0)?.as_str().unwrap_or_default().to_owned()));
            plans.push((sql, lines.collect::<Result<Vec<_>, StoreError>>()?.join("\n")));
            self.batch("DEALLOCATE explained")?;
        }
        Ok(plans)
    }

    pub(in crate::store::sql) fn is_over(&self) -> bool {
        self.session.is_closed()
    }
}

/// Returns a statement that waits for a lock, and has it until the end of the transaction.
fn lock(session: &Session, number: i64, writing: Writing) -> String {
    let take = match writing {
        Writing::Alone => "pg_advisory_xact_lock",
        Writing::Beside => "pg_advisory_xact_lock_shared",
    };
    format!("SELECT {take}({number}, hashtext('{}'))", session.schema())
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.session.drop_gathered();
            // A connection that has ended needs none.
            let _ = self.session.settle();
            let _ = self.session.batch("ROLLBACK");
        }
    }
}
