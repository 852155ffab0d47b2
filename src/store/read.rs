//! Read models for people and programs that ask: short reads on a connection of their own, while the daemon writes.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, open};

/// Reads the store of a daemon that may or may not be running.
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens the store at `path` read-only.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: open::open_to_read(path)? })
    }
}
