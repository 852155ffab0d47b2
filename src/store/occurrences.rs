//! Occurrences as rows: pending runs, and records of occurrences that never run.

use jiff::Timestamp;

use super::StoreError;
use super::counts::{Counted, Tx};
use super::ended::{Ended, first_words};
use super::failovers::{Failovers, Unsure};
use super::rows::millis;
use super::scheduled_crons::ScheduledCron;
use super::sql::{Transaction, named_params};
use crate::domain::cron::Overlap;
use crate::domain::ids::{CronId, DaemonNumber, FIRST_RUN, RunId};
use crate::domain::reason::Reason;
use crate::domain::run::{CancelCause, CronVersion, Phase, Run, RunState, Status, Trigger};
use crate::domain::turns;

/// The times of a new run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunTimes {
    pub(super) scheduled_for: Timestamp,
    pub(super) due_at: Timestamp,
    /// If the run still waits to be sent at this instant, it ends as an error.
    pub(super) start_before: Timestamp,
}

/// Which run of its occurrence a new run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunNumber {
    pub(super) retry: u32,
    /// When the first run of the occurrence started, if this one retries it by itself.
    pub(super) first_started_at: Option<Timestamp>,
    /// Whether its definition is none of its cron's.
    pub(super) own_definition: bool,
}

impl RunNumber {
    pub(super) const FIRST: Self = Self { retry: FIRST_RUN, first_started_at: None, own_definition: false };
}

/// The result of inserting a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insertion {
    Inserted,
    /// The occurrence has a row already.
    Existed,
}

/// Inserts the pending first run of an occurrence, unless the occurrence has a row already: the unique key prevents a
/// second firing even if the clock was set.
pub(super) fn insert_pending(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    times: RunTimes,
    trigger: Trigger,
) -> Result<Insertion, StoreError> {
    insert_numbered(tx, scheduled, times, trigger, RunNumber::FIRST)
}

/// Inserts a pending run, unless its occurrence has a run with this number already.
pub(super) fn insert_numbered(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    times: RunTimes,
    trigger: Trigger,
    number: RunNumber,
) -> Result<Insertion, StoreError> {
    let cron_id = scheduled.cron.cron_id;
    let turn = tx.query_one(
        "SELECT crons.turn, turns.turn FROM crons JOIN turns USING (source) WHERE cron_id = ?1",
        [cron_id.to_string()],
        |row| Ok(turns::next_turn(row.get(0)?, row.get(1)?)),
    )?;
    let unsure = Failovers::read(tx)?.unsure(times.scheduled_for);
    let run = NewRun { times, trigger, number, turn, sent: None, unsure };
    let insertion = run.insert(tx, scheduled)?;
    if insertion == Insertion::Inserted {
        tx.execute("UPDATE crons SET turn = ?2 WHERE cron_id = ?1", (cron_id.to_string(), turn))?;
    }
    Ok(insertion)
}

/// A run to insert.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRun {
    pub(super) times: RunTimes,
    pub(super) trigger: Trigger,
    pub(super) number: RunNumber,
    pub(super) turn: i64,
    /// When it is sent, and which daemon does that, if it is sent at once; otherwise it waits.
    pub(super) sent: Option<(Timestamp, DaemonNumber)>,
    pub(super) unsure: Option<Unsure>,
}

impl NewRun {
    /// Inserts it, unless its occurrence has a run with this number already.
    pub(super) fn insert(
        &self,
        tx: &Transaction<'_>,
        scheduled: &ScheduledCron,
    ) -> Result<Insertion, StoreError> {
        let Self { times, trigger, number, turn, sent, unsure } = *self;
        let cron = &scheduled.cron;
        let phase = match (sent, unsure) {
            (Some(_), _) => Phase::Sending,
            (None, Some(_)) => Phase::Unconfirmed,
            (None, None) => Phase::Pending,
        };
        let sql = "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, \
                   retry, first_started_at, own_definition, due_at, start_before, exclusive, turn, phase, start_number, \
                   starts_ahead, send_count, sent_at, held_by, claim, act_at) \
                   VALUES (:run_id, :cron_id, :cron_name, :cron_source, :definition_id, :trigger, :scheduled_for, \
                   :retry, :first_started_at, :own_definition, :due_at, :start_before, :exclusive, :turn, :phase, 1, \
                   :ahead, :held_by IS NOT NULL, :sent_at, :held_by, :held_by IS NOT NULL, iif(:held_by IS NULL, :due_at, NULL)) \
                   ON CONFLICT DO NOTHING";
        let inserted = tx.execute(
            sql,
            named_params! {
                ":run_id": self.run_id(scheduled).to_string(),
                ":cron_id": cron.cron_id.to_string(),
                ":cron_name": cron.name,
                ":cron_source": cron.source.as_str(),
                ":definition_id": scheduled.definition_id.to_string(),
                ":trigger": trigger.as_str(),
                ":scheduled_for": millis(times.scheduled_for),
                ":retry": number.retry,
                ":first_started_at": number.first_started_at.map(millis),
                ":own_definition": number.own_definition,
                ":due_at": millis(times.due_at),
                ":start_before": millis(times.start_before),
                ":exclusive": i64::from(cron.policy.overlap != Overlap::Allow),
                ":turn": turn,
                ":phase": phase.as_str(),
                ":sent_at": sent.map(|(at, _)| at).or(unsure.map(|unsure| unsure.since)).map(millis),
                ":ahead": unsure.map_or(0, |unsure| unsure.starts_ahead),
                ":held_by": sent.map(|(_, daemon)| daemon.0),
            },
        )?;
        Ok(if inserted == 0 { Insertion::Existed } else { Insertion::Inserted })
    }

    /// Returns the first run of an occurrence, as it is while it is being sent.
    pub(super) fn sending(&self, scheduled: &ScheduledCron, sent_at: Timestamp) -> Run {
        let Self { times, trigger, number, .. } = *self;
        let cron = &scheduled.cron;
        Run {
            run_id: self.run_id(scheduled),
            cron: Some(CronVersion {
                cron_id: cron.cron_id,
                name: cron.name.clone(),
                definition_id: scheduled.definition_id,
            }),
            trigger,
            scheduled_for: times.scheduled_for,
            retry: number.retry,
            first_started_at: number.first_started_at,
            due_at: times.due_at,
            start_before: times.start_before,
            send_count: 1,
            not_found_count: 0,
            reason: None,
            state: RunState::Sending { start_number: 1, sent_at },
        }
    }

    fn run_id(&self, scheduled: &ScheduledCron) -> RunId {
        RunId::of_occurrence(scheduled.cron.cron_id, self.times.scheduled_for, self.number.retry)
    }
}

/// Consecutive occurrences that never run for the same reason. They share one record.
pub(super) struct SkippedRange {
    pub(super) status: Status,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) count: u64,
    pub(super) reason: Reason,
}

/// When two ranges of the same status and code belong in one record.
#[derive(Clone, Copy, Debug)]
pub(super) enum MergeRule {
    /// Never: each has a record of its own.
    Never,
    /// If the pause that began at `since` covers both.
    SamePause { since: Timestamp },
    /// If the passes of one catch-up, the oldest of which ran at `since` or later, recorded both with the same reason, and
    /// the outage in which the occurrences fell due, if it was one, began after `after`.
    SameCatchUp { after: Timestamp, since: Timestamp },
}

impl SkippedRange {
    /// Extends the record right before this range if `rule` allows it, and inserts a new record otherwise.
    pub(super) fn record(
        &self,
        tx: &Tx<'_>,
        scheduled: &ScheduledCron,
        rule: MergeRule,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reason = self.reason.message.as_deref();
        let bounds = match rule {
            MergeRule::Never => return self.insert(tx, scheduled, now),
            MergeRule::SamePause { since } => (millis(since), i64::MIN, None),
            MergeRule::SameCatchUp { after, since } => (millis(after), millis(since), reason),
        };
        match self.record_before(tx, scheduled.cron.cron_id, bounds)? {
            None => self.insert(tx, scheduled, now),
            // The clock was set back: these occurrences are accounted for already.
            Some(before) if before.last >= millis(self.first) => Ok(()),
            Some(before) => self.extend(tx, scheduled, before, now),
        }
    }

    /// Returns the record right before this range if it has the same status and code, begins after
    /// `first_after`, was written at `ended_since` or later, and has this reason if there is one.
    fn record_before(
        &self,
        tx: &Tx<'_>,
        cron_id: CronId,
        (first_after, ended_since, reason): (i64, i64, Option<&str>),
    ) -> Result<Option<RecordBefore>, StoreError> {
        let sql = "SELECT run_id, coalesce(last_scheduled_for, scheduled_for), \
                   phase = 'ended' AND send_count = 0 AND status = ?3 AND reason_code = ?4 \
                   AND scheduled_for > ?5 AND ended_at >= ?6 AND (?7 IS NULL OR reason = ?7) \
                   FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 AND retry = 0 ORDER BY scheduled_for DESC LIMIT 1";
        let before = tx.query_opt(
            sql,
            (
                cron_id.to_string(),
                millis(self.first),
                self.status.as_str(),
                self.reason.code.as_str(),
                first_after,
                ended_since,
                reason,
            ),
            |row| {
                let matches = row.get::<Option<bool>>(2)?.unwrap_or(false);
                Ok(matches.then_some(RecordBefore { run_id: row.get(0)?, last: row.get(1)? }))
            },
        )?;
        Ok(before.flatten())
    }

    fn extend(
        &self,
        tx: &Tx<'_>,
        scheduled: &ScheduledCron,
        before: RecordBefore,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET occurrences = occurrences + ?2, last_scheduled_for = ?3, ended_at = ?4, reason = ?5 \
                   WHERE run_id = ?1";
        tx.execute(
            sql,
            (&before.run_id, count(self.count), millis(self.last), millis(now), &self.reason.message),
        )?;
        tx.count(Counted::Ended(Ended { extends_record: true, ..self.ended(scheduled, before.run_id) }));
        Ok(())
    }

    fn insert(&self, tx: &Tx<'_>, scheduled: &ScheduledCron, now: Timestamp) -> Result<(), StoreError> {
        let cron = &scheduled.cron;
        let run_id = RunId::of_occurrence(cron.cron_id, self.first, FIRST_RUN).to_string();
        let sql = "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, \
                   due_at, start_before, exclusive, phase, start_number, status, reason_code, reason, ended_at, \
                   occurrences, last_scheduled_for) \
                   VALUES (:run_id, :cron_id, :cron_name, :cron_source, :definition_id, 'schedule', :first, :first, \
                   :first, 0, 'ended', 1, :status, :reason_code, :reason, :now, :count, :last) ON CONFLICT DO NOTHING";
        let inserted = tx.execute(
            sql,
            named_params! {
                ":run_id": run_id,
                ":cron_id": cron.cron_id.to_string(),
                ":cron_name": cron.name,
                ":cron_source": cron.source.as_str(),
                ":definition_id": scheduled.definition_id.to_string(),
                ":first": millis(self.first),
                ":last": millis(self.last),
                ":status": self.status.as_str(),
                ":reason_code": self.reason.code.as_str(),
                ":reason": self.reason.message,
                ":now": millis(now),
                ":count": count(self.count),
            },
        )?;
        if inserted == 1 {
            tx.count(Counted::Ended(self.ended(scheduled, run_id)));
        }
        Ok(())
    }

    fn ended(&self, scheduled: &ScheduledCron, run_id: String) -> Ended {
        Ended {
            called: scheduled.cron.name.clone(),
            run_id,
            status: self.status,
            code: Some(self.reason.code),
            trigger: Trigger::Schedule,
            retry: FIRST_RUN,
            took: None,
            occurrences: self.count,
            scheduled_for: self.first,
            error: self.reason.message.as_deref().map(first_words),
            extends_record: false,
        }
    }
}

/// A record that a range can extend.
struct RecordBefore {
    run_id: String,
    /// Its last occurrence, in milliseconds.
    last: i64,
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Cancels what the occurrence `next` of a cron supersedes (`overlap = "cancel"`): the runs that are in progress, the
/// retries that wait, whose occurrences are, and the runs of earlier occurrences that wait. The runner acts on a running one
/// at once.
pub(super) fn cancel_superseded(
    tx: &Transaction<'_>,
    cron_id: CronId,
    next: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET cancelling = coalesce(cancelling, :cause), act_at = iif(phase = 'running', :now, act_at) \
               WHERE cron_id = :cron_id AND (phase IN ('sending', 'unconfirmed', 'running') \
               OR (phase = 'pending' AND (retry > 0 OR (trigger IN ('schedule', 'catchup') AND scheduled_for < :next)))) \
               AND phase <> 'ended'";
    tx.execute(
        sql,
        named_params! {
            ":cron_id": cron_id.to_string(),
            ":cause": CancelCause::Overlap.as_str(),
            ":next": millis(next),
            ":now": millis(now),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn the_phases_written_in_sql_are_those_of_the_domain() {
        assert_eq!(Phase::from_str("pending"), Ok(Phase::Pending));
        assert_eq!(Phase::from_str("ended"), Ok(Phase::Ended));
        assert_eq!(Phase::from_str("running"), Ok(Phase::Running));
    }
}
