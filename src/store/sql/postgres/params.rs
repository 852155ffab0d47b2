//! The parameters of a statement on PostgreSQL. Each is sent as text. What is a text or nothing is whatever the statement needs
//! there, as for SQLite.

use std::error::Error;
use std::fmt::Write;

use bytes::{BufMut, BytesMut};
use rusqlite::types::{ToSqlOutput, Value};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::store::StoreError;

/// A value that is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent(pub(super) Value);

/// Returns a value as it is sent.
pub(super) fn sent(value: &dyn rusqlite::ToSql) -> Result<Sent, StoreError> {
    Ok(Sent(match value.to_sql()? {
        ToSqlOutput::Borrowed(value) => value.try_into().map_err(rusqlite::Error::from)?,
        ToSqlOutput::Owned(value) => value,
        other => return Err(rusqlite::Error::ToSqlConversionFailure(format!("{other:?}").into()).into()),
    }))
}

impl Sent {
    pub(super) fn text(text: &str) -> Self {
        Self(Value::Text(text.to_owned()))
    }

    /// Returns what the server is told that it is.
    pub(super) fn kind(&self) -> Type {
        match &self.0 {
            Value::Integer(_) => Type::INT8,
            Value::Real(_) => Type::FLOAT8,
            Value::Blob(_) => Type::BYTEA,
            Value::Null | Value::Text(_) => Type::UNKNOWN,
        }
    }
}

impl ToSql for Sent {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => write!(out, "{number}")?,
            Value::Real(number) => write!(out, "{number}")?,
            // PostgreSQL has no text with a NUL in it.
            Value::Text(text) => out.put_slice(text.replace('\0', "\u{fffd}").as_bytes()),
            Value::Blob(bytes) => {
                out.put_slice(b"\\x");
                for byte in bytes {
                    write!(out, "{byte:02x}")?;
                }
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
