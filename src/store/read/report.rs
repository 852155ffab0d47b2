//! What happened in a stretch of time, from the roll-ups: so it costs the same however many runs there were, and is still there
//! when the runs are deleted.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;

use super::crons::heads_of_all;
use super::{CronHead, Reader};
use crate::domain::bounds::{COMPARED_DAYS, REPORTED_RECEIVERS, STATS_DAYS_MAX};
use crate::domain::delivery::DeliveryStatus;
use crate::domain::ids::CronId;
use crate::domain::outage::Outage;
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::domain::tally::{Tally, TallyUnit, TookBucket};
use crate::store::StoreError;
use crate::store::outages::lasting_since;
use crate::store::rollups::NOT_KNOWN;
use crate::store::rows::{millis, parsed, time};
use crate::store::sql::{Params, Row, Transaction};

/// What happened since some time.
pub struct ReportSnapshot {
    /// The beginning of the hour or day that was asked for.
    pub since: Timestamp,
    pub unit: TallyUnit,
    /// Those that were removed as well.
    pub crons: Vec<CronHead>,
    /// By cron. Runs that clients started have none.
    pub tallies: HashMap<Option<CronId>, Tally>,
    /// Those that had not ended before `since`, the latest first.
    pub outages: Vec<Outage>,
    /// Those with the most webhooks.
    pub receivers: Vec<ReceiverTally>,
    /// When the oldest record was due that is kept.
    pub oldest: Option<Timestamp>,
}

/// The webhooks of a receiver that were recorded in that time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiverTally {
    /// The beginning of their URLs, with placeholders not filled. It must be redacted before it is shown.
    pub receiver: String,
    pub by_status: BTreeMap<DeliveryStatus, u64>,
}

impl ReceiverTally {
    pub fn all(&self) -> u64 {
        self.by_status.values().sum()
    }
}

impl Reader {
    /// Returns what happened since the beginning of the hour of `since` or, if that is long ago, of its day.
    pub fn report(&self, since: Timestamp, now: Timestamp) -> Result<ReportSnapshot, StoreError> {
        let unit = TallyUnit::since(since, now);
        let first = unit.number(since);
        let since = unit.begin(first);
        self.at_one_moment(|tx| {
            Ok(ReportSnapshot {
                since,
                unit,
                crons: heads_of_all(tx)?,
                tallies: by_cron(tx, unit, first, i64::MAX)?,
                outages: lasting_since(tx, since)?,
                receivers: receivers(tx, since)?,
                oldest: tx.query_opt("SELECT scheduled_for FROM runs ORDER BY seq LIMIT 1", (), |row| {
                    time(row, "scheduled_for")
                })?,
            })
        })
    }

    /// Returns the counts of these crons in the days before `since`, for comparison.
    pub fn tallies_before(
        &self,
        since: Timestamp,
        crons: &HashSet<CronId>,
    ) -> Result<HashMap<CronId, Tally>, StoreError> {
        let until = TallyUnit::Day.number(since);
        let mut all = HashMap::new();
        self.at_one_moment(|tx| {
            for cron_id in crons {
                let mut tally = Tally::default();
                days(tx, *cron_id, until - COMPARED_DAYS, until - 1)?.values().for_each(|day| tally.add(day));
                all.insert(*cron_id, tally);
            }
            Ok(all)
        })
    }

    /// Returns the counts of a cron by day of UTC, without the days on which nothing ended.
    pub fn cron_days(
        &self,
        cron_id: CronId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, Tally)>, StoreError> {
        let last = TallyUnit::Day.number(now);
        let first = TallyUnit::Day.number(since).max(last - STATS_DAYS_MAX);
        let days = self.at_one_moment(|tx| days(tx, cron_id, first, last))?;
        Ok(days.into_iter().map(|(day, tally)| (TallyUnit::Day.begin(day), tally)).collect())
    }
}

/// Adds up the counts of these hours or days.
fn by_cron(
    tx: &Transaction<'_>,
    unit: TallyUnit,
    first: i64,
    last: i64,
) -> Result<HashMap<Option<CronId>, Tally>, StoreError> {
    let (table, column) = match unit {
        TallyUnit::Hour => ("cron_hours", "hour"),
        TallyUnit::Day => ("cron_days", "day"),
    };
    let sql = format!("{SELECT} FROM {table} WHERE {column} BETWEEN ?1 AND ?2");
    let mut tallies = HashMap::new();
    each(tx, &sql, (first, last), |row, count| {
        let cron_id = match row.value(5)?.as_str() {
            Ok("") => None,
            _ => Some(parsed(row, 5)?),
        };
        count.add_to(tallies.entry(cron_id).or_default());
        Ok(())
    })?;
    Ok(tallies)
}

/// Returns the counts of a cron by day. Each day is looked up by itself, because the days of all crons are beside one another.
fn days(
    tx: &Transaction<'_>,
    cron_id: CronId,
    first: i64,
    last: i64,
) -> Result<BTreeMap<i64, Tally>, StoreError> {
    let sql = format!("{SELECT} FROM cron_days WHERE day = ?1 AND cron_id = ?2");
    let mut tallies = BTreeMap::new();
    for day in first..=last {
        each(tx, &sql, (day, cron_id.to_string()), |_, count| {
            count.add_to(tallies.entry(day).or_default());
            Ok(())
        })?;
    }
    Ok(tallies)
}

const SELECT: &str = "SELECT status, reason_code, took, runs, occurrences, cron_id, late";

/// A row of a roll-up.
struct Count {
    end: (Status, Option<ReasonCode>),
    took: TookBucket,
    runs: u64,
    occurrences: i64,
    late: u64,
}

impl Count {
    fn add_to(&self, tally: &mut Tally) {
        tally.runs += self.runs;
        tally.late += self.late;
        if self.occurrences != 0 {
            *tally.ended.entry(self.end).or_default() += self.occurrences;
        }
        if self.took != NOT_KNOWN {
            *tally.took.entry(self.took).or_default() += self.runs;
        }
    }
}

fn each(
    tx: &Transaction<'_>,
    sql: &str,
    params: impl Params,
    mut visit: impl FnMut(&Row<'_>, &Count) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    tx.each(sql, params, |row| {
        let code = match row.value(1)?.as_str() {
            Ok("") => None,
            _ => Some(parsed(row, 1)?),
        };
        let count = Count {
            end: (parsed(row, 0)?, code),
            took: TookBucket(row.get(2)?),
            runs: row.count(3)?,
            occurrences: row.get(4)?,
            late: row.count(6)?,
        };
        visit(row, &count)
    })
}

/// Counts the webhooks that were recorded since then, by receiver.
pub(super) fn receivers(tx: &Transaction<'_>, since: Timestamp) -> Result<Vec<ReceiverTally>, StoreError> {
    let sql = "SELECT receiver, status, count(*) AS number FROM deliveries WHERE created_at >= ?1 GROUP BY receiver, status";
    let mut found: BTreeMap<String, ReceiverTally> = BTreeMap::new();
    tx.each(sql, [millis(since)], |row| {
        let receiver: String = row.get("receiver")?;
        let tally = found
            .entry(receiver.clone())
            .or_insert_with(|| ReceiverTally { receiver, ..ReceiverTally::default() });
        tally.by_status.insert(parsed(row, "status")?, row.count("number")?);
        Ok(())
    })?;
    let mut receivers: Vec<ReceiverTally> = found.into_values().collect();
    receivers.sort_by_key(|receiver| std::cmp::Reverse(receiver.all()));
    receivers.truncate(REPORTED_RECEIVERS);
    Ok(receivers)
}
