//! The server of a store: how it is reached, and what an error on the way there means.

use std::fmt::{self, Debug, Formatter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::ClientConfig;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, Error};
use tokio_postgres_rustls_improved::MakeRustlsConnect;

use super::errors::in_words;
use crate::config::{ServerLocation, read_certificates};
use crate::domain::bounds::STORE_ANSWERS_WITHIN;
use crate::store::StoreError;
use crate::transport::tls_client;

/// The schema with the tables of a store.
const SCHEMA: &str = "agentcron";
/// Where a store is.
#[derive(Clone)]
pub struct Server {
    pub(in crate::store) config: Config,
    /// How it is reached to hear what others have committed, if a pooler is in front.
    pub(in crate::store) listen: Option<Config>,
    /// The schema with its tables.
    pub(in crate::store) schema: String,
    pub(in crate::store) tls: MakeRustlsConnect,
    pub(in crate::store) beside: PathBuf,
    /// Whether statements stay prepared on a connection. Where a pooler is in front, the connection behind it changes from one
    /// transaction to the next; and whoever asks only once has nothing of it.
    prepares: Arc<AtomicBool>,
}

/// Shows no password.
impl Debug for Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.config)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Returns the server of a configuration.
    ///
    /// # Errors
    /// [`StoreError::ServerDenied`] if only the daemon has what is needed to reach it.
    pub(in crate::store) fn of(location: &ServerLocation) -> Result<Self, StoreError> {
        let Some(config) = location.session.clone() else {
            let problem = "only the daemon has the password".to_owned();
            return Err(StoreError::ServerDenied { server: "the server of store.url".to_owned(), problem });
        };
        let pem = location.ca_file.as_deref().map(read_certificates).transpose();
        let tls = pem.and_then(|pem| tls_client(pem.as_deref()).map_err(|error| error.to_string()));
        let tls = tls.map_err(|problem| StoreError::ServerUnusable { server: name(&config), problem })?;
        Ok(Self::new(config, location.listen.clone(), SCHEMA, tls, location.beside.clone()))
    }

    pub(in crate::store) fn new(
        config: Config,
        listen: Option<Config>,
        schema: &str,
        tls: ClientConfig,
        beside: PathBuf,
    ) -> Self {
        let (schema, tls, prepares) = (schema.to_owned(), MakeRustlsConnect::new(tls), Arc::default());
        Self { config, listen, schema, tls, beside, prepares }
    }

    /// Returns how it is called: without a password.
    pub(in crate::store) fn name(&self) -> String {
        name(&self.config)
    }

    /// Returns the error of a server that does not answer.
    pub(super) fn silent(&self) -> StoreError {
        let problem = format!("no answer within {} s", STORE_ANSWERS_WITHIN.as_secs());
        StoreError::ServerAway { server: self.name(), problem }
    }

    /// Whether statements stay prepared on a connection to it.
    pub(in crate::store) fn prepares(&self) -> bool {
        self.prepares.load(Ordering::Relaxed)
    }

    /// Prepares statements from now on, as far as they stay prepared.
    pub(in crate::store) fn prepare(&self) {
        self.prepares.store(self.listen.is_none(), Ordering::Relaxed);
    }

    /// Takes note of an error that only a pooler brings about, and returns whether it is one.
    pub(super) fn is_of_pooler(&self, error: &Error) -> bool {
        let codes = [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT];
        let is_of_pooler = error.code().is_some_and(|code| codes.contains(code));
        self.prepares.fetch_and(!is_of_pooler, Ordering::Relaxed);
        is_of_pooler
    }

    /// Says what an error of a connection to it means.
    pub(super) fn sorted(&self, error: Error) -> StoreError {
        let server = self.name();
        let problem = in_words(&error);
        let denied = |problem| StoreError::ServerDenied { server: server.clone(), problem };
        let unusable = |hint: &str| StoreError::ServerUnusable {
            server: server.clone(),
            problem: format!("{problem}{hint}"),
        };
        let said = error.to_string();
        match error.code() {
            Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                denied(problem)
            }
            Some(&SqlState::INVALID_CATALOG_NAME) => {
                unusable("; create it with `createdb`, or name another one in store.url")
            }
            None if said.contains("password missing") => {
                denied("it asks for a password; write store.password, or put it into $PGPASSFILE".to_owned())
            }
            None if said.contains("TLS") => unusable(
                "; store.ca_file names a certificate authority, and ?sslmode=disable in store.url is for a network that is \
                 trusted",
            ),
            Some(_) | None => StoreError::ServerAway { server, problem },
        }
    }
}

fn name(config: &Config) -> String {
    let hosts = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = config.get_ports().get(index).or(config.get_ports().first()).filter(|port| **port != 5432);
        let host = match host {
            Host::Tcp(name) if name.contains(':') => format!("[{name}]"),
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        };
        port.map_or(host.clone(), |port| format!("{host}:{port}"))
    });
    let hosts: Vec<String> = hosts.collect();
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

/// A server that is shared by its connections.
pub(in crate::store) type SharedServer = Arc<Server>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_its_password() {
        for (url, expected) in [
            ("postgres://u:s3cret@db,other:5433/d", "postgres://db,other:5433/d"),
            ("postgres://u@%2Frun%2Fpg:5433/d", "postgres:///run/pg:5433/d"),
            ("postgres://u@[::1]/d", "postgres://[::1]/d"),
        ] {
            assert_eq!(name(&url.parse().unwrap()), expected);
        }
    }
}
