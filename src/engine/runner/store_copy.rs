//! Whether another daemon has been seen that runs with a copy of this store. Both have the same crons with the same
//! ids, so both fire every occurrence, and what one does on the agent server happens to the runs of the other.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::store::{ClaimedRun, NewNotice, NoticeKind, Store, StoreError};

/// What is known of a copy. It is reported once in the life of a daemon.
#[derive(Debug, Default)]
pub(super) struct StoreCopy(Mutex<Sighting>);

#[derive(Debug, Default)]
enum Sighting {
    #[default]
    None,
    ToRecord(String),
    Recorded,
}

impl StoreCopy {
    /// Takes note that this run was sent by a daemon that this store does not know.
    pub(super) fn seen(&self, claimed: &ClaimedRun) {
        let mut sighting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Sighting::None = *sighting {
            let run = &claimed.run;
            let detail = format!(
                "another daemon runs with a copy of this store; it sent run {} of {}. Stop one of the two; if both are \
                 to run, give one of them an empty store",
                run.run_id,
                run.called()
            );
            tracing::error!(cron = run.called(), run_id = %run.run_id, detail, "copy of this store found");
            *sighting = Sighting::ToRecord(detail);
        }
    }

    /// Commits what was noted.
    pub(super) async fn record(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let detail = {
            let mut sighting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::take(&mut *sighting) {
                Sighting::ToRecord(detail) => {
                    *sighting = Sighting::Recorded;
                    detail
                }
                unchanged @ (Sighting::None | Sighting::Recorded) => {
                    *sighting = unchanged;
                    return Ok(());
                }
            }
        };
        store.notice(now, NoticeKind::StoreCopy, Some(NewNotice::single(detail))).await
    }
}
