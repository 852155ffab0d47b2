//! What a panic leaves behind: a line in the log, a count, and a few words in a file beside the database, where `status` finds them
//! after a restart too. The file has its size from the start, so a full disk keeps nothing from being written into it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::clock::Clock;
use crate::config::{Links, open_regular};
use crate::domain::bounds::{PANIC_FILE_BYTES, PANIC_MESSAGE_CHARS};
use crate::domain::printable::blanked;

/// How many panics there were in this process.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Where the last one is kept.
static KEPT_IN: Mutex<Option<File>> = Mutex::new(None);

/// The last panic of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanicTrace {
    pub at: Timestamp,
    /// Where it was, and the first words of its message.
    pub text: String,
}

/// Lets every panic of this process leave its trace.
pub fn trace_panics() {
    std::panic::set_hook(Box::new(trace));
}

/// Keeps the last panic of this process beside the database at `path` from now on.
pub fn keep_panics_beside(path: &Path) {
    match prepare(path) {
        Ok(file) => *KEPT_IN.lock().unwrap_or_else(PoisonError::into_inner) = Some(file),
        Err(error) => {
            tracing::warn!(beside = %path.display(), %error, "a panic would leave its trace in the log only")
        }
    }
}

/// Returns how many panics there were in this process.
pub fn panic_count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Returns the last panic of a daemon with the database at `path`, if it has left a trace that can be read.
pub(super) fn last_panic(path: &Path) -> Option<PanicTrace> {
    let file = open_regular(&file_beside(path), OpenOptions::new().read(true), Links::Refused).ok()?;
    let mut text = String::new();
    file.take(PANIC_FILE_BYTES as u64).read_to_string(&mut text).ok()?;
    let (at, text) = text.split_once('\n')?;
    let at = at.trim().parse().ok().and_then(|millis| Timestamp::from_millisecond(millis).ok())?;
    Some(PanicTrace { at, text: blanked(text.trim()) })
}

fn trace(info: &PanicHookInfo<'_>) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    let place = info.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
    let payload = info.payload();
    let message =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let message = first_words(message.unwrap_or("no message"));
    if let Some(file) = &*KEPT_IN.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = file.write_all_at(&written(Clock::system().now(), &format!("{place}: {message}")), 0);
    }
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let (thread, backtrace) = (thread.name(), backtrace.as_ref().map(tracing::field::display));
    tracing::error!(place, panic = message, thread, backtrace, "panicked; this is a bug, please report it");
}

/// Returns the beginning of a message, which may quote anything.
fn first_words(message: &str) -> String {
    blanked(&message.chars().take(PANIC_MESSAGE_CHARS).collect::<String>())
}

/// Returns the whole content of the file.
fn written(at: Timestamp, text: &str) -> Vec<u8> {
    let mut bytes = format!("{}\n{text}", at.as_millisecond()).into_bytes();
    bytes.resize(PANIC_FILE_BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Opens the file as it is, or makes it.
fn prepare(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = open_regular(&file_beside(path), &mut options, Links::Refused)?;
    if file.metadata()?.len() == 0 {
        file.write_all_at(&[b'\n'; PANIC_FILE_BYTES], 0)?;
    }
    Ok(file)
}

/// Returns the path of the file, such as `agentcron.db.panic`, beside the database itself and not beside a link to it.
fn file_beside(path: &Path) -> PathBuf {
    let mut name = path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).into_os_string();
    name.push(".panic");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_panic_can_be_read_back_and_its_file_never_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agentcron.db");
        assert_eq!(last_panic(&path), None);
        let file = prepare(&path).unwrap();
        assert_eq!(last_panic(&path), None);
        let size = || std::fs::metadata(file_beside(&path)).unwrap().len();
        let before = size();
        let at: Timestamp = "2026-03-02T09:30:00Z".parse().unwrap();
        for message in ["boom\nTraceback\u{1b}[2J", &"é".repeat(5000), "again"] {
            let text = format!("src/engine/courier.rs:12: {}", first_words(message));
            file.write_all_at(&written(at, &text), 0).unwrap();
            assert_eq!(last_panic(&path), Some(PanicTrace { at, text }));
            assert_eq!(size(), before);
        }
        // What is there from before stays.
        prepare(&path).unwrap();
        assert!(last_panic(&path).unwrap().text.ends_with(": again"));
    }
}
