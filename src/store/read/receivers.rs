//! The receivers of webhooks: what waits for each, what arrived, and how they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::Reader;
use super::recent::percentile;
use super::report::receivers;
use super::status::STATUS_PERIOD;
use crate::domain::bounds::{ATTEMPTS_LOOKED_THROUGH, PAGE_RECEIVERS_MAX};
use crate::domain::delivery::DeliveryStatus;
use crate::store::StoreError;
use crate::store::rows::{time, time_option};
use crate::store::sql::Transaction;

/// The receivers of webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receivers {
    /// Those for which the most webhooks wait first, then those with the most webhooks in 24 hours.
    pub listed: Vec<ReceiverNow>,
    /// How many more there are.
    pub left_out: usize,
}

/// How a receiver is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverNow {
    /// The beginning of its URLs, with placeholders not filled. It must be redacted before it is shown.
    pub url: String,
    /// Whether clients chose its URLs, and not the authors of files.
    pub of_clients: bool,
    /// How many webhooks wait for it or are being sent to it.
    pub waiting: u64,
    /// When the oldest of those was recorded that wait.
    pub oldest: Option<Timestamp>,
    /// When the next of them is due.
    pub next_at: Option<Timestamp>,
    /// The webhooks that were recorded in the last 24 hours, by status.
    pub by_status: BTreeMap<DeliveryStatus, u64>,
    /// The last attempt at the webhooks of the latest [`ATTEMPTS_LOOKED_THROUGH`] attempts.
    pub last: Option<LastAnswer>,
    /// How long those of them took that it answered, the shortest first.
    took: Vec<Duration>,
}

/// What came of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAnswer {
    pub at: Timestamp,
    pub code: Option<u16>,
    pub detail: Option<String>,
}

impl ReceiverNow {
    /// Returns the time within which so many of a hundred attempts were answered; `None` if too few are known for that.
    pub fn took(&self, percent: usize) -> Option<Duration> {
        const LEAST: usize = 5;
        percentile(&self.took, percent).filter(|_| self.took.len() >= LEAST)
    }

    fn recorded(&self) -> u64 {
        self.by_status.values().sum()
    }
}

impl Reader {
    /// Returns the receivers of webhooks.
    pub fn receivers(&self, now: Timestamp) -> Result<Receivers, StoreError> {
        let since = now.saturating_sub(STATUS_PERIOD).unwrap_or(Timestamp::MIN);
        self.at_one_moment(|tx| {
            let mut found: BTreeMap<String, ReceiverNow> = BTreeMap::new();
            add_waiting(tx, &mut found)?;
            for tally in receivers(tx, since)? {
                found.entry(tally.receiver).or_default().by_status = tally.by_status;
            }
            add_answers(tx, &mut found)?;
            let mut listed: Vec<ReceiverNow> = found.into_iter().map(named).collect();
            listed.sort_by_key(|one| std::cmp::Reverse((one.waiting, one.recorded())));
            let left_out = listed.len().saturating_sub(PAGE_RECEIVERS_MAX);
            listed.truncate(PAGE_RECEIVERS_MAX);
            Ok(Receivers { listed, left_out })
        })
    }
}

fn named((key, mut one): (String, ReceiverNow)) -> ReceiverNow {
    let of_client = key.strip_prefix("client ");
    one.of_clients = of_client.is_some();
    one.url = of_client.unwrap_or(&key).to_owned();
    one.took.sort_unstable();
    one
}

fn add_waiting(tx: &Transaction<'_>, found: &mut BTreeMap<String, ReceiverNow>) -> Result<(), StoreError> {
    let waiting = "SELECT receiver, count(*) AS number, min(created_at) AS oldest, min(due_at) AS next_at FROM deliveries \
                   WHERE due_at IS NOT NULL GROUP BY receiver";
    let sending = "SELECT receiver, count(*) AS number, NULL AS oldest, NULL AS next_at FROM deliveries \
                   WHERE status = 'sending' GROUP BY receiver";
    for sql in [waiting, sending] {
        tx.each(sql, (), |row| {
            let one = found.entry(row.get("receiver")?).or_default();
            one.waiting += row.count("number")?;
            one.oldest = one.oldest.or(time_option(row, "oldest")?);
            one.next_at = one.next_at.or(time_option(row, "next_at")?);
            Ok(())
        })?;
    }
    Ok(())
}

/// The attempts at the webhooks that were recorded last. Each webhook is looked up by its key.
pub(super) const LATEST_ATTEMPTS: &str = "SELECT d.receiver AS receiver, a.started_at AS started_at, a.ended_at AS ended_at, \
     a.code AS code, a.detail AS detail FROM (SELECT delivery, started_at, ended_at, code, detail FROM attempts \
     ORDER BY delivery DESC, attempt DESC LIMIT ?1) AS a CROSS JOIN deliveries AS d ON d.seq = a.delivery";

fn add_answers(tx: &Transaction<'_>, found: &mut BTreeMap<String, ReceiverNow>) -> Result<(), StoreError> {
    tx.each(LATEST_ATTEMPTS, [ATTEMPTS_LOOKED_THROUGH], |row| {
        let one = found.entry(row.get("receiver")?).or_default();
        let (started_at, at) = (time(row, "started_at")?, time(row, "ended_at")?);
        let last = LastAnswer { at, code: row.get("code")?, detail: row.get("detail")? };
        if last.code.is_some() {
            one.took.push(Duration::try_from(at.duration_since(started_at)).unwrap_or_default());
        }
        if one.last.as_ref().is_none_or(|known| known.at < at) {
            one.last = Some(last);
        }
        Ok(())
    })
}
