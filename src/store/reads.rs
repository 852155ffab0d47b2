//! Reads of the daemon itself that are too long for the writer's queue: whoever looks at all crons must not keep an
//! occurrence waiting.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use super::{Execution, StoreError, open};
use crate::domain::bounds::READS_AT_ONCE;

/// Where reads happen; cheap to clone.
#[derive(Clone)]
pub(super) struct Reads {
    path: Arc<PathBuf>,
    execution: Execution,
    places: Arc<Semaphore>,
    /// Opened at the start: whatever clients use up later, no loop is blinded by it.
    for_loops: Arc<Mutex<Connection>>,
}

impl Reads {
    pub(super) fn new(path: &Path, execution: Execution) -> Result<Self, StoreError> {
        let places = Arc::new(Semaphore::new(READS_AT_ONCE));
        let for_loops = Arc::new(Mutex::new(open::open_to_read(path)?));
        Ok(Self { path: Arc::new(path.to_owned()), execution, places, for_loops })
    }

    /// Runs `read` in a transaction of its own, once there is a place for it: for what clients ask.
    pub(super) async fn for_client<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| StoreError::Refused(error.to_string()))?;
        let path = Arc::clone(&self.path);
        self.run(move || {
            let connection = open::open_to_read(&path)?;
            let answer = read(&connection.unchecked_transaction()?);
            // Held until then even if nobody waits for the answer any more.
            drop(place);
            answer
        })
        .await
    }

    /// The same without waiting for a place: for a loop, which reads one thing at a time.
    pub(super) async fn for_loop<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let connection = Arc::clone(&self.for_loops);
        self.run(move || {
            let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            read(&connection.unchecked_transaction()?)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.execution {
            Execution::Inline => work(),
            Execution::WriterThread => match tokio::task::spawn_blocking(work).await {
                Ok(answer) => answer,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(stopped) => Err(StoreError::Refused(stopped.to_string())),
                },
            },
        }
    }
}
