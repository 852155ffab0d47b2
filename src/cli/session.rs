//! What every command needs: where the configuration is, what time it is, where to print.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::arguments::Global;
use super::failure::Failure;
use super::output::Output;
use super::paths;
use crate::clock::Clock;
use crate::config::{self, Config, Environment};
use crate::store::Reader;

const CONFIG_DEFAULT: &str = "/etc/agentcron/agentcron.toml";

/// One call of the command line.
pub(super) struct Session {
    /// Where results go.
    pub(super) output: Output,
    /// Variables and credentials.
    pub(super) environment: Environment,
    /// The time.
    pub(super) clock: Clock,
    /// The zone of the person.
    pub(super) zone: TimeZone,
    /// The main file of the configuration.
    pub(super) config_path: PathBuf,
}

impl Session {
    /// Looks at the process once.
    pub(super) fn new(global: &Global) -> Self {
        let environment = Environment::of_process();
        Self {
            output: Output::new(global, &environment),
            environment,
            clock: Clock::system(),
            zone: TimeZone::system(),
            config_path: global.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT)),
        }
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The settled configuration, or every mistake in it; warnings are said at once.
    pub(super) fn load_config(&mut self, path: &Path) -> Result<Config, Failure> {
        if !path.exists() {
            return Err(Failure::Usage(format!(
                "there is no configuration at {}; name it with --config FILE or $AGENTCRON_CONFIG, or write one \
                 with `agentcron init`",
                path.display()
            )));
        }
        let config = config::load(path, &self.environment)?;
        self.output.warn_about(&config.warnings)?;
        Ok(config)
    }

    /// The database of the configuration. Its other mistakes, and credentials that only the daemon may read, are no
    /// reason not to look into the database.
    pub(super) fn store_path(&mut self) -> Result<PathBuf, Failure> {
        let path = self.config_path.clone();
        match paths::store_path(&path, &self.environment) {
            Some(store) => Ok(store),
            None => Ok(self.load_config(&path)?.store.path),
        }
    }

    /// Where the daemon listens, found in the same way.
    pub(super) fn socket_path(&mut self) -> Result<PathBuf, Failure> {
        let path = self.config_path.clone();
        match paths::socket_path(&path, &self.environment) {
            Some(socket) => Ok(socket),
            None => Ok(self.load_config(&path)?.socket_path()),
        }
    }

    /// Opens the database to read it.
    pub(super) fn open_store(&mut self) -> Result<Reader, Failure> {
        Ok(Reader::open(&self.store_path()?)?)
    }
}
