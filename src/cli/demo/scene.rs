//! Where the demo plays: a folder of its own, an agent server and a receiver inside this process.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;

use crate::backend::embedded::EmbeddedServer;
use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::config::{self, Config, Environment};
use crate::daemon::World;
use crate::domain::ids::InstallationId;
use crate::store::Execution;
use crate::transport::Transport;
use uuid::Uuid;

/// The embedded agent server forgets older runs: a demo may be left running over night.
const RUNS_KEPT: usize = 1000;

/// Everything that the demo is made of.
pub(super) struct Scene {
    /// Keeps its database afterwards, to be looked into.
    pub(super) folder: PathBuf,
    /// As `config::load` settled it.
    pub(super) config: Config,
    /// How many webhooks have arrived.
    pub(super) received: Arc<AtomicUsize>,
}

impl Scene {
    /// Makes the folder and its configuration.
    pub(super) fn set(environment: &Environment) -> Result<Self, Failure> {
        let temporary = environment.lookup("env.TMPDIR");
        let temporary = temporary.map_or_else(|_| PathBuf::from("/tmp"), |path| PathBuf::from(path.expose()));
        let folder = make_folder(&temporary).map_err(|error| {
            let place = temporary.display();
            Failure::Failed(format!(
                "cannot make a folder in {place}: {error}; set TMPDIR to one where you may"
            ))
        })?;
        let path = folder.join("agentcron.toml");
        std::fs::write(&path, include_str!("agentcron.toml"))
            .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
        let config = config::load(&path, &nobody())?;
        Ok(Self { folder, config, received: Arc::default() })
    }

    /// The world of its daemon: no network at all.
    pub(super) fn world(&self, clock: &Clock) -> World {
        let told_time = clock.clone();
        let agents = EmbeddedServer::keeping(RUNS_KEPT, move || told_time.now());
        let received = Arc::clone(&self.received);
        let receiver = Router::new().fallback(async move |_: Bytes| {
            received.fetch_add(1, Ordering::Relaxed);
            "thank you"
        });
        World {
            config: self.config.clone(),
            environment: nobody(),
            clock: clock.clone(),
            backend: Transport::router(agents.router()),
            receivers: Transport::router(receiver),
            execution: Execution::WriterThread,
            new_installation: InstallationId(Uuid::new_v4()),
            socket: None,
            listen: None,
            relay: None,
            reload: None,
        }
    }
}

/// The demo is the same on every machine.
fn nobody() -> Environment {
    Environment::of_map([])
}

/// A folder that was not there before: nobody else can have prepared it.
fn make_folder(temporary: &Path) -> std::io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let folder = temporary.join(format!("agentcron-demo-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            Err(error) => return Err(error),
        }
    }
}
