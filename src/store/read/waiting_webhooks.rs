//! The webhooks that wait, for whoever is about to hold or release them.

use jiff::{SignedDuration, Timestamp};

use super::Reader;
use crate::domain::bounds::WAITING_COUNTED_MAX;
use crate::store::StoreError;
use crate::store::rows::{millis, time_option};

/// The webhooks that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitingWebhooks {
    /// How many there are; [`WAITING_COUNTED_MAX`] if there are more.
    pub count: u64,
    /// When the oldest of them was recorded.
    pub oldest: Option<Timestamp>,
    /// How many receivers they are for.
    pub receivers: u64,
    /// How many of them were recorded longer ago than asked for.
    pub older: u64,
    /// How many attempts are in flight.
    pub sending: u64,
}

pub(super) const WAITING: &str = "SELECT count(*) AS number, min(created_at) AS oldest, count(DISTINCT receiver) AS receivers, \
     coalesce(sum(CASE WHEN created_at < ?1 THEN 1 ELSE 0 END), 0) AS older FROM \
     (SELECT receiver, created_at FROM deliveries INDEXED BY deliveries_due WHERE due_at IS NOT NULL LIMIT ?2) AS few";

impl Reader {
    /// Returns the webhooks that wait. `age` is that of those that are counted as older.
    pub fn waiting_webhooks(
        &self,
        age: SignedDuration,
        now: Timestamp,
    ) -> Result<WaitingWebhooks, StoreError> {
        let since = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        self.at_one_moment(|tx| {
            let sending = tx.query_count("SELECT count(*) FROM deliveries WHERE status = 'sending'", ())?;
            tx.query_one(WAITING, (millis(since), WAITING_COUNTED_MAX), |row| {
                Ok(WaitingWebhooks {
                    count: row.count("number")?,
                    oldest: time_option(row, "oldest")?,
                    receivers: row.count("receivers")?,
                    older: row.count("older")?,
                    sending,
                })
            })
        })
    }
}
