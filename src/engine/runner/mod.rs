//! Plans the crons that are due, claims the runs that are, and drives each to completion in a task of its own: start it,
//! reconcile an unconfirmed start, follow it, end it. Each step is committed before the next one is made.

mod absence;
mod access;
mod backend_breaker;
mod breakpoints;
mod cancellation;
mod clock_watch;
mod conclusion;
mod end;
mod end_details;
mod fence_support;
mod follow;
mod judge;
mod missing_values;
mod reconcile;
mod request;
mod start;
mod start_burst;
mod starts_in_flight;
mod store_copy;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::lacking::Lacking;
use super::{Denials, Wakes};
use crate::backend::{AgentClient, ResponseStream};
use crate::clock::Clock;
use crate::config::{Environment, Live};
use crate::crash::crash_point;
use crate::domain::backoff;
use crate::domain::bounds::{JOINS_MAX, QUERIES_IN_FLIGHT, SLEEP_MAX, STARTS_IN_FLIGHT};
use crate::domain::ids::RunId;
use crate::domain::retention::Retention;
use crate::domain::run::{BackendRun, RunState};
use crate::domain::secrets::Secrets;
use crate::domain::template::PlaceholderSource;
use crate::pulse::Pulse;
use crate::store::{ClaimLimits, ClaimedRun, HeldRun, NextPlan, Sharing, Store, StoreError};
use crate::webhook::LiveSettings;

pub use backend_breaker::BackendBreaker;
use breakpoints::Breakpoints;
use clock_watch::ClockWatch;
pub use clock_watch::find_step_while_down;
use fence_support::FenceSupport;
use start_burst::StartBurst;
use starts_in_flight::{StartInFlight, StartsInFlight};
use store_copy::StoreCopy;

/// While starts go first, whether they still should is checked at least this often.
const BURST_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The settings of the runner.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// How many runs the backend may have at the same time, those of all daemons that share the store together.
    pub max_concurrent_runs: usize,
    /// Larger values are stored as a digest.
    pub values_bytes_max: usize,
    pub webhooks: LiveSettings,
    /// What is kept of what has no rules of its own.
    pub retention: Live<Retention>,
}

/// What every task of the runner needs.
pub struct Runner {
    store: Store,
    backend: AgentClient,
    clock: Clock,
    environment: Environment,
    settings: RunnerSettings,
    wakes: Wakes,
    stop: CancellationToken,
    backend_breaker: Arc<BackendBreaker>,
    denials: Denials,
    fence_support: Mutex<FenceSupport>,
    breakpoints: Breakpoints,
    joins: Semaphore,
    queries: Semaphore,
    start_burst: StartBurst,
    started_at: Timestamp,
    store_copy: StoreCopy,
    next_wake: NextWake,
    lacking: Lacking,
}

/// A claimed run, with what its task needs for all of its steps.
struct RunTask<'a> {
    runner: &'a Runner,
    claimed: &'a ClaimedRun,
    /// The secrets that were filled into the run's request. They are collected once, because that means walking
    /// through the whole payload.
    secrets: Secrets,
    /// A client that redacts these secrets from error texts.
    backend: AgentClient,
}

impl<'a> RunTask<'a> {
    fn new(runner: &'a Runner, claimed: &'a ClaimedRun) -> Self {
        let secrets = request::secrets(runner, claimed, |source| match source {
            PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_) => true,
            PlaceholderSource::Firing(_) => false,
        });
        let backend = runner.backend.redacting(secrets.clone());
        Self { runner, claimed, secrets, backend }
    }
}

/// What a task does after it has started or reconciled its run.
enum NextStep {
    Follow(AcceptedRun),
    /// The run has ended, or its next step is due later and is claimed then.
    Leave,
}

/// A run that the backend has accepted.
struct AcceptedRun {
    backend_run: BackendRun,
    /// The rest of the answer that accepted it.
    response_stream: Option<ResponseStream>,
    watched: Watched,
}

/// Since when we have been watching a run. `join` reports the state of the run's thread at that moment: this
/// is certainly the end of this run only if we were watching before the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    BeforeItsEnd,
    PerhapsAfterItsEnd,
}

impl AcceptedRun {
    /// Returns a run that was accepted some time ago and may have ended since.
    fn accepted_earlier(backend_run: BackendRun) -> Self {
        Self { backend_run, response_stream: None, watched: Watched::PerhapsAfterItsEnd }
    }
}

/// The tasks of claimed runs.
#[derive(Default)]
struct RunningTasks {
    tasks: JoinSet<Result<(), StoreError>>,
    runs: HashMap<Id, HeldRun>,
    /// Those whose runs have a place at the backend.
    in_places: HashSet<Id>,
    /// By run: under which claim its task holds it, and how that task is told to look at it.
    nudges: HashMap<RunId, (u32, Arc<Notify>)>,
    /// Runs that were claimed again before their former task was reaped; they are next.
    waiting: HashMap<RunId, ClaimedRun>,
    starts: StartsInFlight,
}

impl Runner {
    /// Makes a runner, which does nothing until [`run`].
    pub fn new(
        store: Store,
        backend: AgentClient,
        clock: Clock,
        environment: Environment,
        settings: RunnerSettings,
        wakes: Wakes,
        stop: CancellationToken,
    ) -> Self {
        Self {
            started_at: clock.now(),
            store_copy: StoreCopy::default(),
            store,
            denials: Denials::of(&backend),
            backend,
            clock,
            environment,
            settings,
            wakes,
            stop,
            backend_breaker: Arc::default(),
            fence_support: Mutex::default(),
            breakpoints: Breakpoints::default(),
            joins: Semaphore::new(JOINS_MAX),
            queries: Semaphore::new(QUERIES_IN_FLIGHT),
            start_burst: StartBurst::new(),
            next_wake: NextWake::default(),
            lacking: Lacking::default(),
        }
    }

    /// Returns the circuit breaker of the backend, so that its state can be reported.
    pub fn backend_breaker(&self) -> Arc<BackendBreaker> {
        Arc::clone(&self.backend_breaker)
    }

    /// Returns what the agent server refuses us, for others to add to it.
    pub fn denials(&self) -> Denials {
        self.denials.clone()
    }

    /// Returns where the runner looks which values are lacking here.
    pub fn lacking(&self) -> Lacking {
        self.lacking.clone()
    }

    /// Returns where the runner shows which cron it plans next.
    pub fn next_wake(&self) -> NextWake {
        self.next_wake.clone()
    }

    /// Makes a query when it is its turn, so that the number of connections stays bounded even if thousands of
    /// runs are recovered at once.
    async fn in_turn<T>(&self, query: impl Future<Output = T>) -> T {
        let _permit = self.queries.acquire().await;
        query.await
    }
}

/// Plans and drives runs until it is stopped, then waits for the requests in flight. Runs in progress are recovered by
/// the next start.
pub async fn run(runner: Runner, pulse: Pulse) -> Result<(), StoreError> {
    let runner = Arc::new(runner);
    let mut watch =
        ClockWatch::begin(runner.store.clone(), runner.clock.clone(), runner.wakes.clone()).await?;
    let mut running = RunningTasks::default();
    let mut pass = Pass::default();
    while !runner.stop.is_cancelled() {
        pulse.busy();
        pass = make_pass(&runner, &mut running, pass).await?;
        loop {
            pulse.idle();
            let slept_from = Instant::now();
            let is_due = tokio::select! {
                biased;
                () = runner.stop.cancelled() => break,
                Some(done) = running.tasks.join_next_with_id() => {
                    pulse.busy();
                    reap(&runner, &mut running, done).await?;
                    // Every task that has finished by now is reaped before the next claim.
                    while let Some(done) = running.tasks.try_join_next_with_id() {
                        reap(&runner, &mut running, done).await?;
                    }
                    // What has ended may have been in the way of a run that waits.
                    pass.has_waiting
                }
                () = runner.wakes.runner.notified() => true,
                () = runner.clock.sleep_until(pass.next_at) => true,
                // By a clock that cannot be set: a step must be noticed even if nothing is due for a month.
                () = tokio::time::sleep(SLEEP_MAX) => false,
            };
            pulse.busy();
            if watch.look(slept_from.elapsed()).await? || is_due {
                break;
            }
        }
    }
    while let Some(done) = running.tasks.join_next_with_id().await {
        reap(&runner, &mut running, done).await?;
    }
    Ok(())
}

/// What the runner knows after a pass.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// When the next pass is due.
    next_at: Option<Timestamp>,
    /// When crons are to be planned next.
    plan_at: Option<Timestamp>,
    /// Whether a run or a cron that is due waits.
    has_waiting: bool,
}

/// Plans and claims what is due.
async fn make_pass(
    runner: &Arc<Runner>,
    running: &mut RunningTasks,
    former: Pass,
) -> Result<Pass, StoreError> {
    let now = runner.clock.now();
    let in_flight = running.starts.count();
    let limits = ClaimLimits {
        starts: runner.backend_breaker.starts_allowed(now, in_flight, STARTS_IN_FLIGHT),
        in_flight,
        running_max: runner.settings.max_concurrent_runs,
        own_places: running.own_places(runner),
    };
    if former.plan_at.is_some_and(|at| at <= now) {
        crash_point("occurrences_due").await;
    }
    let starts_first = runner.start_burst.is_on();
    let claim = match starts_first {
        true => runner.store.claim_starts(now, limits).await?,
        false => runner.store.claim_runs(now, limits).await?,
    };
    let planned = claim.planned;
    if planned.fired > 0 {
        crash_point("occurrences_committed").await;
        tracing::debug!(fired = planned.fired, "fired occurrences");
    }
    if planned.is_ahead {
        // A request that began before the clock was set back has planned by the old clock.
        runner.store.clock_set_back(now, SignedDuration::ZERO).await?;
    }
    runner.next_wake.set(planned.next);
    let next_probe = runner.backend_breaker.probe_at();
    if claim.more_to_start && next_probe.is_none() {
        runner.start_burst.continues();
    } else if limits.starts > 0 {
        runner.start_burst.ends();
    }
    // Runs that were not checked because starts went first are checked as soon as these starts are out.
    let next_check = starts_first.then(|| match runner.start_burst.is_on() {
        true => backoff::after(now, BURST_CHECK_INTERVAL),
        false => now,
    });
    for claimed in claim.cancelled.into_iter().chain(claim.expired).chain(claim.checks).chain(claim.starts) {
        running.spawn(runner, claimed);
    }
    let next_probe = next_probe.filter(|at| *at > now);
    let next_at = [claim.next_act_at, planned.pass_at, next_probe, next_check].into_iter().flatten().min();
    running.starts.set_more(claim.more_to_start);
    Ok(Pass { next_at, plan_at: planned.pass_at, has_waiting: claim.has_waiting || claim.more_to_start })
}

/// Which cron is planned next, and when, for others to see.
#[derive(Clone, Debug, Default)]
pub struct NextWake(Arc<Mutex<NextPlan>>);

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

impl RunningTasks {
    /// Returns how many more runs this daemon may have, if others have the others.
    fn own_places(&self, runner: &Runner) -> usize {
        match runner.store.sharing() {
            Sharing::Alone => usize::MAX,
            Sharing::Shared => {
                let share = runner.store.members().share(runner.settings.max_concurrent_runs);
                share.saturating_sub(self.in_places.len())
            }
        }
    }

    /// Spawns a task for a claimed run, unless it has one.
    fn spawn(&mut self, runner: &Arc<Runner>, claimed: ClaimedRun) {
        let held = claimed.held();
        let run_id = held.run_id;
        if let Some((claim, nudge)) = self.nudges.get(&run_id) {
            // Its task looks at the row, which has changed.
            nudge.notify_one();
            if *claim != held.claim {
                // It has made its last step, or finds that it does not hold the run any more, but has not been reaped yet.
                self.waiting.insert(run_id, claimed);
            }
            return;
        }
        let nudge = Arc::new(Notify::new());
        self.nudges.insert(run_id, (held.claim, Arc::clone(&nudge)));
        let starting = match claimed.run.state {
            RunState::Sending { .. } => Some(self.starts.begin()),
            RunState::Pending { .. }
            | RunState::Unconfirmed { .. }
            | RunState::Running(_)
            | RunState::Ended { .. } => None,
        };
        let has_place = claimed.run.cron.is_some()
            && !matches!(claimed.run.state, RunState::Pending { .. } | RunState::Ended { .. });
        let runner = Arc::clone(runner);
        let task = self.tasks.spawn(async move { act(&runner, claimed, &nudge, starting).await });
        self.runs.insert(task.id(), held);
        if has_place {
            self.in_places.insert(task.id());
        }
    }
}

/// Makes the next steps of one run.
async fn act(
    runner: &Runner,
    claimed: ClaimedRun,
    nudge: &Notify,
    starting: Option<StartInFlight>,
) -> Result<(), StoreError> {
    let _depends = runner.backend.contact().depend();
    let task = RunTask::new(runner, &claimed);
    let next_step = match &claimed.run.state {
        RunState::Pending { .. } => {
            return match claimed.unwanted {
                Some(cause) => end::unwanted(&task, cause).await,
                None => end::expired(&task, claimed.run.send_count).await,
            };
        }
        RunState::Sending { .. } => start::start(&task).await?,
        RunState::Unconfirmed { start_number, sent_at, .. } => {
            reconcile::reconcile(&task, *start_number, *sent_at).await?
        }
        RunState::Running(backend_run) => {
            NextStep::Follow(AcceptedRun::accepted_earlier(backend_run.clone()))
        }
        RunState::Ended { .. } => NextStep::Leave,
    };
    let NextStep::Follow(accepted) = next_step else {
        // It may wait for another instant now, such as its start deadline.
        runner.wakes.runner.notify_one();
        return Ok(());
    };
    if let Some(starting) = starting {
        // The next runs may be sent: many at once, since a claim for every single one would be a transaction
        // for each.
        if starting.end().is_some_and(|others| others <= STARTS_IN_FLIGHT / 2) {
            runner.wakes.runner.notify_one();
        }
    }
    follow::follow(&task, accepted, nudge).await
}

/// Reaps a finished task. A failure or a panic concerns its own run only, unless the store is lost.
async fn reap(
    runner: &Arc<Runner>,
    running: &mut RunningTasks,
    done: Result<(Id, Result<(), StoreError>), JoinError>,
) -> Result<(), StoreError> {
    let (id, result) = match done {
        Ok((id, result)) => (id, Ok(result)),
        Err(error) => (error.id(), Err(error)),
    };
    let held = running.runs.remove(&id);
    running.in_places.remove(&id);
    let run_id = held.map(|held| held.run_id);
    if let Some(run_id) = run_id {
        running.nudges.remove(&run_id);
        if let Some(next) = running.waiting.remove(&run_id) {
            running.spawn(runner, next);
        }
    }
    match (result, held) {
        (Ok(Ok(()) | Err(StoreError::NotHeld)), _) | (Err(_), None) => Ok(()),
        (Ok(Err(problem)), _) if problem.concerns_one_operation() => {
            tracing::error!(?run_id, %problem, "run step refused; it is made again after a restart");
            Ok(())
        }
        (Ok(Err(lost)), _) => Err(lost),
        (Err(panic), Some(held)) => {
            tracing::error!(run_id = %held.run_id, %panic, "run task panicked; this is a bug");
            end::broken(runner, held).await
        }
    }
}
