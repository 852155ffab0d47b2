//! Definitions by version. A run keeps to the version it was planned by; parsed ones are kept in memory, so that a
//! burst of starts does not parse anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Transaction, named_params};

use super::StoreError;
use super::rows::{millis, parsed};
use crate::config::{self, CronFields, CronIdentity};
use crate::domain::cron::Cron;
use crate::domain::ids::{CronId, DefinitionId, InstallationId};

/// Parsed definitions; cheap to clone.
#[derive(Clone)]
pub(super) struct Definitions {
    installation: InstallationId,
    parsed: Arc<Mutex<HashMap<DefinitionId, Arc<Cron>>>>,
}

impl Definitions {
    pub(super) fn new(installation: InstallationId) -> Self {
        Self { installation, parsed: Arc::default() }
    }

    /// Returns the store that the definitions are in.
    pub(super) fn installation(&self) -> InstallationId {
        self.installation
    }

    /// Keeps a definition that is parsed already.
    pub(super) fn keep(&self, definition_id: DefinitionId, cron: Arc<Cron>) {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).insert(definition_id, cron);
    }

    /// Forgets one that was replaced; whatever still runs by it reads it again.
    pub(super) fn forget(&self, definition_id: DefinitionId) {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).remove(&definition_id);
    }

    /// Forgets all that `current` does not name; they can be read again from the file.
    pub(super) fn forget_others(&self, current: impl Fn(&DefinitionId) -> bool) {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| current(id));
    }

    /// The definition as it was then.
    pub(super) fn get(
        &self,
        tx: &Transaction<'_>,
        definition_id: DefinitionId,
        name: &str,
    ) -> Result<Arc<Cron>, StoreError> {
        if let Some(cron) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(&definition_id) {
            return Ok(Arc::clone(cron));
        }
        let cron = Arc::new(read(tx, self.installation, definition_id, name)?);
        self.keep(definition_id, Arc::clone(&cron));
        Ok(cron)
    }
}

/// Reads a version.
pub(super) fn read(
    tx: &Transaction<'_>,
    installation: InstallationId,
    definition_id: DefinitionId,
    name: &str,
) -> Result<Cron, StoreError> {
    // A definition of no cron that is known may be anybody's.
    let mut statement = tx.prepare_cached(
        "SELECT cron_id, coalesce(source, 'api') AS source, body FROM definitions LEFT JOIN crons USING (cron_id) \
         WHERE definitions.definition_id = ?1",
    )?;
    let mut rows = statement.query([definition_id.to_string()])?;
    let row = rows.next()?;
    let row = row.ok_or_else(|| StoreError::Refused(format!("there is no definition {definition_id}")))?;
    let (cron_id, source) = (parsed(row, "cron_id")?, parsed(row, "source")?);
    let identity = CronIdentity { installation, cron_id, name, source };
    parse(identity, row.get_ref("body")?.as_str().unwrap_or_default())
}

/// Reads a stored definition back. Whose it is comes from the cron's row, never from the definition: the same rules
/// hold after a restart.
pub(super) fn parse(identity: CronIdentity<'_>, body: &str) -> Result<Cron, StoreError> {
    let name = identity.name;
    let bad = |problem: String| StoreError::Refused(format!("the stored definition of {name}: {problem}"));
    let fields: CronFields = serde_json::from_str(body).map_err(|error| bad(error.to_string()))?;
    config::validate_cron_as(identity, &fields).map_err(|errors| {
        bad(errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; "))
    })
}

/// Stores a version, if it is not there yet.
pub(super) fn insert(
    tx: &Transaction<'_>,
    cron_id: CronId,
    body: &str,
    now: Timestamp,
) -> Result<DefinitionId, StoreError> {
    let definition_id = DefinitionId::of_content(cron_id, body);
    tx.prepare_cached(
        "INSERT INTO definitions (definition_id, cron_id, body, created_at) \
         VALUES (:definition_id, :cron_id, :body, :now) ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! {
        ":definition_id": definition_id.to_string(),
        ":cron_id": cron_id.to_string(),
        ":body": body,
        ":now": millis(now),
    })?;
    Ok(definition_id)
}
