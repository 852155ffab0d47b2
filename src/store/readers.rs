//! Reads from async code, beside the writer, whose queue is not for long ones: whoever looks at all crons must not keep an
//! occurrence waiting. A few read-only connections, each lent to one read at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Transaction;
use tokio::sync::Semaphore;

use super::{Execution, Reader, Store, StoreError};
use crate::domain::bounds::{READ_WAIT, READS_AT_ONCE};

/// The connections that nobody has now.
pub(super) struct Readers {
    path: PathBuf,
    execution: Execution,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Reader>>,
    /// Opened at the start: whatever clients use up later, no loop is blinded by it.
    for_loops: Arc<Mutex<Reader>>,
}

/// Stops the read of a connection when nobody waits for it any more.
struct Leash(Arc<AtomicBool>);

impl Readers {
    pub(super) fn new(path: &Path, execution: Execution) -> Result<Self, StoreError> {
        let places = Arc::new(Semaphore::new(READS_AT_ONCE));
        let for_loops = Arc::new(Mutex::new(Reader::open(path)?));
        Ok(Self { path: path.to_owned(), execution, places, idle: Mutex::default(), for_loops })
    }

    fn take(&self) -> Result<Reader, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Reader::open(&self.path), Ok)
    }

    fn give_back(&self, reader: Reader) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }
}

impl Store {
    /// Runs `read` on a connection of its own, while others write and read. If its caller stops waiting, or it takes
    /// longer than [`READ_WAIT`], it is interrupted: a question that is too large holds no connection for long.
    ///
    /// # Errors
    /// [`StoreError::TookTooLong`] then, and whatever `read` fails with.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.readers.execution == Execution::Inline {
            return read(&Reader::open(&self.readers.path)?);
        }
        let places = Arc::clone(&self.readers.places);
        let place = tokio::time::timeout(READ_WAIT, places.acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(StoreError::TookTooLong) };
        let readers = Arc::clone(&self.readers);
        let unwanted = Arc::new(AtomicBool::new(false));
        let _leash = Leash(Arc::clone(&unwanted));
        let reading = blocking(move || {
            let mut reader = readers.take()?;
            reader.stop_when(unwanted)?;
            let result = read(&reader);
            // Until the read is over, even if nobody waits for it any more.
            drop(place);
            Ok::<_, StoreError>((result, reader))
        });
        let (result, reader) = match tokio::time::timeout(READ_WAIT, reading).await {
            Ok(read) => read??,
            Err(_) => return Err(StoreError::TookTooLong),
        };
        self.readers.give_back(reader);
        result
    }

    /// The same for what is asked within the store: all that it sees is of one moment.
    pub(super) async fn read_at_one_moment<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(move |reader| reader.at_one_moment(read)).await
    }

    /// The same without waiting for a place, and to its end: for a loop, which reads one thing at a time.
    pub(super) async fn read_for_loop<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.readers.for_loops);
        let work = move || reader.lock().unwrap_or_else(PoisonError::into_inner).at_one_moment(read);
        match self.readers.execution {
            Execution::Inline => work(),
            Execution::WriterThread => blocking(work).await?,
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.readers.path
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => Ok(answer),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(stopped) => Err(StoreError::Refused(stopped.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    fn endless(reader: &Reader) -> Result<i64, StoreError> {
        reader.count_to("9223372036854775807")
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_is_interrupted_and_leaves_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(
            &folder.path().join("agentcron.db"),
            Execution::WriterThread,
            crate::domain::ids::InstallationId::default(),
        )
        .unwrap();
        for _ in 0..2 * READS_AT_ONCE {
            let given_up = tokio::time::timeout(Duration::from_millis(20), store.read(endless)).await;
            assert!(given_up.is_err(), "it is endless");
        }
        assert_eq!(store.read(|reader| reader.count_to("3")).await.unwrap(), 3);
    }
}
