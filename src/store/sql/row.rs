//! A row of a result.

use rusqlite::types::{FromSql, ValueRef};

use super::column::{Column, bad};
use super::postgres;
use crate::store::StoreError;

/// A row of a result.
pub(in crate::store) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(postgres::Row),
}

impl Row<'_> {
    /// Reads a column without a copy.
    pub(in crate::store) fn value(&self, column: impl Column) -> Result<ValueRef<'_>, StoreError> {
        match self {
            Row::Sqlite(row) => Ok(match column.place() {
                Some(place) => row.get_ref(place)?,
                None => row.get_ref(column.name())?,
            }),
            Row::Postgres(row) => row.value(column),
        }
    }

    /// Reads a column.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if it is of another type.
    pub(in crate::store) fn get<T: FromSql>(&self, column: impl Column) -> Result<T, StoreError> {
        T::column_result(self.value(column)?).map_err(|error| bad(column.name(), &error.to_string()))
    }

    /// Reads a count. The engines have only signed numbers.
    pub(in crate::store) fn count(&self, column: impl Column) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.get::<i64>(column)?).unwrap_or(0))
    }
}
