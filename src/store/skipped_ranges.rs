//! Records of consecutive occurrences that never run.

use jiff::Timestamp;

use super::StoreError;
use super::counts::{Counted, Tx};
use super::ended::{Ended, first_words};
use super::rows::{millis, parsed, reason_from_row, time};
use super::scheduled_crons::ScheduledCron;
use super::sql::{Row, named_params};
use crate::domain::ids::{CronId, FIRST_RUN, RunId};
use crate::domain::run::Trigger;
use crate::domain::skipped_range::{MergeRule, RecordBefore, Recording, SkippedRange};

/// The records of a cron, `?1`, of ranges around an instant, `?2`, as a table and its conditions. There are several if an edit
/// dropped some occurrences and others in between were missed: the definition of each record says which it counts. What the
/// edit dropped comes last, since the other one counts what both definitions name.
pub(super) const RANGES_AROUND: &str = "(SELECT * FROM runs INDEXED BY runs_never_started WHERE cron_id = ?1 AND scheduled_for <= ?2 \
     AND last_scheduled_for IS NOT NULL ORDER BY scheduled_for DESC LIMIT 16) AS runs WHERE last_scheduled_for >= ?2 \
     ORDER BY coalesce(reason_code, '') IN ('edited', 'disabled'), scheduled_for DESC";

/// Records a range: it extends the record right before it if `rule` allows it, and has a new one otherwise.
pub(super) fn record(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    range: &SkippedRange,
    rule: MergeRule,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = match rule {
        MergeRule::Never => None,
        MergeRule::SamePause { .. } | MergeRule::SameCatchUp { .. } | MergeRule::SameChange { .. } => {
            record_before(tx, scheduled.cron.cron_id, range.first)?
        }
    };
    match (range.recording(before.as_ref().map(|(_, before)| before), rule), before) {
        (Recording::Nothing, _) => Ok(()),
        (Recording::Extension, Some((run_id, _))) => extend(tx, scheduled, range, run_id, now),
        (Recording::Extension | Recording::NewRecord, _) => insert(tx, scheduled, range, now),
    }
}

/// Returns the record of the latest occurrences before this instant, if those ended without having been sent.
fn record_before(
    tx: &Tx<'_>,
    cron_id: CronId,
    at: Timestamp,
) -> Result<Option<(String, RecordBefore)>, StoreError> {
    let sql = "SELECT run_id, definition_id, phase = 'ended' AND send_count = 0 AS never_sent, status, reason_code, reason, scheduled_for, \
               coalesce(last_scheduled_for, scheduled_for) AS last, ended_at \
               FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 AND retry = 0 ORDER BY scheduled_for DESC LIMIT 1";
    let before =
        tx.query_opt(sql, (cron_id.to_string(), millis(at)), |row| match row.get("never_sent")? {
            true => Ok(Some((row.get("run_id")?, record_from_row(row)?))),
            false => Ok(None),
        })?;
    Ok(before.flatten())
}

fn record_from_row(row: &Row<'_>) -> Result<RecordBefore, StoreError> {
    Ok(RecordBefore {
        definition_id: parsed(row, "definition_id")?,
        status: parsed(row, "status")?,
        reason: reason_from_row(row)?,
        first: time(row, "scheduled_for")?,
        last: time(row, "last")?,
        recorded_at: time(row, "ended_at")?,
    })
}

fn extend(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    range: &SkippedRange,
    run_id: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE runs SET occurrences = occurrences + ?2, last_scheduled_for = ?3, ended_at = ?4, reason = ?5 \
               WHERE run_id = ?1";
    tx.put(sql, (&run_id, count(range), millis(range.last), millis(now), &range.reason.message))?;
    tx.count(Counted::Ended(Ended { extends_record: true, ..ended(scheduled, range, run_id, now) }));
    Ok(())
}

fn insert(
    tx: &Tx<'_>,
    scheduled: &ScheduledCron,
    range: &SkippedRange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let cron = &scheduled.cron;
    let run_id = RunId::of_occurrence(cron.cron_id, range.first, FIRST_RUN).to_string();
    let sql = "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, \
               start_before, exclusive, phase, start_number, status, reason_code, reason, ended_at, occurrences, \
               last_scheduled_for) \
               VALUES (:run_id, :cron_id, :cron_name, :cron_source, :definition_id, 'schedule', :first, :first, :first, 0, \
               'ended', 1, :status, :reason_code, :reason, :now, :count, :last) ON CONFLICT DO NOTHING";
    let inserted = tx.execute(
        sql,
        named_params! {
            ":run_id": run_id,
            ":cron_id": cron.cron_id.to_string(),
            ":cron_name": cron.name,
            ":cron_source": cron.source.as_str(),
            ":definition_id": scheduled.definition_id.to_string(),
            ":first": millis(range.first),
            ":last": millis(range.last),
            ":status": range.status.as_str(),
            ":reason_code": range.reason.code.as_str(),
            ":reason": range.reason.message,
            ":now": millis(now),
            ":count": count(range),
        },
    )?;
    if inserted == 1 {
        tx.count(Counted::Ended(ended(scheduled, range, run_id, now)));
    }
    Ok(())
}

fn ended(scheduled: &ScheduledCron, range: &SkippedRange, run_id: String, now: Timestamp) -> Ended {
    Ended {
        cron_id: Some(scheduled.cron.cron_id),
        at: now,
        called: scheduled.cron.name.clone(),
        run_id,
        status: range.status,
        code: Some(range.reason.code),
        recorded_code: Some(range.reason.code),
        trigger: Trigger::Schedule,
        retry: FIRST_RUN,
        took: None,
        ran: false,
        late: false,
        retried: false,
        occurrences: range.count,
        scheduled_for: range.first,
        error: range.reason.message.as_deref().map(first_words),
        extends_record: false,
    }
}

fn count(range: &SkippedRange) -> i64 {
    i64::try_from(range.count).unwrap_or(i64::MAX)
}
