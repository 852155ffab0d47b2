//! A connection to PostgreSQL.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, NoTls, RowStream, Statement};

use super::dialect::{Said, say};
use super::foresee::Foreseen;
use super::gather::Group;
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
    client: Arc<Client>,
    /// What carries the messages to and fro, until it has ended. It is driven by whoever waits for an answer, since every change of
    /// threads in between would cost as much as a short statement.
    connection: RefCell<Option<Answer>>,
    schema: String,
    known: RefCell<HashMap<String, Arc<Known>>>,
    /// What was sent and not waited for.
    sent: RefCell<FuturesUnordered<Answer>>,
    /// What is sent together before anything else is.
    pub(super) gathered: RefCell<Vec<Group>>,
    /// What was asked before it is needed.
    pub(super) foreseen: RefCell<Vec<Foreseen>>,
    /// The first failure of the present transaction: the server refuses everything else until it is undone.
    failure: RefCell<Option<StoreError>>,
    /// Whether what is read is not wanted any more.
    unwanted: Option<Arc<AtomicBool>>,
}

/// A statement that this session has run.
pub(super) struct Known {
    pub(super) said: Said,
    prepared: OnceLock<Statement>,
    /// The same for many rows (`gather.rs`).
    pub(super) for_many: OnceLock<Statement>,
}

/// What ends once a statement is answered, or the connection over.
type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Session {
    pub(in crate::store) fn connect(server: &Server) -> Result<Self, StoreError> {
        let runtime = CONNECTIONS.as_ref().ok_or_else(|| lost("no thread for it can be started"))?;
        let config = server.config.clone();
        let connecting = runtime.spawn(async move { config.connect(NoTls).await });
        let (client, connection) = wait(connecting, || ()).map_err(|error| lost(&error.to_string()))??;
        Ok(Self {
            client: Arc::new(client),
            connection: RefCell::new(Some(Box::pin(connection))),
            schema: server.schema.clone(),
            known: RefCell::default(),
            sent: RefCell::default(),
            gathered: RefCell::default(),
            foreseen: RefCell::default(),
            failure: RefCell::default(),
            unwanted: None,
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
        let rows = self.query(&self.know("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"), &[])?;
        rows.as_slice().first().map_or(Ok(0), |row| Ok(row.value(0)?.as_i64().unwrap_or_default()))
    }

    /// Runs statements that return nothing, as they are.
    pub(in crate::store::sql) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.flush()?;
        self.wait(self.client.batch_execute(sql))
    }

    pub(super) fn execute(&self, known: &Known, values: &[Sent]) -> Result<usize, StoreError> {
        self.flush()?;
        let statement = self.prepared(known, values)?;
        let changed = self.wait(self.client.execute_raw(&statement, values))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Sends a statement and does not wait for its answer. Returns where it will be found how many rows it has changed. If it fails,
    /// [`Session::settle`] says so.
    pub(super) fn put(&self, known: &Known, values: Vec<Sent>) -> Result<Arc<AtomicUsize>, StoreError> {
        self.flush()?;
        let rows = Arc::new(AtomicUsize::new(0));
        self.send(known, values, Arc::clone(&rows))?;
        Ok(rows)
    }

    /// Sends a statement, and notes how many rows it has changed.
    pub(super) fn send(
        &self,
        known: &Known,
        values: Vec<Sent>,
        noted: Arc<AtomicUsize>,
    ) -> Result<(), StoreError> {
        let (client, statement) = (self.client(), self.prepared(known, &values)?);
        self.push(async move {
            let changed = client.execute_raw(&statement, values).await?;
            noted.store(usize::try_from(changed).unwrap_or(usize::MAX), Ordering::Relaxed);
            Ok(())
        })
    }

    /// Sends what nobody waits for.
    pub(super) fn push(
        &self,
        answer: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.sent.borrow_mut().push(Box::pin(answer));
        // It is sent when it is first asked for.
        self.wait(std::future::ready(Ok(())))
    }

    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    pub(super) fn query(&self, known: &Known, values: &[Sent]) -> Result<Rows, StoreError> {
        if let Some(rows) = self.foreseen(known, values)? {
            return Ok(rows);
        }
        self.flush()?;
        let statement = self.prepared(known, values)?;
        let query = async {
            let rows: RowStream = self.client.query_raw(&statement, values).await?;
            rows.map_ok(Row).try_collect::<Vec<Row>>().await
        };
        Ok(self.wait(query)?.into_iter())
    }

    /// Waits for everything that was sent.
    ///
    /// # Errors
    /// The first failure since the transaction began, or since it was undone.
    pub(super) fn settle(&self) -> Result<(), StoreError> {
        self.flush()?;
        let all = poll_fn(|context| {
            self.hear(context);
            if self.sent.borrow().is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        self.wait(all)?;
        self.failure.borrow_mut().take().map_or(Ok(()), Err)
    }

    /// Whether anything has failed that is not undone.
    pub(super) fn has_failed(&self) -> bool {
        self.failure.borrow().is_some()
    }

    /// Forgets what has failed, which was undone, and what was asked in vain.
    pub(super) fn forgive(&self) {
        self.foreseen.take();
        self.failure.borrow_mut().take();
    }

    pub(super) fn prepared(&self, known: &Known, values: &[Sent]) -> Result<Statement, StoreError> {
        if let Some(prepared) = known.prepared.get() {
            return Ok(prepared.clone());
        }
        let kinds: Vec<Type> = values.iter().map(Sent::kind).collect();
        let prepared = self.prepare(&known.said.sql, &kinds)?;
        Ok(known.prepared.get_or_init(|| prepared).clone())
    }

    pub(super) fn prepare(&self, sql: &str, kinds: &[Type]) -> Result<Statement, StoreError> {
        self.wait(self.client.prepare_typed(sql, kinds))
    }

    /// Waits for an answer, and hears those that were not waited for.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let mut answer = pin!(answer);
        let both = poll_fn(|context| {
            self.hear(context);
            let polled = answer.as_mut().poll(context);
            if polled.is_pending() {
                self.carry(context);
            }
            polled
        });
        wait(both, || self.look()).map_err(|error| {
            let error = sorted(error);
            let mut failure = self.failure.borrow_mut();
            // What was sent before has failed first, and says why.
            failure.take().unwrap_or(error)
        })
    }

    /// Sends what is to be sent, and takes what has arrived to whoever waits for it.
    fn carry(&self, context: &mut Context<'_>) {
        let mut connection = self.connection.borrow_mut();
        let ended =
            connection.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready());
        if ended {
            *connection = None;
        }
    }

    /// Hears the answers that have come to what was not waited for.
    pub(super) fn hear(&self, context: &mut Context<'_>) {
        let mut sent = self.sent.borrow_mut();
        while let Poll::Ready(Some(answer)) = sent.poll_next_unpin(context) {
            if let Err(error) = answer {
                self.failure.borrow_mut().get_or_insert(sorted(error));
            }
        }
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

    /// Returns the statements that are prepared, and of which types the parameters of each are.
    #[cfg(test)]
    pub(super) fn statements(&self) -> Vec<(String, Vec<String>)> {
        let known = self.known.borrow();
        let of_one = known.values().filter_map(|known| Some((known.said.sql.clone(), known.prepared.get()?)));
        let of_many = known.values().filter_map(|known| {
            let sql = super::gather::for_many(&known.said.sql, known.prepared.get()?.params());
            Some((sql, known.for_many.get()?))
        });
        let prepared = of_one.chain(of_many);
        let prepared = prepared.filter(|(sql, _)| !sql.starts_with("EXPLAIN"));
        let types = |statement: &Statement| statement.params().iter().map(ToString::to_string).collect();
        prepared.map(|(sql, statement)| (sql, types(statement))).collect()
    }

    pub(super) fn know(&self, sql: &str) -> Arc<Known> {
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get(sql) {
            return Arc::clone(known);
        }
        let new = Arc::new(Known { said: say(sql), prepared: OnceLock::new(), for_many: OnceLock::new() });
        known.insert(sql.to_owned(), Arc::clone(&new));
        new
    }
}

fn sorted(error: Error) -> StoreError {
    if error.code() == Some(&SqlState::QUERY_CANCELED) { StoreError::TookTooLong } else { error.into() }
}

pub(super) fn lost(why: &str) -> StoreError {
    StoreError::Lost(why.to_owned())
}
