//! Further runs of an occurrence: after a run that failed, in the transaction that ends it, and on request. Until such a
//! run has ended, the webhook of the run before it is owed.

use jiff::Timestamp;
use serde_json::Value;

use super::counts::Tx;
use super::cron_entries;
use super::definitions::Definitions;
use super::occurrences::{RunNumber, RunTimes, insert_numbered};
use super::rows::{millis, run};
use super::scheduled_crons::{ScheduledCron, scheduled};
use super::sql::Transaction;
use super::waits_for::waits_for;
use super::{Store, StoreError, TriggeredRun, acts, own_input, rollups, waiting_limits};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::backoff;
use crate::domain::ids::RunId;
use crate::domain::plan::start_deadline;
use crate::domain::retry::NextRun;
use crate::domain::run::{Run, Trigger};

/// A request to run the occurrence of an ended run again.
#[derive(Clone, Debug)]
pub struct RetryRequest {
    pub run_id: RunId,
    /// What the graph is given instead of the input of the cron's present definition.
    pub input: Option<Value>,
}

impl Store {
    /// Adds a further run, due now, of the occurrence of an ended run, by the present definition of its cron. Returns
    /// `None` if there is no such run.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the run has no cron or is a record of many occurrences, if its cron was removed, if
    /// the occurrence is in progress, or if the cron would not be valid with this input;
    /// [`StoreError::TooManyWaiting`] if too many runs that were asked for wait to start already.
    pub async fn retry_run(
        &self,
        now: Timestamp,
        by: Actor,
        request: RetryRequest,
    ) -> Result<Option<TriggeredRun>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| match run(tx, request.run_id) {
            Ok(former) => {
                let retried = add_on_request(tx, &cache, &former, request.input.as_ref(), now)?;
                let (by, what, subject) = (by.clone(), ActKind::Retried, Subject::run(&retried.run));
                let with_input = if request.input.is_some() { ", with another input" } else { "" };
                let note = Some(format!("retries run {}{with_input}", former.run_id));
                acts::record(tx, &Act { at: now, by, what, subject, note })?;
                Ok(Some(retried))
            }
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }
}

fn add_on_request(
    tx: &Tx<'_>,
    cache: &Definitions,
    former: &Run,
    input: Option<&Value>,
    now: Timestamp,
) -> Result<TriggeredRun, StoreError> {
    let conflict = |problem: String| Err(StoreError::Conflict(format!("run {}: {problem}", former.run_id)));
    let Some(version) = &former.cron else {
        return conflict("a client started it, and only the client can start it again".to_owned());
    };
    let entry = match cron_entries::by_id(tx, version.cron_id)? {
        Some(entry) if !entry.removed => entry,
        Some(_) | None => return conflict(format!("its cron {} was removed", version.name)),
    };
    let (latest, open, occurrences): (u32, Option<String>, i64) = tx.query_one(
        "SELECT max(retry), max(iif(phase <> 'ended', run_id, NULL)), max(occurrences) FROM runs \
         WHERE cron_id = ?1 AND scheduled_for = ?2",
        (version.cron_id.to_string(), millis(former.scheduled_for)),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    if let Some(open) = open {
        return conflict(format!("run {open} of the same occurrence has not ended"));
    }
    if occurrences > 1 {
        let hint = "`agentcron backfill` runs them";
        return conflict(format!("it is the record of {occurrences} occurrences; {hint}"));
    }
    let mut scheduled = scheduled(tx, cache, &entry)?;
    if let Some(input) = input {
        own_input::give(tx, &entry, cache, &mut scheduled, input, now)?;
    }
    waiting_limits::check(tx, &scheduled.cron, Trigger::Manual, 1)?;
    if let Some(end) = rollups::last_end(tx, entry.cron_id, former.scheduled_for)? {
        rollups::take_back(tx, &end, 1)?;
    }
    let deadline = start_deadline(&scheduled.cron, Trigger::Manual, now);
    let times = RunTimes {
        scheduled_for: former.scheduled_for,
        due_at: now,
        start_before: backoff::after(now, deadline),
    };
    let number = RunNumber { retry: latest + 1, first_started_at: None, own_definition: input.is_some() };
    insert_numbered(tx, &scheduled, times, Trigger::Manual, number)?;
    let run_id = RunId::of_occurrence(entry.cron_id, former.scheduled_for, number.retry);
    Ok(TriggeredRun { run: run(tx, run_id)?, waits_for: waits_for(tx, run_id)? })
}

/// Inserts the further run of an occurrence whose run has failed, by the same definition.
pub(super) fn insert_next(
    tx: &Tx<'_>,
    cache: &Definitions,
    failed: &Run,
    next: NextRun,
) -> Result<(), StoreError> {
    let Some(version) = &failed.cron else { return Ok(()) };
    let cron = cache.get(tx, version.definition_id, &version.name)?;
    let scheduled = ScheduledCron { cron, definition_id: version.definition_id };
    let times = RunTimes {
        scheduled_for: failed.scheduled_for,
        due_at: next.due_at,
        start_before: next.start_before,
    };
    let number = RunNumber {
        retry: next.retry,
        first_started_at: Some(next.first_started_at),
        own_definition: has_own_definition(tx, failed.run_id)?,
    };
    insert_numbered(tx, &scheduled, times, failed.trigger, number)?;
    Ok(())
}

/// Whether the definition of a run is none of its cron's.
pub(super) fn has_own_definition(tx: &Transaction<'_>, run_id: RunId) -> Result<bool, StoreError> {
    tx.query_value("SELECT own_definition FROM runs WHERE run_id = ?1", [run_id.to_string()])
}

#[cfg(test)]
mod tests;
