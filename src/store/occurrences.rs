//! Occurrences as rows: pending runs, and records of occurrences that never run.

use jiff::Timestamp;

use super::StoreError;
use super::failovers::{Failovers, Unsure, WENT_BACK};
use super::rows::millis;
use super::scheduled_crons::ScheduledCron;
use super::sql::{Changed, Transaction, named_params};
use crate::domain::cron::Overlap;
use crate::domain::ids::{CronId, DaemonNumber, FIRST_RUN, RunId};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{CancelCause, CronVersion, Phase, Run, RunState, Trigger};
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
    let unsure = Failovers::read(tx)?.unsure(times.scheduled_for, times.due_at);
    let run = NewRun { times, trigger, number, turn, sent: None, unsure };
    let inserted = run.insert(tx, scheduled)?;
    tx.settle()?;
    let insertion = if inserted.rows() == 0 { Insertion::Existed } else { Insertion::Inserted };
    if insertion == Insertion::Inserted {
        tx.put("UPDATE crons SET turn = ?2 WHERE cron_id = ?1", (cron_id.to_string(), turn))?;
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
    /// When it is sent, and by which daemon, if it is sent at once; otherwise it waits.
    pub(super) sent: Option<(Timestamp, DaemonNumber)>,
    pub(super) unsure: Option<Unsure>,
}

impl NewRun {
    /// Inserts it, unless its occurrence has a run with this number already. Returns how many were inserted.
    pub(super) fn insert(
        &self,
        tx: &Transaction<'_>,
        scheduled: &ScheduledCron,
    ) -> Result<Changed, StoreError> {
        let Self { times, trigger, number, turn, sent, unsure } = *self;
        let cron = &scheduled.cron;
        let phase = match (sent, unsure) {
            (Some(_), _) => Phase::Sending,
            (None, Some(_)) => Phase::Unconfirmed,
            (None, None) => Phase::Pending,
        };
        let sql = "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, \
                   retry, first_started_at, own_definition, due_at, start_before, exclusive, turn, phase, start_number, \
                   starts_ahead, send_count, sent_at, held_by, claim, act_at, recovered_at, reason_code, reason) \
                   VALUES (:run_id, :cron_id, :cron_name, :cron_source, :definition_id, :trigger, :scheduled_for, \
                   :retry, :first_started_at, :own_definition, :due_at, :start_before, :exclusive, :turn, :phase, 1, \
                   :ahead, :sent, :sent_at, :held_by, :sent, iif(:sent = 1, NULL, :due_at), \
                   :unsure_since, :reason_code, :reason) \
                   ON CONFLICT DO NOTHING /*: RETURNING run_id */";
        tx.gather_counted(
            self.run_id(scheduled),
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
                ":unsure_since": unsure.map(|unsure| millis(unsure.since)),
                ":reason_code": unsure.map(|_| ReasonCode::StartUnconfirmed.as_str()),
                ":reason": unsure.map(|_| WENT_BACK),
                ":ahead": unsure.map_or(0, |unsure| unsure.starts_ahead),
                ":held_by": sent.map(|(_, daemon)| daemon.0),
                // How often it was sent, and claimed.
                ":sent": sent.is_some(),
            },
        )
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

    pub(super) fn run_id(&self, scheduled: &ScheduledCron) -> RunId {
        RunId::of_occurrence(scheduled.cron.cron_id, self.times.scheduled_for, self.number.retry)
    }
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
    tx.put(
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
