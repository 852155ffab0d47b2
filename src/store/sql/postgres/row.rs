//! Reads what PostgreSQL returns as SQLite would have returned it: truth is 0 or 1.

use std::error::Error;

use rusqlite::types::ValueRef;
use tokio_postgres::types::{FromSql, Type};

use crate::store::StoreError;
use crate::store::sql::column::{Column, bad};

/// A row that has arrived.
pub(in crate::store) struct Row(pub(super) tokio_postgres::Row);

/// Rows that have arrived.
pub(in crate::store) type Rows = std::vec::IntoIter<Row>;

impl Row {
    pub(in crate::store::sql) fn value(&self, column: impl Column) -> Result<ValueRef<'_>, StoreError> {
        let read = match column.place() {
            Some(place) => self.0.try_get::<_, Read<'_>>(place),
            None => self.0.try_get::<_, Read<'_>>(column.name()),
        };
        read.map(|Read(value)| value).map_err(|error| bad(column.name(), &error.to_string()))
    }
}

struct Read<'r>(ValueRef<'r>);

impl<'r> FromSql<'r> for Read<'r> {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *kind {
            Type::BOOL => ValueRef::Integer(bool::from_sql(kind, raw)?.into()),
            Type::INT2 => ValueRef::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => ValueRef::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => ValueRef::Integer(i64::from_sql(kind, raw)?),
            // The sum of numbers of 64 bits.
            Type::NUMERIC => ValueRef::Integer(whole_number(raw)?),
            Type::FLOAT8 => ValueRef::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => ValueRef::Blob(raw),
            _ => ValueRef::Text(raw),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(ValueRef::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(
            *kind,
            Type::BOOL
                | Type::INT2
                | Type::INT4
                | Type::INT8
                | Type::NUMERIC
                | Type::FLOAT8
                | Type::BYTEA
                | Type::TEXT
                | Type::VARCHAR
                | Type::NAME
                | Type::UNKNOWN
        )
    }
}

/// Reads a `numeric` without a fraction: the number of its digits, which are of base 10 000, the weight of the first one, the sign,
/// the scale, and the digits, of 16 bits each (`numeric_send` of PostgreSQL).
fn whole_number(raw: &[u8]) -> Result<i64, Box<dyn Error + Sync + Send>> {
    let (words, []) = raw.as_chunks::<2>() else { return Err("it has half a word".into()) };
    let word = |at: usize| words.get(at).map(|word| i16::from_be_bytes(*word)).ok_or("it is too short");
    let (digits, weight, sign) = (word(0)?, word(1)?, word(2)?);
    let mut number = 0_i64;
    for place in 0..=weight {
        let digit = if place < digits { word(4 + usize::try_from(place)?)? } else { 0 };
        number = number
            .checked_mul(10_000)
            .and_then(|number| number.checked_add(digit.into()))
            .ok_or("it is too large")?;
    }
    match sign {
        0 => Ok(number),
        0x4000 => Ok(-number),
        _ => Err("it is no number".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_is_read_as_a_whole_number_or_refused() {
        let read = |words: &[i16]| {
            let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            whole_number(&raw).ok()
        };
        assert_eq!(read(&[0, 0, 0, 0]), Some(0));
        assert_eq!(read(&[1, 0, 0, 0, 42]), Some(42));
        assert_eq!(read(&[1, 0, 0x4000, 0, 42]), Some(-42));
        assert_eq!(read(&[2, 1, 0, 0, 12, 3456]), Some(123_456));
        assert_eq!(read(&[1, 2, 0, 0, 5]), Some(500_000_000));
        assert_eq!(read(&[1, 9, 0, 0, 5]), None, "too large");
        assert_eq!(read(&[1, 0, i16::MIN | 0x4000, 0]), None, "not a number");
        assert_eq!(read(&[2, 1, 0, 0, 12]), None, "too short");
        assert!(whole_number(&[1, 2, 3]).is_err());
    }
}
