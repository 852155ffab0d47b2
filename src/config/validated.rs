//! The settled configuration: every field parsed, checked and with its default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::errors::ConfigError;
use super::fields::CronFields;
use super::secret::Secret;
use crate::domain::cron::{Cron, Target, Template};
use crate::domain::ids::{CronId, InstallationId, ThreadId};
use crate::domain::signing::SigningKey;
use crate::domain::url_policy::UrlPolicy;

/// Everything that the files say. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file, as it was named.
    pub path: PathBuf,
    /// The agent server.
    pub backend: BackendConfig,
    /// The database.
    pub store: StoreConfig,
    /// Our own server.
    pub http: HttpConfig,
    /// Webhooks for ended runs.
    pub webhooks: WebhooksConfig,
    /// How long a stop may take to finish what is in hand.
    pub shutdown_grace: Duration,
    /// Every cron of every file, by name.
    pub crons: Vec<CronDefinition>,
    /// Odd, but valid.
    pub warnings: Vec<ConfigError>,
    /// What was read.
    pub sources: Sources,
}

/// The files that a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The main file, those included, and the server's own, as they were named.
    pub files: Vec<PathBuf>,
    /// The folders of the patterns in `include`.
    pub folders: Vec<PathBuf>,
}

impl Config {
    /// Where the daemon listens for the command line: where it is told to, else beside the database.
    pub fn socket_path(&self) -> PathBuf {
        self.http.socket.clone().unwrap_or_else(|| self.store.path.with_extension("sock"))
    }
}

/// The agent server that runs the agents.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// http or https, with a host, without user, query and fragment.
    pub url: Url,
    /// Sent as `x-api-key`.
    pub api_key: Option<Secret>,
    /// For one request that does not wait for a run.
    pub request_timeout: Duration,
    /// Runs going at the same time, of all crons together.
    pub max_concurrent_runs: usize,
    /// A PEM file with further roots to trust.
    pub ca_file: Option<PathBuf>,
}

/// The database.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The file; not looked at yet.
    pub path: PathBuf,
    /// Of a run's final values, this much is kept.
    pub values_bytes_max: usize,
}

/// Our own server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where the agent server's API with crons in front is served, if at all.
    pub listen: Option<SocketAddr>,
    /// One of these is needed by TCP; none: no key is, and `listen` is on loopback.
    pub api_keys: Vec<Secret>,
    /// The Unix socket by which the command line talks to the daemon.
    pub socket: Option<PathBuf>,
    /// Deliveries are recorded as suppressed and not sent.
    pub disable_webhooks: bool,
}

/// Webhooks for ended runs.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhooksConfig {
    /// Standard Webhooks keys; all of them sign, the first one first. None: unsigned.
    pub signing_secrets: Vec<SigningKey>,
    /// Which URLs may be told.
    pub url: UrlPolicy,
    /// Sent with every webhook; names in lower case, placeholders still in the values.
    pub headers: BTreeMap<String, Template>,
    /// Variables in `headers` begin with it.
    pub env_prefix: String,
    /// Keys of the body that are sent; `None`: all.
    pub allowed_fields: Option<Vec<String>>,
    /// A longer body is sent without `values`.
    pub body_bytes_max: usize,
    /// A PEM file with further roots to trust when a receiver shows its certificate.
    pub ca_file: Option<PathBuf>,
}

/// A cron of a file.
#[derive(Clone)]
pub struct CronDefinition {
    /// What it means.
    pub cron: Cron,
    /// What was written, `[defaults]` merged in; placeholders still in webhook, input, config, context, metadata.
    pub fields: CronFields,
    /// Where its header stands.
    pub location: SourceLocation,
}

impl CronDefinition {
    /// Returns the cron with the ids that it has in this installation.
    pub fn in_installation(&self, installation: InstallationId) -> Cron {
        let mut cron = self.cron.clone();
        cron.cron_id = CronId::of_name(installation, &cron.name);
        if let Some(thread) = &self.fields.thread {
            cron.request.target = Target::Thread(ThreadId::of_name(installation, thread));
        }
        cron
    }
}

/// The payload may hold what is nobody's business in a log line.
impl fmt::Debug for CronDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.cron.name;
        f.debug_struct("CronDefinition")
            .field("name", name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLocation {
    /// As it was named.
    pub file: Arc<Path>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}
