//! A statement, with the values of its parameters.

use std::sync::Arc;

use super::params::{Sent, sent};
use super::row::Rows;
use super::session::{Known, Session};
use crate::store::StoreError;
use crate::store::sql::changed::Changed;
use crate::store::sql::params::{Parameters, demand_all, unknown};

/// A statement with its parameters.
pub(in crate::store) struct Statement<'t> {
    session: &'t Session,
    known: Arc<Known>,
    values: Vec<Sent>,
}

impl<'t> Statement<'t> {
    pub(super) fn new(session: &'t Session, known: Arc<Known>) -> Self {
        Self { session, known, values: Vec::new() }
    }

    pub(in crate::store::sql) fn execute(&self) -> Result<usize, StoreError> {
        self.session.execute(&self.known, &self.values)
    }

    /// Does not wait for the answer.
    pub(in crate::store::sql) fn put(&mut self) -> Result<Changed, StoreError> {
        let rows = self.session.put(&self.known, std::mem::take(&mut self.values))?;
        Ok(Changed::Awaited(rows))
    }

    /// Sends a question that is asked soon.
    pub(in crate::store::sql) fn foresee(&mut self) -> Result<(), StoreError> {
        self.session.foresee(&self.known, std::mem::take(&mut self.values))
    }

    /// Does not even send it before something else is asked for.
    pub(in crate::store::sql) fn gather(&mut self, key: String) -> Result<Changed, StoreError> {
        let rows = self.session.gather(&self.known, key, std::mem::take(&mut self.values))?;
        Ok(Changed::Awaited(rows))
    }

    pub(in crate::store::sql) fn query(&self) -> Result<Rows, StoreError> {
        self.session.query(&self.known, &self.values)
    }
}

impl Parameters for Statement<'_> {
    fn bind_by_place(&mut self, values: &[&dyn rusqlite::ToSql]) -> Result<(), StoreError> {
        demand_all(values.len(), self.known.said.parameters)?;
        self.values = values.iter().map(|value| sent(*value)).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn bind_by_name(&mut self, values: &[(&str, &dyn rusqlite::ToSql)]) -> Result<(), StoreError> {
        demand_all(values.len(), self.known.said.parameters)?;
        let of = |name: &String| {
            let found = values.iter().find(|(given, _)| given.strip_prefix(':') == Some(name));
            found.map_or_else(|| Err(unknown(name)), |(_, value)| sent(*value))
        };
        self.values = self.known.said.names.iter().map(of).collect::<Result<_, _>>()?;
        Ok(())
    }
}
