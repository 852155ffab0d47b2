//! Puts a prepared database in the place of another one, which is kept. Once the prepared one has its last name but one, the swap is
//! certain: whoever is interrupted after that, the next who opens the store goes on where it stopped. So at no moment is there an
//! empty place in which a daemon would begin anew, or a database with the WAL of another.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::StoreError;
use super::lock::belong_like;
use crate::config::sync_folder;

/// What the prepared database is called while it takes the place of the other.
const COMMITTED: &str = ".restored";
/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Replaces the database at `path`. Returns where the former one is now, if there was one.
pub(super) fn swap(prepared: &Path, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let commit = || {
        let owner = if path.exists() { Some(path) } else { path.parent() };
        if let Some(owner) = owner.filter(|owner| !owner.as_os_str().is_empty()) {
            belong_like(prepared, owner)?;
        }
        std::fs::rename(prepared, beside(path, COMMITTED))?;
        sync_folder(path)
    };
    commit().map_err(|error| unusable(path, format!("cannot be replaced: {error}")))?;
    go_on(path)
}

/// Ends a swap that was interrupted. Returns where the former database is now, if one was moved.
pub(super) fn go_on(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let path = &real_path(path);
    let committed = beside(path, COMMITTED);
    let Ok(found) = std::fs::symlink_metadata(&committed) else { return Ok(None) };
    let finish = || -> io::Result<Option<PathBuf>> {
        let committed_at = Timestamp::try_from(found.modified()?).unwrap_or_default();
        let aside = free_name(path, committed_at);
        for ending in BESIDE {
            rename_if_there(&beside(path, ending), &beside(&aside, ending))?;
        }
        let was_there = rename_if_there(path, &aside)?;
        std::fs::rename(&committed, path)?;
        sync_folder(path)?;
        Ok((was_there || aside.exists()).then_some(aside))
    };
    finish().map_err(|error| {
        unusable(
            path,
            format!("cannot be replaced yet: {error}; the next start of the daemon tries it again"),
        )
    })
}

/// Whether a swap was interrupted that is certain.
pub(super) fn is_interrupted(path: &Path) -> bool {
    beside(&real_path(path), COMMITTED).exists()
}

/// Removes a database that was being prepared, with what SQLite has left beside it.
pub(super) fn discard(prepared: &Path) {
    for ending in ["", ".unfinished"].into_iter().chain(BESIDE) {
        let _ = std::fs::remove_file(beside(prepared, ending));
    }
}

/// Returns the path of the database itself, and not of a link to it, whether or not it is there.
pub(super) fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match std::fs::read_link(path) {
        Ok(target) => path.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => path.to_path_buf(),
    })
}

/// Returns the path with another ending.
pub(in crate::store) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Returns the name of the former database. It is the same each time, until there is nothing to be moved any more.
fn free_name(path: &Path, at: Timestamp) -> PathBuf {
    let first = format!(".before-{}", at.strftime("%Y%m%dT%H%M%S%3fZ"));
    let names = std::iter::once(first.clone()).chain((2..100).map(|number| format!("{first}-{number}")));
    let is_free = |name: &PathBuf| !path.exists() || std::fs::symlink_metadata(name).is_err();
    names.map(|name| beside(path, &name)).find(is_free).unwrap_or_else(|| beside(path, &first))
}

/// Returns whether there was anything to rename.
fn rename_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn unusable(path: &Path, problem: String) -> StoreError {
    StoreError::Unusable { path: path.to_path_buf(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// Interrupted after any of its steps, it goes on, and the former database keeps its WAL.
    #[test]
    fn a_swap_that_was_interrupted_goes_on_where_it_stopped() {
        for done in 0..=4 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("agentcron.db");
            std::fs::write(&path, "old").unwrap();
            std::fs::write(beside(&path, "-wal"), "wal").unwrap();
            std::fs::write(beside(&path, "-shm"), "shm").unwrap();
            let prepared = beside(&path, ".restoring");
            std::fs::write(&prepared, "new").unwrap();
            let kept = if done == 4 {
                swap(&prepared, &path).unwrap()
            } else {
                let committed = beside(&path, COMMITTED);
                std::fs::rename(&prepared, &committed).unwrap();
                let at =
                    Timestamp::try_from(std::fs::metadata(&committed).unwrap().modified().unwrap()).unwrap();
                let aside = free_name(&path, at);
                for ending in ["-wal", "-shm", ""].into_iter().take(done) {
                    std::fs::rename(beside(&path, ending), beside(&aside, ending)).unwrap();
                }
                assert!(is_interrupted(&path));
                go_on(&path).unwrap()
            };
            let kept = kept.unwrap();
            let found =
                [text(&path), text(&kept), text(&beside(&kept, "-wal")), text(&beside(&kept, "-shm"))];
            assert_eq!(found, ["new", "old", "wal", "shm"], "after {done} steps");
            assert!(!beside(&path, "-wal").exists() && !is_interrupted(&path));
            assert_eq!(go_on(&path).unwrap(), None, "there is nothing to go on with");
        }
    }
}
