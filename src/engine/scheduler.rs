//! Turns calendars into runs: plans what is due, commits it in one transaction, and sleeps until the next
//! instant.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::{Clock, StepWatch};
use crate::crash::crash_point;
use crate::domain::bounds::{CLOCK_EARLIEST, CLOCK_STEP_MIN, ON_TIME_WITHIN, SLEEP_MAX, ZONES_CHECKED_EVERY};
use crate::domain::outage::{Away, Outage};
use crate::store::{FormerDaemon, NewNotice, NextPlan, NoticeKind, Store, StoreError};

/// The instant at which the scheduler acts next, and for which cron.
#[derive(Clone, Debug, Default)]
pub struct NextWake(Arc<Mutex<NextPlan>>);

/// What the scheduler needs.
pub struct Scheduler {
    pub store: Store,
    pub clock: Clock,
    pub wakes: Wakes,
    /// Where the scheduler shows when it acts next.
    pub next_wake: NextWake,
}

/// Plans until it is stopped.
pub async fn run(scheduler: Scheduler, stop: CancellationToken) -> Result<(), StoreError> {
    let Scheduler { store, clock, wakes, next_wake } = &scheduler;
    let mut steps = StepWatch::begin(clock);
    let mut zones_due = clock.deadline(clock.now(), ZONES_CHECKED_EVERY);
    // Zone rules may have changed since the former daemon.
    store.replan_all().await?;
    let mut next = store.next_plan().await?;
    loop {
        next = plan_due(&scheduler, next).await?;
        next_wake.set(next.clone());
        let slept_from = Instant::now();
        let woken = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = wakes.scheduler.notified() => true,
            () = clock.sleep_until(next.as_ref().map(|(at, _)| *at)) => false,
            // By a clock that cannot be set: a step must be noticed even if nothing is due for a month.
            () = tokio::time::sleep(SLEEP_MAX) => false,
        };
        if slept_from.elapsed() > ON_TIME_WITHIN {
            stood_still(&scheduler, slept_from.elapsed()).await?;
        }
        let step = steps.check(clock);
        if let Some(step) = step {
            clock_stepped(&scheduler, step).await?;
        }
        let zones_changed = clock.is_past(zones_due) && {
            zones_due = clock.deadline(clock.now(), ZONES_CHECKED_EVERY);
            store.replan_if_zones_changed().await?
        };
        if woken || step.is_some() || zones_changed {
            next = store.next_plan().await?;
        }
    }
}

/// Handles a step of the wall clock. After a step forward, the catch-up policies decide about the occurrences
/// that were passed over. After a step back, nothing fires twice, and what waits does not wait longer because
/// of it.
async fn clock_stepped(scheduler: &Scheduler, step: SignedDuration) -> Result<(), StoreError> {
    let Scheduler { store, clock, wakes, .. } = scheduler;
    let now = clock.now();
    let message = step_text(step);
    tracing::warn!(%now, step = message, "clock stepped; it was set, or the machine slept");
    store.notice(now, NoticeKind::ClockStep, Some(NewNotice::single(message))).await?;
    if step.is_negative() {
        store.clock_set_back(now, step).await?;
    } else {
        was_down(store, now, step.unsigned_abs(), "the clock was set forward, or the machine was asleep")
            .await?;
    }
    for wake in [&wakes.runner, &wakes.courier, &wakes.janitor] {
        wake.notify_one();
    }
    Ok(())
}

/// Handles that this process has not run for a while.
async fn stood_still(scheduler: &Scheduler, length: Duration) -> Result<(), StoreError> {
    let Scheduler { store, clock, .. } = scheduler;
    let length_shown = humantime::format_duration(Duration::from_secs(length.as_secs()));
    tracing::warn!("the daemon stood still for {length_shown}: it was frozen, or the machine was too busy");
    was_down(store, clock.now(), length, "it stood still: it was frozen, or the machine was too busy").await
}

/// Records the time until now as an outage of the daemon.
async fn was_down(store: &Store, now: Timestamp, length: Duration, why: &str) -> Result<(), StoreError> {
    let since = now.saturating_sub(length).unwrap_or(now);
    store.save_outages(vec![Outage::new(Away::Daemon, since, Some(now), why)]).await
}

/// Handles a step back that happened while no daemon was running: a former one has stored a later time than `clock` shows.
/// This must happen before anything is planned.
pub async fn find_step_while_down(
    store: &Store,
    clock: &Clock,
    former: Option<FormerDaemon>,
) -> Result<(), StoreError> {
    let now = clock.now();
    if now < CLOCK_EARLIEST {
        // The clock has not been set yet, and will go forward.
        return Ok(());
    }
    let Some(latest) = former.map(|former| former.seen_at).filter(|latest| *latest > now) else {
        return Ok(());
    };
    let step = now.duration_since(latest);
    store.clock_set_back(now, step).await?;
    if step.unsigned_abs() >= CLOCK_STEP_MIN {
        let message = format!("{} or more, while no daemon was running", step_text(step));
        tracing::warn!(%now, step = message, "clock stepped; it was set");
        store.notice(now, NoticeKind::ClockStep, Some(NewNotice::single(message))).await?;
    }
    Ok(())
}

/// Returns a step as text, such as `+3h 0m` or `-10m 0s`.
fn step_text(step: SignedDuration) -> String {
    let sign = if step.is_negative() { '-' } else { '+' };
    let seconds = step.unsigned_abs().as_secs();
    match seconds {
        0..60 => format!("{sign}{seconds}s"),
        60..3600 => format!("{sign}{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{sign}{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Plans what is due, from `next` on, and returns which cron is planned next, and when.
async fn plan_due(scheduler: &Scheduler, mut next: NextPlan) -> Result<NextPlan, StoreError> {
    let Scheduler { store, clock, wakes, .. } = scheduler;
    loop {
        let now = clock.now();
        if next.as_ref().is_none_or(|(at, _)| *at > now) {
            return Ok(next);
        }
        crash_point("occurrences_due").await;
        let planned = queued_first(store.plan_due(now), || wakes.runner.notify_one()).await?;
        crash_point("occurrences_committed").await;
        if planned.fired > 0 {
            tracing::debug!(fired = planned.fired, "fired occurrences");
            wakes.runner.notify_one();
        }
        if planned.is_ahead {
            // A request that began before the clock was set back has planned by the old clock.
            store.clock_set_back(now, SignedDuration::ZERO).await?;
        }
        next = planned.next;
    }
}

/// Puts a transaction into the writer's queue, then calls `wake`, and returns the result of the transaction.
///
/// The first poll of the future queues the transaction; only after that is the runner woken, so that its
/// claim is queued behind the plan and shares the plan's commit. A runner that claims too early is woken
/// again after the commit.
async fn queued_first<T>(transaction: impl Future<Output = T>, wake: impl FnOnce()) -> T {
    let mut transaction = pin!(transaction);
    tokio::select! {
        biased;
        done = &mut transaction => done,
        () = std::future::ready(()) => {
            wake();
            transaction.await
        }
    }
}

impl NextWake {
    /// Returns the next instant that any calendar names.
    pub fn next(&self) -> Option<Timestamp> {
        self.next_cron().map(|(at, _)| at)
    }

    /// Returns that instant and the name of its cron.
    pub fn next_cron(&self) -> NextPlan {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, next: NextPlan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
