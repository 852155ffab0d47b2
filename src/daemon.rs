//! The only place that constructs, spawns, supervises and drains the loops. The world is passed in as an
//! argument, so the same daemon runs under systemd, in the demo and in simulation.

mod engine;
mod files;
mod generations;
mod in_force;
mod listening;
mod mistakes;
mod reload;
mod restart;
mod status_line;
#[cfg_attr(not(target_os = "linux"), path = "daemon/watch_nothing.rs")]
mod watch;
mod watchdog;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, AccessRules, AgentServer, Api, Gateway, HeldBodies, Listeners};
use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::{self, CommonSettings, Config, Environment, KeptCron, Live, Loss};
use crate::domain::bounds::{ROOM_LOOKED_FOR_EVERY, STOP_RECORDED_WITHIN};
use crate::domain::generation::Adoption;
use crate::domain::ids::InstallationId;
use crate::domain::outage::Outage;
use crate::domain::retention::Retention as Rules;
use crate::engine::lease;
use crate::engine::outages::Outages;
use crate::engine::reloads::Reloads;
use crate::engine::retention;
use crate::engine::runner::{self, RunnerSettings};
use crate::engine::{Health, Wakes};
use crate::pulse::{Pulse, Pulses};
use crate::store::{
    self, DaemonLock, Execution, FormerDaemon, NewNotice, NoticeKind, Place, Predecessor, Reading, Recovered,
    Sharing, Store, StoreError,
};
use crate::transport::{Guard, Relay, Transport};
use crate::webhook::LiveSettings;

pub use watchdog::Watchdog;

use engine::{Engine, RUNNER};
use generations::Follower;
use in_force::{SettingsInForce, proposal};
use reload::{LiveWriters, Reload};

/// The surroundings of a daemon.
pub struct World {
    pub config: Config,
    pub environment: Environment,
    pub clock: Clock,
    /// Connects to the agent server.
    pub backend: Transport,
    /// Connects to the receivers of webhooks; the configured policy for URLs is applied on top.
    pub receivers: Transport,
    pub execution: Execution,
    /// Whether other daemons may have the store at the same time.
    pub sharing: Sharing,
    /// By which people know this machine among those of the others.
    pub host: String,
    /// The id that the store gets if it is created now; an existing store keeps its own.
    pub new_installation: InstallationId,
    /// The socket on which the command line reaches the daemon; `None` for no socket.
    pub socket: Option<PathBuf>,
    /// The TCP address on which clients reach the daemon; `None` for no port.
    pub listen: Option<SocketAddr>,
    /// Forwards the requests of clients to the agent server; `None` if they are not forwarded.
    pub relay: Option<Relay>,
    /// Notified when the files must be read again; the daemon also watches them. With `None` it reads them at
    /// its start only.
    pub reload: Option<Arc<Notify>>,
    /// Whoever manages this service; `None` if nobody does.
    pub manager: Option<ServiceManager>,
    /// How it is watched; `None` if it is not.
    pub watchdog: Option<Watchdog>,
}

/// How the manager of a service is told what the daemon does.
#[derive(Clone, Copy)]
pub struct ServiceManager {
    /// Shows a line about the state of the daemon.
    pub status: fn(&str),
    /// The files are read again, because somebody has asked for it.
    pub reloading: fn(),
    /// What was asked for is done.
    pub reloaded: fn(),
}

/// Why a daemon ended that was not asked to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store failed: nothing true can be reported without it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A loop ended by itself: a bug.
    #[error("the {0} ended by itself; this is a bug")]
    LoopEnded(&'static str),
}

/// The loops by name.
type Loops = JoinSet<(&'static str, Result<(), StoreError>)>;

/// Runs the daemon until `stop`, then drains it: what is in flight is finished within the configured grace.
///
/// `ready` is called once everything is up.
///
/// # Errors
/// See [`DaemonError`]. The service manager starts the daemon again, which then reads the truth from the
/// store.
pub async fn serve(
    mut world: World,
    ready: impl FnOnce(),
    stop: CancellationToken,
) -> Result<(), DaemonError> {
    if world.sharing == Sharing::Shared {
        world.config = world.config.of_several();
    }
    let Some(store) = open(&world, &stop).await? else { return Ok(()) };
    let prepared = tokio::select! {
        biased;
        // A full disk may make this wait; nothing is in flight yet that would have to be finished.
        () = stop.cancelled() => {
            at_the_end(store.record_stop(world.clock.now())).await?;
            return Ok(leave(&store, &world.clock).await?);
        }
        prepared = prepare(&world, &store) => prepared?,
    };
    let (grace, clock) = (world.config.shutdown_grace, world.clock.clone());
    let (watchdog, watch_stop) = (world.watchdog, stop.clone());
    let (mut loops, pulses) = spawn(world, store.clone(), prepared, &stop);
    ready();
    let _watching = watchdog.map(|watchdog| watchdog::begin(watchdog, pulses, store.clone(), watch_stop));
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ended = loops.join_next() => ended,
    };
    if let Some(ended) = ended {
        stop.cancel();
        let result = result_of_ended_loop(ended);
        drain(&mut loops, grace, async || Ok(())).await?;
        return result;
    }
    // What is no longer looked after is for others at once; what is in flight goes on.
    let hand_over_runs = async || {
        let runs = async || store.hand_over_runs(clock.now()).await.map(|_| ());
        if store.sharing() == Sharing::Shared { at_the_end(runs()).await } else { Ok(()) }
    };
    let recorded = at_the_end(store.record_stop(clock.now()));
    let ended = async { tokio::join!(drain(&mut loops, grace, hand_over_runs), recorded) };
    let (drained, recorded) = tokio::select! {
        biased;
        ended = ended => ended,
        lost = lease::live_on(&store) => return Err(lost.into()),
    };
    drained?;
    recorded?;
    Ok(leave(&store, &clock).await?)
}

/// Hands over what is left, where others are there to take it.
async fn leave(store: &Store, clock: &Clock) -> Result<(), StoreError> {
    match store.sharing() {
        Sharing::Alone => Ok(()),
        Sharing::Shared => at_the_end(async { store.hand_over(clock.now()).await.map(|_| ()) }).await,
    }
}

/// Waits for a last change. A store that cannot commit now must not keep the daemon from ending.
async fn at_the_end(change: impl Future<Output = Result<(), StoreError>>) -> Result<(), StoreError> {
    tokio::time::timeout(STOP_RECORDED_WITHIN, change).await.unwrap_or(Ok(()))
}

/// Opens the store, waiting as long as the disk has no room for it. Returns `None` if it is stopped meanwhile.
async fn open(world: &World, stop: &CancellationToken) -> Result<Option<Store>, StoreError> {
    let place = Place::of(&world.config.store.location)?;
    let lock = Arc::new(match (place.file(), world.sharing) {
        (Some(path), Sharing::Alone) => DaemonLock::take(path)?,
        _ => DaemonLock::waived(),
    });
    let mut waited = None;
    loop {
        let (execution, id, clock) = (world.execution.clone(), world.new_installation, &world.clock);
        match Store::open_locked(&lock, &place, execution, id, clock.clone(), waited.clone()) {
            Err(error) if error.passes() && waited.is_none() => {
                tracing::error!(%error, "the store cannot be opened; nothing is fired until it can");
                lock.tell_no_room(clock.now());
                waited = Some((clock.now(), error.to_string()));
            }
            Err(error) if error.passes() => {}
            opened => return opened.map(Some),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(ROOM_LOOKED_FOR_EVERY) => {}
        }
    }
}

/// What is ready before the loops begin.
struct Prepared {
    /// Whoever connects from now on is answered once the loops run.
    listeners: Listeners,
    /// The crons that go on although the files do not define them.
    kept: Vec<KeptCron>,
    /// What was away when the former daemon ended.
    away: Vec<Outage>,
    reloads: Reloads,
    /// What holds for every daemon that shares the store.
    common: Option<CommonSettings>,
}

/// Brings the store up to date with the configuration, and listens.
async fn prepare(world: &World, store: &Store) -> Result<Prepared, DaemonError> {
    let config = &world.config;
    let Predecessor { former, away } = store.take_predecessor();
    runner::find_step_while_down(store, &world.clock, former).await?;
    retention::doubt_after_absence(store, &world.clock, former).await?;
    if let Some(FormerDaemon { seen_at, stopped_at: None, .. }) = former {
        tracing::warn!(%seen_at, "the former daemon was not stopped: it was killed or crashed, or the machine lost power");
    }
    store.notice(world.clock.now(), NoticeKind::StoreCopy, None).await?;
    let holds_all = world.sharing == Sharing::Alone && config.holds_webhooks();
    store.hold_for_mistakes(holds_all.then(|| world.clock.now())).await?;
    // This must happen before a client can ask for a run: that run would be taken for one that a former
    // process was sending. And before the crons are brought up to date, which decides about runs that wait.
    let Recovered { runs, deliveries } = store.recover(world.clock.now()).await?;
    if runs + deliveries > 0 {
        tracing::info!(runs, deliveries, "recovered what the former daemon held");
    }
    let (report, adoption) = match world.sharing {
        Sharing::Alone => {
            let (crons, kept) = (config.crons.clone(), config.kept.clone());
            (store.sync_understood_crons(world.clock.now(), crons, kept).await?, Adoption::Adopted)
        }
        Sharing::Shared => {
            let proposed =
                store.propose(world.clock.now(), Reading::Found, proposal(config, &world.host)).await?;
            generations::log(&proposed);
            (proposed.report, proposed.adoption)
        }
    };
    if adoption.is_in_force() {
        store.save_sections(config.saved.clone()).await?;
    }
    let notice = mistakes::describe(config, config, &report.kept);
    let reloads = Reloads::new(world.reload.clone());
    reloads.note(notice.is_none(), world.clock.now());
    mistakes::report(store, world.clock.now(), mistakes::message(adoption), notice).await?;
    let common = match world.sharing {
        Sharing::Alone => None,
        Sharing::Shared => store.generation_in_force(String::new()).await?.and_then(|found| found.settings),
    };
    if let Some(warning) = store.file().and_then(store::exposure) {
        tracing::warn!("{warning}");
    }
    let (listeners, problem) = listening::listen(world);
    store.notice(world.clock.now(), NoticeKind::Listen, problem.map(NewNotice::single)).await?;
    store.notice(world.clock.now(), NoticeKind::Restart, None).await?;
    tracing::info!(
        crons = config.crons.len() + report.kept.len(),
        added = report.added,
        changed = report.changed,
        removed = report.removed,
        store = %store.place(),
        backend = if config.unknown.contains(&Loss::Backend) { "unknown" } else { config.backend.url.as_str() },
        "daemon ready"
    );
    Ok(Prepared { listeners, kept: report.kept, away, reloads, common })
}

/// Makes all loops and spawns them.
fn spawn(world: World, store: Store, prepared: Prepared, stop: &CancellationToken) -> (Loops, Pulses) {
    let Prepared { listeners, kept, away, reloads, common } = prepared;
    let wakes = Wakes::default();
    let (in_force, webhooks, retention) = SettingsInForce::begin(world.sharing, &world.config, common);
    let in_force = Arc::new(in_force);
    let (access_writer, access) = config::live(AccessRules::of_config(&world.config.http));
    let client = agent_client(&world, &store);
    let settings = runner_settings(&world.config, webhooks.clone(), retention);
    let outages = Outages::after(away, world.clock.now());
    let engine = Engine::new(&world, &store, &client, &wakes, settings, stop, outages);
    let health = Health { reloads: reloads.clone(), ..engine.health() };
    let address = listeners.network.as_ref().and_then(|listener| listener.local_addr().ok());
    let sessions = api::Sessions::new(store.clone(), world.clock.clone(), access.clone(), address);
    let api = Api {
        store: store.clone(),
        clock: world.clock.clone(),
        wakes: wakes.clone(),
        health: health.clone(),
        backend: client,
        webhooks,
        access,
        to_finish: TaskTracker::new(),
        feeds: api::Feeds::until(stop.clone()),
        sessions,
        kept: api::Kept::default(),
        held_bodies: HeldBodies::default(),
    };
    let pulses = health.pulses.clone();
    pulses.watch(store.pulse());
    let World { config, environment, clock, relay, reload, manager, watchdog, host, .. } = world;
    let mut loops = Loops::new();
    let token = || stop.clone();
    if store.sharing() == Sharing::Shared {
        let follower = Follower {
            store: store.clone(),
            clock: clock.clone(),
            wakes: wakes.clone(),
            environment: environment.clone(),
            in_force: Arc::clone(&in_force),
            lacking: engine.lacking(),
            host: host.clone(),
        };
        spawn_loop(&mut loops, &pulses, "generations", |pulse| generations::run(follower, pulse, token()));
    }
    if let Some(Watchdog { looks_every, .. }) = watchdog {
        spawn_loop(&mut loops, &pulses, "runtime", |pulse| watchdog::beat(pulse, looks_every, token()));
    }
    if let Some(ServiceManager { status: show, .. }) = manager {
        let (store, clock) = (store.clone(), clock.clone());
        spawn_loop(&mut loops, &pulses, "status line", |pulse| {
            status_line::run(store, clock, health, show, pulse, token())
        });
    }
    if listeners.socket.is_some() || listeners.network.is_some() {
        let gateway = gateway(api, relay, &config);
        let stop = token();
        // Each of its listeners has a pulse of its own.
        loops.spawn(async move { ("http server", api::serve(listeners, gateway, stop).await) });
    }
    if let Some(requested) = reload {
        let live = LiveWriters { in_force, access: access_writer };
        spawn_loop(&mut loops, &pulses, "reloader", |pulse| {
            let reload = Reload {
                config,
                kept,
                environment,
                clock,
                store,
                host,
                wakes,
                live,
                requested,
                manager,
                reloads,
                pulse,
            };
            reload::run(reload, token())
        });
    }
    engine.spawn(&mut loops, &pulses, stop);
    (loops, pulses)
}

/// Spawns a loop whose life is watched.
fn spawn_loop<Run>(loops: &mut Loops, pulses: &Pulses, name: &'static str, run: impl FnOnce(Pulse) -> Run)
where
    Run: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let running = run(pulses.of_loop(name));
    loops.spawn(async move { (name, running.await) });
}

fn agent_client(world: &World, store: &Store) -> AgentClient {
    let backend = &world.config.backend;
    let credentials = backend.credentials();
    let transport = match store.sharing() {
        Sharing::Alone => world.backend.clone(),
        Sharing::Shared => {
            let store = store.clone();
            world.backend.clone().guarded(Guard::new(move || store.may_act()))
        }
    };
    AgentClient::new(transport, backend.url.clone(), credentials, backend.request_timeout)
}

fn gateway(api: Api, relay: Option<Relay>, config: &Config) -> Gateway {
    let server = relay.and_then(|relay| agent_server(relay, api.backend.clone(), config));
    Gateway::new(api, server, config.backend.request_timeout)
}

fn runner_settings(config: &Config, webhooks: LiveSettings, retention: Live<Rules>) -> RunnerSettings {
    RunnerSettings {
        max_concurrent_runs: config.backend.max_concurrent_runs,
        values_bytes_max: config.store.values_bytes_max,
        webhooks,
        retention,
    }
}

fn agent_server(relay: Relay, client: AgentClient, config: &Config) -> Option<AgentServer> {
    let server = AgentServer::new(relay, client, &config.backend.url);
    if server.is_none() {
        tracing::error!("forwarding not possible; backend.url cannot be used for requests of clients");
    }
    server
}

/// Returns why a loop ended; one that ended by itself is a bug.
fn result_of_ended_loop(
    ended: Result<(&'static str, Result<(), StoreError>), tokio::task::JoinError>,
) -> Result<(), DaemonError> {
    match ended {
        Ok((_, Err(error))) => Err(error.into()),
        Ok((name, Ok(()))) => Err(DaemonError::LoopEnded(name)),
        Err(panic) => {
            tracing::error!(%panic, "loop panicked; this is a bug");
            Err(DaemonError::LoopEnded("loop that panicked"))
        }
    }
}

/// Waits for the loops to finish what is in flight, and calls `runner_ended` once no run is looked after any more. What takes
/// longer than `grace` is recovered by the next start.
async fn drain(
    loops: &mut Loops,
    grace: std::time::Duration,
    runner_ended: impl AsyncFn() -> Result<(), StoreError>,
) -> Result<(), DaemonError> {
    let mut first_error = Ok(());
    let all_ended = async {
        while let Some(ended) = loops.join_next().await {
            match ended {
                Ok((RUNNER, Ok(()))) => {
                    let handed_over = runner_ended().await.map_err(DaemonError::from);
                    first_error = std::mem::replace(&mut first_error, Ok(())).and(handed_over);
                }
                Ok((_, Ok(()))) => {}
                other => {
                    first_error = std::mem::replace(&mut first_error, Ok(())).and(result_of_ended_loop(other))
                }
            }
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(?grace, "shutdown grace exceeded; the next start recovers what was in flight");
        loops.abort_all();
    }
    first_error
}
