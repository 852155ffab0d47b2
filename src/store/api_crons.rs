//! Crons as the clients of the agent server's API see and change them: those they made themselves, and those from
//! files, which they can only look at.

mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, named_params};
use serde_json::{Map, Value};

use super::cron_state::known;
use super::open::installation_id;
use super::rows::{json_option, millis, parsed, time};
use super::sync_crons::{account_until, remove};
use super::{Store, StoreError, definitions};
use crate::config::CronIdentity;
use crate::domain::bounds::API_CRONS_MAX;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::ids::{CronId, DefinitionId, InstallationId};
use crate::domain::reason::{Reason, ReasonCode};

pub use search::{CronFilter, CronOrder, CronPage, CronSearch, Direction};

/// A cron with all that a client is told of it.
#[derive(Clone, Debug)]
pub struct StoredCron {
    /// What it means.
    pub cron: Arc<Cron>,
    /// The definition as stored.
    pub body: String,
    /// `file:line:column` of a cron from a file.
    pub location: Option<String>,
    /// What the client asked for, of a cron that was made through the API.
    pub request: Map<String, Value>,
    /// Since when it is known.
    pub created_at: Timestamp,
    /// Since when it is as it is.
    pub updated_at: Timestamp,
}

/// A cron that is to be made.
#[derive(Clone, Debug)]
pub struct NewApiCron {
    /// Its id; given out once.
    pub cron_id: CronId,
    /// What its client would call it; if that is taken, it goes by its id.
    pub name: Option<String>,
    /// The definition, as stored.
    pub body: String,
    /// What the client asked for, as it is told again.
    pub request: Map<String, Value>,
}

/// What a cron becomes.
#[derive(Clone, Debug)]
pub struct ChangedCron {
    /// The definition, as stored.
    pub body: String,
    /// What the client asked for, as it is told again.
    pub request: Map<String, Value>,
}

const COLUMNS: &str = "crons.cron_id AS cron_id, name, source, location, request, crons.definition_id AS definition_id, \
     crons.created_at AS created_at, updated_at, body";

impl StoredCron {
    /// Its metadata: the user's own, and of a cron from a file where it stands.
    pub fn metadata(&self) -> Map<String, Value> {
        search::metadata(&self.cron, self.location.as_deref())
    }
}

impl Store {
    /// Makes a cron that begins now: it fires nothing that was due before.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there are too many already, or if the definition cannot be read back.
    pub async fn create_api_cron(&self, now: Timestamp, new: NewApiCron) -> Result<StoredCron, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            check_room(tx)?;
            let name = match &new.name {
                Some(name) if !is_taken(tx, name)? => name.clone(),
                Some(_) | None => new.cron_id.to_string(),
            };
            let identity = CronIdentity {
                installation: cache.installation(),
                cron_id: new.cron_id,
                name: &name,
                source: CronSource::Api,
            };
            let cron = Arc::new(definitions::parse(identity, &new.body)?);
            let definition_id = definitions::insert(tx, new.cron_id, &new.body, now)?;
            tx.prepare_cached(
                "INSERT INTO crons (cron_id, name, source, request, definition_id, cursor, created_at, updated_at) \
                 VALUES (:cron_id, :name, 'api', :request, :definition_id, :now, :now, :now)",
            )?
            .execute(named_params! {
                ":cron_id": new.cron_id.to_string(),
                ":name": name,
                ":request": Value::Object(new.request.clone()).to_string(),
                ":definition_id": definition_id.to_string(),
                ":now": millis(now),
            })?;
            cache.keep(definition_id, Arc::clone(&cron));
            let (body, request) = (new.body.clone(), new.request.clone());
            Ok(StoredCron { cron, body, location: None, request, created_at: now, updated_at: now })
        })
        .await
    }

    /// Changes the cron of this id into what `change` makes of it, or does nothing if `change` refuses; `None` if there
    /// is no such cron. What the old definition owed until now is accounted for by the old one, and the new one begins
    /// now.
    pub async fn change_api_cron<E: Send + 'static>(
        &self,
        now: Timestamp,
        cron_id: CronId,
        mut change: impl FnMut(&StoredCron) -> Result<ChangedCron, E> + Send + 'static,
    ) -> Result<Option<Result<StoredCron, E>>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some((stored, definition_id)) = stored(tx, cron_id)? else { return Ok(None) };
            let changed = match change(&stored) {
                Ok(changed) => changed,
                Err(refusal) => return Ok(Some(Err(refusal))),
            };
            let name = &stored.cron.name;
            let (installation, source) = (cache.installation(), stored.cron.source);
            let identity = CronIdentity { installation, cron_id, name, source };
            let cron = Arc::new(definitions::parse(identity, &changed.body)?);
            let new_id = definitions::insert(tx, cron_id, &changed.body, now)?;
            let Some(known) = known(tx, cron_id)? else { return Ok(None) };
            let mut cursor = known.cursor;
            if new_id != definition_id {
                account_until(tx, &cache, &known, now)?;
                cache.forget(definition_id);
                cursor = now;
            }
            tx.prepare_cached(
                "UPDATE crons SET request = :request, definition_id = :definition_id, cursor = :cursor, \
                 updated_at = :now WHERE cron_id = :cron_id",
            )?
            .execute(named_params! {
                ":cron_id": cron_id.to_string(),
                ":request": Value::Object(changed.request.clone()).to_string(),
                ":definition_id": new_id.to_string(),
                ":cursor": millis(cursor),
                ":now": millis(now),
            })?;
            cache.keep(new_id, Arc::clone(&cron));
            let ChangedCron { body, request } = changed;
            Ok(Some(Ok(StoredCron { cron, body, request, updated_at: now, ..stored })))
        })
        .await
    }

    /// Takes the cron of this id away; its history stays. `None` if there is no such cron; the inner error is the
    /// place of a cron from a file, which is left alone.
    pub async fn remove_api_cron(
        &self,
        now: Timestamp,
        cron_id: CronId,
    ) -> Result<Option<Result<(), String>>, StoreError> {
        let cache = self.definitions.clone();
        self.write(move |tx| {
            let Some(known) = known(tx, cron_id)?.filter(|known| !known.removed) else { return Ok(None) };
            let location: Option<String> = tx
                .prepare_cached("SELECT location FROM crons WHERE cron_id = ?1 AND source = 'file'")?
                .query_row([cron_id.to_string()], |row| row.get(0))
                .optional()?;
            if let Some(location) = location {
                return Ok(Some(Err(location)));
            }
            account_until(tx, &cache, &known, now)?;
            cache.forget(known.definition_id);
            let message = format!("removed: {} was deleted through the API", known.name);
            remove(tx, cron_id, now, Reason::new(ReasonCode::Removed, message))?;
            Ok(Some(Ok(())))
        })
        .await
    }

    /// The cron of this id, if there is one that is not removed.
    pub async fn api_cron(&self, cron_id: CronId) -> Result<Option<StoredCron>, StoreError> {
        self.read_at_one_moment(move |tx| Ok(stored(tx, cron_id)?.map(|(stored, _)| stored))).await
    }
}

fn check_room(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let count: u64 = tx
        .prepare_cached("SELECT count(*) FROM crons WHERE source = 'api' AND removed_at IS NULL")?
        .query_row([], |row| row.get::<_, i64>(0))
        .map(|count| u64::try_from(count).unwrap_or(0))?;
    if count < API_CRONS_MAX {
        return Ok(());
    }
    Err(StoreError::Refused(format!("there are {count} crons from the API already; delete some first")))
}

/// Names that differ only by case are too easily taken for one another.
fn is_taken(tx: &Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    let found = tx
        .prepare_cached("SELECT 1 FROM crons WHERE name = ?1 COLLATE NOCASE AND removed_at IS NULL")?
        .query_row([name], |_| Ok(()))
        .optional()?;
    Ok(found.is_some())
}

fn stored(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<(StoredCron, DefinitionId)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crons JOIN definitions ON definitions.definition_id = crons.definition_id \
         WHERE crons.cron_id = ?1 AND removed_at IS NULL"
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query([cron_id.to_string()])?;
    let installation = installation_id(tx)?;
    rows.next()?.map(|row| from_row(row, installation)).transpose()
}

fn from_row(row: &Row<'_>, installation: InstallationId) -> Result<(StoredCron, DefinitionId), StoreError> {
    let name: String = row.get("name")?;
    let body: String = row.get("body")?;
    let (cron_id, source) = (parsed(row, "cron_id")?, parsed(row, "source")?);
    let identity = CronIdentity { installation, cron_id, name: &name, source };
    let cron = Arc::new(definitions::parse(identity, &body)?);
    let request = match json_option(row, "request")? {
        Some(Value::Object(request)) => request,
        Some(_) | None => Map::new(),
    };
    let stored = StoredCron {
        cron,
        body,
        location: row.get("location")?,
        request,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    };
    Ok((stored, parsed(row, "definition_id")?))
}
