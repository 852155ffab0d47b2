//! Sees that configuration files are touched, by watching the folders they are in: editors replace files, and
//! Kubernetes flips a link beside them. What is seen is only a nudge to look; what is missed is seen at SIGHUP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::config::Sources;

/// The folders that are watched.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches nothing yet; `touched` is nudged by whatever is seen.
    pub(super) fn begin(touched: Arc<Notify>) -> Self {
        let watcher = notify::recommended_watcher(move |seen: notify::Result<Event>| {
            // An error may stand for events that were lost.
            if seen.as_ref().map_or(true, is_of_interest) {
                touched.notify_one();
            }
        });
        let watcher = match watcher {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "configuration files are not watched; send SIGHUP after a change");
                None
            }
        };
        Self { watcher, watched: BTreeSet::new() }
    }

    /// Watches the folders of these files as they are now, links resolved; false if one of them cannot be watched now.
    pub(super) fn follow(&mut self, sources: &Sources) -> bool {
        let Some(watcher) = &mut self.watcher else { return true };
        let folders = folders(sources);
        for gone in self.watched.difference(&folders) {
            // It may not even be there any more.
            let _ = watcher.unwatch(gone);
        }
        // Also those that are watched: a folder that was made anew is another one by the same name.
        let can_be_watched = |folder: &PathBuf| match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(folder = %folder.display(), %error, "cannot be watched now");
                false
            }
        };
        let wanted = folders.len();
        self.watched = folders.into_iter().filter(can_be_watched).collect();
        self.watched.len() == wanted
    }
}

/// The folders as they are named, and where files and folders really are.
fn folders(sources: &Sources) -> BTreeSet<PathBuf> {
    let of_file = |file: &PathBuf| file.parent().map(Path::to_owned);
    let real = |path: &PathBuf| path.canonicalize().ok();
    let named = sources.files.iter().filter_map(of_file).chain(sources.folders.iter().cloned());
    let of_real_files = sources.files.iter().filter_map(real).filter_map(|file| of_file(&file));
    let of_real_folders = sources.folders.iter().filter_map(real);
    let all = named.chain(of_real_files).chain(of_real_folders);
    all.map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder }).collect()
}

/// Names that come and go, and what is written to TOML files; the database may stand in the same folder.
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
