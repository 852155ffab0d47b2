//! The two connections of a daemon that carry no work: one says that it is alive and tells the others that something has changed,
//! and one hears what they tell. Both go through a pooler as well, if statements can: nothing is prepared.
//!
//! Nothing is told within a transaction that does work: those that tell something commit one after the other (PostgreSQL's
//! documentation of NOTIFY), and 32 writers were measured at a seventh of their commits.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio_postgres::types::Type;
use tokio_postgres::{AsyncMessage, Client, Config};

use super::server::{Server, SharedServer};
use super::session::lost;
use super::wait::CONNECTIONS;
use crate::domain::bounds::STORE_CONNECTED_WITHIN;
use crate::domain::lease::{INTERRUPTED_AFTER, LEASE};
use crate::domain::members::Hint;
use crate::store::StoreError;

/// The channel on which daemons tell each other that something has changed.
const CHANNEL: &str = "agentcron";

/// Told by whoever lives and wants to hear itself. It is nothing to the others.
const ALIVE: &str = "alive";

/// The connection that says that a daemon is alive.
pub(in crate::store) struct Pulse {
    client: Client,
    beat: String,
}

/// What the server says to a sign of life.
#[derive(Clone, Debug)]
pub(in crate::store) struct Beat {
    /// What its clock shows, in microseconds.
    pub(in crate::store) clock: i64,
    /// Whether the daemon still has its number, and the store has not gone back.
    pub(in crate::store) is_held: bool,
    /// Whether there is something to do for the runner, the courier and the janitor.
    pub(in crate::store) due: [bool; 3],
    /// The numbers of the daemons that take work.
    pub(in crate::store) members: Vec<i64>,
    /// How often files were adopted, and how often daemons have said something about themselves.
    pub(in crate::store) files: [i64; 2],
}

/// The connection that hears what others tell.
pub(in crate::store) struct Ear {
    client: Client,
    /// Notified of what others have changed.
    pub(in crate::store) changed: Arc<Notify>,
    /// Notified of webhooks that others leave to their owner.
    pub(in crate::store) webhooks: Arc<Notify>,
    /// How often this daemon has told that it lives since it has heard itself.
    pub(in crate::store) unheard: Arc<AtomicU32>,
}

impl Pulse {
    pub(in crate::store) async fn connect(server: &SharedServer) -> Result<Self, StoreError> {
        let client = connected(server, &server.config, |_| ()).await?;
        Ok(Self { client, beat: beat(&server.schema) })
    }

    /// Says that the daemon with this number is alive, and asks what there is to do. It hears itself say so.
    pub(in crate::store) async fn beat(&self, number: i64, timeline: i64) -> Result<Beat, StoreError> {
        let row = self
            .client
            .query_typed(
                &self.beat,
                &[
                    (&number, Type::INT8),
                    (&timeline, Type::INT8),
                    (&CHANNEL, Type::TEXT),
                    (&format!("{ALIVE} {number}"), Type::TEXT),
                ],
            )
            .await?
            .into_iter()
            .next()
            .ok_or_else(|| lost("the server does not answer a sign of life"))?;
        let due = |place: usize| row.try_get::<_, Option<bool>>(place).map(|due| due.unwrap_or_default());
        Ok(Beat {
            clock: row.try_get(0)?,
            is_held: row.try_get(1)?,
            due: [due(2)?, due(3)?, due(4)?],
            members: row.try_get(5)?,
            files: [row.try_get(6)?, row.try_get(7)?],
        })
    }

    /// Tells all daemons something.
    pub(in crate::store) async fn tell(&self, hint: Hint, number: i64) -> Result<(), StoreError> {
        let payload = format!("{hint} {number}");
        let sql = "SELECT pg_notify($1, $2)";
        self.client.query_typed(sql, &[(&CHANNEL, Type::TEXT), (&payload, Type::TEXT)]).await?;
        Ok(())
    }
}

impl Ear {
    pub(in crate::store) async fn connect(server: &SharedServer, number: i64) -> Result<Self, StoreError> {
        let (changed, webhooks, unheard) = <(Arc<Notify>, Arc<Notify>, Arc<AtomicU32>)>::default();
        let (work, sends, itself) = (Arc::clone(&changed), Arc::clone(&webhooks), Arc::clone(&unheard));
        let own = number.to_string();
        let heard = move |payload: &str| match payload.split_once(' ') {
            Some((_, number)) if number == own => itself.store(0, Ordering::Relaxed),
            Some((ALIVE, _)) => {}
            Some((hint, _)) if hint == Hint::Webhooks.as_str() => sends.notify_one(),
            // Of a later version, perhaps.
            _ => work.notify_one(),
        };
        let client = connected(server, server.listen.as_ref().unwrap_or(&server.config), heard).await?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(Self { client, changed, webhooks, unheard })
    }

    /// Returns whether the connection is over.
    pub(in crate::store) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// Connects, and calls `heard` with everything that is told there.
async fn connected(
    server: &Server,
    config: &Config,
    heard: impl Fn(&str) + Send + 'static,
) -> Result<Client, StoreError> {
    let runtime = CONNECTIONS.as_ref().ok_or_else(|| lost("no thread for it can be started"))?;
    let (config, tls) = (config.clone(), server.tls.clone());
    let connecting = runtime.spawn(async move { config.connect(tls).await });
    let connected = tokio::time::timeout(STORE_CONNECTED_WITHIN, connecting).await;
    let connected = connected.map_err(|_| server.silent())?.map_err(|error| lost(&error.to_string()))?;
    let (client, mut connection) = connected.map_err(|error| server.sorted(error))?;
    // It ends with the client.
    runtime.spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message {
                heard(told.payload());
            }
        }
    });
    Ok(client)
}

/// One statement says that the daemon is alive and asks what is due, because an idle daemon asks nothing else. Others that are
/// silent for longer than usual are looked after by the runner, which knows since when they could have spoken.
fn beat(schema: &str) -> String {
    let now = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let due = |table: &str, column: &str| {
        format!("(SELECT min({column}) FROM \"{schema}\".{table} WHERE {column} IS NOT NULL) <= {now} / 1000")
    };
    let (lease, silent) = (LEASE.as_millis(), INTERRUPTED_AFTER.as_millis());
    format!(
        "WITH alive AS (UPDATE \"{schema}\".daemons SET seen_at = greatest(seen_at, {now} / 1000) \
         WHERE number = $1 AND recovered_at IS NULL AND (SELECT timeline FROM \"{schema}\".installation) = $2 RETURNING 1) \
         SELECT {now}, EXISTS (SELECT FROM alive), coalesce({}, false) OR coalesce({}, false) OR EXISTS \
         (SELECT FROM \"{schema}\".daemons WHERE recovered_at IS NULL AND number <> $1 AND seen_at < {now} / 1000 - {silent}), \
         {}, {}, ARRAY(SELECT number FROM \"{schema}\".daemons WHERE recovered_at IS NULL AND stopped_at IS NULL \
         AND seen_at > {now} / 1000 - {lease}), (SELECT coalesce(max(number), 0) FROM \"{schema}\".generations), \
         (SELECT coalesce(sum(published), 0)::bigint FROM \"{schema}\".daemons), pg_notify($3, $4)",
        due("crons", "next_at"),
        due("runs", "act_at"),
        due("deliveries", "due_at"),
        due("thread_deletions", "due_at")
    )
}
