//! Sets up the demo: a folder of its own, and an agent server and a receiver inside this process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use uuid::Uuid;

use crate::backend::embedded::EmbeddedServer;
use crate::cli::private_folder;
use crate::cli::terminal::Failure;
use crate::clock::Clock;
use crate::config::{self, Config, Environment};
use crate::daemon::World;
use crate::domain::ids::InstallationId;
use crate::store::{Execution, Sharing};
use crate::transport::Transport;

/// How many runs the embedded agent server keeps. It forgets older ones, since a demo may be left running overnight.
const RUNS_KEPT: usize = 1000;

pub(super) struct DemoSetup {
    /// It stays after the demo, so that its database can be explored.
    pub(super) folder: PathBuf,
    pub(super) config: Config,
    /// Where the command line reaches the demo's daemon.
    pub(super) socket: PathBuf,
    /// How many webhooks have arrived.
    pub(super) received: Arc<AtomicUsize>,
}

impl DemoSetup {
    /// Creates the folder and its configuration.
    pub(super) fn create(environment: &Environment) -> Result<Self, Failure> {
        let folder = private_folder::create("demo", environment)?;
        let path = folder.join("agentcron.toml");
        std::fs::write(&path, include_str!("agentcron.toml"))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
        let config = config::load(&path, &empty_environment())?;
        let socket = config::socket_from_outside(&empty_environment(), config.store.location.beside());
        Ok(Self { folder, config, socket, received: Arc::default() })
    }

    /// Returns the world of the demo's daemon. It reaches nothing outside this process, and is reached on loopback only.
    pub(super) fn world(&self, clock: &Clock) -> World {
        let server_clock = clock.clone();
        let agents = EmbeddedServer::keeping(RUNS_KEPT, move || server_clock.now());
        let received = Arc::clone(&self.received);
        let receiver = Router::new().fallback(async move |_: Bytes| {
            received.fetch_add(1, Ordering::Relaxed);
            "thank you"
        });
        World {
            watchdog: None,
            config: self.config.clone(),
            environment: empty_environment(),
            clock: clock.clone(),
            backend: Transport::router(agents.router()),
            receivers: Transport::router(receiver),
            execution: Execution::WriterThread,
            sharing: Sharing::Alone,
            host: String::new(),
            new_installation: InstallationId(Uuid::new_v4()),
            socket: Some(self.socket.clone()),
            // Any port that is free: a daemon that is no demo may have the usual one.
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            relay: None,
            reload: None,
            show_status: None,
        }
    }
}

/// The demo is the same on every machine, so it reads no variables.
fn empty_environment() -> Environment {
    Environment::of_map([])
}
