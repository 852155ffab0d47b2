//! One daemon per database: an advisory lock on a file beside it. The lock is not on the database itself,
//! because closing any descriptor of the database would drop SQLite's own locks (POSIX, fcntl(2)).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;

/// Testing the lock, as `status` does, takes microseconds. So a few tries outlast it.
const LOCK_TRIES: u32 = 4;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// The lock, held as long as the daemon lives. The kernel releases it even after `kill -9`.
pub(super) struct DaemonLock {
    _file: File,
}

impl DaemonLock {
    /// Takes the lock of the database at `path`, after creating its directory (with mode 0750) if there is
    /// none.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let unusable = |what: &str, error: std::io::Error| StoreError::Unusable {
            path: path.to_path_buf(),
            problem: format!("{what}: {error}"),
        };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(|error| unusable("cannot make its directory", error))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock_path(path))
            .map_err(|error| unusable("cannot open its lock file", error))?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Taken { path: path.to_path_buf(), pid: pid_in(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("cannot lock its lock file", error)),
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| unusable("cannot write its lock file", error))?;
        Ok(Self { _file: file })
    }
}

/// Takes the lock, if need be after a short wait: `status` and `list` hold it, shared, for an instant to see
/// whether a daemon has it, and that must not keep a daemon from starting.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            other => return other,
        }
    }
    file.try_lock()
}

/// Returns the process id in the lock file, or `unknown`. It is only a hint for the operator; the lock itself
/// is what proves that a daemon is running.
fn pid_in(file: &File) -> String {
    let mut pid = String::new();
    match file.take(32).read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => pid.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Returns the path of the lock file, such as `agentcron.db.lock`.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
