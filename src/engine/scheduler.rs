//! Turns calendars into runs: plans what is due, commits it in one transaction, and sleeps until the next
//! instant.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::clock::{Clock, StepWatch};
use crate::crash::crash_point;
use crate::domain::bounds::{CLOCK_EARLIEST, CLOCK_STEP_MIN, CRONS_PER_PASS, SLEEP_MAX, ZONES_CHECKED_EVERY};
use crate::domain::cron::Cron;
use crate::domain::ids::CronId;
use crate::domain::outage::{Away, Outage};
use crate::store::{FormerDaemon, NewNotice, NoticeKind, PlanResult, ScheduledCron, Store, StoreError};

/// The crons in memory, ordered by when they must be planned next.
#[derive(Default)]
struct Upcoming {
    crons: HashMap<CronId, ScheduledCron>,
    by_wake: BTreeSet<(Timestamp, CronId)>,
}

/// The instant at which the scheduler acts next, and for which cron.
#[derive(Clone, Debug, Default)]
pub struct NextWake(Arc<Mutex<NextCron>>);

type NextCron = Option<(Timestamp, Arc<Cron>)>;

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
    let mut upcoming = Upcoming::load(store, clock).await?;
    loop {
        let next = pass(&scheduler, &mut upcoming).await?;
        next_wake.set(upcoming.next_cron());
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = wakes.scheduler.notified() => upcoming = Upcoming::load(store, clock).await?,
            () = clock.sleep_until(next) => {}
            // By a clock that cannot be set: a step must be noticed even if nothing is due for a month.
            () = tokio::time::sleep(SLEEP_MAX) => {}
        }
        if let Some(step) = steps.check(clock) {
            clock_stepped(&scheduler, step).await?;
            upcoming = Upcoming::load(store, clock).await?;
        }
        if clock.is_past(zones_due) {
            zones_due = clock.deadline(clock.now(), ZONES_CHECKED_EVERY);
            if store.zones_changed() {
                upcoming = Upcoming::load(store, clock).await?;
            }
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
        let since = now.saturating_sub(step).unwrap_or(now);
        let why = "the clock was set forward, or the machine was asleep".to_owned();
        let (what, subject, until) = (Away::Daemon, String::new(), Some(now));
        store.save_outages(vec![Outage { what, subject, since, until, why }]).await?;
    }
    for wake in [&wakes.runner, &wakes.courier, &wakes.janitor] {
        wake.notify_one();
    }
    Ok(())
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

/// Plans what is due, and returns when something is due next.
async fn pass(scheduler: &Scheduler, upcoming: &mut Upcoming) -> Result<Option<Timestamp>, StoreError> {
    let Scheduler { store, clock, wakes, .. } = scheduler;
    let now = clock.now();
    let due = upcoming.take_due(now);
    if due.is_empty() {
        return Ok(upcoming.next_wake());
    }
    crash_point("occurrences_due").await;
    let planned = queued_first(store.plan_due(now, due.clone()), || wakes.runner.notify_one()).await?;
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
        tracing::debug!(fired, "fired occurrences");
        wakes.runner.notify_one();
    }
    if is_stale {
        // Crons were changed meanwhile, and the wake for it may be on its way or lost.
        *upcoming = Upcoming::load(store, clock).await?;
    }
    Ok(upcoming.next_wake())
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

    /// Returns that instant and its cron.
    pub fn next_cron(&self) -> Option<(Timestamp, Arc<Cron>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, next: NextCron) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Upcoming {
    async fn load(store: &Store, clock: &Clock) -> Result<Self, StoreError> {
        let mut crons = store.scheduled_crons().await?;
        let now = clock.now();
        if crons.iter().any(|scheduled| scheduled.cursor > now) {
            // A request that began before the clock was set back has planned by the old clock.
            store.clock_set_back(now, SignedDuration::ZERO).await?;
            crons = store.scheduled_crons().await?;
        }
        let decided = store.decided(now).await?;
        let mut upcoming = Self::default();
        for scheduled in crons {
            let next_wake = decided.next_within(&scheduled.cron, scheduled.cursor);
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

    /// Removes and returns the crons that are due, at most [`CRONS_PER_PASS`]; the others are due in the next
    /// pass.
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

    fn next_cron(&self) -> NextCron {
        let (at, cron_id) = self.by_wake.first()?;
        Some((*at, Arc::clone(&self.crons.get(cron_id)?.cron)))
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.by_wake.first().map(|(at, _)| *at)
    }
}
