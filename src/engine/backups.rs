//! Makes backups of the store when they are due, and deletes the oldest. Nothing waits for a backup.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::BackupConfig;
use crate::domain::backoff;
use crate::domain::bounds::BACKUP_RETRIED_AFTER;
use crate::store::{NewNotice, NoticeKind, Store, StoreError, back_up};

/// What the names of backups consist of, so that they sort by time.
const NAME: &str = "agentcron-%Y%m%dT%H%M%SZ.db";
/// What the name of one ends with that is not complete.
const UNFINISHED: &str = ".unfinished";

/// What the loop needs.
pub struct Backups {
    pub store: Store,
    pub clock: Clock,
    pub config: BackupConfig,
}

/// Makes backups until it is stopped.
pub async fn run(backups: Backups, stop: CancellationToken) -> Result<(), StoreError> {
    let Backups { store, clock, config } = &backups;
    let mut after = newest(&config.folder, clock.now()).unwrap_or(clock.now());
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
    let Some(from) = backups.store.file().map(Path::to_path_buf) else {
        return Err("the store is in no file".to_owned());
    };
    let stop = stop.clone();
    let make = move || {
        let problem = |error: io::Error| format!("{}: {error}", folder.display());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(problem)?;
        remove_unfinished(&folder).map_err(problem)?;
        let to = folder.join(now.strftime(NAME).to_string());
        let mut unless_stopped = |_| match stop.is_cancelled() {
            true => Err(StoreError::Conflict("the daemon is being stopped".to_owned())),
            false => Ok(()),
        };
        let bytes = back_up(&from, &to, &mut unless_stopped).map_err(|error| error.to_string())?;
        for path in too_many(in_folder(&folder).map_err(problem)?, now, keep) {
            fs::remove_file(&path).map_err(problem)?;
        }
        Ok(bytes)
    };
    // On a thread of its own, because its priority stays low.
    let (made, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name("backup".to_owned());
    let begun = thread.spawn(move || drop(made.send(make())));
    begun.map_err(|error| format!("cannot begin: {error}"))?;
    result.await.unwrap_or_else(|_| Err("it panicked".to_owned()))
}

/// Returns those that are not to be kept: what was made at a later time than now was made by a clock that was wrong, and goes first.
fn too_many(mut all: Vec<(Timestamp, PathBuf)>, now: Timestamp, keep: usize) -> Vec<PathBuf> {
    all.sort_by_key(|(at, _)| (*at <= now, *at));
    let too_many = all.len().saturating_sub(keep);
    all.into_iter().take(too_many).map(|(_, path)| path).collect()
}

/// Removes what is left of backups that were killed.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(UNFINISHED));
        if name.and_then(made_at).is_some() {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
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

/// Returns when the newest backup was made that was not made later than now.
fn newest(folder: &Path, now: Timestamp) -> Option<Timestamp> {
    in_folder(folder).ok()?.into_iter().map(|(at, _)| at).rfind(|at| *at <= now)
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
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (before, after) = (at("2026-03-01T12:00:00Z"), at("2026-03-05T12:00:00Z"));
        assert_eq!(newest(folder.path(), after), Some(at("2026-03-02T03:30:00Z")));
        assert_eq!(newest(folder.path(), before), Some(at("2026-03-01T03:30:00Z")));
        assert_eq!(newest(Path::new("/nowhere"), after), None);
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len() - 1);
    }

    #[test]
    fn the_oldest_go_and_before_them_those_of_a_clock_that_was_wrong() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let all = |days: &[i64]| days.iter().map(|day| (at(*day), PathBuf::from(day.to_string()))).collect();
        let gone = |days: &[i64], keep| {
            too_many(all(days), at(10), keep)
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(gone(&[7, 8, 9, 10], 2), ["7", "8"]);
        assert_eq!(gone(&[9, 10, 90], 2), ["90"]);
        assert_eq!(gone(&[10, 90, 91], 1), ["90", "91"]);
        assert_eq!(gone(&[10], 1), Vec::<String>::new());
    }
}
