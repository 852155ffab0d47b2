//! Reads from async code. They do not go through the writer, whose queue is not for long ones: a read of all
//! crons must not delay an occurrence. A few read-only connections are used for one read at a time each.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::sql::Transaction;
use super::{Execution, Place, Reader, Store, StoreError, StoreFault};
use crate::domain::bounds::{READ_WAIT, READS_AT_ONCE, STORE_CONNECTED_EVERY};

/// The read-only connections.
pub(super) struct Readers {
    place: Place,
    execution: Execution,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    /// Opened at the start, so that no number of clients' reads can leave the loops without a connection.
    for_loops: Arc<Mutex<Reader>>,
    /// Cancelled when nobody reads any more.
    ended: CancellationToken,
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// Interrupts a read when its caller stops waiting for it.
struct InterruptOnDrop(Arc<AtomicBool>);

impl Readers {
    pub(super) fn new(place: &Place, execution: Execution) -> Result<Self, StoreError> {
        let permits = Arc::new(Semaphore::new(READS_AT_ONCE));
        let for_loops = Arc::new(Mutex::new(Reader::connect(place)?));
        let (idle, ended) = (Mutex::default(), CancellationToken::new());
        Ok(Self { place: place.clone(), execution, permits, idle, for_loops, ended })
    }

    pub(super) fn execution(&self) -> &Execution {
        &self.execution
    }

    fn take(&self) -> Result<Reader, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.filter(Reader::is_alive).map_or_else(|| Reader::connect(&self.place), Ok)
    }

    fn give_back(&self, mut reader: Reader) {
        // Whoever has stopped waiting by now interrupts nothing any more.
        if reader.stop_when(Arc::default()).is_err() {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }
}

impl Store {
    /// Runs `read` on a connection of its own, while others write and read. Everything that was committed
    /// before this call is visible to it. If its caller stops waiting, or if it takes longer than
    /// [`READ_WAIT`], it is interrupted, so that a query that is too large holds no connection for long.
    ///
    /// # Errors
    /// [`StoreError::TookTooLong`] if it was interrupted or got no connection in time, and every error of
    /// `read`.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if !matches!(self.readers.execution, Execution::WriterThread) {
            return read(&Reader::connect(&self.readers.place)?);
        }
        let permits = Arc::clone(&self.readers.permits);
        let permit = tokio::time::timeout(READ_WAIT, permits.acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(StoreError::TookTooLong) };
        let readers = Arc::clone(&self.readers);
        let unwanted = Arc::new(AtomicBool::new(false));
        let _interrupt = InterruptOnDrop(Arc::clone(&unwanted));
        let reading = blocking(move || {
            let mut reader = readers.take()?;
            reader.stop_when(unwanted)?;
            let result = read(&reader);
            // The read keeps its permit to its end, even if nobody waits for it any more.
            drop(permit);
            Ok::<_, StoreError>((result, reader))
        });
        let (result, reader) = match tokio::time::timeout(READ_WAIT, reading).await {
            Ok(read) => read??,
            Err(_) => return Err(StoreError::TookTooLong),
        };
        self.readers.give_back(reader);
        result
    }

    /// Does the same as [`Store::read`], for queries within the store. Everything that `read` sees is of one
    /// moment.
    pub(super) async fn read_at_one_moment<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(move |reader| reader.at_one_moment(read)).await
    }

    /// Does the same as [`Store::read_at_one_moment`] for the daemon's own loops: on a connection that no
    /// client's read can occupy, and without a limit to its time, since a loop must not fail because clients
    /// read a lot. The loops' reads wait for each other, so each has to be short.
    pub(super) async fn read_for_loop<T: Send + 'static>(
        &self,
        mut read: impl FnMut(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reader, ended) = (Arc::clone(&self.readers.for_loops), self.readers.ended.clone());
        let mut work = move || {
            loop {
                let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                match reader.at_one_moment(&mut read) {
                    // A loop has nothing to do but to wait for the store.
                    Err(error) if error.is_away() && !ended.is_cancelled() => {
                        if reader.reconnect().is_err() {
                            std::thread::sleep(STORE_CONNECTED_EVERY);
                        }
                    }
                    result => return result,
                }
            }
        };
        match &self.readers.execution {
            Execution::Inline => work(),
            Execution::Simulated(weather) => match weather.next().await {
                StoreFault::None => work(),
                fault => Err(StoreError::Lost(format!("simulated: {fault:?}"))),
            },
            Execution::WriterThread => blocking(work).await?,
        }
    }

    /// Returns where the store is.
    pub fn place(&self) -> &Place {
        &self.readers.place
    }

    /// Returns the file, if the store is in one.
    pub fn file(&self) -> Option<&Path> {
        self.readers.place.file()
    }
}

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(stopped) => Err(StoreError::Lost(stopped.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::tests::open_store;

    fn endless(reader: &Reader) -> Result<i64, StoreError> {
        reader.count_to("9223372036854775807")
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_interrupted_and_releases_its_permit() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::WriterThread);
        for _ in 0..2 * READS_AT_ONCE {
            let given_up = tokio::time::timeout(Duration::from_millis(20), store.read(endless)).await;
            assert!(given_up.is_err(), "it is endless");
        }
        assert_eq!(store.read(|reader| reader.count_to("3")).await.unwrap(), 3);
    }
}
