//! What an operator wants to know of the store itself.

use std::path::Path;

use jiff::Timestamp;

use super::Reader;
use crate::domain::disk_space::DiskSpace;
use crate::store::StoreError;
use crate::store::disk_space::disk_space;
use crate::store::panic_trace::{PanicTrace, last_panic};
use crate::store::rows::time_option;
use crate::store::sql::Transaction;
use crate::store::swap::beside;

/// The store itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFacts {
    pub database_bytes: u64,
    /// Of the latest changes, which are in a file beside it.
    pub wal_bytes: u64,
    /// What the oldest run that is kept was scheduled for.
    pub oldest_run: Option<Timestamp>,
    /// When the oldest webhook that is kept was recorded.
    pub oldest_webhook: Option<Timestamp>,
    /// The room on its disk; `None` if the system does not say.
    pub disk: Option<DiskSpace>,
    /// The last panic of a daemon, however long ago.
    pub panic: Option<PanicTrace>,
}

pub(super) const OLDEST_RUN: &str = "SELECT min(scheduled_for) AS at FROM runs";
pub(super) const OLDEST_WEBHOOK: &str = "SELECT min(created_at) AS at FROM deliveries";

impl Reader {
    /// Returns how large the store is, with the latest changes, which may be in a file beside it.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let facts = |tx: &Transaction<'_>| sizes(self, tx);
        self.at_one_moment(facts).map(|(database, wal)| database + wal)
    }

    /// Returns what there is to know of the store itself.
    pub fn store_facts(&self) -> Result<StoreFacts, StoreError> {
        let file = self.file();
        self.at_one_moment(|tx| {
            let oldest = |sql: &str| tx.query_one(sql, (), |row| time_option(row, "at"));
            let (database_bytes, wal_bytes) = sizes(self, tx)?;
            Ok(StoreFacts {
                database_bytes,
                wal_bytes,
                oldest_run: oldest(OLDEST_RUN)?,
                oldest_webhook: oldest(OLDEST_WEBHOOK)?,
                disk: file.and_then(disk_space),
                panic: last_panic(self.beside()),
            })
        })
    }
}

/// Returns the bytes of the database, and of the latest changes beside it.
fn sizes(reader: &Reader, tx: &Transaction<'_>) -> Result<(u64, u64), StoreError> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    match reader.file() {
        Some(file) => Ok((bytes(file), bytes(&beside(file, "-wal")))),
        None => Ok((tx.bytes()?, 0)),
    }
}
