//! The times in which crons had no occurrences. Nothing is recorded for the instants in them, so this is how
//! `explain` knows.

use jiff::Timestamp;

use super::StoreError;
use super::rows::{millis, parsed, time, time_option};
use super::sql::Transaction;
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
    tx.execute(
        "UPDATE inactive_spans SET until = ?2 WHERE cron_id = ?1 AND until IS NULL",
        (&id, millis(now)),
    )?;
    let Some(cause) = cause else { return Ok(()) };
    tx.execute(
        "INSERT INTO inactive_spans (cron_id, cause, since) VALUES (?1, ?2, ?3) \
         ON CONFLICT (cron_id, since) DO UPDATE SET cause = excluded.cause, until = NULL",
        (&id, cause.as_str(), millis(now)),
    )?;
    tx.execute(
        "DELETE FROM inactive_spans WHERE cron_id = ?1 AND since <= (SELECT since FROM inactive_spans \
         WHERE cron_id = ?1 ORDER BY since DESC LIMIT 1 OFFSET ?2)",
        (&id, INACTIVE_SPANS_PER_CRON),
    )?;
    Ok(())
}

/// Returns why a cron with this definition has no occurrences, or `None` if it may have some.
pub(super) fn cause_of(enabled: bool) -> Option<InactiveCause> {
    (!enabled).then_some(InactiveCause::Disabled)
}

/// Returns the times in which a cron had no occurrences, the earliest first.
pub(super) fn of_cron(tx: &Transaction<'_>, cron_id: CronId) -> Result<Vec<InactiveSpan>, StoreError> {
    tx.query(
        "SELECT cause, since, until FROM inactive_spans WHERE cron_id = ?1 ORDER BY since",
        [cron_id.to_string()],
        |row| {
            let (cause, since) = (parsed(row, "cause")?, time(row, "since")?);
            Ok(InactiveSpan { cause, since, until: time_option(row, "until")? })
        },
    )
}
