//! Deletes what a walk has found, and counts what is deleted of the time that `status` counts, so that its figures do not fall
//! with the history.

use jiff::Timestamp;

use super::Deleted;
use super::policies::Policies;
use super::records::{Record, Verdict, delete_run, drop_values, verdict};
use super::walk::Walk;
use crate::domain::run::Status;
use crate::store::rows::millis;
use crate::store::sql::Transaction;
use crate::store::{STATUS_PERIOD, Store, StoreError};

const MINUTE_MS: i64 = 60_000;

const ADD: &str =
    "ON CONFLICT (minute, what, status) DO UPDATE SET number = deleted_lately.number + excluded.number";

/// Deletes a record, or its values, if it is still to go, and returns what is gone and whether something has to wait.
pub(super) fn delete_if_expired(
    tx: &Transaction<'_>,
    policies: &Policies,
    walk: Walk,
    seq: i64,
    now: Timestamp,
) -> Result<(Deleted, bool), StoreError> {
    let Some(record) = Record::read(tx, seq)? else { return Ok((Deleted::default(), false)) };
    let Verdict { goes, waits } = verdict(tx, policies, walk, &record, now)?;
    if !goes {
        return Ok((Deleted::default(), waits));
    }
    let mut deleted = Deleted::default();
    match walk {
        Walk::Runs { .. } | Walk::Most(..) => {
            let of_occurrence = record.of_occurrence(tx)?;
            note(tx, &of_occurrence, now)?;
            for record in of_occurrence {
                deleted.add(delete_run(tx, &record)?);
            }
        }
        Walk::Values { keep, .. } => {
            drop_values(tx, record.seq, now.saturating_sub(keep).unwrap_or(Timestamp::MIN))?;
            deleted.values = 1;
        }
    }
    Ok((deleted, waits))
}

/// Counts the records of one occurrence, which are about to be deleted, with their webhooks. The occurrence counts by the last
/// of its runs that took place.
fn note(tx: &Transaction<'_>, of_occurrence: &[Record], now: Timestamp) -> Result<(), StoreError> {
    let since = millis(begin(now));
    let took_place = |record: &&Record| record.status.is_none_or(Status::took_place);
    let last = of_occurrence.iter().filter(took_place).max_by_key(|record| record.retry);
    let last = last.or(of_occurrence.iter().min_by_key(|record| record.retry));
    let Some(last) = last.filter(|last| last.ended_at >= since) else { return Ok(()) };
    if let Some(status) = last.status {
        let sql = format!(
            "INSERT INTO deleted_lately (minute, what, status, number) VALUES (?1, 'occurrence', ?2, ?3) {ADD}"
        );
        tx.execute(&sql, (last.ended_at.div_euclid(MINUTE_MS), status.as_str(), last.occurrences))?;
    }
    for record in of_occurrence {
        let sql = format!(
            "INSERT INTO deleted_lately (minute, what, status, number) \
             SELECT created_at / {MINUTE_MS}, 'webhook', status, count(*) FROM deliveries \
             WHERE run_id = ?1 AND created_at >= ?2 GROUP BY created_at / {MINUTE_MS}, status {ADD}"
        );
        tx.execute(&sql, (record.run_id().to_string(), since))?;
    }
    Ok(())
}

impl Store {
    /// Forgets what nobody counts any more.
    pub(in crate::store) async fn forget_deleted_lately(&self, now: Timestamp) -> Result<(), StoreError> {
        let first_kept = millis(begin(now)).div_euclid(MINUTE_MS);
        self.write(move |tx| {
            tx.execute("DELETE FROM deleted_lately WHERE minute < ?1", [first_kept])?;
            Ok(())
        })
        .await
    }
}

fn begin(now: Timestamp) -> Timestamp {
    now.saturating_sub(STATUS_PERIOD).unwrap_or(Timestamp::MIN)
}
