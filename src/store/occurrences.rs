//! Occurrences as rows: runs to be started, and records of those that never run.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, named_params};

use super::StoreError;
use super::counts::{Counted, Tx};
use super::plan_due::ScheduledCron;
use super::rows::millis;
use crate::domain::cron::Overlap;
use crate::domain::ids::{CronId, RunId};
use crate::domain::run::{CancelCause, Status, Trigger};

/// Inserts a run to be started. False if this occurrence has a row already: the unique key is what forbids a
/// second firing, whatever the clock did.
pub(super) fn insert_pending(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    [scheduled_for, due_at, start_before]: [Timestamp; 3],
    trigger: Trigger,
) -> Result<bool, StoreError> {
    let cron = &scheduled.cron;
    let inserted = tx
        .prepare_cached(
            "INSERT INTO runs (run_id, cron_id, cron_name, definition_id, trigger, scheduled_for, due_at, \
             start_before, exclusive, phase, start_number, act_at) \
             VALUES (:run_id, :cron_id, :cron_name, :definition_id, :trigger, :scheduled_for, :due_at, \
             :start_before, :exclusive, 'pending', 1, :due_at) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":run_id": RunId::of_occurrence(cron.cron_id, scheduled_for).to_string(),
            ":cron_id": cron.cron_id.to_string(),
            ":cron_name": cron.name,
            ":definition_id": scheduled.definition_id.to_string(),
            ":trigger": trigger.as_str(),
            ":scheduled_for": millis(scheduled_for),
            ":due_at": millis(due_at),
            ":start_before": millis(start_before),
            ":exclusive": i64::from(cron.policy.overlap != Overlap::Allow),
        })?;
    Ok(inserted == 1)
}

/// Occurrences, one after the other, that never run for the same reason: one record.
pub(super) struct Stretch {
    pub(super) status: Status,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) count: u64,
    pub(super) reason: String,
}

impl Stretch {
    /// Lengthens the record right before, if it is of the same kind and not older than `since`; false if it is not.
    pub(super) fn extend(
        &self,
        tx: &Tx<'_>,
        cron_id: CronId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let before: Option<(String, i64, bool)> = tx
            .prepare_cached(
                "SELECT run_id, coalesce(last_scheduled_for, scheduled_for), \
                 phase = 'ended' AND send_count = 0 AND status = ?3 AND reason = ?4 AND ended_at >= ?5 \
                 FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 ORDER BY scheduled_for DESC LIMIT 1",
            )?
            .query_row(
                (
                    cron_id.to_string(),
                    millis(self.first),
                    self.status.as_str(),
                    &self.reason,
                    since.as_millisecond(),
                ),
                |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<bool>>(2)?.unwrap_or(false))),
            )
            .optional()?;
        let Some((run_id, last, true)) = before else { return Ok(false) };
        if last >= millis(self.first) {
            // The clock was set back: these are accounted for already.
            return Ok(true);
        }
        tx.prepare_cached(
            "UPDATE runs SET occurrences = occurrences + ?2, last_scheduled_for = ?3, ended_at = ?4 \
             WHERE run_id = ?1",
        )?
        .execute((run_id, count(self.count), millis(self.last), millis(now)))?;
        tx.count(Counted::NeverRan { status: self.status, occurrences: self.count });
        Ok(true)
    }

    /// Adds a record.
    pub(super) fn insert(
        &self,
        tx: &Tx<'_>,
        scheduled: &ScheduledCron,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let cron = &scheduled.cron;
        let inserted = tx.prepare_cached(
            "INSERT INTO runs (run_id, cron_id, cron_name, definition_id, trigger, scheduled_for, due_at, \
             start_before, exclusive, phase, start_number, status, reason, ended_at, occurrences, last_scheduled_for) \
             VALUES (:run_id, :cron_id, :cron_name, :definition_id, 'schedule', :first, :first, :first, 0, \
             'ended', 1, :status, :reason, :now, :count, :last) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":run_id": RunId::of_occurrence(cron.cron_id, self.first).to_string(),
            ":cron_id": cron.cron_id.to_string(),
            ":cron_name": cron.name,
            ":definition_id": scheduled.definition_id.to_string(),
            ":first": millis(self.first),
            ":last": millis(self.last),
            ":status": self.status.as_str(),
            ":reason": self.reason,
            ":now": millis(now),
            ":count": count(self.count),
        })?;
        if inserted == 1 {
            tx.count(Counted::NeverRan { status: self.status, occurrences: self.count });
        }
        Ok(())
    }
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `overlap = "cancel"`: what is going is to end, and the runner is to see to it now.
pub(super) fn cancel_running(
    tx: &Transaction<'_>,
    cron_id: CronId,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE runs SET cancelling = coalesce(cancelling, :cause), act_at = iif(phase = 'running', :now, act_at) \
         WHERE cron_id = :cron_id AND phase IN ('sending', 'unconfirmed', 'running')",
    )?
    .execute(named_params! {
        ":cron_id": cron_id.to_string(),
        ":cause": CancelCause::Overlap.as_str(),
        ":now": millis(now),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use crate::domain::run::Phase;

    #[test]
    fn the_words_in_sql_are_those_of_the_domain() {
        assert_eq!(Phase::from_str("pending"), Ok(Phase::Pending));
        assert_eq!(Phase::from_str("ended"), Ok(Phase::Ended));
        assert_eq!(Phase::from_str("running"), Ok(Phase::Running));
    }
}
