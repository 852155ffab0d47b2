//! From runs to outcomes: takes due runs in hand, one task each, and lets every task make the next steps of its run:
//! start it, clear a doubt about it, follow it, end it. Each step is committed before the next.

mod backend_breaker;
mod end;
mod follow;
mod reconcile;
mod request;
mod start;
mod start_burst;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Wakes;
use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::Environment;
use crate::domain::backoff;
use crate::domain::bounds::{ASKS_IN_FLIGHT, JOINS_MAX, STARTS_IN_FLIGHT};
use crate::domain::ids::RunId;
use crate::domain::run::RunState;
use crate::domain::secrets::Secrets;
use crate::domain::template::PlaceholderSource;
use crate::store::{ClaimLimits, ClaimedRun, Store, StoreError};
use crate::webhook::LiveSettings;

pub use backend_breaker::BackendBreaker;
use start_burst::StartBurst;

/// While starts go first, whether they still should is asked this often at least.
const BURST_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What the runner goes by.
#[derive(Clone, Debug)]
pub struct RunnerSettings {
    /// Runs that the backend may have at once.
    pub max_concurrent_runs: usize,
    /// Larger values are kept as a digest.
    pub values_bytes_max: usize,
    /// How webhooks are made, and whether they are to be sent.
    pub webhooks: LiveSettings,
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
    /// Whether this server has shown that it honours a fence; false until it has.
    fence_proved: AtomicBool,
    /// Whether it has shown that it does not.
    fence_refuted: AtomicBool,
    joins: Semaphore,
    asks: Semaphore,
    start_burst: StartBurst,
}

impl Runner {
    /// The backend, whose words about this run quote nothing that was filled into its request.
    fn backend_of(&self, claimed: &ClaimedRun) -> AgentClient {
        self.backend.redacting(self.secrets_of(claimed))
    }

    fn secrets_of(&self, claimed: &ClaimedRun) -> Secrets {
        request::secrets(self, claimed, |meaning| match meaning {
            PlaceholderSource::Environment(_) | PlaceholderSource::Credential(_) => true,
            PlaceholderSource::Firing(_) => false,
        })
    }
}

/// The tasks in hand.
#[derive(Default)]
struct RunningTasks {
    tasks: JoinSet<Result<(), StoreError>>,
    runs: HashMap<Id, RunId>,
    nudges: HashMap<RunId, Arc<Notify>>,
    /// Claimed while the task that had the run before was not yet over: it is next.
    waiting: HashMap<RunId, ClaimedRun>,
    starting: Arc<()>,
}

impl Runner {
    /// A runner that does nothing until [`run`].
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
            store,
            backend,
            clock,
            environment,
            settings,
            wakes,
            stop,
            backend_breaker: Arc::default(),
            fence_proved: AtomicBool::new(false),
            fence_refuted: AtomicBool::new(false),
            joins: Semaphore::new(JOINS_MAX),
            asks: Semaphore::new(ASKS_IN_FLIGHT),
            start_burst: StartBurst::new(),
        }
    }

    /// The gate before the backend, to be looked at.
    pub fn backend_breaker(&self) -> Arc<BackendBreaker> {
        Arc::clone(&self.backend_breaker)
    }
}

/// Runs until told to stop, then waits for requests in flight; runs that are going are left to the next start.
pub async fn run(runner: Runner) -> Result<(), StoreError> {
    let runner = Arc::new(runner);
    let mut running = RunningTasks::default();
    loop {
        let next = pass(&runner, &mut running).await?;
        tokio::select! {
            biased;
            () = runner.stop.cancelled() => break,
            Some(done) = running.tasks.join_next_with_id() => reap(&runner, &mut running, done).await?,
            () = runner.wakes.runner.notified() => {}
            () = runner.clock.sleep_until(next) => {}
        }
        // All that is over by now frees its place before the next claim.
        while let Some(done) = running.tasks.try_join_next_with_id() {
            reap(&runner, &mut running, done).await?;
        }
    }
    while let Some(done) = running.tasks.join_next_with_id().await {
        reap(&runner, &mut running, done).await?;
    }
    Ok(())
}

/// Takes in hand what is due; answers when the next is.
async fn pass(runner: &Arc<Runner>, running: &mut RunningTasks) -> Result<Option<Timestamp>, StoreError> {
    let now = runner.clock.now();
    let in_flight = running.starts_in_flight();
    let limits = ClaimLimits {
        starts: runner.backend_breaker.starts_allowed(now, in_flight, STARTS_IN_FLIGHT),
        running_max: runner.settings.max_concurrent_runs,
    };
    let starts_first = runner.start_burst.is_on();
    let claim = match starts_first {
        true => runner.store.claim_starts(now, limits).await?,
        false => runner.store.claim_runs(now, limits).await?,
    };
    let next_probe = runner.backend_breaker.probe_at();
    if claim.more_to_start && next_probe.is_none() {
        runner.start_burst.continues();
    } else if limits.starts > 0 {
        runner.start_burst.ends();
    }
    // Whoever was not looked at for the sake of starts is looked at as soon as these are out.
    let next_check = starts_first.then(|| match runner.start_burst.is_on() {
        true => backoff::after(now, BURST_CHECK_INTERVAL),
        false => now,
    });
    for claimed in claim.cancelled.into_iter().chain(claim.expired).chain(claim.checks).chain(claim.starts) {
        running.take(runner, claimed);
    }
    Ok([claim.next_act_at, next_probe.filter(|at| *at > now), next_check].into_iter().flatten().min())
}

impl RunningTasks {
    fn starts_in_flight(&self) -> usize {
        Arc::strong_count(&self.starting) - 1
    }

    fn take(&mut self, runner: &Arc<Runner>, claimed: ClaimedRun) {
        let run_id = claimed.run.run_id;
        if let Some(nudge) = self.nudges.get(&run_id) {
            match claimed.run.state {
                // Its task follows it; it is told that its row has changed.
                RunState::Running(_) => nudge.notify_one(),
                // Its task has committed its last step, and is only still to be reaped.
                RunState::Pending { .. }
                | RunState::Sending { .. }
                | RunState::Unconfirmed { .. }
                | RunState::Ended { .. } => drop(self.waiting.insert(run_id, claimed)),
            }
            return;
        }
        let nudge = Arc::new(Notify::new());
        self.nudges.insert(run_id, Arc::clone(&nudge));
        let starting =
            matches!(claimed.run.state, RunState::Sending { .. }).then(|| Arc::clone(&self.starting));
        let runner = Arc::clone(runner);
        let task = self.tasks.spawn(async move { act(&runner, claimed, &nudge, starting).await });
        self.runs.insert(task.id(), run_id);
    }
}

/// Makes the next steps of one run.
async fn act(
    runner: &Runner,
    claimed: ClaimedRun,
    nudge: &Notify,
    starting: Option<Arc<()>>,
) -> Result<(), StoreError> {
    let (backend_run, response_stream, fresh) = match &claimed.run.state {
        RunState::Pending { .. } => {
            return match claimed.unwanted {
                Some(cause) => end::unwanted(runner, &claimed, cause).await,
                None => end::expired(runner, &claimed).await,
            };
        }
        RunState::Sending { .. } => match start::start(runner, &claimed).await? {
            None => return Ok(()),
            Some((backend_run, response_stream)) => (backend_run, response_stream, true),
        },
        RunState::Unconfirmed { .. } => match reconcile::resolve(runner, &claimed).await? {
            None => return Ok(()),
            Some(backend_run) => (backend_run, None, false),
        },
        RunState::Running(backend_run) => (backend_run.clone(), None, false),
        RunState::Ended { .. } => return Ok(()),
    };
    if let Some(starting) = starting {
        // The runner's own, and this one.
        let others = Arc::strong_count(&starting).saturating_sub(2);
        drop(starting);
        // The next runs may be sent: many at once, since a claim for every single one would be a transaction for each.
        if others <= STARTS_IN_FLIGHT / 2 {
            runner.wakes.runner.notify_one();
        }
    }
    follow::follow(runner, &claimed, backend_run, response_stream, fresh, nudge).await
}

/// Takes note that a task is over. One that failed or panicked concerns its own run only, unless the store is lost.
async fn reap(
    runner: &Arc<Runner>,
    running: &mut RunningTasks,
    done: Result<(Id, Result<(), StoreError>), JoinError>,
) -> Result<(), StoreError> {
    let (id, result) = match done {
        Ok((id, result)) => (id, Ok(result)),
        Err(error) => (error.id(), Err(error)),
    };
    let run_id = running.runs.remove(&id);
    if let Some(run_id) = run_id {
        running.nudges.remove(&run_id);
        if let Some(next) = running.waiting.remove(&run_id) {
            running.take(runner, next);
        }
    }
    match (result, run_id) {
        (Ok(Ok(())), _) | (Err(_), None) => Ok(()),
        (Ok(Err(problem)), run_id) if problem.concerns_one_operation() => {
            tracing::error!(?run_id, %problem, "a step of a run was refused; it is looked at again after a restart");
            Ok(())
        }
        (Ok(Err(lost)), _) => Err(lost),
        (Err(panic), Some(run_id)) => {
            tracing::error!(%run_id, %panic, "a bug: the task of a run panicked");
            end::broken(runner, run_id).await
        }
    }
}
