//! Limits to the runs that wait to start because somebody asked for them, so that a client in a loop cannot fill
//! the store or keep the runner searching through what it has to wait for.

use super::StoreError;
use super::sql::{ToSql, Transaction};
use crate::domain::bounds::{API_RUNS_WAITING_MAX, BACKFILLED_WAITING_MAX, TRIGGERED_WAITING_MAX};
use crate::domain::cron::{Cron, CronSource};
use crate::domain::run::Trigger;

/// Checks that one more triggered run of this cron may wait.
///
/// # Errors
/// [`StoreError::TooManyWaiting`] if too many wait already.
pub(super) fn check_trigger(tx: &Transaction<'_>, cron: &Cron) -> Result<(), StoreError> {
    check(tx, cron, Trigger::Manual, 1, TRIGGERED_WAITING_MAX)
}

/// Checks that so many more backfilled runs of this cron may wait.
///
/// # Errors
/// [`StoreError::TooManyWaiting`] if that would be too many.
pub(super) fn check_backfill(tx: &Transaction<'_>, cron: &Cron, more: usize) -> Result<(), StoreError> {
    check(tx, cron, Trigger::Backfill, more, BACKFILLED_WAITING_MAX)
}

fn check(
    tx: &Transaction<'_>,
    cron: &Cron,
    trigger: Trigger,
    more: usize,
    max: usize,
) -> Result<(), StoreError> {
    let of_cron = "cron_id = ?1 AND trigger = ?2";
    let waiting = count(tx, of_cron, &[&cron.cron_id.to_string(), &trigger.as_str()])?;
    if waiting + more > max {
        let asked_for = match trigger {
            Trigger::Backfill => "backfilled",
            Trigger::Manual | Trigger::Schedule | Trigger::Catchup | Trigger::Api => "triggered",
        };
        let what = format!("{waiting} {asked_for} runs of {}", cron.name);
        return Err(StoreError::TooManyWaiting { what, max });
    }
    match cron.source {
        CronSource::File => Ok(()),
        CronSource::Api => {
            let waiting = count(tx, "cron_source = ?1", &[&CronSource::Api.as_str()])?;
            if waiting + more > API_RUNS_WAITING_MAX {
                let what = format!("{waiting} runs of crons that clients made");
                return Err(StoreError::TooManyWaiting { what, max: API_RUNS_WAITING_MAX });
            }
            Ok(())
        }
    }
}

fn count(tx: &Transaction<'_>, condition: &str, values: &[&dyn ToSql]) -> Result<usize, StoreError> {
    let sql = format!("SELECT count(*) FROM runs WHERE phase = 'pending' AND {condition}");
    let count: i64 = tx.query_value(&sql, values)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}
