//! Runs in the order of their occurrences, page by page. However long the history is, little of it is in
//! memory.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::positions::{Columns, Conditions, Lookup, Order, one_of, positions, select, texts};
use super::{PageCursor, Reader, RunRow, row_columns, run_row};
use crate::domain::ids::CronId;
use crate::domain::outage::{Away, went_wrong};
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed};
use crate::store::sql::Value;

/// SQLite joins at most 500 selects. Among the runs of so many crons, those of a page are found soon by their time.
pub(super) const LOOKUPS_MAX: usize = 100;

const BY_TIME: &str = "runs INDEXED BY runs_by_time WHERE true";
const BY_STATUS: &str = "runs INDEXED BY runs_by_status WHERE status <> 'success' AND status = ?";
const BY_REASON: &str = "runs INDEXED BY runs_by_reason WHERE reason_code = ?";
const BY_TRIGGER: &str = "runs INDEXED BY runs_by_trigger WHERE trigger <> 'schedule' AND trigger = ?";
/// These are few, so they may be sorted.
const BY_PHASE: &str = "runs INDEXED BY runs_in_progress WHERE phase <> 'ended' AND phase = ?";

/// [`went_wrong`] in SQL.
pub(super) static WENT_WRONG: LazyLock<String> = LazyLock::new(|| {
    let always = |status: &Status| went_wrong(*status, None);
    let statuses = Status::ALL.iter().filter(|status| always(status)).map(|status| status.as_str());
    let pairs = Status::ALL.iter().filter(|status| !always(status)).flat_map(|status| {
        let codes = ReasonCode::ALL.iter().filter(|code| went_wrong(*status, Some(**code)));
        codes.map(move |code| format!("('{status}', '{code}')"))
    });
    let (statuses, pairs) = (statuses.collect::<Vec<_>>().join("', '"), pairs.collect::<Vec<_>>().join(", "));
    format!("(status IN ('{statuses}') OR (status, reason_code) IN (VALUES {pairs}))")
});

/// Which runs to list. A field that is empty or `None` does not restrict the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub crons: Option<Vec<CronId>>,
    /// Runs that ended with one of these. Of this, `phases` and `went_wrong`, a run needs to match only one.
    pub statuses: Vec<Status>,
    pub phases: Vec<Phase>,
    /// Runs that went wrong.
    pub went_wrong: bool,
    pub triggers: Vec<Trigger>,
    pub reasons: Vec<ReasonCode>,
    /// The start of the range of scheduled instants (inclusive).
    pub since: Option<Timestamp>,
    /// The end of the range of scheduled instants (exclusive).
    pub until: Option<Timestamp>,
}

impl Reader {
    /// Returns the crons of this name or id, removed ones included. Clients may have made several of one
    /// name.
    pub fn crons_named(&self, name: &str) -> Result<Vec<CronId>, StoreError> {
        self.at_one_moment(|tx| {
            tx.query("SELECT cron_id FROM crons WHERE name = ?1 OR cron_id = ?1", [name], |row| {
                parsed(row, "cron_id")
            })
        })
    }

    /// Does the same, and takes any id for that of a cron whose row has been deleted.
    pub fn crons_named_or_removed(&self, name: &str) -> Result<Vec<CronId>, StoreError> {
        let mut crons = self.crons_named(name)?;
        if crons.is_empty() {
            crons.extend(name.parse::<CronId>());
        }
        Ok(crons)
    }

    /// Returns the position right before the last `count` runs, or `None` if there are no more than that.
    pub fn cursor_before_last(
        &self,
        filter: &RunFilter,
        count: u64,
    ) -> Result<Option<PageCursor>, StoreError> {
        let Ok(count) = u32::try_from(count) else { return Ok(None) };
        let query = filter.query(Order::NewestFirst, None);
        self.at_one_moment(|tx| Ok(positions(tx, query, 1, count)?.pop()))
    }

    /// Returns at most `limit` runs after `cursor`, or from the first one, the oldest first, each with its
    /// own cursor.
    pub fn runs_after(
        &self,
        filter: &RunFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        self.page(filter.query(Order::OldestFirst, cursor), limit)
    }

    /// Returns at most `limit` runs before `cursor`, or from the last one, the newest first, each with its
    /// own cursor.
    pub fn runs_before(
        &self,
        filter: &RunFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        self.page(filter.query(Order::NewestFirst, cursor), limit)
    }

    fn page(&self, query: (String, Vec<Value>), limit: u32) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        let sql = format!("SELECT {} FROM runs WHERE seq = ?1", row_columns());
        self.at_one_moment(|tx| {
            let mut page = Vec::new();
            for cursor in positions(tx, query, limit, 0)? {
                page.extend(tx.query_opt(&sql, [cursor.row], |row| Ok((cursor, run_row(tx, row)?)))?);
            }
            Ok(page)
        })
    }
}

impl RunFilter {
    /// Returns whether the filter selects this run. It agrees with the filter in SQL.
    pub fn takes(&self, row: &RunRow) -> bool {
        let run = &row.run;
        let of_cron =
            self.crons.as_ref().is_none_or(|crons| run.cron_id().is_some_and(|cron| crons.contains(&cron)));
        let code = run.reason.as_ref().map(|reason| reason.code);
        let any_state = self.statuses.is_empty() && self.phases.is_empty() && !self.went_wrong;
        let in_state = any_state
            || (self.went_wrong && row.status().is_some_and(|status| went_wrong(status, code)))
            || row.status().is_some_and(|status| self.statuses.contains(&status))
            || self.phases.contains(&run.state.phase());
        let in_time = self.since.is_none_or(|since| run.scheduled_for >= since)
            && self.until.is_none_or(|until| run.scheduled_for < until);
        let by_trigger = self.triggers.is_empty() || self.triggers.contains(&run.trigger);
        let for_reason = self.reasons.is_empty() || code.is_some_and(|code| self.reasons.contains(&code));
        of_cron && in_state && in_time && by_trigger && for_reason
    }

    /// Returns the query for the positions of these runs.
    pub(super) fn query(&self, order: Order, cursor: Option<PageCursor>) -> (String, Vec<Value>) {
        let columns = Columns { at: "runs.scheduled_for", seq: "runs.seq" };
        select(&columns, &self.lookups(), self.conditions(), order, cursor)
    }

    /// Returns the lookups that find these runs. What is usual is found soon by going through all runs by their time.
    fn lookups(&self) -> Vec<Lookup> {
        let usual = self.statuses.contains(&Status::Success) || self.phases.contains(&Phase::Ended);
        let any_state = self.statuses.is_empty() && self.phases.is_empty() && !self.went_wrong;
        match &self.crons {
            Some(crons) if (1..=LOOKUPS_MAX).contains(&crons.len()) => {
                Lookup::each("runs WHERE cron_id = ?", crons)
            }
            _ if !self.reasons.is_empty() => Lookup::each(BY_REASON, &self.reasons),
            _ if !self.triggers.is_empty() && !self.triggers.contains(&Trigger::Schedule) => {
                Lookup::each(BY_TRIGGER, &self.triggers)
            }
            _ if !any_state && !usual => {
                let mut lookups = Lookup::each(BY_STATUS, &self.statuses);
                lookups.extend(Lookup::each(BY_PHASE, &self.phases));
                if self.went_wrong {
                    let always = Status::ALL.iter().filter(|status| went_wrong(**status, None));
                    let reasons = Away::ALL.iter().copied().filter_map(Away::reason_code);
                    lookups.extend(Lookup::each(BY_STATUS, &always.collect::<Vec<_>>()));
                    lookups.extend(Lookup::each(BY_REASON, &reasons.collect::<Vec<_>>()));
                }
                lookups
            }
            _ => vec![Lookup::of(BY_TIME)],
        }
    }

    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(crons) = &self.crons {
            conditions.demand(&one_of("cron_id", crons), texts(crons));
        }
        if let Some(since) = self.since {
            conditions.demand("scheduled_for >= ?", [Value::Integer(millis(since))]);
        }
        if let Some(until) = self.until {
            conditions.demand("scheduled_for < ?", [Value::Integer(millis(until))]);
        }
        conditions.demand_one_of("trigger", &self.triggers);
        conditions.demand_one_of("reason_code", &self.reasons);
        if !self.statuses.is_empty() || !self.phases.is_empty() || self.went_wrong {
            let (statuses, phases) = (one_of("status", &self.statuses), one_of("phase", &self.phases));
            let wrong = if self.went_wrong { WENT_WRONG.as_str() } else { "false" };
            let values = texts(&self.statuses).chain(texts(&self.phases));
            conditions.demand(&format!("({statuses} OR {phases} OR {wrong})"), values);
        }
        conditions
    }
}
