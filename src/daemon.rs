//! The only place that constructs, spawns, supervises and drains. The world comes in as arguments: the same daemon
//! runs under systemd, in the demo and in simulation.

mod reload;
mod restart;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{self, AgentServer, Api, Gateway, Listeners, Socket};
use crate::backend::AgentClient;
use crate::clock::Clock;
use crate::config::{Config, CronDefinition, Environment};
use crate::domain::ids::InstallationId;
use crate::engine::courier::{self, Courier, OriginLimiter};
use crate::engine::janitor::{self, Janitor};
use crate::engine::maintenance::{self, Maintenance};
use crate::engine::runner::{self, Runner, RunnerSettings};
use crate::engine::{Health, Wakes, scheduler};
use crate::store::{Execution, NewDefinition, NoticeKind, Store, StoreError};
use crate::transport::{Relay, Transport};
use crate::webhook::{self, LiveSettings, Sender, WebhookSettings};

use reload::Reload;

/// What a daemon lives in.
pub struct World {
    /// What the files say.
    pub config: Config,
    /// Where placeholders get their values.
    pub environment: Environment,
    /// The time.
    pub clock: Clock,
    /// The way to the agent server.
    pub backend: Transport,
    /// The way to the receivers of webhooks; the policy of the configuration is put upon it.
    pub receivers: Transport,
    /// Where the store's closures run.
    pub execution: Execution,
    /// The id of a store that has yet to be made; one that exists keeps its own.
    pub new_installation: InstallationId,
    /// Where the command line finds the daemon, if it shall.
    pub socket: Option<PathBuf>,
    /// Where clients find it by TCP, if they shall.
    pub listen: Option<SocketAddr>,
    /// The way to the agent server for what clients ask of it, if that is to be passed on.
    pub relay: Option<Relay>,
    /// A nudge to read the files again, which are then watched too; without one they are read at the start only.
    pub reload: Option<Arc<Notify>>,
}

/// Why a daemon ended that was not asked to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The store: nothing true can be said without it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A loop ended by itself: a bug.
    #[error("the {0} ended by itself; this is a bug")]
    LoopEnded(&'static str),
    /// A definition could not be written as JSON: a bug.
    #[error("the definition of {name} cannot be stored: {source}")]
    Definition {
        /// Whose.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
}

type Loops = JoinSet<(&'static str, Result<(), StoreError>)>;

/// Runs the daemon until `stop`, then drains: what is in flight is finished, within the configured grace.
///
/// `ready` is called once everything is up.
///
/// # Errors
/// See [`DaemonError`]; the service manager starts the daemon again, and it reads the truth from the store.
pub async fn serve(world: World, ready: impl FnOnce(), stop: CancellationToken) -> Result<(), DaemonError> {
    let store = Store::open(&world.config.store.path, world.execution, world.new_installation)?;
    let network = tokio::select! {
        biased;
        // A disk without room may keep the beginning waiting; nothing is in flight yet that would have to be finished.
        () = stop.cancelled() => return Ok(()),
        begun = begin(&world, &store) => begun?,
    };
    let grace = world.config.shutdown_grace;
    let mut loops = spawn(world, store, network, &stop);
    ready();
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        ended = loops.join_next() => ended,
    };
    if let Some(ended) = ended {
        stop.cancel();
        let cause = verdict(ended);
        drain(&mut loops, grace).await?;
        return cause;
    }
    drain(&mut loops, grace).await
}

/// Brings the store up to date with the configuration, and opens the port if there is to be one.
async fn begin(world: &World, store: &Store) -> Result<Option<TcpListener>, DaemonError> {
    let definitions = definitions(&world.config.crons, store.installation_id())?;
    let report = store.sync_file_crons(world.clock.now(), definitions).await?;
    store.notice(world.clock.now(), NoticeKind::Configuration, None).await?;
    // Before a client can ask for a run: it would be taken for one that a former process was sending.
    let recovered = store.recover_runs(world.clock.now()).await?;
    if recovered > 0 {
        tracing::info!(runs = recovered, "took over runs of a former process");
    }
    tracing::info!(
        crons = world.config.crons.len(),
        added = report.added,
        changed = report.changed,
        removed = report.removed,
        store = %world.config.store.path.display(),
        backend = %world.config.backend.url,
        "ready"
    );
    let (network, trouble) = match world.listen.map(bind_network) {
        None => (None, None),
        Some(Ok(listener)) => (Some(listener), None),
        Some(Err(trouble)) => (None, Some(trouble)),
    };
    store.notice(world.clock.now(), NoticeKind::Listen, trouble).await?;
    Ok(network)
}

/// Definitions as the store keeps them.
fn definitions(
    crons: &[CronDefinition],
    installation: InstallationId,
) -> Result<Vec<NewDefinition>, DaemonError> {
    crons
        .iter()
        .map(|definition| {
            let body = serde_json::to_string(&definition.fields)
                .map_err(|source| DaemonError::Definition { name: definition.cron.name.clone(), source })?;
            Ok(NewDefinition {
                cron: Arc::new(definition.in_installation(installation)),
                body,
                location: definition.location.to_string(),
            })
        })
        .collect()
}

fn spawn(world: World, store: Store, network: Option<TcpListener>, stop: &CancellationToken) -> Loops {
    let World {
        config,
        environment,
        clock,
        backend,
        receivers,
        execution: _,
        new_installation: _,
        socket,
        listen: _,
        relay,
        reload,
    } = world;
    let wakes = Wakes::default();
    let (put_webhooks, webhooks) = webhook::live_settings(WebhookSettings::of_config(&config));
    let client = AgentClient::new(
        backend,
        config.backend.url.clone(),
        config.backend.api_key.clone(),
        config.backend.request_timeout,
    );
    let runner = Runner::new(
        store.clone(),
        client.clone(),
        clock.clone(),
        environment.clone(),
        runner_settings(&config, webhooks.clone()),
        wakes.clone(),
        stop.clone(),
    );
    let courier = Courier {
        store: store.clone(),
        sender: Sender::new(receivers, environment.clone(), clock.clone(), config.webhooks.clone()),
        clock: clock.clone(),
        wakes: wakes.clone(),
        webhooks: webhooks.clone(),
        origins: OriginLimiter::default(),
    };
    let health = Health {
        backend_breaker: runner.backend_breaker(),
        origins: courier.origins.clone(),
        ..Health::default()
    };
    let janitor =
        Janitor { store: store.clone(), backend: client.clone(), clock: clock.clone(), wakes: wakes.clone() };
    let maintenance = Maintenance { store: store.clone(), clock: clock.clone() };
    let mut loops = Loops::new();
    let listeners = Listeners {
        socket: socket.and_then(|path| bind(&path)),
        network,
        api_keys: config.http.api_keys.clone(),
    };
    if listeners.socket.is_some() || listeners.network.is_some() {
        let api = Api {
            store: store.clone(),
            clock: clock.clone(),
            wakes: wakes.clone(),
            health: health.clone(),
            backend: client.clone(),
            webhooks,
        };
        let server = relay.and_then(|relay| agent_server(relay, client.clone(), &config));
        let gateway = Gateway::new(api, server, config.backend.request_timeout);
        let t = stop.clone();
        loops.spawn(async move { ("http server", api::serve(listeners, gateway, t).await) });
    }
    if let Some(asked) = reload {
        let (store, clock, wakes) = (store.clone(), clock.clone(), wakes.clone());
        let reload = Reload { config, environment, clock, store, wakes, webhooks: put_webhooks, asked };
        let t = stop.clone();
        loops.spawn(async move { ("reloader", reload::run(reload, t).await) });
    }
    let (s, c, w, t) = (store, clock, wakes, stop.clone());
    let next_wake = health.next_wake;
    loops.spawn(async move { ("scheduler", scheduler::run(s, c, w, next_wake, t).await) });
    loops.spawn(async move { ("runner", runner::run(runner).await) });
    let t = stop.clone();
    loops.spawn(async move { ("courier", courier::run(courier, t).await) });
    let t = stop.clone();
    loops.spawn(async move { ("janitor", janitor::run(janitor, t).await) });
    let t = stop.clone();
    loops.spawn(async move { ("maintenance", maintenance::run(maintenance, t).await) });
    loops
}

fn runner_settings(config: &Config, webhooks: LiveSettings) -> RunnerSettings {
    RunnerSettings {
        max_concurrent_runs: config.backend.max_concurrent_runs,
        values_bytes_max: config.store.values_bytes_max,
        webhooks,
    }
}

/// A daemon that cannot be talked to still fires: that is what it is for.
fn bind(path: &Path) -> Option<Socket> {
    Socket::bind(path)
        .map_err(|error| tracing::error!(%error, "trigger, pause and the like will find no daemon"))
        .ok()
}

/// The same holds for one that clients do not find; `status` says so.
fn bind_network(address: SocketAddr) -> Result<TcpListener, String> {
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    match listener {
        Ok(listener) => {
            let address = listener.local_addr().unwrap_or(address);
            tracing::info!(%address, "clients find the agent server's API here");
            Ok(listener)
        }
        Err(error) => {
            tracing::error!(%address, %error, "cannot listen: clients will find nobody there; see http.listen");
            Err(format!("clients find nobody at {address} (http.listen): {error}"))
        }
    }
}

fn agent_server(relay: Relay, client: AgentClient, config: &Config) -> Option<AgentServer> {
    let backend = &config.backend;
    let server = AgentServer::new(relay, client, &backend.url, backend.api_key.as_ref());
    if server.is_none() {
        tracing::error!("backend.url or backend.api_key cannot be used for what clients ask");
    }
    server
}

/// Why a loop ended that should not have.
fn verdict(
    ended: Result<(&'static str, Result<(), StoreError>), tokio::task::JoinError>,
) -> Result<(), DaemonError> {
    match ended {
        Ok((_, Err(error))) => Err(error.into()),
        Ok((name, Ok(()))) => Err(DaemonError::LoopEnded(name)),
        Err(panic) => {
            tracing::error!(%panic, "a loop panicked");
            Err(DaemonError::LoopEnded("loop that panicked"))
        }
    }
}

/// Waits for the loops to finish what they have in hand; what takes longer than `grace` is left to the next start.
async fn drain(loops: &mut Loops, grace: std::time::Duration) -> Result<(), DaemonError> {
    let mut first_error = Ok(());
    let all_ended = async {
        while let Some(ended) = loops.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                other => first_error = std::mem::replace(&mut first_error, Ok(())).and(verdict(other)),
            }
        }
    };
    if tokio::time::timeout(grace, all_ended).await.is_err() {
        tracing::warn!(?grace, "left before everything in flight was finished; the next start takes it up");
        loops.abort_all();
    }
    first_error
}
