//! Definitions by version. A run keeps the version that it was planned with. The parsed definitions that were used last are
//! cached in memory, so that a cron that fires often is not parsed each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::StoreError;
use super::rows::{millis, parsed};
use super::sql::{Row, Transaction, array, named_params};
use crate::config::{self, CronFields, CronIdentity};
use crate::domain::bounds::PARSED_DEFINITIONS;
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, DefinitionId, InstallationId};

/// The cache of parsed definitions. Cheap to clone.
///
/// A definition's id is derived from its content, so an entry can be missing, and it is out of date only if the zone
/// database was replaced ([`Definitions::forget`]). That is why a closure may fill the cache with [`Definitions::get`] although
/// its transaction can be undone and run again.
#[derive(Clone)]
pub(super) struct Definitions {
    installation: InstallationId,
    parsed: Arc<Mutex<Parsed>>,
}

/// At most twice [`PARSED_DEFINITIONS`]: once so many are young, those that were not used since the last time are dropped.
#[derive(Default)]
struct Parsed {
    young: HashMap<DefinitionId, Arc<Cron>>,
    old: HashMap<DefinitionId, Arc<Cron>>,
}

impl Parsed {
    fn get(&mut self, definition_id: DefinitionId) -> Option<Arc<Cron>> {
        if let Some(cron) = self.young.get(&definition_id) {
            return Some(Arc::clone(cron));
        }
        let cron = self.old.remove(&definition_id)?;
        self.insert(definition_id, Arc::clone(&cron));
        Some(cron)
    }

    fn insert(&mut self, definition_id: DefinitionId, cron: Arc<Cron>) {
        if self.young.len() >= PARSED_DEFINITIONS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(definition_id, cron);
    }
}

impl Definitions {
    pub(super) fn new(installation: InstallationId) -> Self {
        Self { installation, parsed: Arc::default() }
    }

    /// Returns the installation that the definitions belong to.
    pub(super) fn installation(&self) -> InstallationId {
        self.installation
    }

    /// Adds a definition that is already parsed.
    pub(super) fn keep(&self, definition_id: DefinitionId, cron: Arc<Cron>) {
        self.cached().insert(definition_id, cron);
    }

    /// Drops all definitions, which were parsed by other zone files than those in place.
    pub(super) fn forget(&self) {
        *self.cached() = Parsed::default();
    }

    /// Returns this version of the definition of the cron `name`, from the cache or from the file.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such version, [`StoreError::BadRow`] if it cannot be read
    /// back.
    pub(super) fn get(
        &self,
        tx: &Transaction<'_>,
        definition_id: DefinitionId,
        name: &str,
    ) -> Result<Arc<Cron>, StoreError> {
        if let Some(cron) = self.cached().get(definition_id) {
            return Ok(cron);
        }
        let cron = Arc::new(read(tx, self.installation, definition_id, name)?);
        self.keep(definition_id, Arc::clone(&cron));
        Ok(cron)
    }

    /// Reads those of these versions that are not in the cache, with the names of their crons, all at once. One that cannot be read
    /// back is left to [`Definitions::get`].
    pub(super) fn read_ahead<'n>(
        &self,
        tx: &Transaction<'_>,
        wanted: impl Iterator<Item = (DefinitionId, &'n str)>,
    ) -> Result<(), StoreError> {
        let mut missing: HashMap<DefinitionId, &str> = HashMap::new();
        {
            let mut cached = self.cached();
            missing.extend(wanted.filter(|(definition_id, _)| cached.get(*definition_id).is_none()));
        }
        if missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<DefinitionId> = missing.keys().copied().collect();
        let sql = format!("{READ} WHERE definitions.definition_id = ANY(?1)");
        tx.each(&sql, [array(&ids)], |row| {
            let definition_id = parsed(row, "definition_id")?;
            let name = missing.get(&definition_id).copied().unwrap_or_default();
            if let Ok(cron) = from_row(row, self.installation, name) {
                self.keep(definition_id, Arc::new(cron));
            }
            Ok(())
        })
    }

    fn cached(&self) -> MutexGuard<'_, Parsed> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one version of a definition, past the cache.
///
/// # Errors
/// As [`Definitions::get`].
pub(super) fn read(
    tx: &Transaction<'_>,
    installation: InstallationId,
    definition_id: DefinitionId,
    name: &str,
) -> Result<Cron, StoreError> {
    let sql = format!("{READ} WHERE definitions.definition_id = ?1");
    tx.query_opt(&sql, [definition_id.to_string()], |row| from_row(row, installation, name))?
        .ok_or_else(|| StoreError::NotFound(format!("there is no definition {definition_id}")))
}

/// A definition whose cron is unknown is treated as a client's, which is the stricter reading.
const READ: &str = "SELECT definitions.definition_id AS definition_id, cron_id, coalesce(source, 'api') AS source, body \
     FROM definitions LEFT JOIN crons USING (cron_id)";

fn from_row(row: &Row<'_>, installation: InstallationId, name: &str) -> Result<Cron, StoreError> {
    let (cron_id, source) = (parsed(row, "cron_id")?, parsed(row, "source")?);
    let identity = CronIdentity { installation, cron_id, name, source };
    parse(identity, row.value("body")?.as_str().unwrap_or_default())
}

/// Parses a stored definition. Its owner comes from the cron's row and never from the definition itself, so
/// that the same rules hold after a restart.
///
/// # Errors
/// [`StoreError::BadRow`] with every mistake that was found.
pub(super) fn parse(identity: CronIdentity<'_>, body: &str) -> Result<Cron, StoreError> {
    let name = identity.name;
    let bad = |problem: String| StoreError::BadRow(format!("the stored definition of {name}: {problem}"));
    let fields: CronFields = serde_json::from_str(body).map_err(|error| bad(error.to_string()))?;
    config::validate_cron_as(identity, &fields).map_err(|errors| {
        bad(errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
    })
}

/// Inserts a version unless it exists already, and returns its id.
pub(super) fn insert(
    tx: &Transaction<'_>,
    cron_id: CronId,
    body: &str,
    now: Timestamp,
) -> Result<DefinitionId, StoreError> {
    let definition_id = DefinitionId::of_content(cron_id, body);
    insert_as(tx, (cron_id, definition_id), body, now)?;
    Ok(definition_id)
}

/// Does the same with an id that is known already.
pub(super) fn insert_as(
    tx: &Transaction<'_>,
    (cron_id, definition_id): (CronId, DefinitionId),
    body: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO definitions (definition_id, cron_id, body, created_at) \
         VALUES (:definition_id, :cron_id, :body, :now) ON CONFLICT DO NOTHING",
        named_params! {
            ":definition_id": definition_id.to_string(),
            ":cron_id": cron_id.to_string(),
            ":body": body,
            ":now": millis(now),
        },
    )?;
    Ok(())
}

/// Notes that a definition holds from now on, which it may have done before.
pub(super) fn came_into_force(
    tx: &Transaction<'_>,
    definition_id: DefinitionId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE definitions SET created_at = ?2 WHERE definition_id = ?1";
    tx.execute(sql, (definition_id.to_string(), millis(now)))?;
    Ok(())
}
