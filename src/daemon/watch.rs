//! Notices changes of configuration files by watching the folders they are in: editors replace files, and
//! Kubernetes changes a symbolic link beside them. A notification only causes the files to be read; a
//! change that was missed is found at the next SIGHUP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::config::Sources;

/// Whether all folders are watched that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// Every folder is watched, or the system offers no watcher at all: trying again would change nothing.
    Complete,
    /// At least one folder cannot be watched now.
    Partial,
}

/// The folders that are watched.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Makes a watch of no folder yet, which notifies `touched` of every change.
    pub(super) fn begin(touched: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean that events were lost.
            if event.as_ref().map_or(true, is_of_interest) {
                touched.notify_one();
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "configuration files not watched; send SIGHUP after a change");
                None
            }
        };
        Self { watcher, watched: BTreeSet::new() }
    }

    /// Watches the folders of these files as they are now, and those that symbolic links lead to.
    pub(super) fn follow(&mut self, sources: &Sources) -> Coverage {
        let Some(watcher) = &mut self.watcher else { return Coverage::Complete };
        let folders = folders(sources);
        for gone in self.watched.difference(&folders) {
            // The folder may not even exist any more.
            let _ = watcher.unwatch(gone);
        }
        // Those that are watched already are watched again: a folder may have been replaced by another of the
        // same name.
        let can_be_watched = |folder: &PathBuf| match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(folder = %folder.display(), %error, "folder not watched now");
                false
            }
        };
        let wanted = folders.len();
        self.watched = folders.into_iter().filter(can_be_watched).collect();
        if self.watched.len() == wanted { Coverage::Complete } else { Coverage::Partial }
    }
}

/// Returns the folders as they are named, and the folders in which the files really are.
fn folders(sources: &Sources) -> BTreeSet<PathBuf> {
    let of_file = |file: &PathBuf| file.parent().map(Path::to_owned);
    let real = |path: &PathBuf| path.canonicalize().ok();
    let named = sources.files.iter().filter_map(of_file).chain(sources.folders.iter().cloned());
    let of_real_files = sources.files.iter().filter_map(real).filter_map(|file| of_file(&file));
    let of_real_folders = sources.folders.iter().filter_map(real);
    let all = named.chain(of_real_files).chain(of_real_folders);
    all.map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }).collect()
}

/// Returns whether an event may change the configuration: a name that comes or goes, or a write to a TOML
/// file. The database may be in the same folder, and its writes change no configuration.
fn is_of_interest(event: &Event) -> bool {
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
    match event.kind {
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any | ModifyKind::Other) => {
            event.paths.iter().any(is_toml)
        }
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
