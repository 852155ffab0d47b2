//! The order in which deliveries are claimed: the oldest first, but no receiver that waits holds up another.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};

use jiff::Timestamp;

use super::StoreError;
use super::rows::{millis, timestamp};
use super::sql::{Row, Transaction};
use crate::domain::backoff;
use crate::domain::bounds::URLS_PER_PASS;
use crate::domain::cron::CronSource;
use crate::domain::lease::LOOKS_EVERY;

/// Whether a delivery may be attempted now.
#[derive(Debug)]
pub enum Admission<Permit> {
    Admitted(Permit),
    /// Nothing more is sent to its URL now.
    UrlWaits,
    /// Nothing more is sent to any URL of its receiver now.
    ReceiverWaits,
    /// Its receiver belongs to another daemon, which is left to send it until then.
    OfAnother(Timestamp),
}

/// The deliveries that are admitted, the oldest first.
pub(super) struct Due<Permit> {
    pub(super) admitted: Vec<(QueueHead, Permit)>,
    /// When the first of those is to be sent that another daemon should send.
    pub(super) of_another_until: Option<Timestamp>,
    /// The latest of those.
    pub(super) of_another: Option<i64>,
}

impl<Permit> Default for Due<Permit> {
    fn default() -> Self {
        Self { admitted: Vec::new(), of_another_until: None, of_another: None }
    }
}

/// A delivery that may be attempted now.
#[derive(Clone, Copy, Debug)]
pub struct Claimable<'c> {
    pub url: &'c str,
    pub source: CronSource,
    /// When it is its turn.
    pub due_at: Timestamp,
    pub sender: SenderOf,
}

/// Which daemon should make an attempt, where several share the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SenderOf {
    /// The one to which the receiver belongs.
    Owner,
    /// That one has let it lie, and sends nothing there.
    Anybody,
    /// This one, because it alone sends at a rate.
    Us,
}

impl QueueHead {
    pub(super) fn claimable(&self, sender: SenderOf) -> Result<Claimable<'_>, StoreError> {
        let due_at = timestamp(self.due_at, "due_at")?;
        Ok(Claimable { url: &self.url, source: self.source, due_at, sender })
    }
}

/// The oldest due delivery of one receiver that has not been considered yet. The order of the fields is the
/// order in which deliveries are claimed.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QueueHead {
    pub(super) due_at: i64,
    pub(super) row: i64,
    receiver: String,
    pub(super) url: String,
    pub(super) source: CronSource,
    /// Whether what is behind it in the queue of its URL comes next, and not in that of its receiver.
    alone: bool,
}

/// Returns the deliveries that are admitted, the oldest first. Of each receiver it considers as many as are admitted, and
/// one that is not: reading on through the backlog of a receiver that is down would take longer and longer as that
/// backlog grows. If only the URL of that one waits, it goes on with one queue for each other URL of the receiver.
pub(super) fn due<Permit>(
    tx: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
    sender: SenderOf,
    admit: &mut impl FnMut(Claimable<'_>) -> Admission<Permit>,
) -> Result<Due<Permit>, StoreError> {
    let (mut due, mut attended) = (Due::default(), Attended::default());
    if limit == 0 {
        return Ok(due);
    }
    let mut queues = queue_heads(tx, now)?;
    while due.admitted.len() < limit
        && let Some(Reverse(mut queue)) = queues.pop()
        && let Some(head) = queue.pop_front()
    {
        let mut admission = admit(head.claimable(sender)?);
        if matches!(admission, Admission::OfAnother(until) if until <= now) {
            admission = match attended.contains(tx, &head.receiver)? {
                true => Admission::OfAnother(backoff::after(now, LOOKS_EVERY)),
                false => admit(head.claimable(SenderOf::Anybody)?),
            };
        }
        match admission {
            Admission::Admitted(permit) => {
                if queue.is_empty() {
                    queue = behind(tx, &head, now, if tx.is_far() { READ_FROM_AFAR } else { READ_AT_ONCE })?;
                }
                queues.extend(Some(queue).filter(|queue| !queue.is_empty()).map(Reverse));
                due.admitted.push((head, permit));
            }
            Admission::UrlWaits if !head.alone => queues.extend(other_urls(tx, &head, now)?),
            Admission::UrlWaits | Admission::ReceiverWaits => {}
            Admission::OfAnother(until) => {
                due.of_another_until = due.of_another_until.into_iter().chain([until]).min();
                due.of_another = due.of_another.max(Some(head.row));
            }
        }
    }
    Ok(due)
}

/// The receivers to which something is being sent, once that was asked for.
#[derive(Default)]
struct Attended(Option<HashSet<String>>);

impl Attended {
    fn contains(&mut self, tx: &Transaction<'_>, receiver: &str) -> Result<bool, StoreError> {
        let receivers = match self.0.take() {
            Some(known) => known,
            None => {
                let sql = "SELECT DISTINCT receiver FROM deliveries WHERE status = 'sending'";
                tx.query(sql, (), |row| row.get("receiver"))?.into_iter().collect()
            }
        };
        Ok(self.0.insert(receivers).contains(receiver))
    }
}

/// What one receiver or one of its URLs has due, from the oldest on, as far as it has been read. Queues are in the order of
/// their heads.
type Queue = VecDeque<QueueHead>;

/// How many rows are read at once behind one that was admitted: more of them are likely to be.
const READ_AT_ONCE: i64 = 16;
/// The same where each time is a way to a server and back.
const READ_FROM_AFAR: i64 = 128;

/// Selects what [`queue_head_from_row`] reads.
pub(super) const QUEUE_HEADS: &str = "SELECT receiver, due_at, seq, url, of_client FROM deliveries";

/// Returns one delivery of each receiver, with one step in the index for each.
fn queue_heads(tx: &Transaction<'_>, now: Timestamp) -> Result<BinaryHeap<Reverse<Queue>>, StoreError> {
    let first = format!(
        "{QUEUE_HEADS} WHERE receiver > ?1 AND due_at IS NOT NULL ORDER BY receiver, due_at, seq LIMIT 1"
    );
    let (mut heads, mut receiver) = (BinaryHeap::new(), String::new());
    while let Some(head) = tx.query_opt(&first, [&receiver], queue_head_from_row)? {
        receiver.clone_from(&head.receiver);
        if head.due_at <= millis(now) {
            heads.push(Reverse(Queue::from([head])));
        }
    }
    Ok(heads)
}

fn behind(tx: &Transaction<'_>, head: &QueueHead, now: Timestamp, limit: i64) -> Result<Queue, StoreError> {
    // Without the name of the index, SQLite reads on through what other URLs have in the queue.
    let (index, url) = match head.alone {
        true => ("INDEXED BY deliveries_by_url", "url = ?5"),
        false => ("", "?5 <> ''"),
    };
    let sql = format!(
        "{QUEUE_HEADS} {index} WHERE receiver = ?1 AND {url} AND due_at IS NOT NULL \
         AND (due_at, seq) > (?2, ?3) AND due_at <= ?4 ORDER BY due_at, seq LIMIT ?6"
    );
    let values = (&head.receiver, head.due_at, head.row, millis(now), &head.url, limit);
    let with_mark = |row: &Row<'_>| Ok(QueueHead { alone: head.alone, ..queue_head_from_row(row)? });
    Ok(tx.query(&sql, values, with_mark)?.into())
}

/// Returns the first delivery behind `head` of each other URL of the same receiver, with two steps in the index for each. Of
/// very many URLs it returns some: those that follow in the order of URLs, which are others once `head` is another one.
fn other_urls(
    tx: &Transaction<'_>,
    head: &QueueHead,
    now: Timestamp,
) -> Result<Vec<Reverse<Queue>>, StoreError> {
    let url_behind = "SELECT url FROM deliveries WHERE receiver = ?1 AND url > ?2 AND due_at IS NOT NULL ORDER BY url LIMIT 1";
    let (mut heads, mut last) = (Vec::new(), head.url.clone());
    for _ in 0..URLS_PER_PASS {
        let next = |last: &str| tx.query_opt(url_behind, (&head.receiver, last), |row| row.get::<String>(0));
        // After the last URL comes the first.
        let Some(url) = next(&last)?.map_or_else(|| next(""), |url| Ok(Some(url)))? else { break };
        if url == head.url {
            break;
        }
        let receiver = head.receiver.clone();
        let before = QueueHead { url: url.clone(), receiver, alone: true, ..*head };
        heads.extend(Some(behind(tx, &before, now, 1)?).filter(|queue| !queue.is_empty()).map(Reverse));
        last = url;
    }
    Ok(heads)
}

/// Reads a row of [`QUEUE_HEADS`].
pub(super) fn queue_head_from_row(row: &Row<'_>) -> Result<QueueHead, StoreError> {
    let (receiver, url, source) = (row.get(0)?, row.get(3)?, source_of(row.get(4)?));
    Ok(QueueHead { receiver, due_at: row.get(1)?, row: row.get(2)?, url, source, alone: false })
}

fn source_of(of_client: bool) -> CronSource {
    if of_client { CronSource::Api } else { CronSource::File }
}
