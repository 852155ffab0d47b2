//! One daemon per database: an advisory lock on a file beside it. The lock is not on the database itself,
//! because closing any descriptor of the database would drop SQLite's own locks (POSIX, fcntl(2)).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::StoreError;
use crate::config::{Links, open_regular};

/// Testing the lock, as `status` does, takes microseconds. So a few tries are enough to outlast it.
const LOCK_TRIES: u32 = 4;
const LOCK_WAIT: Duration = Duration::from_millis(50);
/// The text of a lock file: a process id and a newline.
const PID_BYTES_MAX: u64 = 32;

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
            problem: format!("{what}: {error}{}", hint(&error)),
        };
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(|error| unusable("cannot make its directory", error))?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = open_regular(&lock_path(path), &mut options, Links::Refused)
            .map_err(|error| unusable("cannot open its lock file", error))?;
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Taken { path: path.to_path_buf(), pid: pid_in(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("cannot lock its lock file", error)),
        }
        let written = demand_ours(&file)
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| unusable("cannot write its lock file", error))?;
        Ok(Self { _file: file })
    }
}

/// Returns what to do about a place that cannot be written to.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "; choose a store.path that the daemon may write to, or leave it out: under systemd the database is then in \
             StateDirectory="
        }
        _ => "",
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

/// Fails if the file holds anything but a process id, or has another name as well: what somebody else wrote must not be
/// overwritten because it is in our place.
fn demand_ours(file: &File) -> io::Result<()> {
    let mut text = Vec::new();
    file.take(PID_BYTES_MAX + 1).read_to_end(&mut text)?;
    let is_pid =
        text.len() as u64 <= PID_BYTES_MAX && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'\n');
    if is_pid && file.metadata()?.nlink() <= 1 {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, "it was not written by agentcron; move it away"))
}

/// Returns the process id in the lock file, or `unknown`. It is only a hint for the operator; the lock itself
/// is what proves that a daemon is running.
fn pid_in(file: &File) -> String {
    let mut pid = String::new();
    match file.take(PID_BYTES_MAX).read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => pid.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Opens the lock file of the database at `path`, as it is.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    open_regular(&lock_path(path), OpenOptions::new().read(true), Links::Refused)
}

/// Returns the path of the lock file, such as `agentcron.db.lock`. It is beside the database itself, so that a link to
/// the database leads to the same lock.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}
