//! What stands for PostgreSQL in a build without the cargo feature `postgres`. None of these types has a value, so that nothing of
//! it is ever called; the one function that is says what to do.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use rusqlite::ToSql;
use rusqlite::types::ValueRef;
use tokio::sync::Notify;

use super::Writing;
use super::changed::Changed;
use super::column::Column;
use super::params::Parameters;
use crate::config::{ServerConfig, ServerLocation};
use crate::domain::ids::InstallationId;
use crate::domain::members::Hint;
use crate::store::StoreError;

pub(super) const BYTES: &str = "";

/// The server of a store.
#[derive(Clone, Debug)]
pub struct Server {
    pub(in crate::store) listen: Option<ServerConfig>,
    pub(in crate::store) beside: PathBuf,
    never: Infallible,
}

pub(in crate::store) type SharedServer = Arc<Server>;

impl Server {
    pub(in crate::store) fn of(_: &ServerLocation) -> Result<Self, StoreError> {
        let problem = "this build of agentcron has its store in a file only; install one with the cargo feature `postgres`";
        Err(StoreError::ServerUnusable { server: "store.url".to_owned(), problem: problem.to_owned() })
    }

    pub(in crate::store) fn name(&self) -> String {
        match self.never {}
    }

    pub(in crate::store) fn url(&self) -> String {
        match self.never {}
    }

    pub(in crate::store) fn prepares(&self) -> bool {
        match self.never {}
    }

    pub(in crate::store) fn prepare(&self) {
        match self.never {}
    }
}

pub(in crate::store) enum Session {}
pub(in crate::store) enum History {}
pub(in crate::store) enum Mark {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "only a server says what became of a transaction")]
pub(in crate::store) enum Fate {
    Committed,
    RolledBack,
    Lost,
}

impl Session {
    pub(in crate::store) fn connect(server: &SharedServer) -> Result<Self, StoreError> {
        match server.never {}
    }

    pub(super) fn reconnect(&mut self) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) fn fate_of(&mut self, _: &Mark) -> Result<Option<Fate>, StoreError> {
        match *self {}
    }

    pub(super) fn is_alive(&self) -> bool {
        match *self {}
    }

    pub(super) fn batch(&self, _: &str) -> Result<(), StoreError> {
        match *self {}
    }

    pub(super) fn stop_when(&mut self, _: Arc<AtomicBool>) {
        match *self {}
    }

    pub(super) fn version(&self) -> Result<i64, StoreError> {
        match *self {}
    }

    pub(in crate::store) fn clock(&self) -> Result<i64, StoreError> {
        match *self {}
    }

    pub(in crate::store) fn history(&self) -> Result<Option<&History>, StoreError> {
        match *self {}
    }
}

pub(in crate::store) fn demand_made(session: &Session, _: usize) -> Result<(), StoreError> {
    match *session {}
}

pub(in crate::store) fn demand_makeable(session: &Session) -> Result<(), StoreError> {
    match *session {}
}

pub(in crate::store) fn demand_usable(session: &Session) -> Result<(), StoreError> {
    match *session {}
}

pub(in crate::store) fn make(session: &Session, _: &[&str], _: InstallationId) -> Result<(), StoreError> {
    match *session {}
}

pub(in crate::store) struct Transaction<'t>(&'t Session);

impl<'t> Transaction<'t> {
    pub(super) fn begin(session: &'t Session, _: Writing) -> Result<Self, StoreError> {
        match *session {}
    }

    pub(super) fn begin_to_read(session: &'t Session) -> Result<Self, StoreError> {
        match *session {}
    }

    pub(super) fn wait_for_places(&self, _: Writing) -> Result<(), StoreError> {
        match *self.0 {}
    }

    pub(super) fn prepare(&self, _: &str) -> Statement<'t> {
        match *self.0 {}
    }

    pub(super) fn batch(&self, _: &str) -> Result<(), StoreError> {
        match *self.0 {}
    }

    pub(super) fn undo(&self, _: &str) -> Result<(), StoreError> {
        match *self.0 {}
    }

    pub(super) fn settle(&self) -> Result<(), StoreError> {
        match *self.0 {}
    }

    pub(super) fn commit(self) -> Result<Option<Mark>, StoreError> {
        match *self.0 {}
    }

    pub(super) fn history(&self) -> Result<Option<String>, StoreError> {
        match *self.0 {}
    }

    pub(super) fn is_over(&self) -> bool {
        match *self.0 {}
    }
}

pub(in crate::store) struct Statement<'t>(&'t Session);

impl Statement<'_> {
    pub(super) fn execute(&self) -> Result<usize, StoreError> {
        match *self.0 {}
    }

    pub(super) fn put(&mut self) -> Result<Changed, StoreError> {
        match *self.0 {}
    }

    pub(super) fn foresee(&mut self) -> Result<(), StoreError> {
        match *self.0 {}
    }

    pub(super) fn gather(&mut self, _: String) -> Result<Changed, StoreError> {
        match *self.0 {}
    }

    pub(super) fn query(&self) -> Result<Rows, StoreError> {
        match *self.0 {}
    }
}

impl Parameters for Statement<'_> {
    fn bind_by_place(&mut self, _: &[&dyn ToSql]) -> Result<(), StoreError> {
        match *self.0 {}
    }

    fn bind_by_name(&mut self, _: &[(&str, &dyn ToSql)]) -> Result<(), StoreError> {
        match *self.0 {}
    }
}

pub(in crate::store) enum Row {}
pub(in crate::store) type Rows = std::vec::IntoIter<Row>;

impl Row {
    pub(super) fn value(&self, _: impl Column) -> Result<ValueRef<'_>, StoreError> {
        match *self {}
    }
}

pub(in crate::store) enum Pulse {}

#[derive(Clone, Debug)]
pub(in crate::store) struct Beat {
    pub(in crate::store) clock: i64,
    pub(in crate::store) is_held: bool,
    pub(in crate::store) due: [bool; 3],
    pub(in crate::store) members: Vec<i64>,
    pub(in crate::store) files: [i64; 2],
}

impl Pulse {
    pub(in crate::store) async fn connect(server: &SharedServer) -> Result<Self, StoreError> {
        match server.never {}
    }

    pub(in crate::store) async fn beat(&self, _: i64, _: i64) -> Result<Beat, StoreError> {
        match *self {}
    }

    pub(in crate::store) async fn tell(&self, _: Hint, _: i64) -> Result<(), StoreError> {
        match *self {}
    }
}

pub(in crate::store) struct Ear {
    pub(in crate::store) changed: Arc<Notify>,
    pub(in crate::store) webhooks: Arc<Notify>,
    pub(in crate::store) unheard: Arc<AtomicU32>,
    never: Infallible,
}

impl Ear {
    pub(in crate::store) async fn connect(server: &SharedServer, _: i64) -> Result<Self, StoreError> {
        match server.never {}
    }

    pub(in crate::store) fn is_closed(&self) -> bool {
        match self.never {}
    }
}
