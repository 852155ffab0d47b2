//! Crons as the clients of the agent server's API see and change them: those that they made themselves, and
//! those from files, which they can only read.

mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::accounting::{Accounted, NewVersion, Unaccounted, account_until};
use super::counts::Tx;
use super::cron_entries;
use super::definitions::{self, Definitions};
use super::edits::revise_waiting;
use super::open::installation_id;
use super::rows::{json_option, millis, parsed, time};
use super::sql::{Row, Transaction, named_params};
use super::sync_crons::remove;
use super::{Store, StoreError, acts, inactive_spans};
use crate::config::CronIdentity;
use crate::domain::act::{Act, ActKind, Actor, Subject};
use crate::domain::bounds::OCCURRENCES_PER_PASS;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::ids::{CronId, DefinitionId, InstallationId};
use crate::domain::limits::may_add_cron;

pub use search::{CronFilter, CronOrder, CronPage, CronSearch, Direction};

/// A cron with everything that a client can read of it.
#[derive(Clone, Debug)]
pub struct StoredCron {
    pub cron: Arc<Cron>,
    /// The definition as stored.
    pub body: String,
    /// `file:line:column`, or `None` for a cron that a client made.
    pub location: Option<String>,
    /// The client's request, empty for a cron from a file.
    pub request: Map<String, Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct NewApiCron {
    pub cron_id: CronId,
    /// The name that the client proposes. If it is taken, the cron is named by its id.
    pub name: Option<String>,
    /// The definition to store.
    pub body: String,
    /// The request to return to the client.
    pub request: Map<String, Value>,
}

/// The new content of a cron.
#[derive(Clone, Debug)]
pub struct ChangedCron {
    /// The definition to store.
    pub body: String,
    /// The request to return to the client.
    pub request: Map<String, Value>,
}

/// What became of a change.
#[derive(Clone, Debug)]
pub enum ApiCronChange<E> {
    Changed(StoredCron),
    /// The caller's closure refused the change, for this reason.
    Refused(E),
    NotFound,
}

/// What became of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiCronRemoval {
    Removed,
    /// It comes from a file, and is kept.
    FromFile {
        location: String,
    },
    NotFound,
}

const COLUMNS: &str = "crons.cron_id AS cron_id, name, source, location, request, crons.definition_id AS definition_id, \
     crons.created_at AS created_at, updated_at, body";

impl StoredCron {
    /// Returns the user's metadata and, for a cron from a file, where it is defined.
    pub fn metadata(&self) -> Map<String, Value> {
        search::metadata(&self.cron, self.location.as_deref())
    }

    /// Returns the metadata without the values that a file has.
    pub fn public_metadata(&self) -> Map<String, Value> {
        search::public_metadata(&self.cron)
    }
}

impl Store {
    /// Adds a cron that begins now: it fires nothing that was due before.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there are too many already, [`StoreError::BadRow`] if the definition
    /// cannot be read back.
    pub async fn create_api_cron(
        &self,
        now: Timestamp,
        by: Actor,
        new: NewApiCron,
    ) -> Result<StoredCron, StoreError> {
        let installation = self.installation_id();
        let (stored, definition_id) = self
            .write(move |tx| {
                let created = create(tx, installation, &new, now)?;
                record(tx, now, &by, ActKind::Created, (created.0.cron.cron_id, &created.0.cron.name))?;
                Ok(created)
            })
            .await?;
        self.definitions.keep(definition_id, Arc::clone(&stored.cron));
        Ok(stored)
    }

    /// Replaces the content of the cron of this id by what `change` makes of it. As for a cron from a file, the new
    /// content decides about everything that was not sent.
    ///
    /// # Errors
    /// [`StoreError::BadRow`] if the old or the new definition cannot be read back.
    pub async fn change_api_cron<E: Send + 'static>(
        &self,
        now: Timestamp,
        by: Actor,
        cron_id: CronId,
        mut change: impl FnMut(&StoredCron) -> Result<ChangedCron, E> + Send + 'static,
    ) -> Result<ApiCronChange<E>, StoreError> {
        let cache = self.definitions.clone();
        let (change, replaced) = self
            .write(move |tx| {
                let Some((stored, old_id)) = stored(tx, cron_id)? else {
                    return Ok((ApiCronChange::NotFound, None));
                };
                let changed = match change(&stored) {
                    Ok(changed) => changed,
                    Err(refusal) => return Ok((ApiCronChange::Refused(refusal), None)),
                };
                let (stored, replaced) = replace(tx, &cache, (stored, old_id), changed, now)?;
                record(tx, now, &by, ActKind::Updated, (cron_id, &stored.cron.name))?;
                Ok((ApiCronChange::Changed(stored), Some(replaced)))
            })
            .await?;
        if let (ApiCronChange::Changed(stored), Some(replaced)) = (&change, replaced) {
            self.definitions.keep(replaced.new_id, Arc::clone(&stored.cron));
            replaced.unaccounted.iter().for_each(Unaccounted::log);
        }
        Ok(change)
    }

    /// Removes the cron of this id, unless it comes from a file. Its history stays.
    pub async fn remove_api_cron(
        &self,
        now: Timestamp,
        by: Actor,
        cron_id: CronId,
    ) -> Result<ApiCronRemoval, StoreError> {
        let cache = self.definitions.clone();
        let (removal, unaccounted) = self
            .write(move |tx| {
                let entry = cron_entries::by_id(tx, cron_id)?.filter(|entry| !entry.removed);
                let Some(entry) = entry else { return Ok((ApiCronRemoval::NotFound, None)) };
                let location: Option<String> = tx.query_opt(
                    "SELECT location FROM crons WHERE cron_id = ?1 AND source = 'file'",
                    [cron_id.to_string()],
                    |row| row.get(0),
                )?;
                if let Some(location) = location {
                    return Ok((ApiCronRemoval::FromFile { location }, None));
                }
                let Accounted { cursor, former, unaccounted, .. } =
                    account_until(tx, &cache, &entry, NewVersion::Removed, OCCURRENCES_PER_PASS, now)?;
                remove(tx, &entry, (cursor, former), now)?;
                record(tx, now, &by, ActKind::Deleted, (cron_id, &entry.name))?;
                Ok((ApiCronRemoval::Removed, unaccounted))
            })
            .await?;
        unaccounted.iter().for_each(Unaccounted::log);
        Ok(removal)
    }

    /// Returns the cron of this id, unless there is none or it is removed.
    pub async fn api_cron(&self, cron_id: CronId) -> Result<Option<StoredCron>, StoreError> {
        self.read_at_one_moment(move |tx| Ok(stored(tx, cron_id)?.map(|(stored, _)| stored))).await
    }
}

fn record(
    tx: &Transaction<'_>,
    at: Timestamp,
    by: &Actor,
    what: ActKind,
    (cron_id, name): (CronId, &str),
) -> Result<(), StoreError> {
    acts::record(tx, &Act { at, by: by.clone(), what, subject: Subject::cron(cron_id, name), note: None })
}

fn create(
    tx: &Tx<'_>,
    installation: InstallationId,
    new: &NewApiCron,
    now: Timestamp,
) -> Result<(StoredCron, DefinitionId), StoreError> {
    check_room(tx)?;
    let name = match &new.name {
        Some(name) if !is_taken(tx, name)? => name.clone(),
        Some(_) | None => new.cron_id.to_string(),
    };
    let identity = CronIdentity { installation, cron_id: new.cron_id, name: &name, source: CronSource::Api };
    let cron = Arc::new(definitions::parse(identity, &new.body)?);
    let definition_id = definitions::insert(tx, new.cron_id, &new.body, now)?;
    tx.execute(
        "INSERT INTO crons (cron_id, name, source, request, definition_id, enabled, cursor, created_at, updated_at) \
         VALUES (:cron_id, :name, 'api', :request, :definition_id, :enabled, :now, :now, :now)",
        named_params! {
            ":cron_id": new.cron_id.to_string(),
            ":name": name,
            ":request": Value::Object(new.request.clone()).to_string(),
            ":definition_id": definition_id.to_string(),
            ":enabled": cron.enabled,
            ":now": millis(now),
        },
    )?;
    inactive_spans::record(tx, new.cron_id, inactive_spans::cause_of(cron.enabled), now)?;
    let (body, request) = (new.body.clone(), new.request.clone());
    let stored = StoredCron { cron, body, location: None, request, created_at: now, updated_at: now };
    Ok((stored, definition_id))
}

/// What the cache and the log must be given once a replacement is committed.
struct Replaced {
    new_id: DefinitionId,
    unaccounted: Option<Unaccounted>,
}

fn replace(
    tx: &Tx<'_>,
    cache: &Definitions,
    (stored, old_id): (StoredCron, DefinitionId),
    changed: ChangedCron,
    now: Timestamp,
) -> Result<(StoredCron, Replaced), StoreError> {
    let cron_id = stored.cron.cron_id;
    let (name, source) = (&stored.cron.name, stored.cron.source);
    let identity = CronIdentity { installation: cache.installation(), cron_id, name, source };
    let cron = Arc::new(definitions::parse(identity, &changed.body)?);
    let new_id = definitions::insert(tx, cron_id, &changed.body, now)?;
    let entry = cron_entries::by_id(tx, cron_id)?;
    let entry = entry.ok_or_else(|| StoreError::NotFound(format!("there is no cron {cron_id}")))?;
    let new = NewVersion::Edited(&cron, new_id);
    let Accounted { cursor, former, unaccounted, .. } = match new_id == old_id {
        true => Accounted { cursor: entry.cursor, former: entry.former, occurrences: 0, unaccounted: None },
        false => account_until(tx, cache, &entry, new, OCCURRENCES_PER_PASS, now)?,
    };
    if new_id != old_id {
        definitions::came_into_force(tx, new_id, now)?;
    }
    tx.execute(
        "UPDATE crons SET request = :request, definition_id = :definition_id, enabled = :enabled, cursor = :cursor, \
         former_definition_id = :former, next_at = 0, updated_at = :now WHERE cron_id = :cron_id",
        named_params! {
            ":cron_id": cron_id.to_string(),
            ":request": Value::Object(changed.request.clone()).to_string(),
            ":definition_id": new_id.to_string(),
            ":enabled": cron.enabled,
            ":cursor": millis(cursor),
            ":former": former.map(|former| former.to_string()),
            ":now": millis(now),
        },
    )?;
    inactive_spans::record(tx, cron_id, inactive_spans::cause_of(cron.enabled), now)?;
    revise_waiting(tx, cache, cron_id, now)?;
    let ChangedCron { body, request } = changed;
    let stored = StoredCron { cron, body, request, updated_at: now, ..stored };
    Ok((stored, Replaced { new_id, unaccounted }))
}

fn check_room(tx: &Transaction<'_>) -> Result<(), StoreError> {
    let count =
        tx.query_count("SELECT count(*) FROM crons WHERE source = 'api' AND removed_at IS NULL", ())?;
    let full =
        || StoreError::Conflict(format!("there are {count} crons from the API already; delete some first"));
    may_add_cron(count).then_some(()).ok_or_else(full)
}

/// Returns whether a cron has this name, in any case: names that differ only by case are too easily confused.
fn is_taken(tx: &Transaction<'_>, name: &str) -> Result<bool, StoreError> {
    let found = tx.query_opt(
        "SELECT 1 FROM crons WHERE lower(name) = lower(?1) AND removed_at IS NULL",
        [name],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn stored(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<(StoredCron, DefinitionId)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM crons JOIN definitions ON definitions.definition_id = crons.definition_id \
         WHERE crons.cron_id = ?1 AND removed_at IS NULL"
    );
    let installation = installation_id(tx)?;
    tx.query_opt(&sql, [cron_id.to_string()], |row| from_row(row, installation))
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
