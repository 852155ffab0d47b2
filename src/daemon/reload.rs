//! Reloads the configuration while the daemon runs: the files are read again when they have changed, or on
//! request. What is understood is applied; the rest stays as it was, and the mistakes are reported.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::files::FilesOnDisk;
use super::in_force::{SettingsInForce, proposal};
use super::restart::settings_that_differ;
use super::watch::Watch;
use super::{ServiceManager, generations, mistakes};
use crate::api::AccessRules;
use crate::clock::Clock;
use crate::config::{
    self, CleanFiles, Config, CronDefinition, Environment, KeptCron, LastGood, LiveWriter, Loaded, Sources,
};
use crate::domain::bounds::FILES_LOOKED_AT_EVERY;
use crate::domain::calendar::Calendar;
use crate::domain::generation::Adoption;
use crate::engine::Wakes;
use crate::engine::reloads::{Outcome, Reloads};
use crate::pulse::Pulse;
use crate::store::{NewNotice, NoticeKind, Reading, Sharing, Store, StoreError, SyncReport};

/// Editors write in several steps: files are read once they have been unchanged for this long.
const STABLE_FOR: Duration = Duration::from_millis(100);
/// Files that never stop changing are read after this many checks all the same.
const STABLE_CHECKS_MAX: usize = 50;
/// A daemon takes much less than this from reading the files at its start to watching them.
const STARTING_SECONDS: i64 = 60;

/// What reloading needs.
pub(super) struct Reload {
    /// The configuration with which the daemon was started.
    pub(super) config: Config,
    /// The crons that go on since then although the files do not define them.
    pub(super) kept: Vec<KeptCron>,
    pub(super) environment: Environment,
    pub(super) clock: Clock,
    pub(super) store: Store,
    /// The name of this machine.
    pub(super) host: String,
    pub(super) wakes: Wakes,
    pub(super) live: LiveWriters,
    /// Notified when a reload is requested.
    pub(super) requested: Arc<Notify>,
    /// Who is told when that begins and ends.
    pub(super) manager: Option<ServiceManager>,
    /// Where it is shown how that went.
    pub(super) reloads: Reloads,
    pub(super) pulse: Pulse,
}

/// Publishes the settings that a reload replaces.
pub(super) struct LiveWriters {
    /// Of webhooks, and how long history is kept.
    pub(super) in_force: Arc<SettingsInForce>,
    /// Who may call.
    pub(super) access: LiveWriter<AccessRules>,
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
    /// What is in force of them, without the crons.
    in_force: Config,
    /// The crons that the files define.
    crons: Vec<Arc<CronDefinition>>,
    /// The crons that fire besides.
    kept: Vec<KeptCron>,
    /// What was wrong with the files when they were last read.
    mistakes: Option<NewNotice>,
    /// The settings of these files that a restart puts in force.
    needs_restart: Vec<&'static str>,
}

impl KnownFiles {
    fn fires_any(&self) -> bool {
        !(self.crons.is_empty() && self.kept.is_empty())
    }

    fn outcome(&self) -> Outcome {
        let problem = self.mistakes.as_ref().map(|mistakes| mistakes.detail.clone());
        Outcome { problem, needs_restart: self.needs_restart.clone() }
    }
}

/// Reloads until it is stopped.
pub(super) async fn run(mut reload: Reload, stop: CancellationToken) -> Result<(), StoreError> {
    let mut watch = Watch::begin();
    let sources = Arc::new(std::mem::take(&mut reload.config.sources));
    let found = look(&sources).await;
    // A change between the first reading and now is found because the files are read once more. Files that
    // have been unchanged for a while are not read twice.
    let fingerprint = is_old(&found, reload.clock.now()).then_some(found.fingerprint);
    watch.follow(&sources, found);
    let kept = std::mem::take(&mut reload.kept);
    let crons = std::mem::take(&mut reload.config.crons);
    let mistakes = mistakes::describe(&reload.config, &reload.config, &kept);
    let in_force = reload.config.clone();
    let needs_restart = Vec::new();
    let mut known = KnownFiles { sources, fingerprint, in_force, crons, kept, mistakes, needs_restart };
    loop {
        let cause = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = reload.requested.notified() => Cause::Requested,
            () = std::future::ready(()), if known.fingerprint.is_none() => Cause::Again,
            () = watch.touched() => Cause::Touched,
            () = tokio::time::sleep(FILES_LOOKED_AT_EVERY) => Cause::Interval,
        };
        if cause == Cause::Requested {
            reload.reloads.begin();
        }
        let manager = reload.manager.filter(|_| cause == Cause::Requested);
        manager.inspect(|manager| (manager.reloading)());
        let found = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            found = pass(&reload, &mut known, cause) => found?,
        };
        if cause == Cause::Requested {
            reload.reloads.end(known.outcome());
        }
        manager.inspect(|manager| (manager.reloaded)());
        watch.follow(&known.sources, found);
    }
}

/// Reads the files once they are stable, if they have changed or if a reload was requested.
async fn pass(reload: &Reload, known: &mut KnownFiles, cause: Cause) -> Result<FilesOnDisk, StoreError> {
    let found = look(&known.sources).await;
    // What a mistake is about may change without the files: a credential appears, or a file system is mounted.
    let may_be_mended = known.mistakes.is_some() && cause == Cause::Interval;
    if cause != Cause::Requested && known.fingerprint == Some(found.fingerprint) && !may_be_mended {
        return Ok(found);
    }
    Calendar::reread_zones();
    let zones_changed = reload.store.replan_if_zones_changed().await?;
    if zones_changed {
        reload.wakes.runner.notify_one();
    }
    let found = stable(found, &known.sources).await;
    let from = (known.fingerprint != Some(found.fingerprint)).then(|| reload.live.in_force.files().digest);
    known.fingerprint = Some(found.fingerprint);
    let reads_all = zones_changed || cause == Cause::Requested;
    let clean_files = if reads_all { Arc::default() } else { Arc::clone(&known.in_force.clean_files) };
    let loaded = load(reload, clean_files).await;
    let sources = loaded.sources.clone();
    let Some(mut config) = loaded.in_force(LastGood::of_config(&known.in_force)) else { return Ok(found) };
    if reload.store.sharing() == Sharing::Shared {
        config = config.of_several();
    }
    // Only now: a file system of a network may take its time.
    reload.pulse.busy();
    let is_emptied = config.crons.is_empty() && config.kept.is_empty() && known.fires_any();
    if is_emptied && cause != Cause::Requested {
        let message =
            "no cron is left in the configuration; if that is intended, send SIGHUP (systemctl reload)";
        refuse(reload, known, NewNotice::single(message.to_owned()), cause).await?;
    } else {
        apply(reload, known, config, cause, from).await?;
    }
    reload.pulse.idle();
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
async fn load(reload: &Reload, clean_files: Arc<CleanFiles>) -> Loaded {
    let (path, environment) = (reload.config.path.clone(), reload.environment.clone());
    elsewhere(move || config::load_again(&path, &environment, &clean_files).with_certificates()).await
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Applies what was read. If the files have changed, their digest was `from` before.
async fn apply(
    reload: &Reload,
    known: &mut KnownFiles,
    mut config: Config,
    cause: Cause,
    from: Option<String>,
) -> Result<(), StoreError> {
    let now = reload.clock.now();
    // Before anything is sent under settings of which not all is known, and after the mended ones are in use.
    if config.holds_webhooks() {
        hold_webhooks(reload, &config).await?;
    }
    let mut report = SyncReport::default();
    let (mut adoption, is_shared) = (Adoption::Adopted, reload.store.sharing() == Sharing::Shared);
    // Ten thousand unchanged crons are not worth a transaction.
    if is_shared || config.crons != known.crons || config.kept != known.in_force.kept {
        (report, adoption) = match is_shared {
            true => propose(reload, &config, cause, from).await?,
            false => {
                let (crons, kept) = (config.crons.clone(), config.kept.clone());
                (reload.store.sync_understood_crons(now, crons, kept).await?, adoption)
            }
        };
        known.kept.clone_from(&report.kept);
        reload.wakes.runner.notify_one();
        // What was due until now may have to be started, and what waits may have another deadline.
        reload.wakes.runner.notify_one();
        // The webhook of an occurrence whose retry is dropped is due.
        reload.wakes.courier.notify_one();
    }
    if adoption.is_in_force() && config.saved != known.in_force.saved {
        reload.store.save_sections(config.saved.clone()).await?;
    }
    let notice = mistakes::describe(&config, &reload.config, &known.kept);
    reload.reloads.note(notice.is_none(), now);
    let is_repaired = notice.is_none() && known.mistakes.is_some();
    if notice != known.mistakes || (notice.is_some() && cause == Cause::Requested) {
        known.mistakes.clone_from(&notice);
        mistakes::report(&reload.store, now, mistakes::message(adoption), notice).await?;
    }
    let changes = report.added + report.changed + report.removed;
    if changes > 0 || is_repaired || cause == Cause::Requested {
        let (added, changed, removed) = (report.added, report.changed, report.removed);
        let event =
            if is_repaired { "configuration repaired and reloaded" } else { "configuration reloaded" };
        tracing::info!(crons = config.crons.len(), added, changed, removed, "{event}");
        config.warnings.iter().for_each(|warning| tracing::warn!(hourly = "", "{warning}"));
    }
    let changed = reload.live.in_force.set_files(&config);
    if changed.webhooks {
        tracing::info!("webhook settings reloaded");
    }
    let rules = reload.live.access.now().reloaded(&config.http);
    if config.http.keys.is_empty() && rules.has_keys() {
        tracing::warn!(
            hourly = "",
            "the last key of [http] stays in force; a port without keys needs a restart"
        );
    }
    if reload.live.access.put(rules) {
        tracing::info!("keys and origins reloaded");
    }
    if changed.retention {
        tracing::info!("retention settings reloaded");
    }
    let differ = settings_that_differ(&reload.config, &config);
    if !differ.is_empty() {
        let settings = differ.join(", ");
        tracing::warn!(settings, hourly = settings, "settings not reloaded; they need a restart");
    }
    if differ != known.needs_restart {
        let notice = (!differ.is_empty()).then(|| NewNotice {
            detail: format!("changed in the files, and not in force: {}", differ.join(", ")),
            count: differ.len(),
        });
        reload.store.notice(now, NoticeKind::Restart, notice).await?;
    }
    known.needs_restart = differ;
    if !config.holds_webhooks() && known.in_force.holds_webhooks() {
        reload.store.hold_for_mistakes(None).await?;
        reload.wakes.courier.notify_one();
    }
    known.crons = std::mem::take(&mut config.crons);
    known.in_force = config;
    Ok(())
}

/// Holds webhooks until the mistakes are mended that may concern them: those of the store, or those that this daemon would send.
async fn hold_webhooks(reload: &Reload, config: &Config) -> Result<(), StoreError> {
    match reload.store.sharing() {
        Sharing::Alone => reload.store.hold_for_mistakes(Some(reload.clock.now())).await?,
        Sharing::Shared => drop(reload.live.in_force.set_files(config)),
    }
    reload.wakes.courier.notify_one();
    Ok(())
}

/// Proposes the files to the daemons that share the store.
async fn propose(
    reload: &Reload,
    config: &Config,
    cause: Cause,
    from: Option<String>,
) -> Result<(SyncReport, Adoption), StoreError> {
    let proposal = proposal(config, &reload.host);
    let digest = proposal.digest();
    let reading = match (cause, from) {
        (Cause::Requested, _) => Reading::Requested,
        // What they say may also change without them: a credential appears.
        (Cause::Touched | Cause::Interval | Cause::Again, Some(from)) if from != digest => {
            Reading::Changed { from }
        }
        (Cause::Touched | Cause::Interval | Cause::Again, _) => Reading::Found,
    };
    let is_news = reading != Reading::Found;
    let proposed = reload.store.propose(reload.clock.now(), reading, proposal).await?;
    if is_news || proposed.adoption == Adoption::Adopted {
        generations::log(&proposed);
    }
    Ok((proposed.report, proposed.adoption))
}

async fn refuse(
    reload: &Reload,
    known: &mut KnownFiles,
    notice: NewNotice,
    cause: Cause,
) -> Result<(), StoreError> {
    reload.reloads.note(false, reload.clock.now());
    let notice = Some(notice);
    if known.mistakes == notice && cause != Cause::Requested {
        return Ok(());
    }
    known.mistakes.clone_from(&notice);
    let message = "configuration not reloaded; the last good one stays in force";
    mistakes::report(&reload.store, reload.clock.now(), message, notice).await
}

/// Returns whether nothing has changed since the daemon's start. What cannot be looked at counts as changed.
fn is_old(found: &FilesOnDisk, now: Timestamp) -> bool {
    found.newest_change.is_some_and(|newest| newest < now.as_second() - STARTING_SECONDS)
}
