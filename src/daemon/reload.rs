//! Changes while running: the files are read again when they were touched, or when somebody asks. All of it is taken
//! up or none: with any mistake the last good definitions go on, and the mistakes are told.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::restart::settings_that_differ;
use super::watch::Watch;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigErrors, Environment, Sources};
use crate::engine::Wakes;
use crate::store::{NewDefinition, NoticeKind, Store, StoreError, SyncReport};
use crate::webhook::{SettingsWriter, WebhookSettings};

/// Editors write in several steps: files are read once they have been the same for this long.
const SETTLE_WAIT: Duration = Duration::from_millis(200);
/// Files that never stop changing are read all the same.
const SETTLE_LOOKS_MAX: usize = 25;
/// From the first reading of the files to the first look at them a daemon needs much less than this.
const STARTING_SECONDS: i64 = 60;
/// How often a folder that cannot be watched is tried again.
const WATCH_AGAIN: Duration = Duration::from_secs(5);

/// What reloading needs.
pub(super) struct Reload {
    /// As the daemon runs.
    pub(super) config: Config,
    /// Where placeholders get their values.
    pub(super) environment: Environment,
    /// The time.
    pub(super) clock: Clock,
    /// Where definitions go.
    pub(super) store: Store,
    /// Who goes by them.
    pub(super) wakes: Wakes,
    /// Where the settings of webhooks go.
    pub(super) webhooks: SettingsWriter,
    /// Somebody asks.
    pub(super) asked: Arc<Notify>,
}

/// Why the files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    Touched,
}

/// What was seen of the files.
struct Seen {
    sources: Sources,
    fingerprint: u64,
    /// How many crons they define, as far as they were taken up.
    crons: usize,
    /// What these are, in a number.
    definitions: u64,
}

/// Takes up changes until told to stop.
pub(super) async fn run(mut reload: Reload, stop: CancellationToken) -> Result<(), StoreError> {
    let touched = Arc::new(Notify::new());
    let mut watch = Watch::begin(Arc::clone(&touched));
    let sources = reload.config.sources.clone();
    let mut all_watched = watch.follow(&sources);
    let definitions = super::definitions(&reload.config.crons, reload.store.installation_id())
        .map_or(0, |all| hash_of(&all));
    // What was changed between the first reading and now is seen as a difference to nothing. Files that have been the
    // same for a while are not read twice: parsing thousands of crons leaves memory behind.
    let fingerprint = match changed_lately(&sources, reload.clock.now()) {
        true => 0,
        false => fingerprint_of(&sources),
    };
    let mut seen = Seen { sources, fingerprint, crons: reload.config.crons.len(), definitions };
    // The store has them: thousands of crons are not to be kept twice for as long as the daemon runs.
    reload.config.crons = Vec::new();
    if seen.fingerprint == 0 {
        touched.notify_one();
    }
    loop {
        let cause = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = reload.asked.notified() => Cause::Asked,
            () = touched.notified() => Cause::Touched,
            () = tokio::time::sleep(WATCH_AGAIN), if !all_watched => Cause::Touched,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            done = pass(&reload, &mut seen, cause) => {
                if done? == Again::Yes {
                    touched.notify_one();
                }
            }
        }
        all_watched = watch.follow(&seen.sources);
    }
}

/// Whether the files are to be looked at once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Yes,
    No,
}

/// Reads the files once they have settled, if they are others than before or if somebody asks.
async fn pass(reload: &Reload, seen: &mut Seen, cause: Cause) -> Result<Again, StoreError> {
    let fingerprint = validated(&seen.sources).await;
    if cause == Cause::Touched && fingerprint == seen.fingerprint {
        return Ok(Again::No);
    }
    seen.fingerprint = fingerprint;
    match load(reload).await {
        Ok(config) if config.crons.is_empty() && seen.crons > 0 => {
            let words = "no cron is left in it; if that is meant, restart the daemon";
            refuse(reload, words.to_owned()).await?;
        }
        Ok(config) => {
            take_up(reload, seen, &config, cause).await?;
            seen.crons = config.crons.len();
            if seen.sources != config.sources {
                // Other files than those that were looked at: they may have changed meanwhile.
                *seen = Seen { sources: config.sources, fingerprint: 0, ..*seen };
                return Ok(Again::Yes);
            }
        }
        Err(errors) => refuse(reload, errors.to_string()).await?,
    }
    Ok(Again::No)
}

/// Waits until nobody writes any more.
async fn validated(sources: &Sources) -> u64 {
    let mut before = fingerprint_of(sources);
    for _ in 0..SETTLE_LOOKS_MAX {
        tokio::time::sleep(SETTLE_WAIT).await;
        let now = fingerprint_of(sources);
        if now == before {
            break;
        }
        before = now;
    }
    before
}

/// Reading takes a moment, which is not to be taken from the runs.
async fn load(reload: &Reload) -> Result<Config, ConfigErrors> {
    let (path, environment) = (reload.config.path.clone(), reload.environment.clone());
    match tokio::task::spawn_blocking(move || config::load(&path, &environment)).await {
        Ok(loaded) => loaded,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

async fn take_up(reload: &Reload, seen: &mut Seen, config: &Config, cause: Cause) -> Result<(), StoreError> {
    let now = reload.clock.now();
    let definitions = match super::definitions(&config.crons, reload.store.installation_id()) {
        Ok(definitions) => definitions,
        Err(error) => return refuse(reload, error.to_string()).await,
    };
    let mut report = SyncReport::default();
    let hash = hash_of(&definitions);
    // Ten thousand crons that are what they were are not worth a transaction.
    if hash != seen.definitions {
        report = reload.store.sync_file_crons(now, definitions).await?;
        seen.definitions = hash;
        reload.wakes.scheduler.notify_one();
        // What the old definitions still owed may have to be started.
        reload.wakes.runner.notify_one();
    }
    reload.store.notice(now, NoticeKind::Configuration, None).await?;
    let changes = report.added + report.changed + report.removed;
    if changes > 0 || cause == Cause::Asked {
        let (added, changed, removed) = (report.added, report.changed, report.removed);
        tracing::info!(crons = config.crons.len(), added, changed, removed, "configuration taken up");
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    }
    if reload.webhooks.put(WebhookSettings::of_config(config)) {
        tracing::info!("settings of webhooks taken up");
    }
    let differ = settings_that_differ(&reload.config, config);
    if !differ.is_empty() {
        tracing::warn!("needs a restart: {}", differ.join(", "));
    }
    Ok(())
}

async fn refuse(reload: &Reload, mistakes: String) -> Result<(), StoreError> {
    tracing::error!("configuration not taken up, the last good one goes on:\n{mistakes}");
    reload.store.notice(reload.clock.now(), NoticeKind::Configuration, Some(mistakes)).await
}

/// What the crons are, and where they stand.
fn hash_of(definitions: &[NewDefinition]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for NewDefinition { cron, body, location } in definitions {
        (&cron.name, body, location).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether a file, a link to it or its folder may have changed since the daemon's start: by the inode's time (ctime),
/// which a rename touches as well. What cannot be looked at counts as changed.
fn changed_lately(sources: &Sources, now: Timestamp) -> bool {
    let since = now.as_second() - STARTING_SECONDS;
    let is_old = |path: &Path| {
        let seen = [std::fs::metadata(path), std::fs::symlink_metadata(path)];
        seen.into_iter().all(|file| file.is_ok_and(|file| file.ctime() < since))
    };
    // A relative name alone has the current folder for its parent.
    let folder_of = |file: &PathBuf| match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let files_are_old = sources.files.iter().all(|file| is_old(file) && is_old(&folder_of(file)));
    !(files_are_old && sources.folders.iter().all(|folder| is_old(folder)))
}

/// What the files say, without understanding it; never 0.
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
        let content = std::fs::read(&path).map_err(|error| error.kind().to_string());
        (path, content).hash(&mut hasher);
    }
    hasher.finish().max(1)
}
