//! What all crons together do next.

use jiff::Timestamp;

use super::Reader;
use crate::store::rows::{millis, time};
use crate::store::{StoreError, pauses_of_all};

/// An occurrence that is scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingRow {
    pub at: Timestamp,
    pub cron_name: String,
    /// Whether it will be skipped, because its cron or all crons are paused now.
    pub is_paused: bool,
}

impl Reader {
    /// Returns the next occurrence of each of the crons that are due first, the first one first.
    pub fn next_of_all(&self, now: Timestamp, limit: u32) -> Result<Vec<UpcomingRow>, StoreError> {
        self.at_one_moment(|tx| {
            let all_paused = pauses_of_all::now(tx, now)?.is_some();
            let sql = "SELECT name, next_at, paused_at IS NOT NULL AND pause_ended = 0 AS is_paused FROM crons \
                       WHERE next_at > ?1 AND enabled = 1 AND removed_at IS NULL ORDER BY next_at, name LIMIT ?2";
            tx.query(sql, (millis(now), limit), |row| {
                Ok(UpcomingRow {
                    at: time(row, "next_at")?,
                    cron_name: row.get("name")?,
                    is_paused: all_paused || row.get("is_paused")?,
                })
            })
        })
    }
}
