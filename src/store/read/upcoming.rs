//! What all crons together do next.

use jiff::Timestamp;

use super::Reader;
use crate::domain::cron::CronSource;
use crate::domain::ids::CronId;
use crate::domain::plan::next_within;
use crate::store::cron_entries::state_from_row;
use crate::store::open::installation_id;
use crate::store::rows::{millis, parsed, time};
use crate::store::{StoreError, definitions, pauses_of_all};

/// Crons of one source, so that those that are due first are found by the index.
pub(super) const NEXT_OF_SOURCE: &str = "SELECT cron_id, name, definition_id, next_at, paused_at, pause_cause, pause_note, paused_until, \
    pause_ended, skip_next, failures, failing_since, recovered_at \
    FROM crons WHERE source = ?1 AND next_at > ?2 AND enabled = 1 AND removed_at IS NULL ORDER BY next_at, name LIMIT ?3";

/// An occurrence that is scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpcomingRow {
    pub at: Timestamp,
    pub cron_id: CronId,
    pub cron_name: String,
    /// Whether it will be skipped, because its cron or all crons are paused then.
    pub is_paused: bool,
}

impl Reader {
    /// Returns the next occurrence of each of the crons that are due first, the first one first.
    pub fn next_of_all(&self, now: Timestamp, limit: u32) -> Result<Vec<UpcomingRow>, StoreError> {
        self.at_one_moment(|tx| {
            let (pause_of_all, installation) = (pauses_of_all::now(tx, now)?, installation_id(tx)?);
            let mut next: Vec<UpcomingRow> = Vec::new();
            for source in CronSource::ALL {
                // As many again, for those of which the end of a pause comes first.
                let values = (source.as_str(), millis(now), limit.saturating_mul(2));
                let rows = tx.query(NEXT_OF_SOURCE, values, |row| {
                    let (name, at): (String, Timestamp) = (row.get("name")?, time(row, "next_at")?);
                    let pause = state_from_row(row)?.at(now).paused;
                    let at = match pause.as_ref().is_some_and(|pause| pause.until == Some(at)) {
                        false => Some(at),
                        // It is planned when its pause ends, which need not be an occurrence.
                        true => {
                            match definitions::read(tx, installation, parsed(row, "definition_id")?, &name) {
                                Ok(cron) => next_within(&cron, now),
                                // It does not fire, and the status says so.
                                Err(StoreError::BadRow(_)) => None,
                                Err(error) => return Err(error),
                            }
                        }
                    };
                    let is_paused = |at| pause.iter().chain(&pause_of_all).any(|pause| pause.covers(at));
                    let cron_id = parsed(row, "cron_id")?;
                    Ok(at.map(|at| UpcomingRow { at, cron_id, cron_name: name, is_paused: is_paused(at) }))
                })?;
                next.extend(rows.into_iter().flatten());
            }
            next.sort_by(|one, other| (one.at, &one.cron_name).cmp(&(other.at, &other.cron_name)));
            next.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(next)
        })
    }
}
