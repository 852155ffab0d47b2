//! The report that `status` and `health` are made of: the daemon's own if it responds, and otherwise what the database says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::wire::{Configuration, StatusReport};
use crate::cli::terminal::{Failure, NoResponse, Session, get, is_alive};
use crate::config::{self, Environment, KeptCron, StoreLocation};
use crate::domain::bounds::READ_WAIT;
use crate::domain::cron::CronSource;
use crate::domain::ids::DefinitionId;
use crate::present::attention;
use crate::store::{CronHead, DaemonState, Place, Reader, StatusSnapshot, StoreError, daemon_state};

/// What has to be known to find out how things are.
pub(in crate::cli) struct Question {
    config_path: PathBuf,
    environment: Environment,
    store: StoreLocation,
    /// `None` if the configuration does not say.
    socket: Option<PathBuf>,
    now: Timestamp,
}

impl Question {
    pub(in crate::cli) fn of(session: &mut Session) -> Result<Self, Failure> {
        Ok(Self {
            store: session.store_location()?,
            socket: session.socket_path().ok(),
            config_path: session.config_path.clone(),
            environment: session.environment.for_looking(),
            now: session.now(),
        })
    }

    /// Returns beside what the files of the daemon are.
    pub(in crate::cli) fn beside(&self) -> &Path {
        self.store.beside()
    }

    fn place(&self) -> Result<Place, StoreError> {
        Place::of(&self.store)
    }

    fn reader(&self) -> Result<Reader, StoreError> {
        Reader::connect(&self.place()?)
    }

    /// Returns what `ask` returns, or fails if that takes longer than `wait`.
    pub(in crate::cli) fn within<T: Send + 'static>(
        self,
        wait: Duration,
        ask: fn(&Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (done, answer) = mpsc::channel();
        std::thread::spawn(move || {
            // Nobody waits for what comes too late.
            let _ = done.send(ask(&self));
        });
        answer.recv_timeout(wait).unwrap_or_else(|_| {
            Err(Failure::Failed(format!("neither the daemon nor the database responds within {wait:?}")))
        })
    }

    pub(in crate::cli) fn report(&self) -> Result<StatusReport, Failure> {
        let report = self.alive().and_then(|socket| get(socket, "/v1/status", READ_WAIT));
        let (mut report, crons) = match report {
            Ok(report) => (report, self.reader().and_then(|reader| reader.cron_heads()).ok()),
            Err(none) => self.stored(&none)?,
        };
        if report.configuration == Configuration::Same
            && let Some(crons) = crons
        {
            self.compare(&mut report, &crons);
        }
        Ok(report)
    }

    /// Returns `None` if the daemon says that it is alive, which takes it no time however many crons it has, and otherwise
    /// what the database says.
    pub(in crate::cli) fn unless_alive(&self) -> Result<Option<StatusReport>, Failure> {
        match self.alive() {
            Ok(_) => Ok(None),
            Err(none) => Ok(Some(self.stored(&none)?.0)),
        }
    }

    /// Returns the socket of a daemon that responds.
    fn alive(&self) -> Result<&Path, NoResponse> {
        let socket = self.socket.as_deref().ok_or(NoResponse::NotAllowed)?;
        is_alive(socket, self.now).map(|()| socket)
    }

    /// Returns what the database says, and the crons in it.
    fn stored(&self, none: &NoResponse) -> Result<(StatusReport, Option<Vec<CronHead>>), Failure> {
        // A file that this user may not see is not missing.
        let place = self.place()?;
        let snapshot = match self.store.is_missing() {
            true => StatusSnapshot::empty(),
            false => {
                let reader = Reader::connect(&place)?;
                StatusSnapshot::read(&reader, place.sharing(), daemon_state(&place, self.now), self.now)?
            }
        };
        let mut report = StatusReport::of(&place.to_string(), &snapshot, None, self.now);
        // One that waits for the disk says so in its lock file.
        let should_respond = matches!(
            snapshot.daemon,
            DaemonState::Running { .. } | DaemonState::Starting { disk_since: None, .. }
        );
        if let (true, NoResponse::Silent(why)) = (should_respond, none) {
            report.add(&attention::daemon_silent(why));
        }
        Ok((report, Some(snapshot.crons)))
    }

    /// Compares the configuration files with the crons that the daemon has.
    fn compare(&self, report: &mut StatusReport, crons: &[CronHead]) {
        let config = match config::load(&self.config_path, &self.environment) {
            Ok(config) => config,
            Err(errors) => {
                let mistakes = errors.0.len();
                report.configuration = Configuration::Mistakes { mistakes };
                return report.add(&attention::files_mistaken(mistakes as u64));
            }
        };
        let from_files = crons.iter().filter(|row| row.source == CronSource::File);
        let mut stored: BTreeMap<&str, &CronHead> = from_files.map(|row| (row.name.as_str(), row)).collect();
        let (mut added, mut changed) = (0, 0);
        for definition in &config.crons {
            match stored.remove(definition.name.as_str()) {
                None => added += 1,
                Some(row) => {
                    let definition_id = DefinitionId::of_content(row.cron_id, &definition.body);
                    changed += usize::from(definition_id != row.definition_id);
                }
            }
        }
        // What only the daemon has values for is not known here.
        let is_removed = |row: &&&CronHead| {
            let (name, location) = (row.name.clone(), row.location.clone().unwrap_or_default());
            !config.kept.keep(&KeptCron { name, location })
        };
        let removed = stored.values().filter(is_removed).count();
        if (added, changed, removed) != (0, 0, 0) {
            report.configuration = Configuration::Different { added, changed, removed };
            report.add(&attention::files_differ(added, changed, removed, report.daemon.running));
        }
    }
}
