//! `agentcron run`: the daemon, in the foreground. The life of the process from top to bottom.

use std::io::IsTerminal;
use std::path::Path;

use clap::{Args, ValueEnum};
use sd_notify::NotifyState;
use tracing_subscriber::EnvFilter;

use super::failure::Failure;
use super::session::Session;
use crate::config::{BackendConfig, Environment, WebhooksConfig};
use crate::daemon::{self, World};
use crate::domain::ids::InstallationId;
use crate::signals::{self, Stop};
use crate::store::Execution;
use crate::transport::{Dialer, Relay, Transport};
use uuid::Uuid;

/// How a certificate begins in a PEM file.
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Runs the daemon until SIGTERM or SIGINT.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agentcron run --config ./agentcron.toml
  AGENTCRON_LOG=agentcron=debug agentcron run

Exit codes: 0 stopped as asked, 2 configuration, 3 the store, 4 another daemon has the database, 130 left at once

SIGTERM or SIGINT: what is in flight is finished within `shutdown_grace`; a second signal leaves
at once. SIGHUP: the files are read again, as they are whenever they are saved. Under systemd
use Type=notify.")]
pub(super) struct Run {
    /// Level of the log on stderr: error, warn, info, debug, trace, or directives such as agentcron=debug
    #[arg(long, value_name = "LEVEL", env = "AGENTCRON_LOG", default_value = "info")]
    log: String,
    /// Format of the log
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(run: &Run, session: &mut Session) -> Result<(), Failure> {
    start_log(&run.log, run.log_format, &session.environment)?;
    let path = session.config_path.clone();
    let config = session.load_config(&path)?;
    let reload =
        signals::hangups().map_err(|error| Failure::Failed(format!("cannot listen for SIGHUP: {error}")))?;
    let world = World {
        socket: Some(config.socket_path()),
        listen: config.http.listen,
        relay: Some(to_backend_for_others(&config.backend)?),
        reload: Some(reload),
        backend: to_backend(&config.backend)?,
        receivers: to_receivers(&config.webhooks, Dialer::of_system())?,
        config,
        environment: session.environment.clone(),
        clock: session.clock.clone(),
        execution: Execution::WriterThread,
        new_installation: InstallationId(Uuid::new_v4()),
    };
    let stop =
        signals::listen().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start threads: {error}")))?;
    let ended = runtime.block_on(serve(world, &stop));
    // Whatever is still blocked somewhere must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn serve(world: World, stop: &Stop) -> Result<(), Failure> {
    let stopping = async {
        stop.graceful.cancelled().await;
        tracing::info!("stopping: finishing what is in flight");
        tell_service_manager(NotifyState::Stopping);
        stop.now.cancelled().await;
    };
    let ready = || tell_service_manager(NotifyState::Ready);
    let ended = tokio::select! {
        ended = daemon::serve(world, ready, stop.graceful.clone()) => ended,
        () = stopping => return Err(Failure::LeftAtOnce),
    };
    if ended.is_ok() {
        tracing::info!("stopped");
    }
    Ok(ended?)
}

/// Without a service manager nobody is told, and that is no error.
fn tell_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}

/// The way to the agent server.
fn to_backend(backend: &BackendConfig) -> Result<Transport, Failure> {
    let pem = extra_roots("backend.ca_file", backend.ca_file.as_deref())?;
    Transport::network(pem.as_deref())
        .map_err(|error| unprepared("backend.ca_file", backend.ca_file.as_deref(), &error))
}

/// The same way for what clients ask of it.
fn to_backend_for_others(backend: &BackendConfig) -> Result<Relay, Failure> {
    let pem = extra_roots("backend.ca_file", backend.ca_file.as_deref())?;
    Relay::network(pem.as_deref())
        .map_err(|error| unprepared("backend.ca_file", backend.ca_file.as_deref(), &error))
}

/// The way to receivers, over connections that `wire` makes. Whom the agent server is trusted by says nothing about
/// them: they have roots of their own.
pub(super) fn to_receivers(webhooks: &WebhooksConfig, dialer: Dialer) -> Result<Transport, Failure> {
    let pem = roots_of_receivers(webhooks)?;
    Transport::to_receivers(pem.as_deref(), dialer, webhooks.url.clone())
        .map_err(|error| unprepared("webhooks.ca_file", webhooks.ca_file.as_deref(), &error))
}

/// PEM text that is trusted besides the system's store when a receiver shows its certificate.
pub(super) fn roots_of_receivers(webhooks: &WebhooksConfig) -> Result<Option<Vec<u8>>, Failure> {
    extra_roots("webhooks.ca_file", webhooks.ca_file.as_deref())
}

fn extra_roots(key: &str, path: Option<&Path>) -> Result<Option<Vec<u8>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let place = path.display();
    let unreadable = |error| Failure::Usage(format!("{key}: cannot read {place}: {error}"));
    let pem = std::fs::read(path).map_err(unreadable)?;
    // A file of anything else reads as a bundle of no certificates, and the daemon would start without its root.
    if !pem.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
        return Err(Failure::Usage(format!("{key}: {place} holds no PEM certificate")));
    }
    Ok(Some(pem))
}

fn unprepared(key: &str, path: Option<&Path>, error: &dyn std::error::Error) -> Failure {
    match path {
        Some(path) => Failure::Usage(format!("{key}: {}: {error}", path.display())),
        None => Failure::Failed(format!("cannot prepare connections: {error}")),
    }
}

/// The log of the daemon, on stderr.
pub(super) fn start_log(level: &str, format: LogFormat, environment: &Environment) -> Result<(), Failure> {
    // The calendar of maintenance has much to say at `info`; what is asked for by name still wins.
    let filter = EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{level}")).map_err(|error| {
        Failure::Usage(format!("--log: got `{level}`: {error}; expected a level such as info or debug"))
    })?;
    // The journal has its own timestamps, and no colours.
    let in_journal = environment.lookup("env.JOURNAL_STREAM").is_ok();
    let color = std::io::stderr().is_terminal() && environment.lookup("env.NO_COLOR").is_err();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(color);
    match (format, in_journal) {
        (LogFormat::Json, _) => log.json().flatten_event(true).init(),
        (LogFormat::Text, false) => log.init(),
        (LogFormat::Text, true) => log.without_time().init(),
    }
    Ok(())
}
