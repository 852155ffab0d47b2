//! Whether others can open the files of the database.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Returns a warning if others than its owner may open the database at `path` or a file beside it, with the command
/// that ends this.
///
/// New databases are open to their owner only. The mode of an existing one is left as it is: an operator may have
/// opened it to a group that reads the history, and would find it closed again after every start.
pub fn exposure(path: &Path) -> Option<String> {
    // SQLite puts the other files beside the database itself, not beside a link to it.
    let database = path.canonicalize().ok()?;
    let is_open =
        |file: &PathBuf| std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & OTHERS != 0);
    let beside = |ending: &str| PathBuf::from(format!("{}{ending}", database.display()));
    let open: Vec<PathBuf> = ["", "-wal", "-shm"].map(beside).into_iter().filter(is_open).collect();
    if open.is_empty() {
        return None;
    }
    let files: Vec<String> = open.iter().map(|file| format!("'{}'", file.display())).collect();
    Some(format!(
        "other users may open the database, which holds inputs, values and webhooks: chmod 600 {}",
        files.join(" ")
    ))
}
