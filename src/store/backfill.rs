//! Runs of past instants that the calendar names and that did not run.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::cron_entries::{self, CronEntry};
use super::definitions::Definitions;
use super::occurrences::{RunTimes, insert_pending};
use super::rows::millis;
use super::scheduled_crons::{ScheduledCron, scheduled};
use super::set_back::NOTHING_RAN;
use super::skipped_ranges::RANGES_AROUND;
use super::sql::Transaction;
use super::{Purpose, Store, StoreError, acts, rollups, waiting_limits};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::backoff;
use crate::domain::bounds::BACKFILL_INSTANTS_MAX;
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, FIRST_RUN, RunId};
use crate::domain::plan::{is_excluded, next_within, start_deadline};
use crate::domain::run::Trigger;

/// An order to run the past instants in a range.
#[derive(Clone, Debug)]
pub struct BackfillOrder {
    /// The cron's name or id.
    pub name: String,
    /// The start of the range (inclusive); `None` for the beginning of the cron.
    pub from: Option<Timestamp>,
    /// Whether the range may start before the beginning of the cron: before the daemon first knew it.
    pub before_beginning: bool,
    /// The end of the range (exclusive).
    pub to: Timestamp,
    /// If more instants than this would run, nothing is done at all.
    pub limit: usize,
    pub purpose: Purpose,
}

/// One instant of a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillLine {
    pub scheduled_for: Timestamp,
    pub run_id: RunId,
    pub fate: BackfillFate,
}

/// What a backfill does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    /// The start of the range. It is the beginning of the cron if the order named an earlier one, or none.
    pub from: Timestamp,
    pub lines: Vec<BackfillLine>,
}

/// What a backfill does about an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackfillFate {
    Run,
    /// Nothing, since the instant has a record already, with this status or phase.
    Exists(String),
    /// Nothing, since the instant falls on an excluded day.
    Excluded,
}

impl Store {
    /// Adds runs for the instants of the range that have none, unless it is a dry run, and returns what
    /// becomes of every instant. Returns `None` if there is no such cron.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the range has more instants than the order or the store allows, and
    /// [`StoreError::TooManyWaiting`] if it would leave too many runs waiting.
    pub async fn backfill(
        &self,
        now: Timestamp,
        by: Actor,
        order: BackfillOrder,
    ) -> Result<Option<Backfill>, StoreError> {
        let cache = self.definitions.clone();
        match order.purpose {
            // It changes nothing, so it need not wait for the writer.
            Purpose::DryRun => {
                self.read_at_one_moment(move |tx| {
                    Ok(planned(tx, &cache, &order)?.map(|(_, backfill)| backfill))
                })
                .await
            }
            Purpose::Act => self.write(move |tx| act(tx, &cache, &order, &by, now)).await,
        }
    }
}

fn act(
    tx: &Transaction<'_>,
    cache: &Definitions,
    order: &BackfillOrder,
    by: &Actor,
    now: Timestamp,
) -> Result<Option<Backfill>, StoreError> {
    let Some((scheduled, backfill)) = planned(tx, cache, order)? else { return Ok(None) };
    let start_before = backoff::after(now, start_deadline(&scheduled.cron, Trigger::Backfill, now));
    for line in backfill.lines.iter().filter(|line| line.fate == BackfillFate::Run) {
        let scheduled_for = line.scheduled_for;
        leave_range(tx, cache, &scheduled.cron, scheduled_for)?;
        let times = RunTimes { scheduled_for, due_at: now, start_before };
        insert_pending(tx, &scheduled, times, Trigger::Backfill)?;
    }
    let runs = backfill.lines.iter().filter(|line| line.fate == BackfillFate::Run).count();
    if runs > 0 {
        let subject = Subject::cron(scheduled.cron.cron_id, &scheduled.cron.name);
        let note = Some(format!("{runs} of the occurrences from {} to {}", backfill.from, order.to));
        acts::record(tx, &Act { at: now, by: by.clone(), what: ActKind::Backfilled, subject, note })?;
    }
    Ok(Some(backfill))
}

fn planned(
    tx: &Transaction<'_>,
    cache: &Definitions,
    order: &BackfillOrder,
) -> Result<Option<(ScheduledCron, Backfill)>, StoreError> {
    let Some(entry) = cron_entries::named(tx, &order.name)? else { return Ok(None) };
    let scheduled = scheduled(tx, cache, &entry)?;
    let known_from = known_from(&entry);
    let from = match order.from {
        Some(from) if order.before_beginning => from,
        from => from.map_or(known_from, |from| from.max(known_from)),
    };
    let lines = backfill_lines(tx, &scheduled.cron, from, order)?;
    let more = lines.iter().filter(|line| line.fate == BackfillFate::Run).count();
    waiting_limits::check(tx, &scheduled.cron, Trigger::Backfill, more)?;
    Ok(Some((scheduled, Backfill { from, lines })))
}

/// Returns since when it is known which instants of a cron have run: since its beginning, or since the last one whose
/// record is deleted.
fn known_from(entry: &CronEntry) -> Timestamp {
    let just_after = |at: Timestamp| at.saturating_add(SignedDuration::from_millis(1)).unwrap_or(at);
    entry.history_deleted_until.map_or(entry.created_at, |until| just_after(until).max(entry.created_at))
}

fn backfill_lines(
    tx: &Transaction<'_>,
    cron: &Cron,
    from: Timestamp,
    order: &BackfillOrder,
) -> Result<Vec<BackfillLine>, StoreError> {
    // Somebody who names a cron and its past instants wants them even if the cron is disabled.
    let calendar = Cron { enabled: true, ..cron.clone() };
    let mut lines = Vec::new();
    let mut new = 0_usize;
    let just_before = from.checked_sub(SignedDuration::from_millis(1)).unwrap_or(from);
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
            let what = match new > order.limit {
                true => format!("more than {} runs would be started", order.limit),
                false => format!("more than {BACKFILL_INSTANTS_MAX} instants lie"),
            };
            return Err(StoreError::Conflict(format!(
                "{what} between {from} and {}; nothing was done; take a shorter range or a higher --limit (at most \
                 {BACKFILL_INSTANTS_MAX})",
                order.to
            )));
        }
        next = next_within(&calendar, at);
    }
    Ok(lines)
}

/// Returns the status or phase of the instant's own record. A record that says that nothing ran, because no
/// daemon was running or the cron was paused, edited or removed, is no obstacle and does not count.
fn record_at(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<Option<String>, StoreError> {
    let sql = format!(
        "SELECT coalesce(status, phase) FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2 AND NOT {NOTHING_RAN}"
    );
    tx.query_opt(&sql, (cron_id.to_string(), millis(at)), |row| row.get(0))
}

/// A record of occurrences that were missed, or skipped by a pause or an edit. Times are milliseconds, as stored.
struct RangeRecord {
    run_id: String,
    /// The definition that names the instants that it counts.
    definition_id: String,
    first: i64,
    last: i64,
    occurrences: i64,
}

/// Takes an instant out of the record of missed or paused occurrences that covers it, so that it can have a
/// record of its own.
fn leave_range(
    tx: &Transaction<'_>,
    cache: &Definitions,
    cron: &Cron,
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut counting = None;
    for range in ranges_covering(tx, cron.cron_id, at)? {
        let definition_id = range.definition_id.parse().unwrap_or_default();
        let counts = match cache.get(tx, definition_id, &cron.name) {
            Ok(cron) => cron,
            // A definition that a former version of this program wrote counts as the present one.
            Err(StoreError::BadRow(_) | StoreError::NotFound(_)) => Arc::new(cron.clone()),
            Err(error) => return Err(error),
        };
        if counts.calendar.names(at) {
            counting = Some((range, counts));
            break;
        }
    }
    let Some((range, counts)) = counting else { return Ok(()) };
    for record in rollups::Record::all(tx, "WHERE run_id = ?1", [&range.run_id])? {
        rollups::take_back(tx, &record, 1)?;
    }
    if range.occurrences > 1 && range.first < millis(at) {
        tx.execute("UPDATE runs SET occurrences = occurrences - 1 WHERE run_id = ?1", [range.run_id])?;
        return Ok(());
    }
    // A record is identified by its first instant. The next instant without a record of its own takes that
    // place.
    let next = match range.occurrences > 1 {
        true => next_without_row(tx, &counts, at, range.last)?,
        false => None,
    };
    let Some(next) = next else {
        tx.execute("DELETE FROM runs WHERE run_id = ?1", [range.run_id])?;
        return Ok(());
    };
    tx.execute(
        "UPDATE runs SET run_id = ?2, scheduled_for = ?3, due_at = ?3, start_before = ?3, \
         occurrences = occurrences - 1 WHERE run_id = ?1",
        (range.run_id, RunId::of_occurrence(cron.cron_id, next, FIRST_RUN).to_string(), millis(next)),
    )?;
    Ok(())
}

fn ranges_covering(
    tx: &Transaction<'_>,
    cron_id: CronId,
    at: Timestamp,
) -> Result<Vec<RangeRecord>, StoreError> {
    let sql = format!(
        "SELECT run_id, definition_id, scheduled_for, last_scheduled_for, occurrences FROM {RANGES_AROUND}"
    );
    tx.query(&sql, (cron_id.to_string(), millis(at)), |row| {
        Ok(RangeRecord {
            run_id: row.get(0)?,
            definition_id: row.get(1)?,
            first: row.get(2)?,
            last: row.get(3)?,
            occurrences: row.get(4)?,
        })
    })
}

/// Returns the first instant after `at`, and not after `last`, that has no row.
fn next_without_row(
    tx: &Transaction<'_>,
    cron: &Cron,
    at: Timestamp,
    last: i64,
) -> Result<Option<Timestamp>, StoreError> {
    let next_after = |at| cron.calendar.next_after(at).map(|occasion| occasion.at);
    let mut next = next_after(at);
    while let Some(candidate) = next.filter(|next| millis(*next) <= last) {
        if !has_row(tx, cron.cron_id, candidate)? {
            return Ok(Some(candidate));
        }
        next = next_after(candidate);
    }
    Ok(None)
}

fn has_row(tx: &Transaction<'_>, cron_id: CronId, at: Timestamp) -> Result<bool, StoreError> {
    let there = tx.query_opt(
        "SELECT 1 FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2",
        (cron_id.to_string(), millis(at)),
        |_| Ok(()),
    )?;
    Ok(there.is_some())
}
