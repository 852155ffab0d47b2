//! Reads what a daemon has recorded: its runs, their webhooks and their timelines.

use std::fmt::{self, Debug, Formatter};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::daemon::{Daemon, POLL_EVERY};
use super::growing_list::PATIENCE;

/// One run, or one record of missed occurrences.
#[derive(Clone, Debug)]
pub(crate) struct RunRecord {
    pub(crate) run_id: String,
    pub(crate) cron_name: String,
    pub(crate) phase: String,
    /// Empty while it is in progress.
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
    pub(crate) webhook: Option<WebhookRecord>,
    /// How many occurrences it covers.
    pub(crate) occurrences: i64,
    /// The last of them.
    pub(crate) last_scheduled_for: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebhookRecord {
    pub(crate) status: String,
    pub(crate) attempts: i64,
}

/// An entry in the timeline of a run.
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

impl RunRecord {
    /// Returns whether it has ended and its webhook, if there is one, has ended as well.
    pub(crate) fn is_finished(&self) -> bool {
        let has_ended = |webhook: &WebhookRecord| !matches!(webhook.status.as_str(), "pending" | "sending");
        self.phase == "ended" && self.webhook.as_ref().is_none_or(has_ended)
    }

    /// Returns whether a run was, or would have been, started for it.
    pub(crate) fn was_fired(&self) -> bool {
        !matches!(self.status.as_str(), "missed" | "skipped")
    }
}

impl Daemon {
    /// Returns every record as `history --json` prints it, in the order in which they were scheduled.
    pub(crate) fn history(&self) -> Vec<RunRecord> {
        self.json(&["history"]).iter().map(record_from_json).collect()
    }

    /// Returns the same, read from the database, for callers that poll; empty if there is no database yet.
    fn rows(&self) -> Vec<RunRecord> {
        self.query(
            "SELECT runs.*, deliveries.status AS webhook_status, deliveries.attempts AS webhook_attempts FROM runs \
             LEFT JOIN deliveries ON deliveries.run_id = runs.run_id ORDER BY scheduled_for, cron_name",
            record_from_row,
        )
    }

    /// Returns the timelines of all runs as one list of events, the oldest first.
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

    /// Returns when the daemon first loaded its crons; every later occurrence must be recorded.
    pub(crate) fn crons_known_since(&self) -> Option<Timestamp> {
        let since = self
            .query("SELECT created_at FROM crons ORDER BY created_at DESC", |row| time(row, "created_at"));
        since.first().copied()
    }

    /// Returns how many threads are still to be deleted on the agent server, except those with a fence, which stay for a day.
    pub(crate) fn deletions_due(&self) -> usize {
        let soon = "SELECT thread_id FROM thread_deletions WHERE due_at < (unixepoch() + 3600) * 1000";
        self.query(soon, |row| row.get::<_, String>(0)).len()
    }

    /// Returns how many threads the agent server was asked to delete, and did not.
    pub(crate) fn deletions_failed(&self) -> usize {
        let failed = "SELECT thread_id FROM thread_deletions WHERE failures > 0";
        self.query(failed, |row| row.get::<_, String>(0)).len()
    }

    /// Waits until there are `count` records and all of them are finished.
    pub(crate) async fn wait_until_finished(&self, count: usize) -> Vec<RunRecord> {
        self.wait_until_finished_within(PATIENCE, count).await
    }

    pub(crate) async fn wait_until_finished_within(
        &self,
        patience: Duration,
        count: usize,
    ) -> Vec<RunRecord> {
        let what = format!("{count} runs to be finished");
        self.wait_for_history_within(patience, &what, |runs| {
            runs.len() >= count && runs.iter().all(RunRecord::is_finished)
        })
        .await
    }

    pub(crate) async fn wait_for_history(
        &self,
        what: &str,
        holds: impl Fn(&[RunRecord]) -> bool,
    ) -> Vec<RunRecord> {
        self.wait_for_history_within(PATIENCE, what, holds).await
    }

    pub(crate) async fn wait_for_history_within(
        &self,
        patience: Duration,
        what: &str,
        holds: impl Fn(&[RunRecord]) -> bool,
    ) -> Vec<RunRecord> {
        let until = Instant::now() + patience;
        while !holds(&self.rows()) {
            if Instant::now() > until {
                let open: Vec<_> = self.rows().into_iter().filter(|run| !run.is_finished()).collect();
                let events = self.events();
                panic!(
                    "gave up after {patience:?} of waiting for {what}; not finished: {open:#?}\n{events:#?}"
                );
            }
            sleep(POLL_EVERY).await;
        }
        self.history()
    }

    /// Returns the rows of a query; none if there is no database yet.
    pub(crate) fn query<T>(&self, sql: &str, read: impl Fn(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let path = self.database_now();
        // The daemon may not have created it yet, or its tables.
        let Ok(connection) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return Vec::new();
        };
        connection.busy_timeout(PATIENCE).unwrap();
        let Ok(mut statement) = connection.prepare(sql) else { return Vec::new() };
        statement.query_map([], read).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }
}

/// Parses a line of `history --json`. Every key must be present, even if its value is null.
fn record_from_json(line: &Value) -> RunRecord {
    let key = |key: &str| line.get(key).unwrap_or_else(|| panic!("no {key} in {line}"));
    let text = |name: &str| key(name).as_str().unwrap_or_default().to_owned();
    let instant = |name: &str| key(name).as_str().map(|at| at.parse::<Timestamp>().unwrap());
    let scheduled_for = instant("scheduled_for").unwrap();
    let has_ended = text("phase") == "ended";
    RunRecord {
        run_id: text("run_id"),
        cron_name: text("cron_name"),
        phase: text("phase"),
        status: if has_ended { text("status") } else { String::new() },
        reason_code: text("reason_code"),
        reason: text("reason"),
        scheduled_for,
        started_at: instant("started_at"),
        ended_at: instant("ended_at"),
        thread_id: text("thread_id"),
        backend_run_id: text("backend_run_id"),
        error: key("error").clone(),
        webhook: key("webhook").as_object().map(|webhook| WebhookRecord {
            status: webhook["status"].as_str().unwrap().to_owned(),
            attempts: webhook["attempts"].as_i64().unwrap(),
        }),
        occurrences: key("occurrences").as_i64().unwrap(),
        last_scheduled_for: instant("last_scheduled_for").unwrap_or(scheduled_for),
    }
}

fn record_from_row(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let text = |column: &str| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    let webhook_status: Option<String> = row.get("webhook_status")?;
    let scheduled_for = time(row, "scheduled_for")?;
    Ok(RunRecord {
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
            Some(status) => Some(WebhookRecord { status, attempts: row.get("webhook_attempts")? }),
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
