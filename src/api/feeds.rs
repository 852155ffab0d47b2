//! The feeds that are open, however many, from one look at the store; and what ends them all.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::bounds::{FEED_INTERVAL, FEED_INTERVAL_CROWDED, FEED_LOOKS_KEPT, FEEDS_MAX};
use crate::store::{Change, FeedPosition, News, Store, StoreError, Topic};

/// Bounds the number of feeds, and ends them when the daemon stops. Cheap to clone.
#[derive(Clone)]
pub struct Feeds {
    places: Arc<Semaphore>,
    /// What the looks found, for all feeds; `None` while nobody looks.
    looks: Arc<Mutex<Option<broadcast::Sender<Look>>>>,
    /// The one that looks, while somebody follows.
    looking: TaskTracker,
    stop: CancellationToken,
}

/// What one look has found; `None` if it is too much to be named.
type Look = Option<Arc<[Change]>>;

/// What a feed says next.
pub(super) enum FeedEvent {
    Changed(Change),
    /// More has changed than is named.
    Lagged,
}

impl Feeds {
    /// Returns places for feeds that end with this token.
    pub fn until(stop: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(FEEDS_MAX)),
            looks: Arc::default(),
            looking: TaskTracker::new(),
            stop,
        }
    }

    /// Returns a feed of what changes in the store from now on, or `None` if too many are open.
    pub(super) async fn enter(&self, store: &Store) -> Result<Option<Feed>, StoreError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Ok(None) };
        let mut looks = self.looks.lock().await;
        let found = match looks.as_ref() {
            Some(sender) => sender.subscribe(),
            None => {
                // Before the position, so that what is committed after it is told.
                let commits = store.commits();
                let (position, _) = store.read(|reader| reader.news(None)).await?;
                let (sender, found) = broadcast::channel(FEED_LOOKS_KEPT);
                *looks = Some(sender.clone());
                self.looking.spawn(self.clone().look_again_and_again(
                    store.clone(),
                    commits,
                    position,
                    sender,
                ));
                found
            }
        };
        let begun = Change { topic: Topic::Daemon, cron: None, run_id: None };
        let waiting = VecDeque::from([FeedEvent::Changed(begun)]);
        Ok(Some(Feed { found, waiting, stop: self.stop.clone(), _place: place }))
    }

    /// Looks after each commit what has changed, as long as there are feeds. A look that fails ends them: whoever follows one asks
    /// for another.
    async fn look_again_and_again(
        self,
        store: Store,
        mut commits: watch::Receiver<()>,
        mut position: FeedPosition,
        sender: broadcast::Sender<Look>,
    ) {
        let mut interval = FEED_INTERVAL;
        loop {
            let is_due = async {
                let committed = commits.changed().await;
                tokio::time::sleep(interval).await;
                committed.is_ok()
            };
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = sender.closed() => {}
                is_due = is_due => if !is_due { break },
            }
            let mut looks = self.looks.lock().await;
            if sender.receiver_count() == 0 {
                *looks = None;
                return;
            }
            drop(looks);
            commits.borrow_and_update();
            let Ok((now, news)) = store.read(move |reader| reader.news(Some(position))).await else { break };
            position = now;
            let (found, next) = match news {
                News::Changes(changes) if changes.is_empty() => continue,
                News::Changes(changes) => (Some(changes.into()), FEED_INTERVAL),
                News::TooMuch => (None, FEED_INTERVAL_CROWDED),
            };
            interval = next;
            // If nobody is left, the next turn sees it.
            let _ = sender.send(found);
        }
        *self.looks.lock().await = None;
    }
}

/// A feed that somebody follows.
pub(super) struct Feed {
    found: broadcast::Receiver<Look>,
    waiting: VecDeque<FeedEvent>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// Returns the next event, or `None` once the feed has ended.
    pub(super) async fn next(&mut self) -> Option<FeedEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let found = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                found = self.found.recv() => found,
            };
            match found {
                Ok(Some(changes)) => self.waiting.extend(changes.iter().cloned().map(FeedEvent::Changed)),
                // A slow reader, who has not taken what was found.
                Ok(None) | Err(RecvError::Lagged(_)) => self.waiting.push_back(FeedEvent::Lagged),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
