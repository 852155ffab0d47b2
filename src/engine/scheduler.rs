//! From calendars to runs: plans what is due, commits it in one transaction, sleeps until the next instant.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::{Clock, StepWatch};
use crate::crash::crash_point;
use crate::domain::bounds::{CRONS_PER_PASS, SLEEP_MAX};
use crate::domain::ids::CronId;
use crate::domain::plan::next_within;
use crate::store::{NoticeKind, PlanResult, ScheduledCron, Store, StoreError};

/// The crons in hand, ordered by when they are to be planned next.
#[derive(Default)]
struct Upcoming {
    crons: HashMap<CronId, ScheduledCron>,
    by_wake: BTreeSet<(Timestamp, CronId)>,
}

/// When it is to act next, for those who ask.
#[derive(Clone, Debug, Default)]
pub struct NextWake(Arc<Mutex<Option<Timestamp>>>);

/// Plans until told to stop.
pub async fn run(
    store: Store,
    clock: Clock,
    wakes: Wakes,
    next_wake: NextWake,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut steps = StepWatch::begin(&clock);
    reset_future_cursors(&store, &clock).await?;
    let mut upcoming = Upcoming::load(&store).await?;
    loop {
        let next = pass(&mut upcoming, &store, &clock, &wakes).await?;
        next_wake.is(next);
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = wakes.scheduler.notified() => upcoming = Upcoming::load(&store).await?,
            () = clock.sleep_until(next) => {}
            // By no clock that can be set: a step is to be seen even if nothing is due for a month.
            () = tokio::time::sleep(SLEEP_MAX) => {}
        }
        if let Some(step) = steps.check(&clock) {
            clock_stepped(&store, &clock, &wakes, step).await?;
            upcoming = Upcoming::load(&store).await?;
        }
    }
}

/// The wall clock was set. Forward, the catch-up policies decide about what was passed over; back, nothing fires twice,
/// and what waits is not to wait longer for it.
async fn clock_stepped(
    store: &Store,
    clock: &Clock,
    wakes: &Wakes,
    step: SignedDuration,
) -> Result<(), StoreError> {
    let now = clock.now();
    let words = step_text(step);
    tracing::warn!(%now, "clock step: {words} (the clock was set, or the machine slept)");
    store.notice(now, NoticeKind::ClockStep, Some(words)).await?;
    if step.is_negative() {
        store.clock_set_back(now, step).await?;
        reset_future_cursors(store, clock).await?;
    }
    for wake in [&wakes.runner, &wakes.courier, &wakes.janitor] {
        wake.notify_one();
    }
    Ok(())
}

async fn reset_future_cursors(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    let now = clock.now();
    for cron in store.reset_future_cursors(now).await? {
        tracing::warn!(cron, %now, "was planned far into the future, by a clock that was wrong; begins again now");
    }
    Ok(())
}

/// `+3h 0m`, `-10m 0s`.
fn step_text(step: SignedDuration) -> String {
    let sign = if step.is_negative() { '-' } else { '+' };
    let seconds = step.unsigned_abs().as_secs();
    match seconds {
        0..60 => format!("{sign}{seconds}s"),
        60..3600 => format!("{sign}{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{sign}{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Plans what is due; answers when the next is.
async fn pass(
    upcoming: &mut Upcoming,
    store: &Store,
    clock: &Clock,
    wakes: &Wakes,
) -> Result<Option<Timestamp>, StoreError> {
    let now = clock.now();
    let due = upcoming.take_due(now);
    if due.is_empty() {
        return Ok(upcoming.next_wake());
    }
    crash_point("occurrences_due").await;
    let mut planning = pin!(store.plan_due(now, due.clone()));
    let planned = tokio::select! {
        biased;
        planned = &mut planning => planned?,
        // It is in the writer's queue now. A runner that looks already gets the place behind it, and so the same
        // commit; one that looks too early is woken again below.
        () = std::future::ready(()) => {
            wakes.runner.notify_one();
            planning.await?
        }
    };
    crash_point("occurrences_committed").await;
    let mut fired = 0;
    let mut is_stale = false;
    for (mut scheduled, result) in due.into_iter().zip(planned) {
        match result {
            PlanResult::Planned(planned) => {
                fired += planned.fired;
                scheduled.cursor = planned.cursor;
                upcoming.insert(scheduled, planned.next_wake);
            }
            PlanResult::Stale => is_stale = true,
        }
    }
    if fired > 0 {
        tracing::debug!(fired, "occurrences are due");
        wakes.runner.notify_one();
    }
    if is_stale {
        // Crons were changed meanwhile, and the wake that says so may be on its way or lost.
        *upcoming = Upcoming::load(store).await?;
    }
    Ok(upcoming.next_wake())
}

impl NextWake {
    /// The next instant that any calendar names.
    pub fn next(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, next: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Upcoming {
    async fn load(store: &Store) -> Result<Self, StoreError> {
        let mut upcoming = Self::default();
        for scheduled in store.scheduled_crons().await? {
            let next_wake = next_within(&scheduled.cron, scheduled.cursor);
            upcoming.insert(scheduled, next_wake);
        }
        Ok(upcoming)
    }

    fn insert(&mut self, scheduled: ScheduledCron, next_wake: Option<Timestamp>) {
        if let Some(at) = next_wake {
            self.by_wake.insert((at, scheduled.cron.cron_id));
            self.crons.insert(scheduled.cron.cron_id, scheduled);
        }
    }

    /// At most [`CRONS_PER_PASS`]; what is left is due at once.
    fn take_due(&mut self, now: Timestamp) -> Vec<ScheduledCron> {
        let mut due = Vec::new();
        while due.len() < CRONS_PER_PASS
            && let Some((at, cron_id)) = self.by_wake.first().copied()
            && at <= now
        {
            self.by_wake.pop_first();
            due.extend(self.crons.remove(&cron_id));
        }
        due
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.by_wake.first().map(|(at, _)| *at)
    }
}
