//! What an operator wants to know of the store itself.

use std::path::PathBuf;

use jiff::Timestamp;

use super::Reader;
use crate::domain::disk_space::DiskSpace;
use crate::store::StoreError;
use crate::store::disk_space::disk_space;
use crate::store::panic_trace::{PanicTrace, last_panic};
use crate::store::rows::time_option;
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
    /// Returns what there is to know of the store itself.
    pub fn store_facts(&self) -> Result<StoreFacts, StoreError> {
        let bytes = |path: PathBuf| std::fs::metadata(path).map_or(0, |found| found.len());
        let file = self.file();
        self.at_one_moment(|tx| {
            let oldest = |sql: &str| tx.query_one(sql, (), |row| time_option(row, "at"));
            Ok(StoreFacts {
                database_bytes: file.map_or_else(|| tx.bytes(), |file| Ok(bytes(file.to_path_buf())))?,
                wal_bytes: file.map_or(0, |file| bytes(beside(file, "-wal"))),
                oldest_run: oldest(OLDEST_RUN)?,
                oldest_webhook: oldest(OLDEST_WEBHOOK)?,
                disk: file.and_then(disk_space),
                panic: file.and_then(last_panic),
            })
        })
    }
}
