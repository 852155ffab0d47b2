//! The webhook of a run that failed and whose occurrence gets a further run: owed until that run has ended, so that the
//! occurrence tells of its end once, whatever becomes of its last run.

use jiff::Timestamp;

use super::StoreError;
use super::counts::Tx;
use super::new_deliveries::insert_delivery;
use super::sql::named_params;
use crate::domain::delivery::{DeliveryStatus, NewDelivery};
use crate::domain::ids::{DeliveryId, FIRST_RUN, RunId};
use crate::domain::retry::owes_former_webhook;
use crate::domain::run::Run;

/// Keeps the webhook of a run that failed until it is known whether the next run of its occurrence takes place.
pub(super) fn owe(tx: &Tx<'_>, webhook: &NewDelivery) -> Result<(), StoreError> {
    tx.put(
        "INSERT INTO owed_webhooks (run_id, url, keeps_body, body) VALUES (:run_id, :url, :keeps_body, :body)",
        named_params! {
            ":run_id": webhook.run_id.map(|run_id| run_id.to_string()),
            ":url": webhook.url,
            ":keeps_body": webhook.keeps_body,
            ":body": webhook.body,
        },
    )?;
    Ok(())
}

/// What became of the webhook that the run before an ended run had left owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// It is due now, in the place of the ended run's own.
    Due,
    /// There was none, or the ended run's own takes its place.
    Nothing,
}

/// Makes the webhook of the run before this ended one due if this one did not take place, and deletes it otherwise.
pub(super) fn settle(tx: &Tx<'_>, ended: &Run, now: Timestamp) -> Result<Owed, StoreError> {
    let Some(cron_id) = ended.cron_id().filter(|_| ended.retry > FIRST_RUN) else { return Ok(Owed::Nothing) };
    let run_id = RunId::of_occurrence(cron_id, ended.scheduled_for, ended.retry - 1);
    let sql = "DELETE FROM owed_webhooks WHERE run_id = ?1 RETURNING url, keeps_body, body";
    let owed: Vec<(String, bool, Vec<u8>)> = tx.query(sql, [run_id.to_string()], |row| {
        Ok((row.get("url")?, row.get("keeps_body")?, row.get("body")?))
    })?;
    let Some((url, keeps_body, body)) = owed.into_iter().next().filter(|_| owes_former_webhook(&ended.state))
    else {
        return Ok(Owed::Nothing);
    };
    let delivery_id = DeliveryId::of_run(run_id, &url);
    // If webhooks are disabled, the courier suppresses it.
    let status = DeliveryStatus::Pending;
    insert_delivery(
        tx,
        &NewDelivery { delivery_id, run_id: Some(run_id), url, body, keeps_body, status },
        now,
    )?;
    Ok(Owed::Due)
}
