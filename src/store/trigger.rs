//! Triggers a cron: adds a run that is due now, because somebody asked for it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::cron_entries;
use super::occurrences::{Insertion, RunNumber, RunTimes, insert_numbered};
use super::rows::{millis, run};
use super::scheduled_crons::{ScheduledCron, scheduled};
use super::sql::Transaction;
use super::waits_for::waits_for;
use super::{Store, StoreError, acts, own_input, waiting_limits};
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::backoff;
use crate::domain::ids::{FIRST_RUN, RunId};
use crate::domain::plan::start_deadline;
use crate::domain::run::{Run, Trigger};

/// A request to run a cron now.
#[derive(Clone, Debug)]
pub struct TriggerRequest {
    /// The cron's name or id.
    pub name: String,
    /// What the graph is given instead of the input of the cron's present definition.
    pub input: Option<Value>,
}

/// A run that was added on request.
#[derive(Clone, Debug)]
pub struct TriggeredRun {
    pub run: Run,
    /// The run of the same cron that has to end first, because the cron's runs must not overlap.
    pub waits_for: Option<RunId>,
}

impl Store {
    /// Adds a run, due now, of the cron with this name or id. Returns `None` if there is no such cron.
    ///
    /// # Errors
    /// [`StoreError::TooManyWaiting`] if too many triggered runs wait to start already, and [`StoreError::Conflict`] if the
    /// cron would not be valid with this input.
    pub async fn trigger(
        &self,
        now: Timestamp,
        by: Actor,
        request: TriggerRequest,
    ) -> Result<Option<TriggeredRun>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(entry) = cron_entries::named(tx, &request.name)? else { return Ok(None) };
            let mut scheduled = scheduled(tx, &cache, &entry)?;
            waiting_limits::check(tx, &scheduled.cron, Trigger::Manual, 1)?;
            if let Some(input) = &request.input {
                own_input::give(tx, &entry, &cache, &mut scheduled, input, now)?;
            }
            let number = RunNumber { own_definition: request.input.is_some(), ..RunNumber::FIRST };
            let run = insert_now(tx, &scheduled, number, now)?;
            let (by, what, subject) = (by.clone(), ActKind::Triggered, Subject::run(&run));
            let note = request.input.is_some().then(|| "with another input".to_owned());
            acts::record(tx, &Act { at: now, by, what, subject, note })?;
            let waits_for = waits_for(tx, run.run_id)?;
            Ok(Some(TriggeredRun { run, waits_for }))
        })
        .await
    }
}

/// Inserts a run at the first free millisecond from `now` on. Calendars name whole seconds, so an instant
/// between two of them can never be that of an occurrence.
fn insert_now(
    tx: &Transaction<'_>,
    scheduled: &ScheduledCron,
    number: RunNumber,
    now: Timestamp,
) -> Result<Run, StoreError> {
    let mut at = now;
    loop {
        let is_whole_second = millis(at) % 1000 == 0;
        if !is_whole_second {
            let start_before = backoff::after(at, start_deadline(&scheduled.cron, Trigger::Manual, at));
            let times = RunTimes { scheduled_for: at, due_at: at, start_before };
            match insert_numbered(tx, scheduled, times, Trigger::Manual, number)? {
                Insertion::Inserted => {
                    return run(tx, RunId::of_occurrence(scheduled.cron.cron_id, at, FIRST_RUN));
                }
                Insertion::Existed => {}
            }
        }
        at = at.saturating_add(SignedDuration::from_millis(1)).unwrap_or(at);
    }
}
