//! The settings that a configuration comes to: every value parsed, checked, and with its default if it was absent.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::clean_files::CleanFiles;
use super::credentials::Credentials;
use super::cron_definition::CronDefinition;
use super::environment::Environment;
use super::errors::ConfigError;
use super::include;
use super::loss::{KeptCrons, Loss};
use super::notify_targets::NotifyConfig;
use super::secret::Secret;
use super::store_location::StoreLocation;
use super::unit_places::default_socket;
use crate::domain::access::{Access, ClientCrons, PageAccess};
use crate::domain::calendar::Calendar;
use crate::domain::cron::Template;
use crate::domain::log::LoggedRuns;
use crate::domain::origin::OriginPattern;
use crate::domain::retention::Retention;
use crate::domain::signing::SigningKey;
use crate::domain::url_policy::UrlPolicy;

/// A section as it is saved: its name, and its text in TOML; `None` if that would hold a secret.
pub type SavedSection = (&'static str, Option<String>);

/// The settings of all files together. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file, as it was given.
    pub path: PathBuf,
    pub backend: BackendConfig,
    pub store: StoreConfig,
    /// Which ends of runs are logged.
    pub logged_runs: LoggedRuns,
    pub http: HttpConfig,
    pub webhooks: WebhooksConfig,
    /// Who is notified of what.
    pub notify: NotifyConfig,
    /// How long a stop waits for work that has begun.
    pub shutdown_grace: Duration,
    /// Every cron of every file, sorted by name.
    pub crons: Vec<Arc<CronDefinition>>,
    /// Those besides that fire nowhere for want of a value, if this daemon has the store alone ([`Config::of_several`]).
    pub without_values: Vec<Arc<CronDefinition>>,
    /// The included files that need not be parsed again as long as they have the same bytes.
    pub clean_files: Arc<CleanFiles>,
    /// What is valid, but seldom meant.
    pub warnings: Vec<ConfigError>,
    pub sources: Sources,
    /// What is wrong with the files. What it takes away is as it last was.
    pub mistakes: Vec<ConfigError>,
    /// The crons besides `crons` that go on as they were.
    pub kept: KeptCrons,
    /// The sections of which neither the files nor anything earlier is known.
    pub unknown: Vec<Loss>,
    /// The sections that the files have without a mistake.
    pub saved: Vec<SavedSection>,
}

impl Config {
    /// Returns the Unix socket on which a daemon with this configuration and environment listens.
    pub fn socket_path(&self, environment: &Environment) -> PathBuf {
        self.http.socket.clone().unwrap_or_else(|| default_socket(environment, self.store.location.beside()))
    }
}

/// The files that a configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The main file, the included ones, and the agent server's own, as they were given.
    pub files: Vec<PathBuf>,
    /// The patterns of `include`, which may match other files by now.
    pub patterns: Vec<PathBuf>,
}

impl Sources {
    /// Returns the files as they are now, new ones included. The error is about a folder that cannot be listed.
    pub fn files_now(&self) -> Result<BTreeSet<PathBuf>, String> {
        let mut files: BTreeSet<PathBuf> = self.files.iter().cloned().collect();
        for pattern in &self.patterns {
            files.extend(include::matching(pattern)?);
        }
        Ok(files)
    }

    /// Returns whether one of the patterns matches a file of this name.
    pub fn may_include(&self, name: &OsStr) -> bool {
        self.patterns.iter().any(|pattern| include::is_match(pattern, name))
    }
}

/// The agent server that runs the agents.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// With http or https and a host, without user, query and fragment.
    pub url: Url,
    /// Sent as `x-api-key`; empty without a key.
    pub api_key: Credentials,
    pub headers: Credentials,
    /// How long one request may take, unless it waits for a run.
    pub request_timeout: Duration,
    /// The most runs in progress at the same time, those of all crons together.
    pub max_concurrent_runs: usize,
    /// A PEM file with further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
}

impl BackendConfig {
    /// Returns everything that lets agentcron in at the agent server.
    pub fn credentials(&self) -> Credentials {
        self.api_key.clone().and(self.headers.clone())
    }
}

#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Where the store is, which has not been opened yet.
    pub location: StoreLocation,
    /// The most bytes of a run's final values that are kept.
    pub values_bytes_max: usize,
    /// What is kept of what has no rules of its own.
    pub retention: Retention,
    /// `None` if the daemon makes no backups.
    pub backup: Option<BackupConfig>,
}

/// The backups that the daemon makes by itself.
#[derive(Clone, Debug)]
pub struct BackupConfig {
    pub calendar: Calendar,
    pub folder: PathBuf,
    /// How many are kept.
    pub keep: usize,
}

impl PartialEq for BackupConfig {
    fn eq(&self, other: &Self) -> bool {
        let key =
            |config: &Self| (config.calendar.expression().to_owned(), config.folder.clone(), config.keep);
        key(self) == key(other)
    }
}

/// agentcron's own HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where clients find the agent server's API with agentcron's crons in front; `None` if it is not served by TCP.
    pub listen: Option<SocketAddr>,
    /// A caller must send one of these over TCP. If there are none, no key is needed, and `listen` is on loopback.
    pub keys: Vec<ApiKey>,
    /// The web pages that may use the API.
    pub allow_origins: Vec<OriginPattern>,
    /// Whether clients may have crons on an agent server that knows users.
    pub client_crons: ClientCrons,
    /// What people may do on the web page.
    pub page: PageAccess,
    /// Whether `/healthz` and `/readyz` need no key.
    pub open_probes: bool,
    /// The Unix socket over which the command line talks to the daemon; `None` if the file does not name one.
    pub socket: Option<PathBuf>,
    /// The group whose members may use the socket, by name or number; `None` if it is open to its owner only.
    pub socket_group: Option<String>,
    /// Whether deliveries are recorded as suppressed and not sent.
    pub disable_webhooks: bool,
    /// Whether the files say so, and not only the environment of this process.
    pub disabled_by_files: bool,
}

/// A key for callers over TCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// By which an operator knows its holder: `NAME` of `[http.keys.NAME]`, or the place in `api_keys`.
    pub name: String,
    pub secret: Secret,
    pub access: Access,
}

/// The settings of webhooks for runs that have ended.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhooksConfig {
    /// Standard Webhooks keys. All of them sign, in this order; if there are none, webhooks are not signed.
    pub signing_secrets: Vec<SigningKey>,
    /// Which URLs webhooks may be sent to.
    pub url: UrlPolicy,
    /// Sent with every webhook. The names are in lower case, and the values still have their placeholders.
    pub headers: BTreeMap<String, Template>,
    /// The prefix that environment variables in `headers` must have.
    pub env_prefix: String,
    /// The keys of the body that are sent; `None` means all.
    pub allowed_fields: Option<Vec<String>>,
    /// A longer body is sent without `values`.
    pub body_bytes_max: usize,
    /// A PEM file with further certificate authorities to trust when connecting to a receiver.
    pub ca_file: Option<PathBuf>,
}
