//! Makes backups of the store when they are due, and deletes the oldest. Nothing waits for a backup.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::BackupConfig;
use crate::domain::backoff;
use crate::domain::bounds::BACKUP_RETRIED_AFTER;
use crate::store::{NewNotice, NoticeKind, Store, StoreError, back_up};

/// What the names of backups consist of, so that they sort by time.
const NAME: &str = "agentcron-%Y%m%dT%H%M%SZ.db";

/// What the loop needs.
pub struct Backups {
    pub store: Store,
    pub clock: Clock,
    pub config: BackupConfig,
}

/// Makes backups until it is stopped.
pub async fn run(backups: Backups, stop: CancellationToken) -> Result<(), StoreError> {
    let Backups { store, clock, config } = &backups;
    let mut after = newest(&config.folder).unwrap_or(clock.now()).min(clock.now());
    let mut failed_at = None;
    while let Some(due) = next(config, after, failed_at) {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = clock.sleep_until(Some(due)) => {}
        }
        let now = clock.now();
        let made = make(&backups, now, &stop).await;
        if stop.is_cancelled() {
            return Ok(());
        }
        match made {
            Ok(bytes) => {
                tracing::info!(bytes, folder = %config.folder.display(), "backup made and checked");
                (after, failed_at) = (now, None);
                store.notice(now, NoticeKind::Backup, None).await?;
                store.record_backup(now).await?;
            }
            Err(problem) => {
                tracing::error!(%problem, "backup failed; it is tried again within the hour");
                failed_at = Some(now);
                store.notice(now, NoticeKind::Backup, Some(NewNotice::single(problem))).await?;
            }
        }
    }
    stop.cancelled().await;
    Ok(())
}

/// Returns when a backup is due after the last one: by the schedule, or sooner if the last attempt failed.
fn next(config: &BackupConfig, after: Timestamp, failed_at: Option<Timestamp>) -> Option<Timestamp> {
    let scheduled = config.calendar.next_after(failed_at.unwrap_or(after)).map(|occasion| occasion.at);
    let again = failed_at.map(|at| backoff::after(at, BACKUP_RETRIED_AFTER));
    scheduled.into_iter().chain(again).min()
}

/// Makes one and deletes those that are too many. Returns its size in bytes.
async fn make(backups: &Backups, now: Timestamp, stop: &CancellationToken) -> Result<u64, String> {
    let (folder, keep) = (backups.config.folder.clone(), backups.config.keep);
    let (from, stop) = (backups.store.path().to_path_buf(), stop.clone());
    let made = tokio::task::spawn_blocking(move || {
        let problem = |error: io::Error| format!("{}: {error}", folder.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(problem)?;
        let to = folder.join(now.strftime(NAME).to_string());
        let mut unless_stopped = |_| match stop.is_cancelled() {
            true => Err(StoreError::Conflict("the daemon is being stopped".to_owned())),
            false => Ok(()),
        };
        let bytes = back_up(&from, &to, &mut unless_stopped).map_err(|error| error.to_string())?;
        let all = in_folder(&folder).map_err(problem)?;
        let too_many = all.len().saturating_sub(keep);
        for (_, path) in all.into_iter().take(too_many) {
            fs::remove_file(&path).map_err(problem)?;
        }
        Ok(bytes)
    });
    made.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// Returns the backups in a folder, the oldest first.
fn in_folder(folder: &Path) -> io::Result<Vec<(Timestamp, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let at = path.file_name().and_then(|name| made_at(name.to_str()?));
        found.extend(at.map(|at| (at, path)));
    }
    found.sort();
    Ok(found)
}

fn newest(folder: &Path) -> Option<Timestamp> {
    in_folder(folder).ok()?.pop().map(|(at, _)| at)
}

/// Returns when a file was made that has the name of a backup.
fn made_at(name: &str) -> Option<Timestamp> {
    let at = DateTime::strptime(NAME, name).ok()?;
    let at = TimeZone::UTC.to_timestamp(at).ok()?;
    (at.strftime(NAME).to_string() == name).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_name_of_a_backup_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "agentcron-20260302T033000Z.db",
            "agentcron-20260301T033000Z.db",
            "agentcron-20260303T033000Z.db.unfinished",
            "agentcron-20260304T033000Z.db-wal",
            "agentcron.db",
            "agentcron-2026-03-05.db",
            "agentcron-20261399T033000Z.db",
        ];
        names.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        let found: Vec<String> =
            in_folder(folder.path()).unwrap().into_iter().map(|(at, _)| at.to_string()).collect();
        assert_eq!(found, ["2026-03-01T03:30:00Z", "2026-03-02T03:30:00Z"]);
        assert_eq!(newest(folder.path()).unwrap().to_string(), "2026-03-02T03:30:00Z");
        assert_eq!(newest(Path::new("/nowhere")), None);
    }
}
