//! What all crons together do next.

use jiff::Timestamp;

use super::Reader;
use crate::domain::cron::CronSource;
use crate::store::rows::{millis, time};
use crate::store::{StoreError, pauses_of_all};

/// Crons of one source, so that those that are due first are found by the index.
pub(super) const NEXT_OF_SOURCE: &str = "SELECT name, next_at, paused_at IS NOT NULL AND pause_ended = 0 AS is_paused \
    FROM crons WHERE source = ?1 AND next_at > ?2 AND enabled = 1 AND removed_at IS NULL ORDER BY next_at, name LIMIT ?3";

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
            let mut next = Vec::new();
            for source in CronSource::ALL {
                next.extend(tx.query(NEXT_OF_SOURCE, (source.as_str(), millis(now), limit), |row| {
                    Ok(UpcomingRow {
                        at: time(row, "next_at")?,
                        cron_name: row.get("name")?,
                        is_paused: all_paused || row.get("is_paused")?,
                    })
                })?);
            }
            next.sort_by(|one, other| (one.at, &one.cron_name).cmp(&(other.at, &other.cron_name)));
            next.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(next)
        })
    }
}
