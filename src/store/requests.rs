//! What people ask for out of turn: a run now, runs of past instants, the end of a run before its time.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Transaction};

use super::cron_state::{KnownCron, named};
use super::occurrences::insert_pending;
use super::plan_due::ScheduledCron;
use super::rows::{millis, run};
use super::{Store, StoreError, definitions};
use crate::domain::backoff;
use crate::domain::bounds::{BACKFILL_DEADLINE, BACKFILL_INSTANTS_MAX, START_DEADLINE_MAX};
use crate::domain::cron::{Cron, Overlap};
use crate::domain::ids::{CronId, FIRST_RUN, RunId};
use crate::domain::plan::{is_excluded, next_within};
use crate::domain::run::{CancelCause, Phase, Run, RunState, Trigger};

/// Past instants that are to be run.
#[derive(Clone, Debug)]
pub struct BackfillOrder {
    /// Whose.
    pub name: String,
    /// The first instant that counts.
    pub from: Timestamp,
    /// The first instant that does not count any more.
    pub to: Timestamp,
    /// With more new ones than this nothing is done at all.
    pub limit: usize,
    /// Whether anything is done.
    pub purpose: Purpose,
}

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Do it.
    Act,
    /// Only tell what would be done.
    Tell,
}

/// One instant of a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillLine {
    /// By the calendar.
    pub scheduled_for: Timestamp,
    /// Its run.
    pub run_id: RunId,
    /// What becomes of it.
    pub fate: BackfillFate,
}

/// What a backfill does about an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackfillFate {
    /// It is run.
    Run,
    /// It has a record already, in this state.
    Exists(String),
    /// It falls on an excluded day.
    Excluded,
}

/// What became of the wish to cancel a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It waited, and will not be started.
    NotStarted,
    /// It is being sent; it is cancelled as soon as it is known whether it has started.
    OnceKnown,
    /// The backend is asked to cancel it.
    Asked,
    /// It is over already.
    Over,
}

impl Store {
    /// Adds a run of the cron of this name that is due now; `None` if there is no such cron.
    pub async fn trigger(&self, now: Timestamp, name: String) -> Result<Option<Run>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(known) = named(tx, &name)? else { return Ok(None) };
            let scheduled = scheduled(tx, &cache, &known)?;
            let deadline = scheduled.cron.policy.start_deadline.unwrap_or(START_DEADLINE_MAX);
            // Calendars name whole seconds: an instant between them can take no occurrence's place.
            let mut at = now;
            loop {
                let is_whole = millis(at) % 1000 == 0;
                let times = [at, at, backoff::after(at, deadline)];
                if !is_whole && insert_pending(tx, &scheduled, times, Trigger::Manual)? {
                    return run(tx, RunId::of_occurrence(known.cron_id, at, FIRST_RUN)).map(Some);
                }
                at = at.saturating_add(SignedDuration::from_millis(1)).unwrap_or(at);
            }
        })
        .await
    }

    /// Adds runs for the instants of an order that have none, or tells which they are; `None` if there is no such cron.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there are more of them than the order allows.
    pub async fn backfill(
        &self,
        now: Timestamp,
        order: BackfillOrder,
    ) -> Result<Option<Vec<BackfillLine>>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(known) = named(tx, &order.name)? else { return Ok(None) };
            let scheduled = scheduled(tx, &cache, &known)?;
            let lines = backfill_lines(tx, &scheduled.cron, &order)?;
            if order.purpose == Purpose::Act {
                let start_before = backoff::after(now, BACKFILL_DEADLINE);
                for line in lines.iter().filter(|line| line.fate == BackfillFate::Run) {
                    give_way(tx, &scheduled.cron, line.scheduled_for)?;
                    let times = [line.scheduled_for, now, start_before];
                    insert_pending(tx, &scheduled, times, Trigger::Backfill)?;
                }
            }
            Ok(Some(lines))
        })
        .await
    }

    /// Cancels a run; `None` if there is no such run.
    pub async fn cancel_run(
        &self,
        now: Timestamp,
        run_id: RunId,
    ) -> Result<Option<(Run, CancelAnswer)>, StoreError> {
        self.write(move |tx| {
            let there = tx
                .prepare_cached("SELECT 1 FROM runs WHERE run_id = ?1")?
                .query_row([run_id.to_string()], |_| Ok(()))
                .optional()?;
            if there.is_none() {
                return Ok(None);
            }
            let run = run(tx, run_id)?;
            let answer = match &run.state {
                RunState::Pending { .. } => CancelAnswer::NotStarted,
                RunState::Sending { .. } | RunState::Unconfirmed { .. } => CancelAnswer::OnceKnown,
                RunState::Running(_) => CancelAnswer::Asked,
                RunState::Ended { .. } => return Ok(Some((run, CancelAnswer::Over))),
            };
            // What is being sent stays in the hands that it is in.
            tx.prepare_cached(
                "UPDATE runs SET cancelling = coalesce(cancelling, ?2), \
                 act_at = iif(phase IN ('pending', 'running'), ?3, act_at) WHERE run_id = ?1",
            )?
            .execute((run_id.to_string(), CancelCause::Request.as_str(), millis(now)))?;
            Ok(Some((run, answer)))
        })
        .await
    }

    /// Which run a run that waits for its turn waits for.
    pub async fn in_the_way_of(&self, run: Run) -> Result<Option<RunId>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(version) = &run.cron else { return Ok(None) };
            let cron = cache.get(tx, version.definition_id, &version.name)?;
            if cron.policy.overlap == Overlap::Allow {
                return Ok(None);
            }
            let running: Option<String> = tx
                .prepare_cached(
                    "SELECT run_id FROM runs WHERE cron_id = ?1 AND phase IN ('sending', 'unconfirmed', 'running')",
                )?
                .query_row([version.cron_id.to_string()], |row| row.get(0))
                .optional()?;
            Ok(running.and_then(|text| text.parse().ok()))
        })
        .await
    }
}

fn scheduled(
    tx: &Transaction<'_>,
    cache: &definitions::Definitions,
    known: &KnownCron,
) -> Result<ScheduledCron, StoreError> {
    let cron = cache.get(tx, known.definition_id, &known.name)?;
    Ok(ScheduledCron { cron, definition_id: known.definition_id, cursor: known.cursor })
}

fn backfill_lines(
    tx: &Transaction<'_>,
    cron: &Cron,
    order: &BackfillOrder,
) -> Result<Vec<BackfillLine>, StoreError> {
    // Whoever asks for past instants by name wants them, even of a cron that is switched off.
    let calendar = Cron { enabled: true, ..cron.clone() };
    let mut lines = Vec::new();
    let mut new = 0_usize;
    let just_before = order.from.checked_sub(SignedDuration::from_millis(1)).unwrap_or(order.from);
    let mut next = next_within(&calendar, just_before);
    while let Some(at) = next.filter(|at| *at < order.to) {
        let fate = match record_at(tx, cron.cron_id, at)? {
            Some(word) => BackfillFate::Exists(word),
            None if is_excluded(cron, at) => BackfillFate::Excluded,
            None => BackfillFate::Run,
        };
        new += usize::from(fate == BackfillFate::Run);
        lines.push(BackfillLine {
            scheduled_for: at,
            run_id: RunId::of_occurrence(cron.cron_id, at, FIRST_RUN),
            fate,
        });
        if new > order.limit || lines.len() > BACKFILL_INSTANTS_MAX {
            let limit = order.limit.min(BACKFILL_INSTANTS_MAX);
            return Err(StoreError::Refused(format!(
                "more than {limit} instants lie between {} and {}; nothing was done; take a shorter range or a \
                 higher --limit (at most {BACKFILL_INSTANTS_MAX})",
                order.from, order.to
            )));
        }
        next = next_within(&calendar, at);
    }
    Ok(lines)
}

/// The state of an instant's own record. One that says that nothing ran, since nobody was there or the cron was
/// paused, is no obstacle.
fn record_at(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<Option<String>, StoreError> {
    let word = tx
        .prepare_cached(
            "SELECT coalesce(status, phase) FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2 \
             AND NOT (phase = 'ended' AND (status = 'missed' OR (status = 'skipped' AND reason_code = 'paused')))",
        )?
        .query_row((cron_id.to_string(), millis(at)), |row| row.get(0))
        .optional()?;
    Ok(word)
}

/// Takes an instant out of the record of missed or paused ones that covers it, so that it can have one of its own.
fn give_way(tx: &Transaction<'_>, cron: &Cron, at: Timestamp) -> Result<(), StoreError> {
    let covering: Option<(String, i64, i64, i64)> = tx
        .prepare_cached(
            "SELECT run_id, scheduled_for, coalesce(last_scheduled_for, scheduled_for) AS last, occurrences \
             FROM runs WHERE cron_id = ?1 AND scheduled_for <= ?2 AND last >= ?2 AND phase = 'ended' \
             AND status IN ('missed', 'skipped') AND send_count = 0 ORDER BY scheduled_for DESC LIMIT 1",
        )?
        .query_row((cron.cron_id.to_string(), millis(at)), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((run_id, first, last, occurrences)) = covering else { return Ok(()) };
    if occurrences <= 1 {
        tx.prepare_cached("DELETE FROM runs WHERE run_id = ?1")?.execute([run_id])?;
        return Ok(());
    }
    if first < millis(at) {
        tx.prepare_cached("UPDATE runs SET occurrences = occurrences - 1 WHERE run_id = ?1")?
            .execute([run_id])?;
        return Ok(());
    }
    // It was the first one, by which the record goes: the next one that has no record of its own takes its place.
    let mut next = cron.calendar.next_after(at).map(|occasion| occasion.at);
    while let Some(candidate) = next.filter(|next| millis(*next) < last) {
        if !has_row(tx, cron.cron_id, candidate)? {
            break;
        }
        next = cron.calendar.next_after(candidate).map(|occasion| occasion.at);
    }
    let next = next.filter(|next| millis(*next) <= last);
    let next = match next {
        Some(next) if !has_row(tx, cron.cron_id, next)? => next,
        _ => {
            tx.prepare_cached("DELETE FROM runs WHERE run_id = ?1")?.execute([run_id])?;
            return Ok(());
        }
    };
    tx.prepare_cached(
        "UPDATE runs SET run_id = ?2, scheduled_for = ?3, due_at = ?3, start_before = ?3, \
         occurrences = occurrences - 1 WHERE run_id = ?1",
    )?
    .execute((run_id, RunId::of_occurrence(cron.cron_id, next, FIRST_RUN).to_string(), millis(next)))?;
    Ok(())
}

fn has_row(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<bool, StoreError> {
    let there = tx
        .prepare_cached("SELECT 1 FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2")?
        .query_row((cron_id.to_string(), millis(at)), |_| Ok(()))
        .optional()?;
    Ok(there.is_some())
}

impl CancelAnswer {
    /// For people.
    pub fn words(self, run: &Run) -> String {
        match self {
            CancelAnswer::NotStarted => "it waited to be started, and will not be".to_owned(),
            CancelAnswer::OnceKnown => {
                "it is being sent; it is cancelled as soon as the agent server has accepted it".to_owned()
            }
            CancelAnswer::Asked => "the agent server is asked to cancel it".to_owned(),
            CancelAnswer::Over => {
                let status = run.state.status().map_or(Phase::Ended.as_str(), |status| status.as_str());
                format!("it is over already ({status})")
            }
        }
    }
}
