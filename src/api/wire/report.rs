//! What happened in a stretch of time: of all crons, and of one of them by day.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Attention, Counts, Outage, Time, Word, reason_code_or_null, run_statuses_ended};
use crate::domain::bounds::REPORTED_CRONS;
use crate::domain::cron_state::CronHealth;
use crate::domain::ids::CronId;
use crate::domain::reason::ReasonCode;
use crate::domain::run::Status;
use crate::domain::tally::{Tally, TallyUnit};
use crate::store::{CronHead, Reader, ReceiverTally, ReportSnapshot, StoreError};
use crate::webhook::redacted;

/// What happened since some time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The beginning of the hour that was asked for or, if that is more than 72 hours ago, of the day in UTC.
    pub since: Time,
    pub until: Time,
    /// What is wrong now, as in the status.
    pub attention: Vec<Attention>,
    /// All crons together, with the runs that clients started.
    pub total: Counted,
    /// The crons of which anything ended, or that fail or are paused: those that need somebody first.
    pub crons: Vec<CronReport>,
    /// How many more there are. Ask for all of them with `all=true`.
    pub crons_left_out: usize,
    /// The outages that had not ended before, latest first.
    pub outages: Vec<Outage>,
    /// The receivers with the most webhooks.
    pub receivers: Vec<ReceiverReport>,
    /// When the oldest record that is kept was due; null if there is none.
    pub oldest_record_at: Option<Time>,
}

/// Counts of what ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Counted {
    /// Runs that took place, retries included.
    pub runs: u64,
    /// How an occurrence ended counts once, by the last of its runs: by status.
    pub ended: Counts,
    /// Of those that say whether the cron works, how many percent say that it does; null if there are none.
    pub ok_percent: Option<f64>,
    /// How many runs began over a minute late.
    pub late: u64,
    /// Within this time half of the runs ended, exact to 10 %; null if none took place.
    pub p50_ms: Option<u64>,
    /// Within this time 95 % of them ended.
    pub p95_ms: Option<u64>,
    /// Why occurrences ended otherwise than as `success`, the most frequent first.
    pub reasons: Vec<ReasonCount>,
}

/// How many occurrences ended with a status and for a reason.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReasonCount {
    #[schema(schema_with = run_statuses_ended)]
    pub status: Word<Status>,
    #[schema(schema_with = reason_code_or_null)]
    pub reason_code: Option<Word<ReasonCode>>,
    pub occurrences: u64,
}

/// What happened to a cron.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CronReport {
    #[schema(format = Uuid)]
    pub cron_id: String,
    pub cron_name: String,
    #[serde(flatten)]
    pub counted: Counted,
    pub failures_in_a_row: u32,
    /// Whether it was removed in the meantime.
    pub removed: bool,
    /// Since when it fails; null if it does not.
    pub failing_since: Option<Time>,
    /// When it worked again, if it failed before and that was in this time.
    pub recovered_at: Option<Time>,
    pub paused: bool,
    /// Within this time half of its runs ended in the seven days before; null if none took place.
    pub p50_before_ms: Option<u64>,
}

/// The webhooks to a receiver that were recorded in that time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReceiverReport {
    /// Scheme and host of its URL.
    pub receiver: String,
    /// By status.
    pub webhooks: Counts,
}

/// A cron by day.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CronStats {
    #[schema(format = Uuid)]
    pub cron_id: String,
    pub cron_name: String,
    pub since: Time,
    pub total: Counted,
    /// The days of UTC on which anything ended, oldest first.
    pub days: Vec<DayStats>,
}

/// A day of a cron.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DayStats {
    /// When the day begins, in UTC.
    pub day: Time,
    #[serde(flatten)]
    pub counted: Counted,
}

impl Counted {
    pub fn of(tally: &Tally) -> Self {
        let by_status = Status::ALL.iter().map(|status| (*status, tally.of(*status)));
        let by_status: Vec<_> = by_status.filter(|(_, count)| *count > 0).collect();
        let mut reasons: Vec<ReasonCount> = tally
            .ended
            .iter()
            .filter(|((status, code), count)| **count > 0 && (*status != Status::Success || code.is_some()))
            .map(|((status, code), count)| ReasonCount {
                status: Word(*status),
                reason_code: code.map(Word),
                occurrences: u64::try_from(*count).unwrap_or(0),
            })
            .collect();
        reasons.sort_by_key(|reason| Reverse(reason.occurrences));
        Self {
            runs: tally.runs,
            ended: Counts::of(&by_status),
            ok_percent: tally.ok_percent().map(|percent| (percent * 10.0).round() / 10.0),
            late: tally.late,
            p50_ms: tally.took(50).map(millis),
            p95_ms: tally.took(95).map(millis),
            reasons,
        }
    }

    /// Returns how many occurrences ended with this status.
    pub fn ended(&self, status: Status) -> u64 {
        self.ended.get(status.as_str())
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Report {
    /// Reads what happened since then, of all crons or of those that need somebody first.
    pub fn read(
        reader: &Reader,
        attention: Vec<Attention>,
        since: Timestamp,
        all: bool,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let snapshot = reader.report(since, now)?;
        let mut total = Tally::default();
        snapshot.tallies.values().for_each(|tally| total.add(tally));
        let none = Tally::default();
        let tally = |cron: &CronHead| snapshot.tallies.get(&Some(cron.cron_id)).unwrap_or(&none);
        let mut crons: Vec<&CronHead> =
            snapshot.crons.iter().filter(|cron| is_reported(cron, tally(cron), now)).collect();
        crons.sort_by_cached_key(|cron| rank(cron, tally(cron)));
        let shown = if all { crons.len() } else { crons.len().min(REPORTED_CRONS) };
        let crons_left_out = crons.len() - shown;
        crons.truncate(shown);
        let ids: HashSet<CronId> = crons.iter().map(|cron| cron.cron_id).collect();
        let before = reader.tallies_before(snapshot.since, &ids)?;
        let of = |cron: &&CronHead| CronReport {
            paused: cron.state.pause(now).is_some(),
            ..CronReport::of(cron, tally(cron), before.get(&cron.cron_id), &snapshot)
        };
        Ok(Self {
            since: Time(snapshot.since),
            until: Time(now),
            attention,
            total: Counted::of(&total),
            crons: crons.iter().map(of).collect(),
            crons_left_out,
            outages: snapshot.outages.iter().map(Outage::of).collect(),
            receivers: snapshot.receivers.iter().map(ReceiverReport::of).collect(),
            oldest_record_at: snapshot.oldest.map(Time),
        })
    }

    /// Returns whether the counts are those of whole days.
    pub fn is_by_day(&self) -> bool {
        TallyUnit::since(self.since.0, self.until.0) == TallyUnit::Day
    }
}

/// Returns whether there is something to say about a cron.
fn is_reported(cron: &CronHead, tally: &Tally, now: Timestamp) -> bool {
    let state = &cron.state;
    let is_unusual = !cron.is_removed && (state.failures > 0 || state.pause(now).is_some());
    *tally != Tally::default() || is_unusual
}

/// Returns the place of a cron in the report: failing now, the longest first; failed; missed; late or skipped; well.
fn rank(cron: &CronHead, tally: &Tally) -> (u8, Timestamp, Reverse<u64>, String) {
    let fails = tally.saying(CronHealth::Fails);
    let missed = tally.of(Status::Missed);
    let (place, count) = match () {
        () if cron.state.failures > 0 && !cron.is_removed => (0, fails),
        () if fails > 0 => (1, fails),
        () if missed > 0 => (2, missed),
        () if tally.late > 0 => (3, tally.late),
        () if tally.of(Status::Skipped) > 0 => (4, tally.of(Status::Skipped)),
        () => (5, 0),
    };
    let since = cron.state.failing_since.unwrap_or(Timestamp::MAX);
    (place, since, Reverse(count), cron.name.clone())
}

impl CronReport {
    fn of(cron: &CronHead, tally: &Tally, before: Option<&Tally>, snapshot: &ReportSnapshot) -> Self {
        let state = &cron.state;
        Self {
            cron_id: cron.cron_id.to_string(),
            cron_name: cron.name.clone(),
            counted: Counted::of(tally),
            removed: cron.is_removed,
            failures_in_a_row: state.failures,
            failing_since: state.failing_since.map(Time),
            recovered_at: state.recovered_at.filter(|at| *at >= snapshot.since).map(Time),
            paused: false,
            p50_before_ms: before.and_then(|before| before.took(50)).map(millis),
        }
    }

    /// Returns by how many percent its runs take longer than in the seven days before, or less if it is negative; `None` if
    /// either is not known.
    pub fn trend_percent(&self) -> Option<i64> {
        let (now, before) = (self.counted.p50_ms?, self.p50_before_ms.filter(|before| *before > 0)?);
        let change = (i128::from(now) - i128::from(before)) * 100 / i128::from(before);
        i64::try_from(change).ok()
    }
}

impl ReceiverReport {
    fn of(tally: &ReceiverTally) -> Self {
        // Those of clients are counted apart, under the same URL.
        let url = tally.receiver.strip_prefix("client ").unwrap_or(&tally.receiver);
        let by_status: Vec<_> = tally.by_status.iter().map(|(status, count)| (*status, *count)).collect();
        Self { receiver: redacted(url), webhooks: Counts::of(&by_status) }
    }
}

impl CronStats {
    /// Reads the days of a cron since then, or returns `None` if there is no such cron.
    pub fn read(
        reader: &Reader,
        name_or_id: &str,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let Some(cron) = reader.cron_head(name_or_id)? else { return Ok(None) };
        let days = reader.cron_days(cron.cron_id, since, now)?;
        let mut total = Tally::default();
        days.iter().for_each(|(_, tally)| total.add(tally));
        Ok(Some(Self {
            cron_id: cron.cron_id.to_string(),
            cron_name: cron.name,
            since: Time(TallyUnit::Day.begin(TallyUnit::Day.number(since))),
            total: Counted::of(&total),
            days: days
                .iter()
                .map(|(day, tally)| DayStats { day: Time(*day), counted: Counted::of(tally) })
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_somebody_comes_first() {
        let tally = |status, code, count| Tally {
            ended: [((status, code), count)].into_iter().collect(),
            ..Tally::default()
        };
        let mut failing = CronHead::named("z-failing");
        failing.state.failures = 3;
        failing.state.failing_since = Some(Timestamp::UNIX_EPOCH);
        let graph = Some(ReasonCode::GraphError);
        let ordered = [
            (failing, Tally::default()),
            (CronHead::named("y-failed"), tally(Status::Error, graph, 1)),
            (CronHead::named("x-missed"), tally(Status::Missed, Some(ReasonCode::DaemonDown), 9)),
            (CronHead::named("w-late"), Tally { late: 1, ..Tally::default() }),
            (CronHead::named("v-skipped"), tally(Status::Skipped, Some(ReasonCode::Overlap), 4)),
            (CronHead::named("a-well"), tally(Status::Success, None, 7)),
            (CronHead::named("b-well"), tally(Status::Success, None, 70)),
        ];
        let ranks: Vec<_> = ordered.iter().map(|(cron, tally)| rank(cron, tally)).collect();
        assert!(ranks.is_sorted(), "{ranks:?}");
        assert!(ordered.iter().all(|(cron, tally)| is_reported(cron, tally, Timestamp::UNIX_EPOCH)));
        assert!(!is_reported(&CronHead::named("idle"), &Tally::default(), Timestamp::UNIX_EPOCH));
    }
}
