//! One daemon per database: an advisory lock on a file beside it. The lock is not on the database itself,
//! because closing any descriptor of the database would drop SQLite's own locks (POSIX, fcntl(2)).
//!
//! The file also holds the daemon's signs of life. They are written in place, which needs no room on the disk and no
//! commit: so a full disk keeps nobody from knowing until when a daemon lived, and how it ended.

use std::fmt::{self, Display};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::StoreError;
use super::lease::Sharing;
use crate::config::{Links, open_regular};

/// Testing the lock, as `status` does, takes microseconds. So a few tries are enough to outlast it.
const LOCK_TRIES: u32 = 4;
const LOCK_WAIT: Duration = Duration::from_millis(50);
/// The text of a lock file is a good deal shorter.
const TEXT_BYTES_MAX: u64 = 128;

/// The lock, held as long as the daemon lives. The kernel releases it even after `kill -9`.
pub struct DaemonLock {
    /// `None` if several daemons share the store.
    file: Option<File>,
    /// What the file said of the daemon before.
    pub(super) former: LifeSigns,
    own: Mutex<LifeSigns>,
}

/// What a lock file says. A power cut may take the latest back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LifeSigns {
    pub(super) pid: Option<u32>,
    /// `None` while it starts: the rest is about its predecessor then.
    pub(super) started_at: Option<Timestamp>,
    pub(super) seen_at: Option<Timestamp>,
    /// When it began to end in good order.
    pub(super) stopped_at: Option<Timestamp>,
    /// Since when it could not commit, if it could not.
    pub(super) disk_since: Option<Timestamp>,
}

impl DaemonLock {
    /// Takes the lock of the database at `path`, after creating its directory (with mode 0750) if there is
    /// none.
    ///
    /// # Errors
    /// [`StoreError::Taken`] if another daemon has it, [`StoreError::Unusable`] if the file cannot be used.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
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
        let file = open_regular(&lock_path(path), &mut options, Links::Refused)
            .map_err(|error| unusable("cannot open its lock file", error))?;
        let lock = lock_path(path);
        if let Some(folder) = lock.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            // Whoever may not give it away is its owner already.
            let _ = belong_like(&lock, folder);
        }
        match lock_patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = LifeSigns::read(&file).ok().and_then(|signs| signs.pid);
                let pid = pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
                return Err(StoreError::Taken { path: path.to_path_buf(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(unusable("cannot lock its lock file", error)),
        }
        let written = LifeSigns::read(&file).and_then(|former| {
            let own = LifeSigns { pid: Some(std::process::id()), started_at: None, ..former };
            own.write(&file)?;
            Ok((former, Mutex::new(own)))
        });
        let (former, own) = written.map_err(|error| unusable("cannot write its lock file", error))?;
        Ok(Self { file: Some(file), former, own })
    }

    /// Takes no lock: each daemon that shares the store gives its signs of life in the store itself.
    pub fn waived() -> Self {
        Self { file: None, former: LifeSigns::default(), own: Mutex::default() }
    }

    /// Returns who may have the store at the same time.
    pub(super) fn sharing(&self) -> Sharing {
        if self.file.is_some() { Sharing::Alone } else { Sharing::Shared }
    }

    /// Changes its signs of life. What cannot be written is known less precisely, and that is all.
    pub(super) fn tell(&self, change: impl FnOnce(&mut LifeSigns)) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *own;
        change(&mut own);
        if let Some(file) = self.file.as_ref().filter(|_| *own != before) {
            let _ = own.write(file);
        }
    }

    /// Tells that the disk has no room, and since when.
    pub fn tell_no_room(&self, now: Timestamp) {
        self.tell(|own| own.disk_since = own.disk_since.or(Some(now)));
    }
}

impl LifeSigns {
    /// Returns what the lock file of the database at `path` says; nothing if it cannot be read.
    pub(super) fn of(path: &Path) -> Self {
        open_lock(path).and_then(|file| Self::read(&file)).unwrap_or_default()
    }

    /// Fails if the file holds anything but numbers, or the zeroes that a power cut may leave, or has another name as well:
    /// what somebody else wrote must not be overwritten because it is in our place.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut text = String::new();
        let read = file.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text);
        let is_ours = read.is_ok_and(|bytes| bytes as u64 <= TEXT_BYTES_MAX)
            && text.chars().all(|one| one.is_ascii_digit() || matches!(one, ' ' | '\n' | '\0'));
        if !is_ours || file.metadata()?.nlink() > 1 {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "it was not written by agentcron; move it away",
            ));
        }
        let mut lines = text.lines();
        let mut number = || lines.next()?.trim().parse::<i64>().ok().filter(|number| *number > 0);
        let pid = number().and_then(|pid| u32::try_from(pid).ok());
        let mut time = || Timestamp::from_millisecond(number()?).ok();
        Ok(Self { pid, started_at: time(), seen_at: time(), stopped_at: time(), disk_since: time() })
    }

    /// Writes it over what is there. Each text has the same length.
    fn write(self, file: &File) -> io::Result<()> {
        file.write_all_at(self.to_string().as_bytes(), 0)
    }
}

impl Display for LifeSigns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14}", self.pid.unwrap_or_default())?;
        for at in [self.started_at, self.seen_at, self.stopped_at, self.disk_since] {
            writeln!(f, "{:<14}", at.map_or(0, Timestamp::as_millisecond))?;
        }
        Ok(())
    }
}

/// Gives a file to the owner of another one or of a folder, if we may: what root makes must be usable by the daemon.
pub(super) fn belong_like(file: &Path, other: &Path) -> io::Result<()> {
    let (has, wanted) = (std::fs::symlink_metadata(file)?, std::fs::metadata(other)?);
    match (has.uid(), has.gid()) == (wanted.uid(), wanted.gid()) {
        true => Ok(()),
        false => std::os::unix::fs::lchown(file, Some(wanted.uid()), Some(wanted.gid())),
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
