//! Which records may go, and what goes with them.

use jiff::Timestamp;

use super::policies::Policies;
use super::walk::Walk;
use super::{Deleted, ExpiredOfCron, note_deleted_until};
use crate::domain::ids::{CronId, RunId};
use crate::domain::outage::went_wrong;
use crate::domain::reason::ReasonCode;
use crate::domain::retention::Retention;
use crate::domain::run::Status;
use crate::store::StoreError;
use crate::store::rows::{millis, parsed, parsed_option, timestamp};
use crate::store::sql::{Row, Transaction};

/// The columns that a [`Record`] is read from.
pub(super) const COLUMNS: &str = "seq, run_id, cron_id, status, reason_code, retry, scheduled_for, last_scheduled_for, \
     occurrences, ended_at, start_number, thread_id, \
     outcome_values IS NOT NULL OR outcome_interrupts IS NOT NULL AS has_values";

/// A record that has ended, or a run that has not. Times are milliseconds, as stored.
#[derive(Clone, Debug)]
pub(in crate::store) struct Record {
    pub(super) seq: i64,
    run_id: RunId,
    cron_id: Option<CronId>,
    /// `None` while it is in progress.
    pub(super) status: Option<Status>,
    code: Option<ReasonCode>,
    pub(super) retry: i64,
    pub(super) scheduled_for: i64,
    /// The last instant for which it stands.
    last_scheduled_for: i64,
    pub(super) occurrences: i64,
    /// 0 while it is in progress.
    pub(super) ended_at: i64,
    start_number: u32,
    thread_id: Option<String>,
    has_values: bool,
}

/// What is to be done about a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It goes, or something of it.
    pub(super) goes: bool,
    /// It is to go, or something of it, and something else must end first.
    pub(super) waits: bool,
}

impl Verdict {
    const STAYS: Self = Self { goes: false, waits: false };
    const GOES: Self = Self { goes: true, waits: false };
    const WAITS: Self = Self { goes: false, waits: true };
}

impl Record {
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, StoreError> {
        let scheduled_for = row.get("scheduled_for")?;
        Ok(Self {
            seq: row.get("seq")?,
            run_id: parsed(row, "run_id")?,
            cron_id: parsed_option(row, "cron_id")?,
            status: parsed_option(row, "status")?,
            code: parsed_option(row, "reason_code")?,
            retry: row.get("retry")?,
            scheduled_for,
            last_scheduled_for: row.get::<Option<i64>>("last_scheduled_for")?.unwrap_or(scheduled_for),
            occurrences: row.get("occurrences")?,
            ended_at: row.get::<Option<i64>>("ended_at")?.unwrap_or_default(),
            start_number: row.get("start_number")?,
            thread_id: row.get("thread_id")?,
            has_values: row.get("has_values")?,
        })
    }

    pub(in crate::store) fn read(tx: &Transaction<'_>, seq: i64) -> Result<Option<Self>, StoreError> {
        tx.query_opt(&format!("SELECT {COLUMNS} FROM runs WHERE seq = ?1"), [seq], Self::from_row)
    }

    /// Returns the records of the same occurrence, this one included.
    pub(super) fn of_occurrence(&self, tx: &Transaction<'_>) -> Result<Vec<Self>, StoreError> {
        let Some(cron_id) = self.cron_id else { return Ok(vec![self.clone()]) };
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2");
        tx.query(&sql, (cron_id.to_string(), self.scheduled_for), Self::from_row)
    }

    pub(in crate::store) fn run_id(&self) -> RunId {
        self.run_id
    }

    pub(in crate::store) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// Returns whether it is old enough to go.
    fn is_over(&self, rules: &Retention, now: Timestamp) -> Result<bool, StoreError> {
        Ok(rules.of_record(self.went_wrong()).is_over(timestamp(self.ended_at, "ended_at")?, now))
    }

    fn went_wrong(&self) -> bool {
        self.status.is_some_and(|status| went_wrong(status, self.code))
    }

    /// Returns whether it has ended, and nothing that follows from it is left to be done.
    pub(in crate::store) fn is_finished(&self, tx: &Transaction<'_>) -> Result<bool, StoreError> {
        if self.status.is_none() {
            return Ok(false);
        }
        if self.has_webhook_to_send(tx)? {
            return Ok(false);
        }
        // The queue has no index by the run, but its threads are few.
        let is_queued = "SELECT EXISTS (SELECT 1 FROM thread_deletions WHERE thread_id = ?1)";
        let threads = (1..=self.start_number).map(|start| self.run_id.thread_of_start(start).to_string());
        for thread_id in threads.chain(self.thread_id.clone()) {
            if tx.query_value(is_queued, [thread_id])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether a webhook of it is still to be sent, or owed.
    pub(in crate::store) fn has_webhook_to_send(&self, tx: &Transaction<'_>) -> Result<bool, StoreError> {
        tx.query_value(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE run_id = ?1 AND ended_at IS NULL) \
             OR EXISTS (SELECT 1 FROM owed_webhooks WHERE run_id = ?1)",
            [self.run_id.to_string()],
        )
    }
}

/// Returns what is to be done about a record on this walk.
pub(super) fn verdict(
    tx: &Transaction<'_>,
    policies: &Policies,
    walk: Walk,
    record: &Record,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let Some(_) = record.status else { return Ok(Verdict::STAYS) };
    let rules = policies.of(record.cron_id);
    match walk {
        Walk::Runs { keep, .. } if rules.of_record(record.went_wrong()).length() != Some(keep) => {
            Ok(Verdict::STAYS)
        }
        Walk::Runs { .. } => whole(tx, rules, record, now),
        Walk::Most(..) => {
            for of_occurrence in record.of_occurrence(tx)? {
                if !of_occurrence.is_finished(tx)? {
                    return Ok(Verdict::WAITS);
                }
            }
            Ok(Verdict::GOES)
        }
        Walk::Values { keep, .. } if rules.keep_values.length() != Some(keep) => Ok(Verdict::STAYS),
        // All of it goes.
        Walk::Values { .. } if record.is_over(rules, now)? && whole(tx, rules, record, now)?.goes => {
            Ok(Verdict::STAYS)
        }
        Walk::Values { keep, .. } => {
            let before = millis(now.saturating_sub(keep).unwrap_or(Timestamp::MIN));
            let (bodies, later): (bool, bool) = tx.query_one(
                "SELECT EXISTS (SELECT 1 FROM deliveries WHERE run_id = ?1 AND body IS NOT NULL AND ended_at <= ?2), \
                 EXISTS (SELECT 1 FROM deliveries WHERE run_id = ?1 AND body IS NOT NULL \
                 AND coalesce(ended_at, ?2 + 1) > ?2)",
                (record.run_id.to_string(), before),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            Ok(Verdict { goes: record.has_values || bodies, waits: later })
        }
    }
}

/// Returns what is to be done about an occurrence, by the age of its records: the one that stays longest decides.
fn whole(
    tx: &Transaction<'_>,
    rules: &Retention,
    record: &Record,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let mut verdict = Verdict::GOES;
    for of_occurrence in record.of_occurrence(tx)? {
        if of_occurrence.has_ended() && !of_occurrence.is_over(rules, now)? {
            return Ok(Verdict::STAYS);
        }
        if !of_occurrence.is_finished(tx)? {
            verdict = Verdict::WAITS;
        }
    }
    Ok(verdict)
}

/// Deletes a record with everything about it: its timeline, its webhooks and their attempts, and what a client asked for.
pub(in crate::store) fn delete_run(tx: &Transaction<'_>, record: &Record) -> Result<Deleted, StoreError> {
    let deliveries = tx.execute("DELETE FROM deliveries WHERE run_id = ?1", [record.run_id.to_string()])?;
    let runs = tx.execute("DELETE FROM runs WHERE seq = ?1", [record.seq])?;
    if let Some(cron_id) = record.cron_id {
        note_deleted_until(tx, cron_id, timestamp(record.last_scheduled_for, "last_scheduled_for")?)?;
    }
    Ok(Deleted { runs: runs as u64, deliveries: deliveries as u64, values: 0 })
}

/// Deletes the values of a run, and the bodies of those of its webhooks that had ended before then.
pub(in crate::store) fn drop_values(
    tx: &Transaction<'_>,
    seq: i64,
    ended_before: Timestamp,
) -> Result<(), StoreError> {
    tx.execute("UPDATE runs SET outcome_values = NULL, outcome_interrupts = NULL WHERE seq = ?1", [seq])?;
    tx.execute(
        "UPDATE deliveries SET body = NULL WHERE run_id = (SELECT run_id FROM runs WHERE seq = ?1) AND ended_at <= ?2",
        [seq, millis(ended_before)],
    )?;
    Ok(())
}

/// Returns how much it is that goes with a record on this walk.
pub(super) fn measure(tx: &Transaction<'_>, walk: Walk, seq: i64) -> Result<ExpiredOfCron, StoreError> {
    let sql = "SELECT cron_name, status, reason_code, \
               coalesce(octet_length(outcome_values), 0) + coalesce(octet_length(outcome_interrupts), 0) AS bytes, \
               (SELECT count(*) FROM deliveries WHERE deliveries.run_id = runs.run_id) AS deliveries, \
               (SELECT coalesce(sum(octet_length(body)), 0) FROM deliveries WHERE deliveries.run_id = runs.run_id) AS bodies \
               FROM runs WHERE seq = ?1";
    tx.query_one(sql, [seq], |row| {
        let status: Option<Status> = parsed_option(row, "status")?;
        let code = parsed_option(row, "reason_code")?;
        let went_wrong = status.is_some_and(|status| went_wrong(status, code));
        let deleted = match walk {
            Walk::Runs { .. } | Walk::Most(..) => {
                Deleted { runs: 1, deliveries: row.count("deliveries")?, values: 0 }
            }
            Walk::Values { .. } => Deleted { values: 1, ..Deleted::default() },
        };
        let bytes = row.count("bytes")? + row.count("bodies")?;
        Ok(ExpiredOfCron { cron_name: row.get("cron_name")?, key: walk.key(went_wrong), deleted, bytes })
    })
}
