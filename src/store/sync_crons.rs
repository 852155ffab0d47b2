//! Stores the definitions from files: new, changed and removed ones, in one transaction.

use std::sync::Arc;

use jiff::Timestamp;

use super::accounting::{Accounted, NewVersion, Unaccounted, account_until, removal_reason};
use super::counts::Tx;
use super::cron_entries::{self, CronEntry};
use super::definitions::{self, Definitions};
use super::edits::{revise_waiting, skip_waiting};
use super::rows::{millis, parsed};
use super::sql::{Row, Transaction, named_params};
use super::{Store, StoreError, inactive_spans};
use crate::config::{CronDefinition, KeptCron, KeptCrons};
use crate::domain::bounds::OCCURRENCES_PER_PASS;
use crate::domain::cron_state::InactiveCause;
use crate::domain::ids::{CronId, DefinitionId, InstallationId};

/// How many crons the files changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// Crons that were unknown, or had been removed.
    pub added: usize,
    /// Crons with another definition.
    pub changed: usize,
    /// Crons that no file has any more.
    pub removed: usize,
    /// Crons that no file defines, and that go on as they were.
    pub kept: Vec<KeptCron>,
}

/// What a transaction found out, for its caller to act on once it is committed.
#[derive(Default)]
pub(super) struct Synced {
    report: SyncReport,
    unaccounted: Vec<Unaccounted>,
    /// How many occurrences it decided about.
    occurrences: usize,
}

impl Synced {
    /// Returns that nothing was changed.
    pub(super) fn of(report: SyncReport) -> Self {
        Self { report, ..Self::default() }
    }

    /// Logs what is to be known of it, now that it is committed.
    pub(super) fn committed(self) -> SyncReport {
        self.unaccounted.iter().for_each(Unaccounted::log);
        self.report
    }

    /// Accounts for what a cron left undecided, as far as the transaction may take.
    fn account(
        &mut self,
        tx: &Tx<'_>,
        cache: &Definitions,
        entry: &CronEntry,
        new: NewVersion<'_>,
        now: Timestamp,
    ) -> Result<(Timestamp, Option<DefinitionId>), StoreError> {
        let left = OCCURRENCES_PER_PASS.saturating_sub(self.occurrences);
        let Accounted { cursor, former, occurrences, unaccounted } =
            account_until(tx, cache, entry, new, left, now)?;
        self.occurrences += occurrences;
        self.unaccounted.extend(unaccounted);
        Ok((cursor, former))
    }
}

impl Store {
    /// Makes `definitions` the definitions of the crons from files, and returns how many crons that changed.
    ///
    /// A new cron begins now: earlier instants are not caught up. For a changed cron, the new definition also
    /// decides about what the old one left undecided until now, and about the runs that wait to be sent. A removed
    /// cron keeps its history: its runs in progress are followed to their end, and its waiting runs are skipped.
    pub async fn sync_file_crons(
        &self,
        now: Timestamp,
        definitions: Vec<Arc<CronDefinition>>,
    ) -> Result<SyncReport, StoreError> {
        self.sync_understood_crons(now, definitions, KeptCrons::default()).await
    }

    /// Does the same, but leaves those crons as they are that `kept` keeps.
    pub async fn sync_understood_crons(
        &self,
        now: Timestamp,
        definitions: Vec<Arc<CronDefinition>>,
        kept: KeptCrons,
    ) -> Result<SyncReport, StoreError> {
        let cache = self.definitions.clone();
        let installation = cache.installation();
        // Found out beside the writer, which has crons to fire. Nobody else changes what is found.
        let changes =
            self.read_for_loop(move |tx| Changes::find(tx, installation, definitions.clone(), &kept)).await?;
        let synced = self.write(move |tx| changes.make(tx, &cache, now)).await?;
        let report = synced.committed();
        self.count_crons_of_files().await?;
        Ok(report)
    }

    /// Chooses anew which crons are counted by themselves, which depends on which there are.
    pub async fn count_crons_of_files(&self) -> Result<(), StoreError> {
        self.counts().count_crons(&self.read_for_loop(cron_entries::to_count).await?);
        Ok(())
    }
}

/// How the files differ from the crons in the store.
pub(super) struct Changes {
    /// In the order of the ids, in which rows are inserted the fastest.
    changed: Vec<Changed>,
    /// The crons that no file defines, by name: those that go on, and those that do not.
    pub(super) kept: Vec<KeptCron>,
    undefined: Vec<CronId>,
}

/// A definition that its cron does not have, or not at this place.
struct Changed {
    cron_id: CronId,
    definition_id: DefinitionId,
    definition: Arc<CronDefinition>,
    state: RowState,
}

/// How the row of a cron compares with its definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowState {
    /// The store does not know the cron.
    Absent,
    /// It has another definition, is at another place, or was removed.
    Different,
    Same,
}

impl Changes {
    /// Makes the crons of the store what the files say.
    pub(super) fn make(
        &self,
        tx: &Tx<'_>,
        cache: &Definitions,
        now: Timestamp,
    ) -> Result<Synced, StoreError> {
        let kept = self.kept.clone();
        let mut synced = Synced::of(SyncReport { kept, ..SyncReport::default() });
        for changed in &self.changed {
            sync_one(tx, cache, changed, now, &mut synced)?;
        }
        for cron_id in &self.undefined {
            remove_undefined(tx, cache, *cron_id, now, &mut synced)?;
        }
        Ok(synced)
    }

    pub(super) fn find(
        tx: &Transaction<'_>,
        installation: InstallationId,
        definitions: Vec<Arc<CronDefinition>>,
        kept: &KeptCrons,
    ) -> Result<Self, StoreError> {
        let with_ids = definitions.into_iter().map(|definition| {
            let cron_id = definition.cron_id(installation);
            let definition_id = DefinitionId::of_content(cron_id, &definition.body);
            Changed { cron_id, definition_id, definition, state: RowState::Absent }
        });
        let (mut changed, mut others) = (with_ids.collect::<Vec<_>>(), Vec::new());
        changed.sort_unstable_by_key(|changed| changed.cron_id);
        let sql = "SELECT cron_id, name, coalesce(location, '') AS location, definition_id, \
                   source = 'file' AND removed_at IS NULL AS is_of_file FROM crons";
        tx.each(sql, (), |row| {
            let (cron_id, is_of_file): (CronId, bool) = (parsed(row, "cron_id")?, row.get("is_of_file")?);
            match changed.binary_search_by_key(&cron_id, |changed| changed.cron_id) {
                Ok(index) if is_of_file && changed[index].is_stored_as(row)? => {
                    changed[index].state = RowState::Same;
                }
                Ok(index) => changed[index].state = RowState::Different,
                Err(_) if is_of_file => {
                    others
                        .push((KeptCron { name: row.get("name")?, location: row.get("location")? }, cron_id));
                }
                Err(_) => {}
            }
            Ok(())
        })?;
        changed.retain(|changed| changed.state != RowState::Same);
        others.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (going_on, undefined): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|(other, _)| kept.keep(other));
        Ok(Self {
            changed,
            kept: going_on.into_iter().map(|(other, _)| other).collect(),
            undefined: undefined.into_iter().map(|(_, cron_id)| cron_id).collect(),
        })
    }
}

impl Changed {
    /// Returns whether its row has this definition, at this place.
    fn is_stored_as(&self, row: &Row<'_>) -> Result<bool, StoreError> {
        let Self { definition_id, definition, .. } = self;
        Ok(*definition_id == parsed(row, "definition_id")?
            && definition.name == row.value("name")?.as_str().unwrap_or_default()
            && definition.location.to_string() == row.value("location")?.as_str().unwrap_or_default())
    }
}

/// What a definition from a file is to its cron.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    None,
    /// Its cron was unknown or removed.
    New,
    Edited,
}

fn sync_one(
    tx: &Tx<'_>,
    cache: &Definitions,
    changed: &Changed,
    now: Timestamp,
    synced: &mut Synced,
) -> Result<(), StoreError> {
    let Changed { cron_id, definition_id, definition, state } = changed;
    let (cron_id, definition_id) = (*cron_id, *definition_id);
    definitions::insert_as(tx, (cron_id, definition_id), &definition.body, now)?;
    let mut change = Change::New;
    let entry = match state {
        RowState::Absent => None,
        RowState::Different | RowState::Same => cron_entries::by_id(tx, cron_id)?,
    };
    let was_there = entry.is_some();
    let has_spans = was_there || !definition.enabled;
    match &entry {
        Some(entry) if !entry.removed && entry.definition_id == definition_id => {}
        Some(entry) if !entry.removed => synced.report.changed += 1,
        Some(_) | None => synced.report.added += 1,
    }
    let (cursor, former) = match entry {
        None => (now, None),
        Some(entry) if entry.removed && entry.former.is_none() => (entry.cursor.max(now), None),
        Some(entry) if !entry.removed && entry.definition_id == definition_id => {
            change = Change::None;
            (entry.cursor, entry.former)
        }
        Some(entry) => {
            change = Change::Edited;
            // Nothing is dropped and nothing fires twice: every instant until now is accounted for, even if the
            // clock was set back and the old definition was ahead.
            let cron = cache.get(tx, definition_id, &definition.name)?;
            synced.account(tx, cache, &entry, NewVersion::Edited(&cron, definition_id), now)?
        }
    };
    let sql = "INSERT INTO crons (cron_id, name, source, location, definition_id, enabled, cursor, created_at, updated_at) \
               VALUES (:cron_id, :name, 'file', :location, :definition_id, :enabled, :cursor, :now, :now) \
               ON CONFLICT (cron_id) DO UPDATE SET name = :name, location = :location, enabled = :enabled, cursor = :cursor, \
               former_definition_id = :former, \
               next_at = iif(crons.definition_id = :definition_id AND crons.removed_at IS NULL, crons.next_at, 0), removed_at = NULL, \
               updated_at = iif(crons.definition_id = :definition_id AND crons.removed_at IS NULL, crons.updated_at, :now), \
               definition_id = :definition_id";
    tx.execute(
        sql,
        named_params! {
            ":cron_id": cron_id.to_string(),
            ":name": definition.name,
            ":location": definition.location.to_string(),
            ":definition_id": definition_id.to_string(),
            ":enabled": definition.enabled,
            ":cursor": millis(cursor),
            ":former": former.map(|former| former.to_string()),
            ":now": millis(now),
        },
    )?;
    // A definition that was inserted just now has come into force with that.
    if change == Change::Edited || (change == Change::New && was_there) {
        definitions::came_into_force(tx, definition_id, now)?;
    }
    if change != Change::None && has_spans {
        inactive_spans::record(tx, cron_id, inactive_spans::cause_of(definition.enabled), now)?;
    }
    if change == Change::Edited {
        revise_waiting(tx, cache, cron_id, now)?;
    }
    Ok(())
}

/// Removes a cron that no file defines.
fn remove_undefined(
    tx: &Tx<'_>,
    cache: &Definitions,
    cron_id: CronId,
    now: Timestamp,
    synced: &mut Synced,
) -> Result<(), StoreError> {
    let Some(entry) = cron_entries::by_id(tx, cron_id)? else { return Ok(()) };
    let (cursor, former) = synced.account(tx, cache, &entry, NewVersion::Removed, now)?;
    remove(tx, &entry, (cursor, former), now)?;
    synced.report.removed += 1;
    Ok(())
}

/// Marks a cron as removed, which is accounted for up to a cursor, and from there on has a former definition if anything is left
/// undecided. Its history stays, and its waiting runs are skipped.
pub(super) fn remove(
    tx: &Tx<'_>,
    entry: &CronEntry,
    (cursor, former): (Timestamp, Option<DefinitionId>),
    now: Timestamp,
) -> Result<(), StoreError> {
    let cron_id = entry.cron_id;
    let sql = "UPDATE crons SET removed_at = :now, updated_at = :now, cursor = max(cursor, :cursor), \
               former_definition_id = :former, next_at = iif(CAST(:former AS TEXT) IS NULL, NULL, 0) WHERE cron_id = :cron_id";
    tx.execute(
        sql,
        named_params! {
            ":cron_id": cron_id.to_string(),
            ":cursor": millis(cursor),
            ":former": former.map(|former| former.to_string()),
            ":now": millis(now),
        },
    )?;
    inactive_spans::record(tx, cron_id, Some(InactiveCause::Removed), now)?;
    skip_waiting(tx, cron_id, &removal_reason(entry), now)
}
