//! Overwrites what is deleted: the database keeps the pages of deleted rows for later, and the WAL keeps what was in them.

use std::path::Path;
use std::time::Duration;

use super::readers::blocking;
use super::sql::Transaction;
use super::{Store, StoreError, open};
use crate::domain::bounds::{ERASED_PER_COMMIT, ERASURE_PAUSES, WAL_EMPTIED_WITHIN};

/// The wait between two attempts to empty the WAL: reads that keep it from being emptied are short.
const WAIT: Duration = Duration::from_millis(50);

/// What becomes of the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emptied {
    Yes,
    /// Somebody has read an earlier state all the time. It is emptied later.
    NotYet,
}

impl Store {
    /// Overwrites every page that nothing uses, and empties the WAL. It leaves the writer most of its time.
    pub async fn erase(&self) -> Result<Emptied, StoreError> {
        let mut left = self.write(|tx| tx.unused_pages()).await?;
        while left > 0 {
            let began = tokio::time::Instant::now();
            self.write(|tx| fill(tx)).await?;
            left = left.saturating_sub(ERASED_PER_COMMIT);
            tokio::time::sleep(began.elapsed() * ERASURE_PAUSES).await;
        }
        while self.write(|tx| clear(tx)).await? > 0 {}
        self.empty_wal().await
    }

    async fn empty_wal(&self) -> Result<Emptied, StoreError> {
        let Some(file) = self.file() else { return Ok(Emptied::Yes) };
        let until = tokio::time::Instant::now() + WAL_EMPTIED_WITHIN;
        loop {
            let path = file.to_owned();
            if blocking(move || empty(&path)).await?? {
                return Ok(Emptied::Yes);
            }
            if tokio::time::Instant::now() >= until {
                return Ok(Emptied::NotYet);
            }
            tokio::time::sleep(WAIT).await;
        }
    }
}

/// Uses some of the unused pages for zeros: a row's rest that does not fit into its page takes pages of its own.
fn fill(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let bytes = ERASED_PER_COMMIT.saturating_mul(tx.page_bytes()?);
    tx.execute(
        "INSERT INTO eraser (zeros) VALUES (zeroblob(?1))",
        [i64::try_from(bytes).unwrap_or(i64::MAX)],
    )?;
    Ok(())
}

/// Deletes some of the zeros, and returns how much that was.
pub(super) fn clear(tx: &Transaction<'_>) -> Result<usize, StoreError> {
    tx.execute("DELETE FROM eraser WHERE seq = (SELECT max(seq) FROM eraser)", ())
}

/// Moves everything from the WAL into the database and empties it, unless somebody still reads from it.
fn empty(path: &Path) -> Result<bool, StoreError> {
    let connection = open::open_to_checkpoint(path)?;
    // This one holds up nobody, and leaves little for the other, which holds up the writer.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!is_busy)
}
