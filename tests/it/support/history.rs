//! What the daemon recorded.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::daemon::{Daemon, LOOK_EVERY};
use super::record::PATIENCE;

/// One run, or one record of missed occurrences.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) run_id: String,
    pub(crate) cron_name: String,
    pub(crate) phase: String,
    /// Empty while it is not over.
    pub(crate) status: String,
    /// Empty if there is none.
    pub(crate) reason_code: String,
    /// Empty if there is none.
    pub(crate) reason: String,
    pub(crate) scheduled_for: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) thread_id: String,
    pub(crate) backend_run_id: String,
    /// `{"error", "message"}`, or null.
    pub(crate) error: Value,
    pub(crate) webhook: Option<RecordedWebhook>,
    /// How many it stands for.
    pub(crate) occurrences: i64,
    /// The last of them.
    pub(crate) last_scheduled_for: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedWebhook {
    pub(crate) status: String,
    pub(crate) attempts: i64,
}

/// Something unusual that happened to a run on its way.
pub(crate) struct Event {
    at: Timestamp,
    run_id: String,
    pub(crate) event: String,
    detail: String,
}

impl Debug for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}: {}", self.at, self.run_id, self.event, self.detail)
    }
}

impl Recorded {
    /// Nothing is left to be done about it.
    pub(crate) fn is_settled(&self) -> bool {
        let is_told = |webhook: &RecordedWebhook| !matches!(webhook.status.as_str(), "pending" | "sending");
        self.phase == "ended" && self.webhook.as_ref().is_none_or(is_told)
    }

    /// Whether a run was to be started for it.
    pub(crate) fn was_fired(&self) -> bool {
        !matches!(self.status.as_str(), "missed" | "skipped")
    }
}

impl Daemon {
    /// Every run on record as `history --json` tells it, in the order of their instants.
    pub(crate) fn history(&self) -> Vec<Recorded> {
        self.json(&["history"]).iter().map(told).collect()
    }

    /// The same read from the database, for those who ask many times a second; none if there is no database yet.
    fn rows(&self) -> Vec<Recorded> {
        self.query(
            "SELECT runs.*, deliveries.status AS webhook_status, deliveries.attempts AS webhook_attempts FROM runs \
             LEFT JOIN deliveries ON deliveries.run_id = runs.run_id ORDER BY scheduled_for, cron_name",
            recorded,
        )
    }

    /// The timeline of all runs, a line for each event.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.query("SELECT * FROM run_events ORDER BY at", |row| {
            Ok(Event {
                at: time(row, "at")?,
                run_id: row.get("run_id")?,
                event: row.get("event")?,
                detail: row.get::<_, Option<String>>("detail")?.unwrap_or_default(),
            })
        })
    }

    /// When the daemon first knew its crons; what is due later is owed.
    pub(crate) fn knows_crons_since(&self) -> Option<Timestamp> {
        let since = self
            .query("SELECT created_at FROM crons ORDER BY created_at DESC", |row| time(row, "created_at"));
        since.first().copied()
    }

    /// Threads on the agent server that are still to be deleted, those with a fence excepted: they stay for a day.
    pub(crate) fn deletions_due(&self) -> usize {
        let soon = "SELECT thread_id FROM thread_deletions WHERE due_at < (unixepoch() + 3600) * 1000";
        self.query(soon, |row| row.get::<_, String>(0)).len()
    }

    /// Waits until there are `count` runs and nothing is left to be done about any.
    pub(crate) async fn wait_until_settled(&self, count: usize) -> Vec<Recorded> {
        self.wait_until_settled_within(PATIENCE, count).await
    }

    pub(crate) async fn wait_until_settled_within(&self, patience: Duration, count: usize) -> Vec<Recorded> {
        let what = format!("{count} runs to be settled");
        self.wait_for_history_within(patience, &what, |runs| {
            runs.len() >= count && runs.iter().all(Recorded::is_settled)
        })
        .await
    }

    pub(crate) async fn wait_for_history(
        &self,
        what: &str,
        holds: impl Fn(&[Recorded]) -> bool,
    ) -> Vec<Recorded> {
        self.wait_for_history_within(PATIENCE, what, holds).await
    }

    pub(crate) async fn wait_for_history_within(
        &self,
        patience: Duration,
        what: &str,
        holds: impl Fn(&[Recorded]) -> bool,
    ) -> Vec<Recorded> {
        let until = Instant::now() + patience;
        while !holds(&self.rows()) {
            if Instant::now() > until {
                let open: Vec<_> = self.rows().into_iter().filter(|run| !run.is_settled()).collect();
                let events = self.events();
                panic!("waited {patience:?} in vain for {what}; not settled: {open:#?}\n{events:#?}");
            }
            sleep(LOOK_EVERY).await;
        }
        self.history()
    }

    fn query<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let path = self.database();
        // The daemon may not have made it yet, or not its tables.
        let Ok(connection) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return Vec::new();
        };
        connection.busy_timeout(PATIENCE).unwrap();
        let Ok(mut statement) = connection.prepare(sql) else { return Vec::new() };
        statement.query_map([], read).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }
}

/// Every key must be there; those that may be null are.
fn told(line: &Value) -> Recorded {
    let key = |key: &str| line.get(key).unwrap_or_else(|| panic!("no {key} in {line}"));
    let text = |name: &str| key(name).as_str().unwrap_or_default().to_owned();
    let instant = |name: &str| key(name).as_str().map(|at| at.parse::<Timestamp>().unwrap());
    let scheduled_for = instant("scheduled_for").unwrap();
    let is_over = text("phase") == "ended";
    Recorded {
        run_id: text("run_id"),
        cron_name: text("cron_name"),
        phase: text("phase"),
        status: if is_over { text("status") } else { String::new() },
        reason_code: text("reason_code"),
        reason: text("reason"),
        scheduled_for,
        started_at: instant("started_at"),
        ended_at: instant("ended_at"),
        thread_id: text("thread_id"),
        backend_run_id: text("backend_run_id"),
        error: key("error").clone(),
        webhook: key("webhook").as_object().map(|webhook| RecordedWebhook {
            status: webhook["status"].as_str().unwrap().to_owned(),
            attempts: webhook["attempts"].as_i64().unwrap(),
        }),
        occurrences: key("occurrences").as_i64().unwrap(),
        last_scheduled_for: instant("last_scheduled_for").unwrap_or(scheduled_for),
    }
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let text = |column: &str| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    let webhook_status: Option<String> = row.get("webhook_status")?;
    let scheduled_for = time(row, "scheduled_for")?;
    Ok(Recorded {
        run_id: text("run_id")?,
        cron_name: text("cron_name")?,
        phase: text("phase")?,
        status: text("status")?,
        reason_code: text("reason_code")?,
        reason: text("reason")?,
        scheduled_for,
        started_at: time_option(row, "started_at")?,
        ended_at: time_option(row, "ended_at")?,
        thread_id: text("thread_id")?,
        backend_run_id: text("backend_run_id")?,
        error: serde_json::from_str(&text("error")?).unwrap_or_default(),
        webhook: match webhook_status {
            Some(status) => Some(RecordedWebhook { status, attempts: row.get("webhook_attempts")? }),
            None => None,
        },
        occurrences: row.get("occurrences")?,
        last_scheduled_for: time_option(row, "last_scheduled_for")?.unwrap_or(scheduled_for),
    })
}

fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millisecond(row.get(column)?).unwrap())
}

fn time_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|at| Timestamp::from_millisecond(at).unwrap()))
}
