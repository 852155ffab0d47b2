//! A row of a result.

use rusqlite::types::{FromSql, ValueRef};

use crate::store::StoreError;

/// A row of a result.
pub(in crate::store) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(super::postgres::Row),
}

/// A column of a row.
pub(in crate::store) trait Column: Copy {
    fn name(self) -> &'static str;

    /// Its place, which is found sooner than its name.
    fn place(self) -> Option<usize> {
        None
    }
}

impl Column for &'static str {
    fn name(self) -> &'static str {
        self
    }
}

/// A column that the statement gives no name.
impl Column for usize {
    fn name(self) -> &'static str {
        "value"
    }

    fn place(self) -> Option<usize> {
        Some(self)
    }
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

/// Says which column cannot be read back, and why.
pub(in crate::store) fn bad(column: &str, problem: &str) -> StoreError {
    StoreError::BadRow(format!("the store holds a bad `{column}`: {problem}"))
}
