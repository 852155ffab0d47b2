//! A connection to PostgreSQL.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, RowStream};

use super::dialect::{Said, say};
use super::params::Sent;
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
    pub(super) has_failed: Cell<bool>,
}

impl Session {
    pub(in crate::store) fn connect(server: &Server) -> Result<Self, StoreError> {
        let runtime = CONNECTIONS.as_ref().ok_or_else(|| lost("no thread for it can be started"))?;
        let config = server.config.clone();
        let connecting = runtime.spawn(async move { config.connect(NoTls).await });
        let (client, connection) = wait(connecting, || ()).map_err(|error| lost(&error.to_string()))??;
        runtime.spawn(connection);
        Ok(Self {
            client,
            schema: server.schema.clone(),
            said: RefCell::default(),
            unwanted: None,
            has_failed: Cell::new(false),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// Ends what is read as soon as `unwanted` is set.
    pub(in crate::store) fn stop_when(&mut self, unwanted: Arc<AtomicBool>) {
        self.unwanted = Some(unwanted);
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

    pub(super) fn say(&self, sql: &str) -> Arc<Said> {
        let mut said = self.said.borrow_mut();
        if let Some(known) = said.get(sql) {
            return Arc::clone(known);
        }
        let new = Arc::new(say(sql));
        said.insert(sql.to_owned(), Arc::clone(&new));
        new
    }
}

fn typed(values: &[Sent]) -> Vec<(&(dyn tokio_postgres::types::ToSql + Sync), Type)> {
    values.iter().map(|value| (value as &(dyn tokio_postgres::types::ToSql + Sync), value.kind())).collect()
}

pub(super) fn lost(why: &str) -> StoreError {
    StoreError::Lost(why.to_owned())
}
