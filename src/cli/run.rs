//! `agentcron run`: the daemon in the foreground, from its configuration to its end.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use sd_notify::NotifyState;
use tokio::sync::Notify;
use uuid::Uuid;

use super::terminal::{
    Failure, LogFormat, Session, backend_relay, backend_transport, demand_file, in_force, receiver_transport,
    start_log,
};
use crate::config::{self, Config, ConfigErrors, Environment, Loss, StoreLocation, WebhooksConfig};
use crate::daemon::{self, DaemonError, ServiceManager, Watchdog, World};
use crate::domain::ids::InstallationId;
use crate::signals::{self, Stop};
use crate::store::{self, Execution, Sharing, StoreError};
use crate::transport::{Dialer, Relay, Transport};

/// Why no run is sent while there is no telling where the agent server is.
const UNKNOWN_BACKEND: &str =
    "[backend] has a mistake, and no earlier version of it is known: mend it, then restart agentcron";

/// Run the daemon in the foreground until SIGTERM or SIGINT
#[derive(Args, Debug)]
#[command(after_help = "\
At the first signal the daemon finishes the work in progress within
`shutdown_grace`; a second signal stops it at once. SIGHUP reloads the
configuration files, which are also reloaded whenever they are saved. Under
systemd use Type=notify.

A mistake in the configuration stops only what it must: what is not understood
goes on as the database has it from before, and `agentcron status` says so.
Without a database the daemon refuses any mistake at a terminal.

Examples:
  agentcron run --config ./agentcron.toml
  AGENTCRON_LOG=agentcron=debug agentcron run

Exit codes:
  0    stopped as requested
  2    wrong usage, or a configuration with nothing to go on with
  3    store error
  4    another daemon has the database
  130  stopped at once by a second signal")]
pub(super) struct Run {
    /// Log level on stderr: error, warn, info, debug, trace, or directives such as agentcron=debug
    #[arg(long, value_name = "LEVEL", env = "AGENTCRON_LOG", default_value = "info")]
    log: String,
    /// Format of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(super) fn run(run: &Run, session: &mut Session) -> Result<(), Failure> {
    let log = start_log(&run.log, run.log_format, session)?;
    store::trace_panics();
    // What a service was given is its own; a daemon that is started by hand uses none of it.
    session.environment = Environment::of_process();
    let reload =
        signals::hangups().map_err(|error| Failure::Failed(format!("cannot listen for SIGHUP: {error}")))?;
    let stop =
        signals::listen().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let ended = loop {
        let config = config_in_force(session)?;
        log.set_runs(config.logged_runs);
        let world = world(config, &reload, session)?;
        match runtime.block_on(serve(world, &stop)) {
            Err(Failure::Daemon(DaemonError::Store(StoreError::Ousted))) => {
                tracing::warn!("{}; it begins anew", StoreError::Ousted);
            }
            ended => break ended,
        }
    };
    // A thread that is still blocked somewhere must not keep the process alive.
    runtime.shutdown_background();
    ended
}

fn world(config: Config, reload: &Arc<Notify>, session: &Session) -> Result<World, Failure> {
    let (backend, relay) = ways_to_backend(&config);
    let sharing = sharing(&config.store.location, &session.environment);
    Ok(World {
        socket: Some(config.socket_path(&session.environment)),
        listen: config.http.listen,
        relay,
        reload: Some(Arc::clone(reload)),
        watchdog: Some(Watchdog::of_service(sd_notify::watchdog_enabled(), alive)),
        manager: session.environment.lookup("env.NOTIFY_SOCKET").is_ok().then_some(SERVICE_MANAGER),
        backend,
        receivers: way_to_receivers(&config.webhooks)?,
        config,
        environment: session.environment.clone(),
        clock: session.clock.clone(),
        execution: Execution::WriterThread,
        sharing,
        host: store::host_name(),
        new_installation: InstallationId(Uuid::new_v4()),
    })
}

/// Returns who may have the store at the same time. Only tests let several daemons have a file.
fn sharing(location: &StoreLocation, environment: &Environment) -> Sharing {
    let is_test = || cfg!(debug_assertions) && environment.lookup("env.AGENTCRON_SHARED_STORE").is_ok();
    match location.file().is_none() || is_test() {
        true => Sharing::Shared,
        false => Sharing::Alone,
    }
}

/// Returns what is in force of the configuration. What is not understood is as the database has it from before.
///
/// Without a database there is nothing to go on with: at a terminal, a person can mend the mistakes first.
fn config_in_force(session: &mut Session) -> Result<Config, Failure> {
    let (path, environment) = (session.config_path.clone(), session.environment.clone());
    let is_terminal = std::io::stdout().is_terminal() || std::io::stderr().is_terminal();
    if is_terminal {
        demand_file(&path)?;
    }
    let loaded = config::load_partly(&path, &environment).with_certificates();
    session.output.warn_about(&loaded.warnings)?;
    let may_begin = |store: &StoreLocation| {
        loaded.mistakes.is_empty() || !is_terminal || store.file().is_none_or(Path::exists)
    };
    let Some(store) = loaded.store_location(&environment).filter(may_begin) else {
        demand_file(&path)?;
        return Err(Failure::Config(ConfigErrors(loaded.mistakes)));
    };
    in_force(loaded, store, &environment)
}

/// Returns how the agent server is reached. If it cannot be, the rest of the daemon runs, and each run has the reason.
fn ways_to_backend(config: &Config) -> (Transport, Option<Relay>) {
    let none = |reason: String| (Transport::refusing(reason), None);
    if config.unknown.contains(&Loss::Backend) {
        return none(UNKNOWN_BACKEND.to_owned());
    }
    let transport = backend_transport(&config.backend);
    let both = transport.and_then(|transport| Ok((transport, Some(backend_relay(&config.backend)?))));
    both.unwrap_or_else(|failure| {
        tracing::error!(%failure, "agent server not reachable");
        none(failure.to_string())
    })
}

/// Returns how receivers are reached. Without the certificates in `ca_file`, fewer receivers are trusted.
fn way_to_receivers(webhooks: &WebhooksConfig) -> Result<Transport, Failure> {
    receiver_transport(webhooks, Dialer::of_system()).or_else(|failure| {
        tracing::error!(%failure, "certificates for receivers not used");
        let without = WebhooksConfig { ca_file: None, ..webhooks.clone() };
        receiver_transport(&without, Dialer::of_system())
    })
}

async fn serve(world: World, stop: &Stop) -> Result<(), Failure> {
    let stopping = async {
        stop.graceful.cancelled().await;
        tracing::info!("stopping: finishing the work in progress");
        notify_service_manager(&[NotifyState::Stopping]);
        stop.now.cancelled().await;
    };
    let path = world.config.store.location.beside().to_owned();
    let ready = || {
        store::keep_panics_beside(&path);
        notify_service_manager(&[NotifyState::Ready]);
    };
    let ended = tokio::select! {
        // If it ends by itself, another one may follow.
        ended = daemon::serve(world, ready, stop.graceful.child_token()) => ended,
        () = stopping => return Err(Failure::StoppedAtOnce),
    };
    if ended.is_ok() {
        tracing::info!("stopped");
    }
    Ok(ended?)
}

const SERVICE_MANAGER: ServiceManager = ServiceManager {
    status: show_status,
    reloading: tell_reloading,
    reloaded: || notify_service_manager(&[NotifyState::Ready]),
};

/// With Type=notify-reload, the manager needs the time to tell this reload from an earlier one.
fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify_service_manager(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "cannot read the clock to notify the service manager"),
    }
}

/// An old line that stays is not worth one in the log.
fn show_status(line: &str) {
    let _ = sd_notify::notify(&[NotifyState::Status(line)]);
}

/// Tells the service manager that all loops live.
fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

/// Does nothing without a service manager; that is not an error.
fn notify_service_manager(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
