//! Notices changes of configuration files by watching the folders that they and the links to them are in: editors
//! replace files, and deployments change links. A notification only causes the files to be looked at. What the kernel
//! does not notify of, such as a write on the other side of a bind mount, is found by the look at every interval.

use std::collections::HashSet;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::Instant;

use super::files::{FilesOnDisk, existing};
use crate::config::Sources;
use crate::domain::bounds::FILES_LOOKED_AT_EVERY;

/// Of a write we are notified when the file is closed. The database may be in one of the folders, and each of its
/// commits writes to files that stay open: none of them wakes us.
const CHANGES: WatchMask = WatchMask::CREATE
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);
/// However often something is touched, the files are looked at once in this time.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Room for some hundred events.
const BUFFER_BYTES: usize = 16 << 10;

/// The folders that are watched.
pub(super) struct Watch {
    /// `None` if the system does not let us watch anything.
    events: Option<EventStream<Vec<u8>>>,
    watched: HashSet<WatchDescriptor>,
    names: HashSet<OsString>,
    sources: Arc<Sources>,
    /// When a touch may cause the next look.
    look_from: Instant,
}

impl Watch {
    /// Makes a watch of no folder yet.
    pub(super) fn begin() -> Self {
        let events = Inotify::init().and_then(|inotify| inotify.into_event_stream(vec![0; BUFFER_BYTES]));
        let events = events.map_err(|error| {
            let every = FILES_LOOKED_AT_EVERY;
            tracing::warn!(%error, ?every, "configuration files not watched; they are looked at instead");
        });
        let (watched, names) = (HashSet::new(), HashSet::new());
        let (sources, look_from) = (Arc::default(), Instant::now());
        Self { events: events.ok(), watched, names, sources, look_from }
    }

    /// Watches the folders of these files, and no others. A folder that cannot be watched now is tried again by the
    /// next call.
    pub(super) fn follow(&mut self, sources: &Arc<Sources>, found: FilesOnDisk) {
        let Some(events) = &self.events else { return };
        let mut watches = events.watches();
        // A folder may have been replaced by another of the same name. One that is watched already keeps its watch.
        let watched = found.folders.iter().filter_map(|folder| {
            let watch = watches.add(existing(folder), CHANGES);
            watch
                .inspect_err(|error| {
                    tracing::debug!(folder = %folder.display(), %error, "folder not watched now");
                })
                .ok()
        });
        let watched: HashSet<WatchDescriptor> = watched.collect();
        for gone in self.watched.difference(&watched) {
            // The folder may not even exist any more.
            let _ = watches.remove(gone.clone());
        }
        self.watched = watched;
        self.names = found.names;
        self.sources = Arc::clone(sources);
    }

    /// Waits until something happens to one of the names. It does not wait until that is over: whoever reads the files does.
    pub(super) async fn touched(&mut self) {
        let Some(events) = &mut self.events else { return std::future::pending().await };
        while let Some(event) = events.next().await {
            // An error may mean that events were lost. Without a name, an event is about the folder itself.
            let is_ours = event.map_or(true, |event| {
                !event.mask.contains(EventMask::IGNORED)
                    && event
                        .name
                        .is_none_or(|name| self.names.contains(&name) || self.sources.may_include(&name))
            });
            if is_ours {
                tokio::time::sleep_until(self.look_from).await;
                // One look answers all of it.
                while let Some(Some(_)) = events.next().now_or_never() {}
                self.look_from = Instant::now() + LOOK_EVERY;
                return;
            }
        }
        std::future::pending().await
    }
}
