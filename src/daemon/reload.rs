//! Reloads the configuration while the daemon runs: the files are read again when they have changed, or on
//! request. Everything that can be reloaded is applied, or nothing: if there is any mistake, the last good
//! configuration stays in force and the mistakes are reported.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::restart::settings_that_differ;
use super::watch::{Coverage, Watch};
use crate::api::AccessRules;
use crate::clock::Clock;
use crate::config::{
    self, Config, ConfigErrors, Environment, FILE_BYTES_MAX, LiveWriter, Sources, read_regular,
};
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
/// How often watching a folder is attempted again while it cannot be watched.
const WATCH_AGAIN: Duration = Duration::from_secs(5);

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

/// Why the files are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Requested,
    Touched,
}

/// What is known about the files.
struct KnownFiles {
    sources: Sources,
    /// A hash of their contents when they were last read; 0 if they must be read in any case.
    fingerprint: u64,
    /// How many crons they defined when they were last applied.
    crons: usize,
    /// A hash of these crons.
    definitions: u64,
}

/// Reloads until it is stopped.
pub(super) async fn run(mut reload: Reload, stop: CancellationToken) -> Result<(), StoreError> {
    let touched = Arc::new(Notify::new());
    let mut watch = Watch::begin(Arc::clone(&touched));
    let sources = reload.config.sources.clone();
    let mut coverage = watch.follow(&sources);
    let definitions = super::definitions(&reload.config.crons, reload.store.installation_id())
        .map_or(0, |all| hash_of(&all));
    // A change between the first reading and now is found because the files are read once more. Files that
    // have been unchanged for a while are not read twice: parsing thousands of crons leaves memory behind.
    let fingerprint = match changed_lately(&sources, reload.clock.now()) {
        true => 0,
        false => fingerprint_of(&sources),
    };
    let mut known = KnownFiles { sources, fingerprint, crons: reload.config.crons.len(), definitions };
    // The store has the crons: thousands of them need not be kept twice for as long as the daemon runs.
    reload.config.crons = Vec::new();
    if known.fingerprint == 0 {
        touched.notify_one();
    }
    loop {
        let cause = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = reload.requested.notified() => Cause::Requested,
            () = touched.notified() => Cause::Touched,
            () = tokio::time::sleep(WATCH_AGAIN), if coverage == Coverage::Partial => Cause::Touched,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            done = pass(&reload, &mut known, cause) => {
                if done? == Again::Yes {
                    touched.notify_one();
                }
            }
        }
        coverage = watch.follow(&known.sources);
    }
}

/// Whether the files must be read once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

/// Reads the files once they are stable, if they have changed or if a reload was requested.
async fn pass(reload: &Reload, known: &mut KnownFiles, cause: Cause) -> Result<Again, StoreError> {
    let fingerprint = stable_fingerprint(&known.sources).await;
    if cause == Cause::Touched && fingerprint == known.fingerprint {
        return Ok(Again::No);
    }
    known.fingerprint = fingerprint;
    Calendar::reread_zones();
    if reload.store.zones_changed() {
        reload.wakes.scheduler.notify_one();
    }
    match load(reload).await {
        Ok(config) if config.crons.is_empty() && known.crons > 0 => {
            let message = "no cron is left in the configuration; if that is intended, restart the daemon";
            refuse(reload, NewNotice::single(message.to_owned())).await?;
        }
        Ok(config) => {
            apply(reload, known, &config, cause).await?;
            known.crons = config.crons.len();
            if known.sources != config.sources {
                // The configuration now consists of other files. They have no fingerprint yet, and may have
                // changed since they were read.
                *known = KnownFiles { sources: config.sources, fingerprint: 0, ..*known };
                return Ok(Again::Yes);
            }
        }
        Err(errors) => {
            let mistakes = NewNotice { detail: errors.to_string(), count: errors.0.len() };
            refuse(reload, mistakes).await?;
        }
    }
    Ok(Again::No)
}

/// Waits until the files are no longer being written, and returns their fingerprint.
async fn stable_fingerprint(sources: &Sources) -> u64 {
    let mut before = fingerprint_of(sources);
    for _ in 0..STABLE_CHECKS_MAX {
        tokio::time::sleep(STABLE_FOR).await;
        let now = fingerprint_of(sources);
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// Reads the files on another thread, because that takes a moment and must not delay the runs.
async fn load(reload: &Reload) -> Result<Config, ConfigErrors> {
    let (path, environment) = (reload.config.path.clone(), reload.environment.clone());
    match tokio::task::spawn_blocking(move || config::load(&path, &environment)).await {
        Ok(loaded) => loaded,
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
        Err(error) => return refuse(reload, NewNotice::single(error.to_string())).await,
    };
    let mut report = SyncReport::default();
    let hash = hash_of(&definitions);
    // Ten thousand unchanged crons are not worth a transaction.
    if hash != known.definitions {
        report = reload.store.sync_file_crons(now, definitions).await?;
        known.definitions = hash;
        reload.wakes.scheduler.notify_one();
        // The runs of old definitions may have to be started or ended now.
        reload.wakes.runner.notify_one();
    }
    reload.store.notice(now, NoticeKind::Configuration, None).await?;
    let changes = report.added + report.changed + report.removed;
    if changes > 0 || cause == Cause::Requested {
        let (added, changed, removed) = (report.added, report.changed, report.removed);
        tracing::info!(crons = config.crons.len(), added, changed, removed, "configuration reloaded");
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    }
    if reload.webhooks.put(WebhookSettings::of_config(config)) {
        tracing::info!("webhook settings reloaded");
    }
    let rules = reload.access.now().reloaded(&config.http);
    if config.http.keys.is_empty() && rules.has_keys() {
        tracing::warn!("the last key of [http] stays in force; a port without keys needs a restart");
    }
    if reload.access.put(rules) {
        tracing::info!("keys and origins reloaded");
    }
    let differ = settings_that_differ(&reload.config, config);
    if !differ.is_empty() {
        tracing::warn!(settings = differ.join(", "), "settings not reloaded; they need a restart");
    }
    Ok(())
}

async fn refuse(reload: &Reload, mistakes: NewNotice) -> Result<(), StoreError> {
    let detail = &mistakes.detail;
    tracing::error!("configuration not reloaded; the last good one stays in force:\n{detail}");
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

/// Returns whether a file, a link to it or its folder may have changed since the daemon's start, by the
/// change time of the inode (ctime), which a rename sets as well. What cannot be read counts as changed.
fn changed_lately(sources: &Sources, now: Timestamp) -> bool {
    let since = now.as_second() - STARTING_SECONDS;
    let is_old = |path: &Path| {
        let metadata = [std::fs::metadata(path), std::fs::symlink_metadata(path)];
        metadata.into_iter().all(|file| file.is_ok_and(|file| file.ctime() < since))
    };
    // The parent of a bare file name is the current folder.
    let folder_of = |file: &PathBuf| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let files_are_old = sources.files.iter().all(|file| is_old(file) && is_old(&folder_of(file)));
    !(files_are_old && sources.folders.iter().all(|folder| is_old(folder)))
}

/// Returns a hash of the contents of the files; never 0.
fn fingerprint_of(sources: &Sources) -> u64 {
    let mut paths: Vec<PathBuf> = sources.files.clone();
    for folder in &sources.folders {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|name| name == "toml")));
    }
    paths.sort();
    paths.dedup();
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let content = read_regular(&path, FILE_BYTES_MAX).map_err(|error| error.to_string());
        (path, content).hash(&mut hasher);
    }
    hasher.finish().max(1)
}
