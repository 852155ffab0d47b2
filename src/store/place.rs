//! Where a store is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sql::{Connection, Server, Session, make};
use super::{StoreError, open};
use crate::domain::ids::InstallationId;

/// Where a store is.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file of SQLite, which one daemon has.
    File(PathBuf),
    /// On a PostgreSQL server, where several daemons may share it.
    Server(Arc<Server>),
}

impl Place {
    /// Returns the place of a store on a server, in a schema of its own.
    ///
    /// # Errors
    /// [`StoreError::Postgres`] if it is no URL of PostgreSQL.
    pub fn on_server(url: &str, schema: &str) -> Result<Self, StoreError> {
        Ok(Place::Server(Arc::new(Server { config: url.parse()?, schema: schema.to_owned() })))
    }

    /// Returns the file, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// Opens a connection that writes, after making the store if there is none.
    pub(super) fn open_to_write(&self, new_installation: InstallationId) -> Result<Connection, StoreError> {
        match self {
            Place::File(path) => Ok(Connection::Sqlite(open::open_to_write(path, new_installation)?)),
            Place::Server(server) => {
                let session = Session::connect(server)?;
                make(&session, open::MIGRATIONS, new_installation)?;
                Ok(Connection::Postgres(Box::new(session)))
            }
        }
    }

    /// Opens a connection that only reads.
    pub(super) fn open_to_read(&self) -> Result<Connection, StoreError> {
        match self {
            Place::File(path) => Ok(Connection::Sqlite(open::open_to_read(path)?)),
            Place::Server(server) => Ok(Connection::Postgres(Box::new(Session::connect(server)?))),
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
