//! Counts the runs that wait to start, before more are added because somebody asks for them.

use super::StoreError;
use super::sql::Transaction;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::limits::{TooMany, WaitingRuns, more_runs};
use crate::domain::run::Trigger;

/// Checks that so many more runs of this cron may wait.
///
/// # Errors
/// [`StoreError::TooManyWaiting`] if that would be too many.
pub(super) fn check(
    tx: &Transaction<'_>,
    cron: &Cron,
    trigger: Trigger,
    more: usize,
) -> Result<(), StoreError> {
    let of_cron = "SELECT count(*) FROM runs WHERE phase = 'pending' AND cron_id = ?1 AND trigger = ?2";
    let of_source = "SELECT count(*) FROM runs WHERE phase = 'pending' AND cron_source = ?1";
    let waiting = WaitingRuns {
        of_cron: tx.query_count(of_cron, (cron.cron_id.to_string(), trigger.as_str()))?,
        of_clients: match cron.source {
            CronSource::File => 0,
            CronSource::Api => tx.query_count(of_source, [cron.source.as_str()])?,
        },
    };
    more_runs(cron, trigger, more, waiting)
        .map_err(|TooMany { what, max }| StoreError::TooManyWaiting { what, max })
}
