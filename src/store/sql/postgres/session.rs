//! A connection to PostgreSQL, and its transactions.
//!
//! Operations are written as for SQLite: whoever writes is alone. So each transaction that writes first takes the store's lock,
//! which ends with it. A process that stops in between is cut off by the server, and what it did is undone.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, RowStream};

use super::dialect::{Said, say};
use super::params::{Sent, Statement};
use super::row::{Row, Rows};
use super::wait::{CONNECTIONS, wait};
use crate::store::StoreError;

/// Where the store is.
#[derive(Clone, Debug)]
pub struct Server {
    pub(in crate::store) config: tokio_postgres::Config,
    /// The schema with its tables.
    pub(in crate::store) schema: String,
}

/// A connection.
pub(in crate::store) struct Session {
    client: Client,
    schema: String,
    /// What was said already.
    said: RefCell<HashMap<String, Arc<Said>>>,
    /// Whether what is read is not wanted any more.
    unwanted: Option<Arc<AtomicBool>>,
    /// Whether a statement of the present transaction has failed: the server refuses all others until it is undone.
    has_failed: Cell<bool>,
}

/// A transaction. It is rolled back if it is not committed.
pub(in crate::store) struct Transaction<'t> {
    session: &'t Session,
    is_open: bool,
}

/// What a transaction that writes begins with. Each of its statements sees what was committed before it.
const WRITE: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '5s'";
/// What a transaction that reads begins with: all that it sees is of one moment. Nobody waits for more.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10s'";
/// Every statement has an index for what it looks for, which the plan of a table that was empty then would not use.
const PLANS: &str = "SET LOCAL enable_seqscan = off; SET LOCAL jit = off";
/// The number of the lock that writers take, in the database: `agcr` in ASCII.
const WRITERS: i64 = 0x6167_6372;

impl Session {
    pub(in crate::store) fn connect(server: &Server) -> Result<Self, StoreError> {
        let runtime = CONNECTIONS.as_ref().ok_or_else(|| lost("no thread for it can be started"))?;
        let config = server.config.clone();
        let connecting = runtime.spawn(async move {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = wait(connecting, || ()).map_err(|error| lost(&error.to_string()))??;
        Ok(Self {
            client,
            schema: server.schema.clone(),
            said: RefCell::default(),
            unwanted: None,
            has_failed: Cell::new(false),
        })
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Ends what is read as soon as `unwanted` is set.
    pub(in crate::store) fn stop_when(&mut self, unwanted: Arc<AtomicBool>) {
        self.unwanted = Some(unwanted);
    }

    pub(in crate::store::sql) fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let alone = format!("SELECT pg_advisory_xact_lock({WRITERS}, hashtext('{}'))", self.schema);
        self.begin_as(WRITE, &alone)
    }

    pub(in crate::store::sql) fn begin_to_read(&self) -> Result<Transaction<'_>, StoreError> {
        self.begin_as(READ, "")
    }

    fn begin_as(&self, how: &str, last: &str) -> Result<Transaction<'_>, StoreError> {
        let transaction = Transaction { session: self, is_open: true };
        self.batch(&format!("{how}; SET LOCAL search_path = \"{}\"; {PLANS}; {last}", self.schema))?;
        self.has_failed.set(false);
        Ok(transaction)
    }

    /// Returns how far the server's log has come, which every commit moves on.
    pub(in crate::store::sql) fn version(&self) -> Result<i64, StoreError> {
        let rows = self.query(&say("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"), &[])?;
        rows.as_slice().first().map_or(Ok(0), |row| Ok(row.value(0)?.as_i64().unwrap_or_default()))
    }

    /// Runs statements that return nothing, as they are.
    pub(in crate::store::sql) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.noted(wait(self.client.batch_execute(sql), || self.look()))
    }

    pub(super) fn execute(&self, said: &Said, values: &[Sent]) -> Result<usize, StoreError> {
        let typed = typed(values);
        let execute = self.client.execute_typed(&said.sql, &typed);
        let changed = self.noted(wait(execute, || self.look()))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(super) fn query(&self, said: &Said, values: &[Sent]) -> Result<Rows, StoreError> {
        let query = async {
            let typed = values.iter().map(|value| (value, value.kind()));
            let rows: RowStream = self.client.query_typed_raw(&said.sql, typed).await?;
            rows.map_ok(Row).try_collect::<Vec<Row>>().await
        };
        Ok(self.noted(wait(query, || self.look()))?.into_iter())
    }

    /// Takes note of a failure.
    fn noted<T>(&self, result: Result<T, tokio_postgres::Error>) -> Result<T, StoreError> {
        result.map_err(|error| {
            self.has_failed.set(true);
            let is_unwanted = error.code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED);
            if is_unwanted { StoreError::TookTooLong } else { error.into() }
        })
    }

    /// Cancels what is read if nobody wants it any more.
    fn look(&self) {
        if self.unwanted.as_ref().is_some_and(|unwanted| unwanted.swap(false, Ordering::Relaxed))
            && let Some(runtime) = CONNECTIONS.as_ref()
        {
            let cancel = self.client.cancel_token();
            runtime.spawn(async move { cancel.cancel_query(NoTls).await });
        }
    }

    fn say(&self, sql: &str) -> Arc<Said> {
        let mut said = self.said.borrow_mut();
        if let Some(known) = said.get(sql) {
            return Arc::clone(known);
        }
        let new = Arc::new(say(sql));
        said.insert(sql.to_owned(), Arc::clone(&new));
        new
    }
}

impl<'t> Transaction<'t> {
    pub(in crate::store::sql) fn prepare(&self, sql: &str) -> Statement<'t> {
        Statement::new(self.session, self.session.say(sql))
    }

    /// Runs statements that return nothing, as they are.
    pub(in crate::store::sql) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.session.batch(sql)
    }

    /// Undoes what was done since the savepoint, and what has failed since.
    pub(in crate::store::sql) fn undo(&self, to_savepoint: &str) -> Result<(), StoreError> {
        self.batch(to_savepoint)?;
        self.session.has_failed.set(false);
        Ok(())
    }

    pub(in crate::store::sql) fn commit(mut self) -> Result<(), StoreError> {
        self.is_open = false;
        if self.session.has_failed.get() {
            // The server would answer that it has rolled it back, which is no error to it.
            self.session.batch("ROLLBACK")?;
            return Err(lost("a statement has failed, so nothing is committed"));
        }
        self.session.batch("COMMIT")
    }

    pub(in crate::store::sql) fn is_over(&self) -> bool {
        self.session.client.is_closed()
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // A connection that has ended needs none.
            let _ = self.session.batch("ROLLBACK");
        }
    }
}

fn typed(values: &[Sent]) -> Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn tokio_postgres::types::ToSql + Sync), value.kind())).collect()
}

fn lost(why: &str) -> StoreError {
    StoreError::Lost(why.to_owned())
}
