//! Copies of the database, made while it is in use, and checked before they count.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use super::read::{DaemonState, lock_state};
use super::swap::beside;
use super::{StoreError, open};
use crate::config::{Links, open_regular, sync_folder};
use crate::domain::bounds::{BACKUP_PAGES_PER_STEP, BACKUP_RESTS};

/// As nice(2) has it.
const LOWEST_PRIORITY: i32 = 19;

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupProgress {
    /// So many pages of all.
    Copied { pages: u64, of: u64 },
    /// All are copied, and the copy is being checked.
    Checking,
}

/// Copies the database at `from` to `to`, which must not exist, as it is at this moment, and checks every page of the copy. It
/// appears under its name only once it is complete, with mode 0600, and needs no other file. Returns its size in bytes.
///
/// Beside a daemon the copy rests after each step, nine times as long as that has taken, and what is copied is written through as
/// it goes. The calling thread has the lowest priority from then on. So runs start in time beside it.
///
/// # Errors
/// [`StoreError::Unusable`] if either cannot be used, or if the copy is damaged, which means that the original is. Nothing is left
/// of a copy that failed.
pub fn back_up(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(BackupProgress) -> Result<(), StoreError>,
) -> Result<u64, StoreError> {
    if let Err(error) = std::fs::metadata(from) {
        return Err(unusable(from, error.to_string()));
    }
    if std::fs::symlink_metadata(to).is_ok() {
        return Err(unusable(to, "it exists; choose another name, or move it away"));
    }
    // Without it, it only takes more from others.
    let _ = rustix::process::nice(LOWEST_PRIORITY);
    let unfinished = Unfinished::create(to)?;
    copy(from, &unfinished.0, progress).map_err(|error| match error {
        StoreError::Sqlite(error) => unusable(to, format!("cannot copy {}: {error}", from.display())),
        error => error,
    })?;
    progress(BackupProgress::Checking)?;
    if let Some(damage) = damage_in(&unfinished.0) {
        return Err(unusable(from, format!("is damaged ({damage}); no copy was made")));
    }
    unfinished.finish(to)
}

/// Copies in one snapshot: what others write meanwhile is not in it.
fn copy(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(BackupProgress) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let source = open::open_to_read(from)?;
    // As long as it reads, each step continues with the same state.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Nobody else sees it before it is complete, and then it is written through.
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    let written = open_regular(to, OpenOptions::new().write(true), Links::Refused)
        .map_err(|error| unusable(to, error.to_string()))?;
    let rests = lock_state(from) != DaemonState::Stopped;
    {
        let backup = Backup::new(&source, &mut target)?;
        loop {
            let began = Instant::now();
            let step = backup.step(BACKUP_PAGES_PER_STEP)?;
            written.sync_data().map_err(|error| unusable(to, error.to_string()))?;
            let now = backup.progress();
            let count = |pages| u64::try_from(pages).unwrap_or(0);
            let (of, left) = (count(now.pagecount), count(now.remaining));
            progress(BackupProgress::Copied { pages: of.saturating_sub(left), of })?;
            if step == StepResult::Done {
                break;
            }
            if rests {
                std::thread::sleep(began.elapsed() * BACKUP_RESTS);
            }
        }
    }
    // Otherwise whoever opens the copy would put a WAL beside it.
    target.execute_batch("PRAGMA journal_mode = DELETE")?;
    Ok(())
}

/// Checks every page and every index of a file that nobody else has open, and returns what is wrong.
fn damage_in(path: &Path) -> Option<String> {
    let check = || -> rusqlite::Result<String> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
    };
    match check() {
        Ok(found) if found == "ok" => None,
        Ok(found) => Some(found),
        Err(error) => Some(error.to_string()),
    }
}

/// A file that is removed unless it is finished.
struct Unfinished(PathBuf);

impl Unfinished {
    fn create(to: &Path) -> Result<Self, StoreError> {
        let path = beside(to, ".unfinished");
        // What a former attempt left that was killed.
        let _ = std::fs::remove_file(&path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        open_regular(&path, &mut options, Links::Refused)
            .map_err(|error| unusable(to, format!("cannot be created: {error}")))?;
        Ok(Self(path))
    }

    /// Gives it its name, durably, and returns its size.
    fn finish(self, to: &Path) -> Result<u64, StoreError> {
        let finished = || -> io::Result<u64> {
            let file = open_regular(&self.0, OpenOptions::new().read(true), Links::Refused)?;
            file.sync_all()?;
            std::fs::rename(&self.0, to)?;
            sync_folder(to)?;
            Ok(file.metadata()?.len())
        };
        finished().map_err(|error| unusable(to, format!("cannot be written: {error}")))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn unusable(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Unusable { path: path.to_path_buf(), problem: problem.into() }
}
