//! Reloads the configuration while the daemon runs: the files are read again when they have changed, or on
//! request. Everything that can be reloaded is applied, or nothing: if there is any mistake, the last good
//! configuration stays in force and the mistakes are reported.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::files::FilesOnDisk;
use super::restart::settings_that_differ;
use super::watch::Watch;
use crate::api::AccessRules;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigErrors, Environment, LiveWriter, Sources};
use crate::domain::bounds::FILES_LOOKED_AT_EVERY;
use crate::domain::calendar::Calendar;
use crate::engine::Wakes;
use crate::store::{NewDefinition, NewNotice, NoticeKind, Store, StoreError, SyncReport};
use crate::webhook::WebhookSettings;

/// Editors write in several steps: files are read once they have been unchanged for this long.
const STABLE_FOR: Duration = Duration::from_millis(200);
/// Files that never stop changing are read after this many checks all the same.
const STABLE_CHECKS_MAX: usize = 25;
/// A daemon takes much less than this from reading the files at its start to watching them.
const STARTING_SECONDS: i64 = 60;

/// What reloading needs.
pub(super) struct Reload {
    /// The configuration with which the daemon was started.
    pub(super) config: Config,
    pub(super) environment: Environment,
    pub(super) clock: Clock,
    pub(super) store: Store,
    pub(super) wakes: Wakes,
    /// Publishes the settings of webhooks.
    pub(super) webhooks: LiveWriter<WebhookSettings>,
    /// Publishes who may call.
    pub(super) access: LiveWriter<AccessRules>,
    /// Notified when a reload is requested.
    pub(super) requested: Arc<Notify>,
}

/// Why the files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Somebody wishes them to be read as they are.
    Requested,
    /// Something has happened to one of them.
    Touched,
    /// They have not been looked at for a while.
    Interval,
    /// The last reading was of other files than those that were looked at before it.
    Again,
}

/// What is known about the files.
struct KnownFiles {
    sources: Arc<Sources>,
    /// Of the look before they were last read; `None` if they must be read in any case.
    fingerprint: Option<u64>,
    /// How many crons they defined when they were last applied.
    crons: usize,
    /// A hash of these crons.
    definitions: u64,
    /// What was wrong with them when they were last read.
    mistakes: Option<String>,
}

/// Reloads until it is stopped.
pub(super) async fn run(mut reload: Reload, stop: CancellationToken) -> Result<(), StoreError> {
    let mut watch = Watch::begin();
    let sources = Arc::new(std::mem::take(&mut reload.config.sources));
    let definitions = super::definitions(&reload.config.crons, reload.store.installation_id())
        .map_or(0, |all| hash_of(&all));
    let found = look(&sources).await;
    // A change between the first reading and now is found because the files are read once more. Files that
    // have been unchanged for a while are not read twice: parsing thousands of crons leaves memory behind.
    let fingerprint = is_old(&found, reload.clock.now()).then_some(found.fingerprint);
    watch.follow(&sources, found);
    let crons = reload.config.crons.len();
    let mut known = KnownFiles { sources, fingerprint, crons, definitions, mistakes: None };
    // The store has the crons: thousands of them need not be kept twice for as long as the daemon runs.
    reload.config.crons = Vec::new();
    loop {
        let cause = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = reload.requested.notified() => Cause::Requested,
            () = std::future::ready(()), if known.fingerprint.is_none() => Cause::Again,
            () = watch.touched() => Cause::Touched,
            () = tokio::time::sleep(FILES_LOOKED_AT_EVERY) => Cause::Interval,
        };
        let found = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            found = pass(&reload, &mut known, cause) => found?,
        };
        watch.follow(&known.sources, found);
    }
}

/// Reads the files once they are stable, if they have changed or if a reload was requested.
async fn pass(reload: &Reload, known: &mut KnownFiles, cause: Cause) -> Result<FilesOnDisk, StoreError> {
    let found = look(&known.sources).await;
    if cause != Cause::Requested && known.fingerprint == Some(found.fingerprint) {
        return Ok(found);
    }
    Calendar::reread_zones();
    if reload.store.zones_changed() {
        reload.wakes.scheduler.notify_one();
    }
    let found = stable(found, &known.sources).await;
    known.fingerprint = Some(found.fingerprint);
    let (sources, loaded) = load(reload).await;
    match loaded {
        Ok(config) if config.crons.is_empty() && known.crons > 0 && cause != Cause::Requested => {
            let message =
                "no cron is left in the configuration; if that is intended, send SIGHUP (systemctl reload)";
            refuse(reload, known, NewNotice::single(message.to_owned()), cause).await?;
        }
        Ok(config) => {
            apply(reload, known, &config, cause).await?;
            known.crons = config.crons.len();
        }
        Err(errors) => {
            let mistakes = NewNotice { detail: errors.to_string(), count: errors.0.len() };
            refuse(reload, known, mistakes, cause).await?;
        }
    }
    if *known.sources == sources {
        return Ok(found);
    }
    // The configuration now consists of other files, which may have changed since they were read.
    known.sources = Arc::new(sources);
    known.fingerprint = None;
    Ok(look(&known.sources).await)
}

/// Looks at the files on another thread: a network file system may take its time.
async fn look(sources: &Arc<Sources>) -> FilesOnDisk {
    let sources = Arc::clone(sources);
    elsewhere(move || FilesOnDisk::look(&sources)).await
}

/// Waits until the files are no longer being written, and returns how they are then.
async fn stable(mut before: FilesOnDisk, sources: &Arc<Sources>) -> FilesOnDisk {
    for _ in 0..STABLE_CHECKS_MAX {
        tokio::time::sleep(STABLE_FOR).await;
        let now = look(sources).await;
        if now.fingerprint == before.fingerprint {
            break;
        }
        before = now;
    }
    before
}

/// Reads the files on another thread, because that takes a moment and must not delay the runs.
async fn load(reload: &Reload) -> (Sources, Result<Config, ConfigErrors>) {
    let (path, environment) = (reload.config.path.clone(), reload.environment.clone());
    elsewhere(move || config::load_from(&path, &environment)).await
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

async fn apply(
    reload: &Reload,
    known: &mut KnownFiles,
    config: &Config,
    cause: Cause,
) -> Result<(), StoreError> {
    let now = reload.clock.now();
    let definitions = match super::definitions(&config.crons, reload.store.installation_id()) {
        Ok(definitions) => definitions,
        Err(error) => return refuse(reload, known, NewNotice::single(error.to_string()), cause).await,
    };
    let mut report = SyncReport::default();
    let hash = hash_of(&definitions);
    // Ten thousand unchanged crons are not worth a transaction.
    if hash != known.definitions {
        report = reload.store.sync_file_crons(now, definitions).await?;
        known.definitions = hash;
        reload.wakes.scheduler.notify_one();
        // What was due until now may have to be started, and what waits may have another deadline.
        reload.wakes.runner.notify_one();
        // The webhook of an occurrence whose retry is dropped is due.
        reload.wakes.courier.notify_one();
    }
    reload.store.notice(now, NoticeKind::Configuration, None).await?;
    let changes = report.added + report.changed + report.removed;
    let is_repaired = known.mistakes.take().is_some();
    if changes > 0 || is_repaired || cause == Cause::Requested {
        let (added, changed, removed) = (report.added, report.changed, report.removed);
        let event =
            if is_repaired { "configuration repaired and reloaded" } else { "configuration reloaded" };
        tracing::info!(crons = config.crons.len(), added, changed, removed, "{event}");
        config.warnings.iter().for_each(|warning| tracing::warn!(hourly = "", "{warning}"));
    }
    if reload.webhooks.put(WebhookSettings::of_config(config)) {
        tracing::info!("webhook settings reloaded");
    }
    let rules = reload.access.now().reloaded(&config.http);
    if config.http.keys.is_empty() && rules.has_keys() {
        tracing::warn!(
            hourly = "",
            "the last key of [http] stays in force; a port without keys needs a restart"
        );
    }
    if reload.access.put(rules) {
        tracing::info!("keys and origins reloaded");
    }
    let differ = settings_that_differ(&reload.config, config);
    if !differ.is_empty() {
        let settings = differ.join(", ");
        tracing::warn!(settings, hourly = settings, "settings not reloaded; they need a restart");
    }
    Ok(())
}

async fn refuse(
    reload: &Reload,
    known: &mut KnownFiles,
    mistakes: NewNotice,
    cause: Cause,
) -> Result<(), StoreError> {
    let detail = &mistakes.detail;
    if cause == Cause::Requested || known.mistakes.as_ref() != Some(detail) {
        tracing::error!("configuration not reloaded; the last good one stays in force:\n{detail}");
    }
    known.mistakes = Some(detail.clone());
    reload.store.notice(reload.clock.now(), NoticeKind::Configuration, Some(mistakes)).await
}

/// Returns a hash of the crons and their places in the files.
fn hash_of(definitions: &[NewDefinition]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for NewDefinition { cron, body, location } in definitions {
        (&cron.name, body, location).hash(&mut hasher);
    }
    hasher.finish()
}

/// Returns whether nothing has changed since the daemon's start. What cannot be looked at counts as changed.
fn is_old(found: &FilesOnDisk, now: Timestamp) -> bool {
    found.newest_change.is_some_and(|newest| newest < now.as_second() - STARTING_SECONDS)
}
