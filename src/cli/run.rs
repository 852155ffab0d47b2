//! `agentcron run`: the daemon in the foreground, from its configuration to its end.

use clap::Args;
use sd_notify::NotifyState;
use uuid::Uuid;

use super::terminal::{
    Failure, LogFormat, Session, backend_relay, backend_transport, receiver_transport, start_log,
};
use crate::config::Environment;
use crate::daemon::{self, World};
use crate::domain::ids::InstallationId;
use crate::signals::{self, Stop};
use crate::store::Execution;
use crate::transport::Dialer;

/// Run the daemon in the foreground until SIGTERM or SIGINT
#[derive(Args, Debug)]
#[command(after_help = "\
At the first signal the daemon finishes the work in progress within
`shutdown_grace`; a second signal stops it at once. SIGHUP reloads the
configuration files, which are also reloaded whenever they are saved. Under
systemd use Type=notify.

Examples:
  agentcron run --config ./agentcron.toml
  AGENTCRON_LOG=agentcron=debug agentcron run

Exit codes:
  0    stopped as requested
  2    wrong configuration
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
    // What a service was given is its own; a daemon that is started by hand uses none of it.
    session.environment = Environment::of_process();
    let path = session.config_path.clone();
    let config = session.load_config(&path)?;
    log.set_runs(config.logged_runs);
    let reload =
        signals::hangups().map_err(|error| Failure::Failed(format!("cannot listen for SIGHUP: {error}")))?;
    let world = World {
        socket: Some(config.socket_path(&session.environment)),
        listen: config.http.listen,
        relay: Some(backend_relay(&config.backend)?),
        reload: Some(reload),
        show_status: session.environment.lookup("env.NOTIFY_SOCKET").is_ok().then_some(show_status),
        backend: backend_transport(&config.backend)?,
        receivers: receiver_transport(&config.webhooks, Dialer::of_system())?,
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
    // A thread that is still blocked somewhere must not keep the process alive.
    runtime.shutdown_background();
    ended
}

async fn serve(world: World, stop: &Stop) -> Result<(), Failure> {
    let stopping = async {
        stop.graceful.cancelled().await;
        tracing::info!("stopping: finishing the work in progress");
        notify_service_manager(NotifyState::Stopping);
        stop.now.cancelled().await;
    };
    let ready = || notify_service_manager(NotifyState::Ready);
    let ended = tokio::select! {
        ended = daemon::serve(world, ready, stop.graceful.clone()) => ended,
        () = stopping => return Err(Failure::StoppedAtOnce),
    };
    if ended.is_ok() {
        tracing::info!("stopped");
    }
    Ok(ended?)
}

/// An old line that stays is not worth one in the log.
fn show_status(line: &str) {
    let _ = sd_notify::notify(&[NotifyState::Status(line)]);
}

/// Does nothing without a service manager; that is not an error.
fn notify_service_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}
