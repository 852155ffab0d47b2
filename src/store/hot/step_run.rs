//! One step in the life of a run, short of its end.

use jiff::Timestamp;

use super::claim_runs::looked_at;
use crate::domain::backoff;
use crate::domain::bounds::FENCE_KEPT;
use crate::domain::delivery::NewDelivery;
use crate::domain::ids::{CronId, RunId, ThreadId};
use crate::domain::reason::{Reason, RunEventKind};
use crate::domain::run::{Run, RunChange, RunState};
use crate::store::counts::Counted;
use crate::store::held_runs::HeldRun;
use crate::store::held_runs::{held_run, run_to_change};
use crate::store::new_deliveries::insert_delivery;
use crate::store::read_runs::ReadRun;
use crate::store::rows::{millis, run, save_run, timestamp};
use crate::store::sql::{Transaction, named_params};
use crate::store::write_queue::HeldChange;
use crate::store::{Store, StoreError, cron_entries, edits};

/// A step to commit.
#[derive(Clone, Debug)]
pub struct Step {
    pub run: HeldRun,
    /// `None` if only the time of the next check changes.
    pub change: Option<RunChange>,
    /// When a runner acts on the run next, which ends the claim, or `None` if it stays held.
    pub act_at: Option<Timestamp>,
    /// How many reconciliations in a row could not tell whether the latest start reached the backend.
    pub not_found_count: u32,
    /// A line for the run's timeline. Its reason becomes the run's.
    pub event: Option<RunEvent>,
    /// A fenced thread, which is deleted later.
    pub fenced: Option<ThreadId>,
    /// Tells a dead man's switch of it.
    pub ping: Option<NewDelivery>,
}

/// A line in the timeline of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEvent {
    pub at: Timestamp,
    pub event: RunEventKind,
    pub reason: Option<Reason>,
}

/// The run of the same cron before this one, for `${{ previous.… }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousRun {
    pub status: String,
    pub ended_at: Timestamp,
}

impl Step {
    /// Returns what it changes. A run that waits again is judged by its cron as it is by now.
    fn changes(&self) -> HeldChange {
        let with_cron = match self.change {
            Some(RunChange::NotSent | RunChange::RuleOut) => true,
            Some(
                RunChange::Send { .. }
                | RunChange::Unconfirm
                | RunChange::Accept { .. }
                | RunChange::Cancel(_)
                | RunChange::End(_),
            )
            | None => false,
        };
        HeldChange { run_id: self.run.run_id, with_cron }
    }

    /// Returns a step that only changes the state.
    pub fn of(run: HeldRun, change: RunChange) -> Self {
        Self {
            run,
            change: Some(change),
            act_at: None,
            not_found_count: 0,
            event: None,
            fenced: None,
            ping: None,
        }
    }
}

impl Store {
    /// Commits a step and returns the run as it is afterwards.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if this daemon does not hold the run any more;
    /// [`StoreError::IllegalTransition`] if the run's state does not allow the change.
    pub async fn step_run(&self, step: Step) -> Result<Run, StoreError> {
        let (cache, daemon) = (self.definitions.clone(), self.number);
        self.write_about(step.changes(), move |tx| {
            let run_id = step.run.run_id;
            let ReadRun { mut run, cancelling, is_awaited, .. } = run_to_change(tx, step.run, daemon)?;
            if let Some(change) = step.change.clone() {
                let accepted = matches!(change, RunChange::Accept { .. });
                run.state = run.state.apply(change)?;
                let cron_id = run.cron_id();
                if let RunState::Running(backend_run) = &mut run.state {
                    if accepted {
                        let late = backoff::between(run.due_at, backend_run.started_at);
                        tx.count(Counted::Started { cron_id, late });
                    }
                    // It may have been cancelled before it was known to run.
                    backend_run.cancelling = backend_run.cancelling.or(cancelling);
                }
            }
            if let (RunState::Pending { .. }, Some(cron_id)) = (&run.state, run.cron_id()) {
                tx.forget_ahead(cron_id);
                if is_awaited {
                    looked_at(tx, run_id)?;
                }
            }
            run.not_found_count = step.not_found_count;
            if let Some(event) = &step.event {
                insert_event(tx, run_id, event)?;
                if let Some(reason) = &event.reason {
                    run.reason = Some(reason.clone());
                }
            }
            if let Some(thread_id) = step.fenced {
                let event_at = step.event.as_ref().map(|event| event.at).unwrap_or(run.due_at);
                insert_deletion(tx, run_id, thread_id, backoff::after(event_at, FENCE_KEPT))?;
            }
            save_run(tx, &run, step.act_at)?;
            if let (Some(ping), RunState::Running(backend_run)) = (&step.ping, &run.state) {
                insert_delivery(tx, ping, backend_run.started_at)?;
            }
            // Its cron may have been edited, paused or removed while it was being sent.
            if let (RunState::Pending { .. }, Some(cron_id)) = (&run.state, run.cron_id())
                && let Some(entry) = cron_entries::by_id(tx, cron_id)?
                && cancelling.is_none()
            {
                let now = step.event.as_ref().map_or(run.due_at, |event| event.at);
                edits::revise(tx, &cache, &entry, &mut run, now)?;
            }
            Ok(run)
        })
        .await
    }

    /// Reads a run that this daemon holds again, to see what others have changed. Everything that was committed before this
    /// call is visible.
    ///
    /// # Errors
    /// [`StoreError::NotHeld`] if this daemon does not hold the run any more.
    pub async fn held_run(&self, held: HeldRun) -> Result<Run, StoreError> {
        let daemon = self.number;
        self.read_for_loop(move |tx| Ok(held_run(tx, held, daemon)?.run)).await
    }

    /// Reads a run. Everything that was committed before this call is visible.
    pub async fn run(&self, run_id: RunId) -> Result<Run, StoreError> {
        self.read_for_loop(move |tx| run(tx, run_id)).await
    }

    /// Returns the last run of this cron before `scheduled_for` that was neither skipped nor missed.
    pub async fn previous_run(
        &self,
        cron_id: CronId,
        scheduled_for: Timestamp,
    ) -> Result<Option<PreviousRun>, StoreError> {
        self.read_for_loop(move |tx| {
            let previous = tx.query_opt(
                "SELECT status, ended_at FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 \
                 AND phase = 'ended' AND status NOT IN ('skipped', 'missed') \
                 ORDER BY scheduled_for DESC, retry DESC LIMIT 1",
                (cron_id.to_string(), millis(scheduled_for)),
                |row| Ok((row.get::<String>(0)?, row.get::<i64>(1)?)),
            )?;
            let Some((status, ended_at)) = previous else { return Ok(None) };
            Ok(Some(PreviousRun { status, ended_at: timestamp(ended_at, "ended_at")? }))
        })
        .await
    }
}

/// Adds a line to the timeline of a run.
pub(in crate::store) fn insert_event(
    tx: &Transaction<'_>,
    run_id: RunId,
    event: &RunEvent,
) -> Result<(), StoreError> {
    tx.put(
        "INSERT INTO run_events (run_id, at, event, detail) VALUES (:run_id, :at, :event, :detail)",
        named_params! {
            ":run_id": run_id.to_string(),
            ":at": millis(event.at),
            ":event": event.event.as_str(),
            ":detail": event.reason.as_ref().and_then(|reason| reason.message.as_deref()),
        },
    )?;
    Ok(())
}

/// Schedules the deletion of a thread on the agent server for `due_at`.
pub(in crate::store) fn insert_deletion(
    tx: &Transaction<'_>,
    run_id: RunId,
    thread_id: ThreadId,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    tx.gather(
        thread_id,
        "INSERT INTO thread_deletions (thread_id, run_id, due_at) VALUES (:thread_id, :run_id, :due_at) \
         ON CONFLICT DO NOTHING",
        named_params! {
            ":thread_id": thread_id.to_string(),
            ":run_id": run_id.to_string(),
            ":due_at": millis(due_at),
        },
    )?;
    Ok(())
}
