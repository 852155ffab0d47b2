//! Notices that the daemon records about itself, and the changes to the store when the clock is set.

use jiff::{SignedDuration, Timestamp};
use rusqlite::named_params;

use super::rows::millis;
use super::{Store, StoreError};
use crate::domain::backoff;
use crate::domain::bounds::{CLOCK_EARLIEST, CURSOR_AHEAD_MAX};
use crate::domain::words::words;

words!(
    /// The subject of a notice.
    NoticeKind {
        /// Another daemon runs with a copy of this store.
        StoreCopy = "store_copy",
        /// The files have mistakes; what they take away stays as it was.
        Configuration = "configuration",
        /// The wall clock was set.
        ClockStep = "clock_step",
        /// The daemon cannot listen at `http.listen`.
        Listen = "listen",
    }
);

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    pub detail: String,
    /// How many mistakes or events it lists.
    pub count: usize,
}

impl NewNotice {
    /// Returns a notice of a single event.
    pub fn single(detail: String) -> Self {
        Self { detail, count: 1 }
    }
}

impl Store {
    /// Replaces the notice of this kind, or deletes it if `notice` is `None`.
    pub async fn notice(
        &self,
        now: Timestamp,
        kind: NoticeKind,
        notice: Option<NewNotice>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            match &notice {
                Some(NewNotice { detail, count }) => tx
                    .prepare_cached(
                        "INSERT OR REPLACE INTO notices (kind, at, detail, count) VALUES (?1, ?2, ?3, ?4)",
                    )?
                    .execute((
                        kind.as_str(),
                        millis(now),
                        detail,
                        i64::try_from(*count).unwrap_or(i64::MAX),
                    ))?,
                None => tx.prepare_cached("DELETE FROM notices WHERE kind = ?1")?.execute([kind.as_str()])?,
            };
            Ok(())
        })
        .await
    }

    /// Shifts every due time by the negative `step` by which the wall clock was set back, so that a wait
    /// still lasts exactly as long as it would have.
    pub async fn clock_set_back(&self, now: Timestamp, step: SignedDuration) -> Result<(), StoreError> {
        let step = i64::try_from(step.as_millis()).unwrap_or(0);
        self.write(move |tx| {
            // A run that waits to be sent for the first time is bound to the calendar, and so to the clock.
            let shifts = [
                "UPDATE runs SET act_at = max(act_at + :step, :now) WHERE act_at > :now \
                 AND (phase IN ('unconfirmed', 'running') OR send_count > 0)",
                "UPDATE deliveries SET due_at = max(due_at + :step, :now) WHERE due_at > :now",
                "UPDATE thread_deletions SET due_at = max(due_at + :step, :now) WHERE due_at > :now",
            ];
            for shift in shifts {
                tx.prepare_cached(shift)?.execute(named_params! { ":now": millis(now), ":step": step })?;
            }
            Ok(())
        })
        .await
    }

    /// Sets the cursor of every cron whose cursor is far in the future to `now`, and returns the names of
    /// those crons: a clock that was wrong for a while must not keep them silent. The unique key keeps
    /// anything from firing twice.
    ///
    /// Nothing is reset while the clock itself is implausible.
    pub async fn reset_future_cursors(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        if now < CLOCK_EARLIEST {
            return Ok(Vec::new());
        }
        self.write(move |tx| {
            let limit = millis(backoff::after(now, CURSOR_AHEAD_MAX));
            let mut statement = tx.prepare_cached(
                "UPDATE crons SET cursor = ?1 WHERE cursor > ?2 AND removed_at IS NULL RETURNING name",
            )?;
            let names = statement.query_map([millis(now), limit], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}
