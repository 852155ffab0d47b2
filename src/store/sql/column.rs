//! The columns of a row.

use crate::store::StoreError;

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

/// Says which column cannot be read back, and why.
pub(in crate::store) fn bad(column: &str, problem: &str) -> StoreError {
    StoreError::BadRow(format!("the store holds a bad `{column}`: {problem}"))
}
