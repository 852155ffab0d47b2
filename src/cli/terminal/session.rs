//! What every command needs: the configuration's path, the time, and where to print.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::socket::get;
use super::time_arguments::{parse_coming, parse_end, parse_past};
use super::{Failure, GlobalOptions, Output};
use crate::api::wire::StatusReport;
use crate::clock::Clock;
use crate::config::{
    self, Config, ConfigErrors, Environment, LastGood, Links, Loaded, StoreLocation, open_regular,
};
use crate::domain::bounds::RESPONSE_WITHIN;
use crate::present::{counted, times};
use crate::store::{DaemonState, Place, Reader, daemon_state, lock_state};

/// Where the configuration is if nobody names it: the first of them that exists, or else the last.
const CONFIG_DEFAULTS: [&str; 2] = ["./agentcron.toml", "/etc/agentcron/agentcron.toml"];

/// One call of the command line.
pub(in crate::cli) struct Session {
    pub(in crate::cli) output: Output,
    /// Variables and credentials.
    pub(in crate::cli) environment: Environment,
    pub(in crate::cli) clock: Clock,
    /// The time zone of the person who types.
    pub(in crate::cli) zone: TimeZone,
    /// The main file of the configuration.
    pub(in crate::cli) config_path: PathBuf,
    /// Where the store is, once that was found.
    store: Option<StoreLocation>,
}

impl Session {
    /// Reads the environment of the process once.
    pub(in crate::cli) fn new(options: &GlobalOptions) -> Self {
        let environment = Environment::of_operator();
        Self {
            output: Output::new(options, &environment),
            environment,
            clock: Clock::system(),
            zone: TimeZone::system(),
            config_path: options.config.clone().unwrap_or_else(default_config),
            store: None,
        }
    }

    pub(in crate::cli) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Parses the time that was typed for an option: an instant, or how long ago it was.
    pub(in crate::cli) fn past(&self, option: &str, text: &str) -> Result<Timestamp, Failure> {
        parse_past(text, &self.zone, self.now())
            .map_err(|message| Failure::Usage(format!("{option}: {message}")))
    }

    /// Parses the time that was typed for an option: an instant to come, or in how long it comes.
    pub(in crate::cli) fn coming(&self, option: &str, text: &str) -> Result<Timestamp, Failure> {
        parse_coming(text, &self.zone, self.now())
            .map_err(|message| Failure::Usage(format!("{option}: {message}")))
    }

    /// Parses `--since` and `--until`.
    pub(in crate::cli) fn period(
        &self,
        since: Option<&str>,
        until: Option<&str>,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
        let since = since.map(|text| self.past("--since", text)).transpose()?;
        let until = until.map(|text| parse_end(text, since, &self.zone, self.now())).transpose();
        let until = until.map_err(|message| Failure::Usage(format!("--until: {message}")))?;
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            let [since, until] = [since, until].map(|at| times::local_with_day(at, &self.zone));
            let hint = "write the day as well, as in 'yesterday 23:00'";
            return Err(Failure::Usage(format!("--until, {until}, is not after --since, {since}; {hint}")));
        }
        Ok((since, until))
    }

    /// Returns the validated configuration, or every mistake in it. Prints its warnings.
    pub(in crate::cli) fn load_config(&mut self, path: &Path) -> Result<Config, Failure> {
        let config = load(path, &self.environment)?;
        self.output.warn_about(&config.warnings)?;
        Ok(config)
    }

    /// Returns the configuration to look at: only the daemon may have its secrets, and none of them is valid here.
    pub(in crate::cli) fn view_config(&self, path: &Path) -> Result<Config, Failure> {
        load(path, &self.environment.for_looking())
    }

    /// Returns the configuration for what depends on the main file only, and warns of mistakes in others.
    pub(in crate::cli) fn main_config(&mut self, environment: &Environment) -> Result<Config, Failure> {
        demand_file(&self.config_path)?;
        let config = config::load_main(&self.config_path, environment)?;
        if !config.mistakes.is_empty() {
            let mistakes = counted(config.mistakes.len() as u64, "mistake");
            self.output
                .warn(&format!("{mistakes} in the configuration; `agentcron check` shows what is wrong"))?;
        }
        Ok(config)
    }

    /// Returns where the store is. Other mistakes in the configuration, and credentials that only the daemon may
    /// read, must not prevent anybody from reading it.
    pub(in crate::cli) fn store_location(&mut self) -> Result<StoreLocation, Failure> {
        let found = match &self.store {
            Some(store) => store.clone(),
            None => self.find_store()?,
        };
        self.store = Some(found.clone());
        Ok(found)
    }

    /// Returns the same as a place that can be opened.
    pub(in crate::cli) fn place(&mut self) -> Result<Place, Failure> {
        Ok(Place::of(&self.store_location()?)?)
    }

    /// Returns the database, for what is done to a file only. `instead` says what is done to a server.
    pub(in crate::cli) fn store_file(&mut self, instead: &str) -> Result<PathBuf, Failure> {
        match self.store_location()? {
            StoreLocation::File(path) => Ok(path),
            StoreLocation::Server(_) => Err(Failure::Usage(format!(
                "the store is on a PostgreSQL server (store.url), and this is for a file of SQLite; {instead}"
            ))),
        }
    }

    fn find_store(&mut self) -> Result<StoreLocation, Failure> {
        let path = self.config_path.clone();
        let of_daemon = || self.store_of_daemon().map(StoreLocation::File);
        let told = config::store_in_file(&path, &self.environment).or_else(of_daemon);
        if let Some(store) = told {
            return Ok(store);
        }
        let default = config::default_store(&self.environment);
        if path.symlink_metadata().is_ok() && default.exists() {
            let default_shown = default.display();
            self.output.warn(&format!(
                "the configuration does not say where the database is; this is about {default_shown}, with which a daemon \
                 that is started now goes on"
            ))?;
            return Ok(StoreLocation::File(default));
        }
        match self.view_config(&path) {
            Err(Failure::Config(errors)) => {
                let unknown = "it does not start; one that runs goes on with its database, and nothing here tells which \
                               that is";
                Err(Failure::Mistakes(errors, vec![unknown.to_owned()]))
            }
            config => Ok(config?.store.location),
        }
    }

    /// Returns the database of a daemon that is running, if that can be found: at the socket that the file names, or by the
    /// lock of what it may name as a database.
    fn store_of_daemon(&self) -> Option<PathBuf> {
        let (path, environment) = (&self.config_path, &self.environment);
        let socket = config::socket_in_file(path, environment);
        let answer =
            socket.and_then(|socket| get::<StatusReport>(&socket, "/v1/status", RESPONSE_WITHIN).ok());
        let is_held = |store: &PathBuf| {
            matches!(lock_state(store), DaemonState::Running { .. } | DaemonState::Starting { .. })
        };
        let by_lock = || config::stores_perhaps(path, environment).into_iter().find(is_held);
        let of_answer = answer.map(|report| PathBuf::from(report.store.path));
        of_answer.filter(|path| path.is_absolute()).or_else(by_lock)
    }

    /// Returns the path of the daemon's socket, found in the same way.
    pub(in crate::cli) fn socket_path(&mut self) -> Result<PathBuf, Failure> {
        let path = self.config_path.clone();
        match config::socket_in_file(&path, &self.environment) {
            Some(socket) => Ok(socket),
            None => {
                let store = self.store_location()?;
                Ok(config::socket_from_outside(&self.environment, store.beside()))
            }
        }
    }

    /// Warns if no daemon runs on this store: what is scheduled does not fire then.
    pub(in crate::cli) fn warn_if_stopped(&mut self, store: &Place) -> Result<(), Failure> {
        if daemon_state(store, self.now()) == DaemonState::Stopped {
            self.output.warn("the daemon is not running: nothing fires until it is started")?;
        }
        Ok(())
    }

    /// Opens the store for reading.
    pub(in crate::cli) fn open_store(&mut self) -> Result<Reader, Failure> {
        Ok(Reader::connect(&self.place()?)?)
    }
}

fn load(path: &Path, environment: &Environment) -> Result<Config, Failure> {
    demand_file(path)?;
    Ok(config::load(path, environment)?)
}

/// Returns what is in force with this store of what was loaded.
pub(in crate::cli) fn in_force(
    loaded: Loaded,
    store: StoreLocation,
    environment: &Environment,
) -> Result<Config, Failure> {
    // What is wrong with the store is found when it is opened to be written.
    let reader = Place::of(&store).and_then(|place| Reader::connect(&place));
    let saved = reader.and_then(|reader| reader.last_good_sections()).unwrap_or_default();
    let last = LastGood::of_saved(&saved, loaded.path.parent().unwrap_or(Path::new("")), environment);
    let mistakes = ConfigErrors(loaded.mistakes.clone());
    let mut config = loaded.in_force(last).ok_or(Failure::Config(mistakes))?;
    config.store.location = store;
    Ok(config)
}

/// Fails with advice if nothing is there.
pub(in crate::cli) fn demand_file(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    if path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Err(Failure::Usage(format!(
            "there is no configuration at {shown}; name it with --config FILE or $AGENTCRON_CONFIG, go to the folder of an \
             agentcron.toml, or write one with `agentcron init`"
        )));
    }
    let opened = open_regular(path, OpenOptions::new().read(true), Links::Followed);
    if opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        return Err(Failure::Usage(format!(
            "{shown}: permission denied; run this as root, as the user that the daemon runs as, or as a member of the \
             file's group: `usermod --append --groups agentcron NAME`, and log in again"
        )));
    }
    Ok(())
}

fn default_config() -> PathBuf {
    let [here, of_machine] = CONFIG_DEFAULTS.map(PathBuf::from);
    if here.exists() { here } else { of_machine }
}
