//! A connection to PostgreSQL.

mod foresee;
mod gather;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, RowStream, Statement};

use foresee::Foreseen;
use gather::Group;

use super::dialect::{Said, say};
use super::params::Sent;
use super::row::{Row, Rows};
use super::server::SharedServer;
use super::wait::{CONNECTIONS, wait};
use crate::domain::bounds::STORE_ANSWERS_WITHIN;
use crate::store::StoreError;

/// A connection.
pub(in crate::store) struct Session {
    client: Arc<Client>,
    /// What carries the messages to and fro, until it has ended. It is driven by whoever waits for an answer, since every change of
    /// threads in between would cost as much as a short statement.
    connection: RefCell<Option<Answer>>,
    server: SharedServer,
    known: RefCell<HashMap<String, Arc<Known>>>,
    /// What was sent and not waited for.
    sent: RefCell<FuturesUnordered<Answer>>,
    /// What is sent together before anything else is.
    gathered: RefCell<Vec<Group>>,
    /// What was asked before it is needed.
    foreseen: RefCell<Vec<Foreseen>>,
    /// The first failure of the present transaction: the server refuses everything else until it is undone.
    failure: RefCell<Option<StoreError>>,
    /// Which history of the server this is, for a session that writes.
    history: OnceLock<Option<History>>,
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

/// Which of the histories of its data a server has: a standby that becomes the primary begins a new one, from what had reached it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct History {
    /// The number that the server got when it was made.
    system: String,
    timeline: String,
}

impl History {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let text = |place: usize| row.value(place).map(|value| value.as_str().unwrap_or_default().to_owned());
        Ok(Self { system: text(0)?, timeline: text(1)? })
    }

    pub(super) fn timeline(&self) -> &str {
        &self.timeline
    }
}

impl Display for History {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.timeline)
    }
}

/// What tells a transaction from all others, if its COMMIT is not answered.
#[derive(Clone, Debug)]
pub(in crate::store) struct Mark {
    transaction: String,
    pub(super) timeline: Option<String>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fate {
    Committed,
    RolledBack,
    /// The server has gone back to an earlier state, or does not know any more.
    Lost,
}

/// The timeline is the beginning of the name of the file that is written just now: the control file has it only later.
const HISTORY: &str = "SELECT system_identifier::text, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) \
     FROM pg_control_system()";
const MARK: &str =
    "SELECT pg_current_xact_id()::text, substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";
const MARK_ALONE: &str = "SELECT pg_current_xact_id()::text, NULL::text";

/// How a statement is run.
pub(super) enum Prepared {
    /// It stays prepared as long as the connection.
    Once(Statement),
    /// The connection behind a pooler changes, and with it what is prepared.
    EachTime(String),
}

/// What ends once a statement is answered, or the connection over.
type Answer = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Session {
    pub(in crate::store) fn connect(server: &SharedServer) -> Result<Self, StoreError> {
        let runtime = CONNECTIONS.as_ref().ok_or_else(|| lost("no thread for it can be started"))?;
        let (config, tls) = (server.config.clone(), server.tls.clone());
        let connecting = runtime.spawn(async move { config.connect(tls).await });
        let connected = wait(connecting, STORE_ANSWERS_WITHIN, || ()).ok_or_else(|| server.silent())?;
        let connected = connected.map_err(|error| lost(&error.to_string()))?;
        let (client, connection) = connected.map_err(|error| server.sorted(error))?;
        Ok(Self {
            client: Arc::new(client),
            connection: RefCell::new(Some(Box::pin(connection))),
            server: Arc::clone(server),
            known: RefCell::default(),
            sent: RefCell::default(),
            gathered: RefCell::default(),
            foreseen: RefCell::default(),
            failure: RefCell::default(),
            history: OnceLock::new(),
            unwanted: None,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    pub(super) fn schema(&self) -> &str {
        &self.server.schema
    }

    pub(in crate::store) fn server(&self) -> &SharedServer {
        &self.server
    }

    /// Runs a statement without parameters, outside a transaction.
    pub(super) fn ask(&self, sql: &str) -> Result<Rows, StoreError> {
        self.query(&self.know(sql), &[])
    }

    /// Ends what is read as soon as `unwanted` is set.
    pub(in crate::store) fn stop_when(&mut self, unwanted: Arc<AtomicBool>) {
        self.unwanted = Some(unwanted);
    }

    /// Returns how far the server's log has come, which every commit moves on.
    pub(in crate::store::sql) fn version(&self) -> Result<i64, StoreError> {
        let rows = self.ask("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")?;
        rows.as_slice().first().map_or(Ok(0), |row| Ok(row.value(0)?.as_i64().unwrap_or_default()))
    }

    /// Returns what the server's clock shows, in microseconds.
    pub(in crate::store) fn clock(&self) -> Result<i64, StoreError> {
        let rows = self.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")?;
        rows.as_slice().first().map_or(Ok(0), |row| Ok(row.value(0)?.as_i64().unwrap_or_default()))
    }

    /// Runs statements that return nothing, as they are.
    pub(in crate::store::sql) fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.flush()?;
        self.wait(self.client.batch_execute(sql))
    }

    pub(super) fn execute(&self, known: &Known, values: &[Sent]) -> Result<usize, StoreError> {
        self.flush()?;
        let prepared = self.prepared(known, values)?;
        self.wait(changed(&self.client, prepared, values))
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
        let (client, prepared) = (self.client(), self.prepared(known, &values)?);
        self.push(async move {
            noted.store(changed(&client, prepared, &values).await?, Ordering::Relaxed);
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
        let prepared = self.prepared(known, values)?;
        let query = async {
            let rows = rows(&self.client, prepared, values).await?;
            rows.map_ok(Row).try_collect::<Vec<Row>>().await
        };
        Ok(self.wait(query)?.into_iter())
    }

    /// Returns whether the server answers.
    pub(in crate::store::sql) fn is_alive(&self) -> bool {
        !self.is_closed() && self.batch("").is_ok()
    }

    /// Connects anew, which forgets whatever was not committed.
    ///
    /// # Errors
    /// [`StoreError::Ousted`] if the server has gone back to an earlier state since this session has first written.
    pub(in crate::store::sql) fn reconnect(&mut self) -> Result<(), StoreError> {
        let again = Self { unwanted: self.unwanted.clone(), ..Self::connect(&self.server)? };
        if let Some(before) = self.history.get()
            && again.history()? != before.as_ref()
        {
            return Err(StoreError::Ousted);
        }
        *self = again;
        Ok(())
    }

    /// Returns which history of the server this is; `None` if the server does not say so. Whoever writes asks before the first
    /// transaction: a question that is refused would undo that.
    pub(in crate::store) fn history(&self) -> Result<Option<&History>, StoreError> {
        if let Some(known) = self.history.get() {
            return Ok(known.as_ref());
        }
        let history = match self.ask(HISTORY) {
            Ok(rows) => rows.as_slice().first().map(History::read).transpose()?,
            Err(error) if error.is_away() => return Err(error),
            // Some that are rented out do not show it.
            Err(_) => None,
        };
        Ok(self.history.get_or_init(|| history).as_ref())
    }

    /// Asks for the mark of the present transaction without waiting for it.
    pub(super) fn mark(&self) -> Result<Arc<OnceLock<Mark>>, StoreError> {
        self.flush()?;
        let is_shown = self.history()?.is_some();
        let known = self.know(if is_shown { MARK } else { MARK_ALONE });
        let (client, prepared) = (self.client(), self.prepared(&known, &[])?);
        let mark = Arc::new(OnceLock::new());
        let noted = Arc::clone(&mark);
        self.push(async move {
            let mut rows = pin!(rows(&client, prepared, &[]).await?);
            while let Some(row) = rows.next().await {
                let row = row?;
                let _ = noted.set(Mark { transaction: row.try_get(0)?, timeline: row.try_get(1)? });
            }
            Ok(())
        })?;
        Ok(mark)
    }

    /// Returns what became of a transaction whose COMMIT was not answered, over a new connection; `None` if that is not decided.
    pub(in crate::store::sql) fn fate_of(&mut self, mark: &Mark) -> Result<Option<Fate>, StoreError> {
        // Numbers of transactions that a failover has lost are given out again (it was tried), so they say nothing after one: that
        // is found out first.
        self.reconnect()?;
        let known = self.know("SELECT pg_xact_status(CAST(?1 AS xid8))");
        let rows = self.query(&known, &[Sent::text(&mark.transaction)])?;
        let status = rows.as_slice().first().map(|row| row.value(0)).transpose()?;
        let status = status.and_then(|status| status.as_str().ok());
        Ok(match status {
            Some("committed") => Some(Fate::Committed),
            Some("aborted") => Some(Fate::RolledBack),
            Some(_) => None,
            None => Some(Fate::Lost),
        })
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

    /// Forgets what was kept to be sent together: it is not wanted any more.
    pub(super) fn drop_gathered(&self) {
        self.gathered.take();
    }

    /// Forgets what has failed, which was undone, and what was asked in vain.
    pub(super) fn forgive(&self) {
        self.foreseen.take();
        self.failure.borrow_mut().take();
    }

    pub(super) fn prepared(&self, known: &Known, values: &[Sent]) -> Result<Prepared, StoreError> {
        if !self.server.prepares() {
            return Ok(Prepared::EachTime(known.said.sql.clone()));
        }
        if let Some(prepared) = known.prepared.get() {
            return Ok(Prepared::Once(prepared.clone()));
        }
        let kinds: Vec<Type> = values.iter().map(Sent::kind).collect();
        let prepared = self.prepare(&known.said.sql, &kinds)?;
        Ok(Prepared::Once(known.prepared.get_or_init(|| prepared).clone()))
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
        let Some(answered) = wait(both, STORE_ANSWERS_WITHIN, || self.look()) else {
            // Whatever it still says is not waited for.
            *self.connection.borrow_mut() = None;
            return Err(self.server.silent());
        };
        answered.map_err(|error| {
            let error = self.sorted(error);
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
                let error = self.sorted(error);
                self.failure.borrow_mut().get_or_insert(error);
            }
        }
    }

    fn sorted(&self, error: Error) -> StoreError {
        if self.server.is_of_pooler(&error) {
            let problem = "a pooler is in front, so statements are not prepared from now on".to_owned();
            return StoreError::ServerAway { server: self.server.name(), problem };
        }
        if error.code() == Some(&SqlState::QUERY_CANCELED) { StoreError::TookTooLong } else { error.into() }
    }

    /// Cancels what is read if nobody wants it any more.
    fn look(&self) {
        if self.unwanted.as_ref().is_some_and(|unwanted| unwanted.swap(false, Ordering::Relaxed))
            && let Some(runtime) = CONNECTIONS.as_ref()
        {
            let (cancel, tls) = (self.client.cancel_token(), self.server.tls.clone());
            runtime.spawn(async move { cancel.cancel_query(tls).await });
        }
    }

    /// Returns the statements that are prepared, and of which types the parameters of each are.
    #[cfg(test)]
    pub(super) fn statements(&self) -> Vec<(String, Vec<String>)> {
        let known = self.known.borrow();
        let of_one = known.values().filter_map(|known| Some((known.said.sql.clone(), known.prepared.get()?)));
        let of_many = known.values().filter_map(|known| {
            let sql = gather::for_many(&known.said.sql, known.prepared.get()?.params());
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

/// Runs a statement, and returns its rows.
pub(super) async fn rows(client: &Client, prepared: Prepared, values: &[Sent]) -> Result<RowStream, Error> {
    match prepared {
        Prepared::Once(statement) => client.query_raw(&statement, values).await,
        Prepared::EachTime(sql) => {
            client.query_typed_raw(&sql, values.iter().map(|value| (value, value.kind()))).await
        }
    }
}

/// Runs a statement, and returns how many rows it has changed.
async fn changed(client: &Client, prepared: Prepared, values: &[Sent]) -> Result<usize, Error> {
    let mut rows = pin!(rows(client, prepared, values).await?);
    while let Some(row) = rows.next().await {
        row?;
    }
    Ok(rows.rows_affected().map_or(0, |changed| usize::try_from(changed).unwrap_or(usize::MAX)))
}

pub(super) fn lost(why: &str) -> StoreError {
    StoreError::Lost(why.to_owned())
}
