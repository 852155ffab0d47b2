//! The times in which crons had no occurrences. Nothing is recorded for the instants in them, so this is how
//! `explain` knows.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::StoreError;
use super::rows::{millis, parsed, time, time_option};
use crate::domain::bounds::INACTIVE_SPANS_PER_CRON;
use crate::domain::cron_state::{InactiveCause, InactiveSpan};
use crate::domain::ids::CronId;

/// Records whether a cron has occurrences from now on, and why if it has none.
pub(super) fn record(
    tx: &Transaction<'_>,
    cron_id: CronId,
    cause: Option<InactiveCause>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let spans = of_cron(tx, cron_id)?;
    let lasting = spans.iter().find(|span| span.until.is_none());
    if lasting.map(|span| span.cause) == cause {
        return Ok(());
    }
    let id = cron_id.to_string();
    tx.prepare_cached("UPDATE inactive_spans SET until = ?2 WHERE cron_id = ?1 AND until IS NULL")?
        .execute((&id, millis(now)))?;
    let Some(cause) = cause else { return Ok(()) };
    tx.prepare_cached(
        "INSERT INTO inactive_spans (cron_id, cause, since) VALUES (?1, ?2, ?3) \
         ON CONFLICT DO UPDATE SET cause = excluded.cause, until = NULL",
    )?
    .execute((&id, cause.as_str(), millis(now)))?;
    tx.prepare_cached(
        "DELETE FROM inactive_spans WHERE cron_id = ?1 AND since <= (SELECT since FROM inactive_spans \
         WHERE cron_id = ?1 ORDER BY since DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute((&id, INACTIVE_SPANS_PER_CRON))?;
    Ok(())
}

/// Returns why a cron with this definition has no occurrences, or `None` if it may have some.
pub(super) fn cause_of(enabled: bool) -> Option<InactiveCause> {
    (!enabled).then_some(InactiveCause::Disabled)
}

/// Returns the times in which a cron had no occurrences, the earliest first.
pub(super) fn of_cron(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<InactiveSpan>, StoreError> {
    let mut statement = tx
        .prepare_cached("SELECT cause, since, until FROM inactive_spans WHERE cron_id = ?1 ORDER BY since")?;
    let mut rows = statement.query([cron_id.to_string()])?;
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        let (cause, since) = (parsed(row, "cause")?, time(row, "since")?);
        spans.push(InactiveSpan { cause, since, until: time_option(row, "until")? });
    }
    Ok(spans)
}
