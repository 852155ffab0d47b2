//! Which crons a listing shows, in which order, and where its next page begins.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::Reader;
use super::positions::InvalidCursor;
use crate::domain::cron::CronSource;
use crate::domain::cron_state::{CronState, CronStatus, ListedState, Pause};
use crate::domain::ids::CronId;
use crate::domain::words::words;
use crate::store::cron_entries::state_from_row;
use crate::store::rows::parsed;
use crate::store::sql::{Row, Transaction, Value};
use crate::store::{StoreError, pauses_of_all};

/// Which crons to list, and how. A field that is `None` does not restrict the listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CronListing {
    pub source: Option<CronSource>,
    pub state: Option<ListedState>,
    /// A part of the name.
    pub name: Option<String>,
    pub order: ListedBy,
}

words!(
    /// In which order crons are listed.
    #[derive(Default)]
    ListedBy {
        #[default]
        Name = "name",
        /// What is planned next comes first; what is never planned again comes last.
        Next = "next",
        /// What has failed most often in a row comes first.
        Failures = "failures",
    }
);

impl ListedBy {
    /// Returns what crons are ordered by before their names.
    fn key(self) -> Option<&'static str> {
        match self {
            ListedBy::Name => None,
            ListedBy::Next => Some("coalesce(next_at, 9223372036854775807)"),
            ListedBy::Failures => Some("-failures"),
        }
    }
}

/// A position in a listing of crons. Its text form is the key of the order, the id and the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronCursor {
    key: i64,
    pub(super) cron_id: CronId,
    name: String,
}

pub(super) const IS_PRESENT: &str = "removed_at IS NULL";
const SELECT: &str = "SELECT cron_id, name, enabled, paused_at, pause_cause, pause_note, paused_until, pause_ended, skip_next, \
     failures, failing_since, recovered_at";

impl Reader {
    /// Returns the names of at most `limit` crons that a filter lists, in order, without reading their definitions.
    pub fn listed_names(
        &self,
        filter: &CronListing,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let listed = self.at_one_moment(|tx| {
            let pause_of_all = pauses_of_all::now(tx, now)?;
            listed(tx, filter, None, limit, pause_of_all.as_ref(), now)
        })?;
        Ok(listed.into_iter().map(|cron| cron.name).collect())
    }
}

/// Returns at most `limit` crons after `cursor`, or from the first one.
pub(super) fn listed(
    tx: &Transaction<'_>,
    filter: &CronListing,
    cursor: Option<&CronCursor>,
    limit: u32,
    pause_of_all: Option<&Pause>,
    now: Timestamp,
) -> Result<Vec<CronCursor>, StoreError> {
    let (sql, values) = filter.query(cursor, pause_of_all.is_some(), limit);
    let (mut found, mut prepared) = (Vec::new(), tx.prepare(&sql)?);
    let mut rows = prepared.query(values.as_slice())?;
    while found.len() < limit as usize
        && let Some(row) = &rows.next()?
    {
        if !filter.depends_on_time() || filter.lists(row, &state_now(row, pause_of_all, now)?)? {
            found.push(CronCursor {
                key: row.get("key")?,
                cron_id: parsed(row, "cron_id")?,
                name: row.get("name")?,
            });
        }
    }
    Ok(found)
}

/// Returns the state in a row as it is now, with the pause of all crons if there is one and none of its own.
pub(super) fn state_now(
    row: &Row<'_>,
    pause_of_all: Option<&Pause>,
    now: Timestamp,
) -> Result<CronState, StoreError> {
    let state = state_from_row(row)?.at(now);
    Ok(CronState { paused: state.paused.or_else(|| pause_of_all.cloned()), ..state })
}

impl CronListing {
    pub(super) fn query(
        &self,
        cursor: Option<&CronCursor>,
        are_all_paused: bool,
        limit: u32,
    ) -> (String, Vec<Value>) {
        let key = self.order.key();
        let (mut sql, mut values) =
            (format!("{SELECT}, {} AS key FROM crons WHERE {IS_PRESENT}", key.unwrap_or("0")), Vec::new());
        let mut term = |term: &str, text: Option<&str>| {
            sql.push_str(" AND ");
            sql.push_str(term);
            values.extend(text.map(|text| Value::Text(text.to_owned())));
        };
        if let Some(source) = self.source {
            term("source = ?", Some(source.as_str()));
        }
        if let Some(name) = &self.name {
            term("instr(name, ?) > 0", Some(name));
        }
        match self.state {
            Some(ListedState::Failing) => term("failures > 0", None),
            Some(ListedState::Disabled) => term("enabled = 0", None),
            // Whether a pause is over is judged row by row.
            Some(ListedState::Paused) if !are_all_paused => term("paused_at IS NOT NULL", None),
            Some(ListedState::Paused | ListedState::Active) | None => {}
        }
        let (order, places) = match key {
            Some(key) => (format!("{key}, name, cron_id"), "?, ?, ?"),
            None => ("name, cron_id".to_owned(), "?, ?"),
        };
        if let Some(CronCursor { key: reached, cron_id, name }) = cursor {
            sql.push_str(&format!(" AND ({order}) > ({places})"));
            values.extend(key.map(|_| Value::Integer(*reached)));
            values.extend([name.clone(), cron_id.to_string()].map(Value::Text));
        }
        sql.push_str(&format!(" ORDER BY {order}"));
        if !self.depends_on_time() {
            // So that only the first ones are sorted.
            sql.push_str(" LIMIT ?");
            values.push(Value::Integer(i64::from(limit)));
        }
        (sql, values)
    }

    fn depends_on_time(&self) -> bool {
        matches!(self.state, Some(ListedState::Active | ListedState::Paused))
    }

    fn lists(&self, row: &Row<'_>, state: &CronState) -> Result<bool, StoreError> {
        let status = CronStatus::of(row.get("enabled")?, state.paused.is_some());
        Ok(self.state.is_none_or(|listed| listed.lists(status, state.failures)))
    }
}

impl fmt::Display for CronCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.cron_id, self.name)
    }
}

impl FromStr for CronCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.splitn(3, ' ');
        let mut part = || parts.next().ok_or(InvalidCursor);
        let key = part()?.parse().map_err(|_| InvalidCursor)?;
        let cron_id = part()?.parse().map_err(|_| InvalidCursor)?;
        Ok(Self { key, cron_id, name: part()?.to_owned() })
    }
}
