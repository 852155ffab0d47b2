//! Occurrences as rows: runs to be started, and records of those that never run.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, named_params};

use super::StoreError;
use super::counts::{Counted, Tx};
use super::plan_due::ScheduledCron;
use super::rows::millis;
use crate::domain::cron::Overlap;
use crate::domain::ids::{CronId, FIRST_RUN, RunId};
use crate::domain::reason::Reason;
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
            ":run_id": RunId::of_occurrence(cron.cron_id, scheduled_for, FIRST_RUN).to_string(),
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
    pub(super) reason: Reason,
}

/// What makes two records of the same status and code parts of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum SameStretch {
    /// The pause that began at `since` covers both.
    Pause { since: Timestamp },
    /// The passes of one catch-up, none of which is older than `since`, wrote both.
    CatchUp { since: Timestamp },
}

/// Whether there was a record to extend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extended {
    Yes,
    No,
}

impl Stretch {
    /// Extends the record right before this one, if it has the same status and code and is part of the same `stretch`.
    pub(super) fn extend(
        &self,
        tx: &Tx<'_>,
        cron_id: CronId,
        same: SameStretch,
        now: Timestamp,
    ) -> Result<Extended, StoreError> {
        let (first_after, ended_since) = match same {
            SameStretch::Pause { since } => (millis(since), i64::MIN),
            SameStretch::CatchUp { since } => (i64::MIN, millis(since)),
        };
        let before: Option<(String, i64, bool)> = tx
            .prepare_cached(
                "SELECT run_id, coalesce(last_scheduled_for, scheduled_for), \
                 phase = 'ended' AND send_count = 0 AND status = ?3 AND reason_code = ?4 \
                 AND scheduled_for > ?5 AND ended_at >= ?6 \
                 FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 ORDER BY scheduled_for DESC LIMIT 1",
            )?
            .query_row(
                (
                    cron_id.to_string(),
                    millis(self.first),
                    self.status.as_str(),
                    self.reason.code.as_str(),
                    first_after,
                    ended_since,
                ),
                |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<bool>>(2)?.unwrap_or(false))),
            )
            .optional()?;
        let Some((run_id, last, true)) = before else { return Ok(Extended::No) };
        if last >= millis(self.first) {
            // The clock was set back: these are accounted for already.
            return Ok(Extended::Yes);
        }
        tx.prepare_cached(
            "UPDATE runs SET occurrences = occurrences + ?2, last_scheduled_for = ?3, ended_at = ?4, reason = ?5 \
             WHERE run_id = ?1",
        )?
        .execute((run_id, count(self.count), millis(self.last), millis(now), &self.reason.message))?;
        tx.count(Counted::NeverRan { status: self.status, code: self.reason.code, occurrences: self.count });
        Ok(Extended::Yes)
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
             start_before, exclusive, phase, start_number, status, reason_code, reason, ended_at, occurrences, \
             last_scheduled_for) \
             VALUES (:run_id, :cron_id, :cron_name, :definition_id, 'schedule', :first, :first, :first, 0, \
             'ended', 1, :status, :reason_code, :reason, :now, :count, :last) ON CONFLICT DO NOTHING",
        )?
        .execute(named_params! {
            ":run_id": RunId::of_occurrence(cron.cron_id, self.first, FIRST_RUN).to_string(),
            ":cron_id": cron.cron_id.to_string(),
            ":cron_name": cron.name,
            ":definition_id": scheduled.definition_id.to_string(),
            ":first": millis(self.first),
            ":last": millis(self.last),
            ":status": self.status.as_str(),
            ":reason_code": self.reason.code.as_str(),
            ":reason": self.reason.message,
            ":now": millis(now),
            ":count": count(self.count),
        })?;
        if inserted == 1 {
            tx.count(Counted::NeverRan {
                status: self.status,
                code: self.reason.code,
                occurrences: self.count,
            });
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
