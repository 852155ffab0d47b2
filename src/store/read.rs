//! Read models for the commands and the API: short reads on connections of their own, while the daemon
//! writes.
//!
//! No read outlives its call. A transaction that stayed open while a command prints would keep the WAL from
//! shrinking.

mod acts;
mod beside;
mod changes;
mod cron_listing;
mod crons;
mod daemons;
mod delivery_mode;
mod details;
mod feed;
mod grep;
mod history;
mod marks;
mod measures;
mod overview;
mod positions;
mod receivers;
mod recent;
mod records;
mod report;
mod status;
mod store_facts;
mod strip;
mod tables;
mod upcoming;
mod waiting_webhooks;
mod webhooks;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;

use super::lease::Sharing;
use super::rows::{RUN_COLUMNS, parsed, parsed_option, reason_from_row, run_from_row, time, time_option};
use super::sql::{Connection, Row, Transaction};
use super::{Place, StoreError, outages, waits_for};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::outage::Outage;
use crate::domain::reason::{DeliveryReasonCode, Reason};
use crate::domain::run::{Run, Status};

pub use acts::ActFilter;
pub use beside::{DefinitionInShort, LastGoodRun, RunBeside, RunInput};
pub use changes::{RunWatch, WatchUntil};
pub use cron_listing::{CronCursor, CronListing, ListedBy};
pub(super) use crons::heads;
pub use crons::{CronDetails, CronHead, CronRow};
pub use daemons::{DaemonRow, Holdings};
pub use delivery_mode::WebhookQueue;
pub use details::{AttemptRow, DeliveryDetails, EventRow, RunDetails};
pub use feed::{Change, FeedPosition, News, Topic};
pub use grep::Mentions;
pub use history::RunFilter;
pub use marks::{MarksBetween, RunMark};
pub use measures::{CronMeasures, CronsAtAGlance, Measures};
pub use overview::{DaemonState, Denied, Notice, Overview, daemon_state, lock_state};
pub(super) use positions::Order;
pub use positions::PageCursor;
pub use receivers::{LastAnswer, ReceiverNow, Receivers};
pub use recent::{Failures, KeyChange, Recent, Version, differences};
pub use records::CronRecord;
pub use report::{ReceiverTally, ReportSnapshot};
pub(super) use status::fires_from;
pub use status::{
    BackendContact, FailingWebhooks, LostWebhooks, QueuedWebhooks, STATUS_PERIOD, StatusSnapshot, Unstarted,
};
pub use store_facts::StoreFacts;
pub use upcoming::UpcomingRow;
pub use waiting_webhooks::WaitingWebhooks;
pub use webhooks::{DeliveryFilter, WebhookDetails, WebhookRow};
pub(super) use webhooks::{WEBHOOK_ROWS, listed, webhook_row};

/// A connection that reads the store of a daemon, whether or not that is running.
pub struct Reader {
    connection: Connection,
    place: Place,
}

/// A run as listings show it, without the values that its graph returned.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub run: Run,
    /// How many occurrences this record covers: more than one only if they were missed or paused.
    pub occurrences: u64,
    /// The last of them, if there are several.
    pub last_scheduled_for: Option<Timestamp>,
    /// The outage because of which it did not run, or could not be cancelled at once.
    pub outage: Option<Outage>,
    /// The run of the same cron that must end before it may start.
    pub waits_for: Option<RunId>,
    /// The webhook that reports its end.
    pub webhook: Option<DeliveryRow>,
}

/// A delivery as listings show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    pub delivery_id: DeliveryId,
    /// The receiver's URL, with its placeholders not filled. It must be redacted before it is shown.
    pub url: String,
    pub status: DeliveryStatus,
    /// How many attempts were made, including one that is in flight.
    pub attempts: u32,
    /// When the next attempt is due.
    pub due_at: Option<Timestamp>,
    /// Why it is not delivered.
    pub reason: Option<Reason<DeliveryReasonCode>>,
    /// When the run ended.
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Reader {
    /// Opens the store at `path` read-only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(&path.into())
    }

    /// Opens a store read-only.
    pub fn connect(place: &Place) -> Result<Self, StoreError> {
        Ok(Self { connection: place.open_to_read()?, place: place.clone() })
    }

    /// Returns whether it can still be used.
    pub(super) fn is_alive(&self) -> bool {
        self.connection.is_alive()
    }

    /// Connects anew to a server.
    pub(super) fn reconnect(&mut self) -> Result<(), StoreError> {
        self.connection.reconnect()
    }

    /// Returns who may have the store at the same time, as far as its place says: one daemon has a file alone.
    pub fn sharing(&self) -> Sharing {
        self.place.sharing()
    }

    /// Returns the file, if the store is in one.
    pub(super) fn file(&self) -> Option<&Path> {
        self.place.file()
    }

    /// Returns beside what the files of the daemon are.
    pub(super) fn beside(&self) -> &Path {
        self.place.beside()
    }

    /// Interrupts its reads as soon as `unwanted` is set, even if that happened before they began.
    pub(super) fn stop_when(&mut self, unwanted: Arc<AtomicBool>) -> Result<(), StoreError> {
        self.connection.stop_when(unwanted)
    }

    /// Counts one by one, so that a test can make a read take long.
    #[cfg(test)]
    pub(super) fn count_to(&self, most: &str) -> Result<i64, StoreError> {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {most}) SELECT max(i) FROM n"
        );
        self.at_one_moment(|tx| tx.query_value(&sql, ()))
    }

    /// Runs `read` in a transaction of its own, so that everything it sees is of one moment.
    pub(super) fn at_one_moment<T>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(&Transaction::begin_to_read(&self.connection)?)
    }
}

impl RunRow {
    /// Returns how it ended, or `None` if it has not.
    pub fn status(&self) -> Option<Status> {
        self.run.state.status()
    }

    /// Returns the status, or the phase while it has not ended.
    pub fn status_word(&self) -> &'static str {
        self.status().map_or_else(|| self.run.state.phase().as_str(), Status::as_str)
    }
}

impl DeliveryRow {
    /// Returns whether no further attempt will be made.
    pub fn is_over(&self) -> bool {
        self.status.is_over()
    }
}

/// Returns the columns that [`run_row`] reads, without the graph's values: these may be large, and no listing
/// shows them.
fn row_columns() -> String {
    let columns = RUN_COLUMNS
        .replace("outcome_values, outcome_interrupts", "NULL AS outcome_values, NULL AS outcome_interrupts");
    format!("{columns}, seq, occurrences, last_scheduled_for, {}", waits_for::column())
}

fn run_row(tx: &Transaction<'_>, row: &Row<'_>) -> Result<RunRow, StoreError> {
    let run = run_from_row(row)?;
    let webhook = deliveries(tx, run.run_id)?.into_iter().next();
    let last_scheduled_for = time_option(row, "last_scheduled_for")?;
    let outage = outages::of_run(tx, &run, last_scheduled_for)?;
    Ok(RunRow {
        run,
        outage,
        occurrences: row.count("occurrences")?,
        last_scheduled_for,
        waits_for: parsed_option(row, "waits_for")?,
        webhook,
    })
}

fn deliveries(tx: &Transaction<'_>, run_id: RunId) -> Result<Vec<DeliveryRow>, StoreError> {
    let sql = "SELECT delivery_id, url, status, attempts, due_at, reason_code, reason, created_at, ended_at FROM deliveries \
               WHERE run_id = ?1 ORDER BY created_at, url";
    tx.query(sql, [run_id.to_string()], delivery_row)
}

fn delivery_row(row: &Row<'_>) -> Result<DeliveryRow, StoreError> {
    Ok(DeliveryRow {
        delivery_id: parsed(row, "delivery_id")?,
        url: row.get("url")?,
        status: parsed(row, "status")?,
        attempts: row.get("attempts")?,
        due_at: time_option(row, "due_at")?,
        reason: reason_from_row(row)?,
        created_at: time(row, "created_at")?,
        ended_at: time_option(row, "ended_at")?,
    })
}

#[cfg(test)]
mod tests;
