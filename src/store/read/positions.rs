//! Which rows are on a page. They are found from indexes alone that have them in the order of time, so that a page costs the
//! same however long the history is.
//!
//! A filter leads to one such index, or to several whose rows are merged. The statement says which: the statistics of a file
//! must not decide whether a page takes seconds.

use std::fmt;
use std::str::FromStr;

use crate::store::StoreError;
use crate::store::sql::{Transaction, Value};

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

/// The columns by which a table is listed.
pub(super) struct Columns {
    pub(super) at: &'static str,
    pub(super) seq: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Order {
    OldestFirst,
    NewestFirst,
}

/// An index that leads to rows: what follows `FROM`, with a first condition on this value.
pub(super) struct Lookup {
    from: &'static str,
    value: Option<String>,
}

/// Conditions with a `?` for every value, in order.
#[derive(Default)]
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
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

impl Lookup {
    pub(super) fn of(from: &'static str) -> Self {
        Self { from, value: None }
    }

    /// Returns a lookup for each of the values.
    pub(super) fn each<T: ToString>(from: &'static str, values: &[T]) -> Vec<Self> {
        values.iter().map(|value| Self { from, value: Some(value.to_string()) }).collect()
    }
}

impl Conditions {
    pub(super) fn demand(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.extend(values);
    }

    /// Demands one of these values in a column, unless there are none.
    pub(super) fn demand_one_of<T: ToString>(&mut self, column: &str, values: &[T]) {
        if !values.is_empty() {
            self.demand(&one_of(column, values), texts(values));
        }
    }
}

pub(super) fn one_of<T>(column: &str, values: &[T]) -> String {
    match values.len() {
        0 => "false".to_owned(),
        number => format!("{column} IN ({})", vec!["?"; number].join(", ")),
    }
}

pub(super) fn texts<T: ToString>(values: &[T]) -> impl Iterator<Item = Value> {
    values.iter().map(|value| Value::Text(value.to_string()))
}

/// Returns at most `limit` positions of rows that meet the conditions, beyond the cursor if there is one, without the first
/// `offset`.
pub(super) fn positions(
    tx: &Transaction<'_>,
    (sql, mut values): (String, Vec<Value>),
    limit: u32,
    offset: u32,
) -> Result<Vec<PageCursor>, StoreError> {
    values.extend([limit, offset].map(|number| Value::Integer(i64::from(number))));
    tx.query(&sql, values.as_slice(), |row| Ok(PageCursor { at: row.get("at")?, row: row.get("row")? }))
}

/// Returns the statement that selects positions, and the values of its `?` but for the last two: the limit and the offset.
pub(super) fn select(
    columns: &Columns,
    lookups: &[Lookup],
    mut conditions: Conditions,
    order: Order,
    cursor: Option<PageCursor>,
) -> (String, Vec<Value>) {
    let Columns { at, seq } = columns;
    let (beyond, direction) = match order {
        Order::OldestFirst => (">", "ASC"),
        Order::NewestFirst => ("<", "DESC"),
    };
    if let Some(cursor) = cursor {
        let place = [cursor.at, cursor.row].map(Value::Integer);
        conditions.demand(&format!("({at}, {seq}) {beyond} (?, ?)"), place);
    }
    let (mut selects, mut values) = (Vec::new(), Vec::new());
    for Lookup { from, value } in lookups {
        selects.push(format!("SELECT {at} AS at, {seq} AS row FROM {from}{}", conditions.sql));
        values.extend(value.clone().map(Value::Text));
        values.extend(conditions.values.iter().cloned());
    }
    // A run that two of the lookups find is one row of the union.
    let sql =
        format!("{} ORDER BY at {direction}, row {direction} LIMIT ? OFFSET ?", selects.join(" UNION "));
    (sql, values)
}
