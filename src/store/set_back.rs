//! What changes in the store when the wall clock was set back: what waits does not wait longer for it, and what lies
//! ahead by the new clock is decided again unless a run stands for it.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::definitions::Definitions;
use super::rollups::{self, Record};
use super::rows::{millis, parsed, time};
use super::sql::{Row, Transaction, array, named_params};
use super::{Store, StoreError};
use crate::domain::bounds::{CLOCK_EARLIEST, RANGE_WALK_MAX};
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, DefinitionId, RunId};
use crate::domain::plan::Decided;

/// A wait lasts exactly as long as it would have. A run that waits for its time in the calendar is bound to the clock, and
/// so is every start deadline: a clock that goes back and then forward again must not cut one short.
const SHIFTED: [&str; 3] = [
    "UPDATE runs SET act_at = max(act_at + :step, :now) WHERE act_at > :now \
     AND (phase IN ('unconfirmed', 'running') OR send_count > 0 OR retry > 0 OR trigger NOT IN ('schedule', 'catchup'))",
    "UPDATE deliveries SET due_at = max(due_at + :step, :now) WHERE due_at > :now",
    "UPDATE thread_deletions SET due_at = max(due_at + :step, :now) WHERE due_at > :now",
];

/// What has happened did not happen in the future.
const CLAMPED: [&str; 17] = [
    "UPDATE crons SET cursor = :now WHERE cursor > :now",
    "UPDATE crons SET next_at = 0 WHERE removed_at IS NULL AND :now IS NOT NULL",
    "UPDATE crons SET paused_at = :now WHERE paused_at > :now",
    // A pause with an end lasts until the clock shows that end.
    "UPDATE crons SET pause_ended = 0 WHERE paused_until > :now",
    "UPDATE pauses_of_all SET until = :now WHERE until > :now AND ended = 'request'",
    "UPDATE pauses_of_all SET ended = NULL WHERE until > :now AND ended = 'time'",
    "DELETE FROM pauses_of_all WHERE since >= :now AND since < (SELECT max(since) FROM pauses_of_all)",
    "UPDATE pauses_of_all SET since = :now WHERE since > :now",
    "UPDATE inactive_spans SET until = :now WHERE until > :now",
    "DELETE FROM inactive_spans WHERE since >= :now AND since < (SELECT max(since) FROM inactive_spans AS later \
     WHERE later.cron_id = inactive_spans.cron_id)",
    "UPDATE inactive_spans SET since = :now WHERE since > :now",
    "UPDATE daemons SET seen_at = :now WHERE seen_at > :now",
    "DELETE FROM outages WHERE since > :now",
    "UPDATE outages SET until = :now WHERE until > :now",
    "UPDATE runs SET sent_at = min(sent_at, :now), started_at = min(started_at, :now) \
     WHERE sent_at IS NOT NULL AND ended_at IS NULL AND (sent_at > :now OR started_at > :now)",
    "UPDATE runs SET first_started_at = :now WHERE phase <> 'ended' AND first_started_at > :now",
    "UPDATE delivery_mode SET released_at = :now WHERE released_at > :now",
];

/// A record of occurrences that were missed, or skipped by a pause, an edit or a removal. One that lies ahead says nothing.
pub(super) const NOTHING_RAN: &str = "(last_scheduled_for IS NOT NULL AND (status = 'missed' \
     OR (status = 'skipped' AND reason_code IN ('paused', 'disabled', 'edited', 'removed'))))";

impl Store {
    /// Returns the instants after `now` that have a record which stays.
    pub async fn decided(&self, now: Timestamp) -> Result<Decided, StoreError> {
        self.read_for_loop(move |tx| decided(tx, None, now)).await
    }

    /// Adapts the store to a clock that shows `now` and was set back by the negative `step`; zero if only cursors are
    /// known to be ahead. Occurrences after `now` are decided about again, except those with a run, or that were
    /// skipped for another reason than a pause.
    ///
    /// Nothing is decided again while the clock itself is implausible.
    pub async fn clock_set_back(&self, now: Timestamp, step: SignedDuration) -> Result<(), StoreError> {
        let step = i64::try_from(step.as_millis()).unwrap_or(0);
        let cache = self.definitions.clone();
        self.write(move |tx| {
            for shift in SHIFTED {
                tx.execute(shift, named_params! { ":now": millis(now), ":step": step })?;
            }
            if now < CLOCK_EARLIEST {
                return Ok(());
            }
            for clamp in CLAMPED {
                tx.execute(clamp, named_params! { ":now": millis(now) })?;
            }
            let to_come = format!("WHERE scheduled_for > ?1 AND {NOTHING_RAN}");
            for record in Record::all(tx, &to_come, [millis(now)])? {
                rollups::take_back(tx, &record, record.occurrences)?;
            }
            tx.execute(&format!("DELETE FROM runs {to_come}"), [millis(now)])?;
            for range in ranges_around(tx, now)? {
                range.end_at(tx, &cache, now)?;
            }
            Ok(())
        })
        .await
    }
}

/// Returns the instants of this cron, or of every cron, after `after` that have a record which stays.
pub(super) fn decided(
    tx: &Transaction<'_>,
    cron_id: Option<CronId>,
    after: Timestamp,
) -> Result<Decided, StoreError> {
    let decided = tx.query(
        &decided_sql(cron_id.is_some()),
        (millis(after), cron_id.map(|cron_id| cron_id.to_string())),
        |row| Ok((parsed(row, "cron_id")?, time(row, "scheduled_for")?)),
    )?;
    let decided: Decided = decided.into_iter().collect();
    // Who plans one cron has read its row.
    let deleted = match cron_id {
        Some(_) => Vec::new(),
        None => deleted_until(tx, after)?,
    };
    Ok(decided.with_deleted(deleted))
}

/// Returns the instants of these crons, each after its own one, that have a record which stays; only where the engine is far.
pub(super) fn decided_after(
    tx: &Transaction<'_>,
    cursors: &[(CronId, Timestamp)],
) -> Result<HashMap<CronId, Vec<(CronId, Timestamp)>>, StoreError> {
    let (crons, after): (Vec<CronId>, Vec<i64>) =
        cursors.iter().map(|(cron_id, at)| (*cron_id, millis(*at))).unzip();
    let sql = format!(
        "SELECT runs.cron_id AS cron_id, scheduled_for FROM unnest(CAST(?1 AS text[]), CAST(?2 AS bigint[])) AS after (cron_id, at) \
         JOIN runs ON runs.cron_id = after.cron_id AND runs.scheduled_for > after.at WHERE NOT {NOTHING_RAN}"
    );
    let mut decided = HashMap::<CronId, Vec<(CronId, Timestamp)>>::new();
    tx.each(&sql, (array(&crons), array(&after)), |row| {
        let cron_id = parsed(row, "cron_id")?;
        decided.entry(cron_id).or_default().push((cron_id, time(row, "scheduled_for")?));
        Ok(())
    })?;
    Ok(decided)
}

pub(super) const DELETED_UNTIL: &str = "SELECT cron_id, history_deleted_until FROM crons \
     WHERE history_deleted_until > ?1 AND history_deleted_until IS NOT NULL";

/// Returns until when records are deleted of those crons of which this is after `after`.
fn deleted_until(tx: &Transaction<'_>, after: Timestamp) -> Result<Vec<(CronId, Timestamp)>, StoreError> {
    tx.query(DELETED_UNTIL, [millis(after)], |row| {
        Ok((parsed(row, "cron_id")?, time(row, "history_deleted_until")?))
    })
}

pub(super) fn decided_sql(is_of_cron: bool) -> String {
    let of_cron =
        if is_of_cron { "cron_id = ?2" } else { "cron_id IS NOT NULL AND CAST(?2 AS TEXT) IS NULL" };
    format!(
        "SELECT cron_id, scheduled_for FROM runs WHERE scheduled_for > ?1 AND {of_cron} AND NOT {NOTHING_RAN}"
    )
}

/// A record of a range of occurrences of which some lie after an instant.
struct Range {
    run_id: RunId,
    cron_id: CronId,
    cron_name: String,
    definition_id: DefinitionId,
    first: Timestamp,
}

fn ranges_around(tx: &Transaction<'_>, now: Timestamp) -> Result<Vec<Range>, StoreError> {
    tx.query(
        &format!(
            "SELECT run_id, cron_id, cron_name, definition_id, scheduled_for FROM runs \
             WHERE scheduled_for <= ?1 AND last_scheduled_for > ?1 AND {NOTHING_RAN}"
        ),
        [millis(now)],
        Range::from_row,
    )
}

impl Range {
    fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            run_id: parsed(row, "run_id")?,
            cron_id: parsed(row, "cron_id")?,
            cron_name: row.get("cron_name")?,
            definition_id: parsed(row, "definition_id")?,
            first: time(row, "scheduled_for")?,
        })
    }

    /// Takes the occurrences after `now` out of the record. A calendar that cannot be read, or not in a reasonable
    /// time, leaves it as it is.
    fn end_at(&self, tx: &Transaction<'_>, cache: &Definitions, now: Timestamp) -> Result<(), StoreError> {
        let cron = match cache.get(tx, self.definition_id, &self.cron_name) {
            Ok(cron) => Cron { enabled: true, ..(*cron).clone() },
            Err(StoreError::BadRow(_) | StoreError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let own = decided(tx, Some(self.cron_id), self.first)?;
        let (mut count, mut last, mut walked) = (1_i64, self.first, 0);
        while let Some(at) = own.next_within(&cron, last).filter(|at| *at <= now) {
            (count, last, walked) = (count + 1, at, walked + 1);
            if walked > RANGE_WALK_MAX {
                return Ok(());
            }
        }
        for record in Record::all(tx, "WHERE run_id = ?1", [self.run_id.to_string()])? {
            rollups::take_back(tx, &record, (record.occurrences - count).max(0))?;
        }
        tx.execute(
            "UPDATE runs SET occurrences = min(occurrences, ?2), last_scheduled_for = ?3 WHERE run_id = ?1",
            (self.run_id.to_string(), count, millis(last)),
        )?;
        Ok(())
    }
}
