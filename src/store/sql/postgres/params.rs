//! The parameters of a statement on PostgreSQL. Each is sent as text. What is a text or nothing is whatever the statement needs
//! there, as for SQLite.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use rusqlite::types::{ToSqlOutput, Value};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use super::dialect::Said;
use super::row::Rows;
use super::session::Session;
use crate::store::StoreError;
use crate::store::sql::params::{Parameters, demand_all, unknown};

/// A statement with its parameters.
pub(in crate::store) struct Statement<'t> {
    session: &'t Session,
    said: Arc<Said>,
    values: Vec<Sent>,
}

/// A value that is sent.
#[derive(Debug)]
pub(super) struct Sent(Value);

impl<'t> Statement<'t> {
    pub(super) fn new(session: &'t Session, said: Arc<Said>) -> Self {
        Self { session, said, values: Vec::new() }
    }

    pub(in crate::store::sql) fn execute(&self) -> Result<usize, StoreError> {
        self.session.execute(&self.said, &self.values)
    }

    pub(in crate::store::sql) fn query(&self) -> Result<Rows, StoreError> {
        self.session.query(&self.said, &self.values)
    }
}

impl Parameters for Statement<'_> {
    fn bind_by_place(&mut self, values: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        demand_all(values.len(), self.said.parameters)?;
        self.values = values.iter().map(|value| sent(*value)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn bind_by_name(&mut self, values: &[(&str, &dyn rusqlite::ToSql)]) -> Result<(), StoreError> {
        demand_all(values.len(), self.said.parameters)?;
        let of = |name: &String| {
            let found = values.iter().find(|(given, _)| given.strip_prefix(':') == Some(name));
            found.map_or_else(|| Err(unknown(name)), |(_, value)| sent(*value))
        };
        self.values = self.said.names.iter().map(of).collect::<Result<_, _>>()?;
        Ok(())
    }
}

fn sent(value: &dyn rusqlite::ToSql) -> Result<Sent, StoreError> {
    Ok(Sent(match value.to_sql()? {
        ToSqlOutput::Borrowed(value) => value.try_into().map_err(rusqlite::Error::from)?,
        ToSqlOutput::Owned(value) => value,
        other => return Err(rusqlite::Error::ToSqlConversionFailure(format!("{other:?}").into()).into()),
    }))
}

impl Sent {
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
