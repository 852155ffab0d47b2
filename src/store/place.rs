//! Where a store is.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lease::Sharing;
use super::sql::{Connection, Server, Session, demand_made, demand_makeable, demand_usable, make};
use super::{StoreError, open};
use crate::clock::Clock;
use crate::config::StoreLocation;
use crate::domain::ids::InstallationId;
use crate::domain::outage::Away;
use crate::domain::server_clock::ClockSample;
#[cfg(feature = "postgres")]
use crate::transport::tls_client;

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file of SQLite, which one daemon has.
    File(PathBuf),
    /// On a PostgreSQL server, where several daemons may share it.
    Server(Arc<Server>),
}

impl Place {
    /// Returns the place that a configuration names.
    ///
    /// # Errors
    /// [`StoreError::ServerDenied`] if only the daemon has what is needed to reach it.
    pub fn of(location: &StoreLocation) -> Result<Self, StoreError> {
        Ok(match location {
            StoreLocation::File(path) => Self::File(path.clone()),
            StoreLocation::Server(server) => Self::Server(Arc::new(Server::of(server)?)),
        })
    }

    /// Returns the place of a store on a server, in a schema of its own.
    ///
    /// # Errors
    /// [`StoreError::Postgres`] if it is no URL of PostgreSQL.
    #[cfg(feature = "postgres")]
    pub fn on_server(url: &str, schema: &str) -> Result<Self, StoreError> {
        let config: tokio_postgres::Config = url.parse()?;
        let tls = tls_client(None).map_err(|error| StoreError::Lost(error.to_string()))?;
        Ok(Place::Server(Arc::new(Server::new(config, None, schema, tls, PathBuf::new()))))
    }

    /// Returns what is away while the store cannot commit.
    pub fn away(&self) -> Away {
        Away::of_store(matches!(self, Self::Server(_)))
    }

    /// Returns beside what the files of a daemon are.
    pub fn beside(&self) -> &Path {
        match self {
            Place::File(path) => path,
            Place::Server(server) => &server.beside,
        }
    }

    /// Returns who may have the store at the same time.
    pub fn sharing(&self) -> Sharing {
        match self {
            Place::File(_) => Sharing::Alone,
            Place::Server(_) => Sharing::Shared,
        }
    }

    /// Returns the URL of its server, without a password, if it is on one.
    pub fn server_url(&self) -> Option<String> {
        match self {
            Place::File(_) => None,
            Place::Server(server) => Some(server.url()),
        }
    }

    /// Returns the file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// Fails if a daemon could not begin with it for a reason that its server gives. A file is not looked at.
    pub fn check(&self) -> Result<(), StoreError> {
        let Place::Server(server) = self else { return Ok(()) };
        let session = Session::connect(server)?;
        demand_usable(&session)?;
        demand_makeable(&session)
    }

    /// Opens a connection that writes, after making the store if there is none. The clock follows that of a server from then on.
    pub(super) fn open_to_write(
        &self,
        new_installation: InstallationId,
        clock: &Clock,
    ) -> Result<Connection, StoreError> {
        match self {
            Place::File(path) => Ok(Connection::Sqlite(open::open_to_write(path, new_installation)?)),
            Place::Server(server) => {
                server.prepare();
                let session = Session::connect(server)?;
                demand_usable(&session)?;
                let asked = clock.since_boot();
                let sample = ClockSample::of(session.clock()?, asked, clock.since_boot());
                clock.follow(sample.ahead);
                demand_makeable(&session)?;
                session.history()?;
                make(&session, open::MIGRATIONS, new_installation)?;
                Ok(Connection::Postgres(Box::new(session)))
            }
        }
    }

    /// Opens a connection that only reads.
    pub(super) fn open_to_read(&self) -> Result<Connection, StoreError> {
        match self {
            Place::File(path) => Ok(Connection::Sqlite(open::open_to_read(path)?)),
            Place::Server(server) => {
                let session = Session::connect(server)?;
                demand_made(&session, open::MIGRATIONS.len())?;
                Ok(Connection::Postgres(Box::new(session)))
            }
        }
    }

    /// Says what an error of opening it is about, and what to do.
    pub(super) fn in_words(&self, error: StoreError) -> StoreError {
        match self {
            Place::File(path) => open::in_words(path, error),
            Place::Server(_) => error,
        }
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Place::File(path.to_path_buf())
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Server(server) => f.write_str(&server.name()),
        }
    }
}
