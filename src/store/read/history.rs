//! Runs in the order of their occurrences, page by page. However long the history is, little of it is in
//! memory.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};

use super::{Reader, RunRow, row_columns, run_row};
use crate::domain::ids::CronId;
use crate::domain::outage::went_wrong;
use crate::domain::reason::ReasonCode;
use crate::domain::run::{Phase, Status, Trigger};
use crate::store::StoreError;
use crate::store::rows::{millis, parsed};

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

/// A position in the order of runs by their instant, or of deliveries by their creation. It is meant for one
/// listing and not for keeping. Its text form is `time:row`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageCursor {
    pub(super) at: i64,
    pub(super) row: i64,
}

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not of our making")]
pub struct InvalidCursor;

impl Reader {
    /// Returns the crons of this name or id, removed ones included. Clients may have made several of one
    /// name.
    pub fn crons_named(&self, name: &str) -> Result<Vec<CronId>, StoreError> {
        self.at_one_moment(|tx| {
            let mut statement =
                tx.prepare_cached("SELECT cron_id FROM crons WHERE name = ?1 OR cron_id = ?1")?;
            let mut rows = statement.query([name])?;
            let mut crons = Vec::new();
            while let Some(row) = rows.next()? {
                crons.push(parsed(row, "cron_id")?);
            }
            Ok(crons)
        })
    }

    /// Returns the position right before the last `count` runs, or `None` if there are no more than that.
    pub fn cursor_before_last(
        &self,
        filter: &RunFilter,
        count: u64,
    ) -> Result<Option<PageCursor>, StoreError> {
        let mut query = RunConditions::of(filter);
        query.values.push(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
        let sql = format!(
            "SELECT scheduled_for, seq FROM runs {} ORDER BY scheduled_for DESC, seq DESC \
             LIMIT 1 OFFSET ?",
            query.conditions()
        );
        self.at_one_moment(|tx| {
            let cursor = tx
                .prepare_cached(&sql)?
                .query_row(params_from_iter(&query.values), |row| {
                    Ok(PageCursor { at: row.get("scheduled_for")?, row: row.get("seq")? })
                })
                .optional()?;
            Ok(cursor)
        })
    }

    /// Returns at most `limit` runs after `cursor`, or from the first one, the oldest first, each with its
    /// own cursor.
    pub fn runs_after(
        &self,
        filter: &RunFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        let mut query = RunConditions::of(filter);
        if let Some(PageCursor { at, row }) = cursor {
            query.term("(scheduled_for, seq) > (?, ?)", [at, row]);
        }
        self.page(query, "ORDER BY scheduled_for, seq", limit)
    }

    /// Returns at most `limit` runs before `cursor`, or from the last one, the newest first, each with its
    /// own cursor.
    pub fn runs_before(
        &self,
        filter: &RunFilter,
        cursor: Option<PageCursor>,
        limit: u32,
    ) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        let mut query = RunConditions::of(filter);
        if let Some(PageCursor { at, row }) = cursor {
            query.term("(scheduled_for, seq) < (?, ?)", [at, row]);
        }
        self.page(query, "ORDER BY scheduled_for DESC, seq DESC", limit)
    }

    fn page(
        &self,
        mut query: RunConditions,
        order: &str,
        limit: u32,
    ) -> Result<Vec<(PageCursor, RunRow)>, StoreError> {
        query.values.push(Value::Integer(i64::from(limit)));
        let sql = format!("SELECT {} FROM runs {} {order} LIMIT ?", row_columns(), query.conditions());
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(&query.values))?;
            let mut page = Vec::new();
            while let Some(row) = rows.next()? {
                let cursor = PageCursor { at: row.get("scheduled_for")?, row: row.get("seq")? };
                page.push((cursor, run_row(tx, row)?));
            }
            Ok(page)
        })
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.at, self.row)
    }
}

impl FromStr for PageCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (at, row) = text.split_once(':').ok_or(InvalidCursor)?;
        Ok(Self { at: at.parse().map_err(|_| InvalidCursor)?, row: row.parse().map_err(|_| InvalidCursor)? })
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
}

/// Conditions with a `?` for every value, in order.
struct RunConditions {
    terms: Vec<String>,
    values: Vec<Value>,
}

impl RunConditions {
    fn of(filter: &RunFilter) -> Self {
        let mut query = Self { terms: Vec::new(), values: Vec::new() };
        if let Some(crons) = &filter.crons {
            let marks = query.marks(crons.iter().map(ToString::to_string));
            query.terms.push(format!("cron_id IN ({marks})"));
        }
        if let Some(since) = filter.since {
            query.term("scheduled_for >= ?", [millis(since)]);
        }
        if let Some(until) = filter.until {
            query.term("scheduled_for < ?", [millis(until)]);
        }
        if !filter.triggers.is_empty() {
            let marks = query.marks(filter.triggers.iter().map(ToString::to_string));
            query.terms.push(format!("trigger IN ({marks})"));
        }
        if !filter.reasons.is_empty() {
            let marks = query.marks(filter.reasons.iter().map(ToString::to_string));
            query.terms.push(format!("reason_code IN ({marks})"));
        }
        if !filter.statuses.is_empty() || !filter.phases.is_empty() || filter.went_wrong {
            let statuses = query.marks(filter.statuses.iter().map(ToString::to_string));
            let phases = query.marks(filter.phases.iter().map(ToString::to_string));
            let wrong = if filter.went_wrong { WENT_WRONG.as_str() } else { "false" };
            query.terms.push(format!("(status IN ({statuses}) OR phase IN ({phases}) OR {wrong})"));
        }
        query
    }

    fn term<const N: usize>(&mut self, term: &str, values: [i64; N]) {
        self.terms.push(term.to_owned());
        self.values.extend(values.map(Value::Integer));
    }

    fn marks(&mut self, texts: impl Iterator<Item = String>) -> String {
        let before = self.values.len();
        self.values.extend(texts.map(Value::Text));
        vec!["?"; self.values.len() - before].join(", ")
    }

    fn conditions(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }
}
