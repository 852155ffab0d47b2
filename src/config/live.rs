//! Settings that a reload of the configuration replaces as a whole: code that uses them reads them at the moment of use
//! and keeps no part of them.

use std::sync::Arc;

use tokio::sync::watch;

/// Reads the settings in use. It is cheap to clone, and all clones see the same settings.
#[derive(Debug)]
pub struct Live<T>(watch::Receiver<Arc<T>>);

/// Replaces the settings; held by the code that reloads the configuration.
#[derive(Debug)]
pub struct LiveWriter<T>(watch::Sender<Arc<T>>);

/// Returns a writer that can replace these settings, and a reader of the settings in use.
pub fn live<T>(settings: T) -> (LiveWriter<T>, Live<T>) {
    let (sender, receiver) = watch::channel(Arc::new(settings));
    (LiveWriter(sender), Live(receiver))
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Live<T> {
    /// Returns the settings in use at this moment.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until the settings differ from those at the last call, or forever once the writer is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl<T: PartialEq> LiveWriter<T> {
    /// Returns the settings in use at this moment.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.borrow())
    }

    /// Replaces the settings and returns whether they differ from the previous ones. If not, no reader is notified.
    pub fn put(&self, settings: T) -> bool {
        self.0.send_if_modified(|current| {
            let differs = **current != settings;
            if differs {
                *current = Arc::new(settings);
            }
            differs
        })
    }
}
