//! Where the store is: in a file of SQLite, or on a PostgreSQL server.

use std::path::{Path, PathBuf};

use super::server_url::ServerConfig;

/// Where the store is.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreLocation {
    /// In a file of SQLite, which one daemon has.
    File(PathBuf),
    /// On a PostgreSQL server, where several daemons may share it.
    Server(Box<ServerLocation>),
}

/// A PostgreSQL server. `Debug` shows no password.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerLocation {
    /// How it is reached; `None` if only the daemon has the secrets for that.
    pub session: Option<ServerConfig>,
    /// How it is reached to hear what other daemons have committed, if that is not the same.
    pub listen: Option<ServerConfig>,
    /// A PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// Beside what the files of this daemon are: its socket, and the trace of a panic.
    pub beside: PathBuf,
}

impl StoreLocation {
    /// Returns the file, if the store is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// Returns whether there is certainly no store yet.
    pub fn is_missing(&self) -> bool {
        self.file().is_some_and(|path| matches!(path.try_exists(), Ok(false)))
    }

    /// Returns beside what the files of this daemon are.
    pub fn beside(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Server(server) => &server.beside,
        }
    }
}
