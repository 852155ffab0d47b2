//! Notices that the daemon records about itself.

use jiff::Timestamp;

use super::outages::to_columns;
use super::rows::millis;
use super::{Store, StoreError};
use crate::domain::words::words;

words!(
    /// The subject of a notice.
    NoticeKind {
        /// Another daemon runs with a copy of this store.
        StoreCopy = "store_copy",
        /// The files have mistakes; what they take away stays as it was.
        Configuration = "configuration",
        /// The wall clock was set.
        ClockStep = "clock_step",
        /// The last backup failed.
        Backup = "backup",
        /// The daemon cannot listen at `http.listen`.
        Listen = "listen",
        /// The files of one of several daemons are not those that are in force.
        Files = "files",
        /// Settings of one of several daemons differ from those of another.
        Settings = "settings",
        /// Settings of the files have changed that only a restart puts in force.
        Restart = "restart",
    }
);

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    pub detail: String,
    /// How many mistakes or events it lists.
    pub count: usize,
}

impl NewNotice {
    /// Returns a notice of a single event.
    pub fn single(detail: String) -> Self {
        Self { detail, count: 1 }
    }
}

impl Store {
    /// Replaces this daemon's notice of this kind, or deletes it if `notice` is `None`.
    pub async fn notice(
        &self,
        now: Timestamp,
        kind: NoticeKind,
        notice: Option<NewNotice>,
    ) -> Result<(), StoreError> {
        let (daemon, host) = to_columns(self.daemon_name().as_ref());
        self.write(move |tx| {
            if daemon != 0 {
                // Of when the store had one daemon.
                tx.execute("DELETE FROM notices WHERE kind = ?1 AND daemon = 0", [kind.as_str()])?;
            }
            match &notice {
                Some(NewNotice { detail, count }) => tx.execute(
                    "INSERT INTO notices (kind, at, detail, count, daemon, host) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                     ON CONFLICT (kind, daemon) \
                     DO UPDATE SET at = excluded.at, detail = excluded.detail, count = excluded.count",
                    (kind.as_str(), millis(now), detail, i64::try_from(*count).unwrap_or(i64::MAX), daemon, &host),
                )?,
                None => tx.execute("DELETE FROM notices WHERE kind = ?1 AND daemon = ?2", (kind.as_str(), daemon))?,
            };
            Ok(())
        })
        .await
    }
}
