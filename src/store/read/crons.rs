//! The crons in the store, each with its state.

use jiff::Timestamp;

use super::acts::acts_of_cron;
use super::cron_listing::{CronCursor, CronListing, IS_PRESENT, listed, state_now};
use super::recent::{Failures, Recent, Version, failures, recent, versions};
use super::{Reader, RunRow, row_columns, run_row};
use crate::config::CronIdentity;
use crate::domain::act::Act;
use crate::domain::bounds::RECENT_FAILURES_WITHIN;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::cron_state::{CronState, CronStatus, Pause};
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::plan::Decided;
use crate::store::cron_entries::state_from_row;
use crate::store::open::installation_id;
use crate::store::rows::{parsed, time, time_option};
use crate::store::set_back::decided;
use crate::store::sql::{Row, Transaction, ValueRef};
use crate::store::{StoreError, definitions, pauses_of_all};

/// A cron as listings show it.
#[derive(Clone, Debug)]
pub struct CronRow {
    pub cron_id: CronId,
    pub name: String,
    pub source: CronSource,
    /// `file:line:column`, or `None` for a cron that a client made.
    pub location: Option<String>,
    pub definition_id: DefinitionId,
    /// The definition, or the reason why this version of agentcron cannot read it.
    pub cron: Result<Cron, String>,
    /// Its pause is one that is in force: its own, or else one of all crons.
    pub state: CronState,
    /// The latest occurrence that has ended.
    pub last: Option<RunRow>,
    pub recent: Recent,
    /// How many of its runs the backend has, or may have.
    pub running: u64,
}

/// A cron without its definition, because ten thousand of them take a while to parse.
#[derive(Clone, Debug)]
pub struct CronHead {
    pub cron_id: CronId,
    pub name: String,
    pub source: CronSource,
    /// As [`CronRow::location`].
    pub location: Option<String>,
    pub definition_id: DefinitionId,
    pub state: CronState,
    /// Whether it fires, or the reason why its definition cannot be read, as far as that is known.
    pub status: Result<CronStatus, String>,
    /// When the daemon plans it next.
    pub next_at: Option<Timestamp>,
    /// Whether it was removed: its history stays.
    pub is_removed: bool,
}

/// A cron with its definition as stored.
#[derive(Clone, Debug)]
pub struct CronDetails {
    pub row: CronRow,
    /// The definition, with its placeholders not filled.
    pub definition: serde_json::Value,
    pub created_at: Timestamp,
    /// When it got this definition.
    pub updated_at: Timestamp,
    /// What went wrong in the last days, like with like, the latest first.
    pub failures: Vec<Failures>,
    /// The latest versions of the definition, the present one first.
    pub versions: Vec<Version>,
    /// The latest acts, the latest first.
    pub acts: Vec<Act>,
    pub removed_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT crons.cron_id AS cron_id, name, source, location, crons.definition_id AS definition_id, \
     body, enabled, paused_at, pause_cause, pause_note, paused_until, pause_ended, skip_next, failures, failing_since, recovered_at, \
     crons.created_at AS created_at, updated_at, removed_at \
     FROM crons JOIN definitions USING (definition_id) WHERE ";

impl Reader {
    /// Returns every cron that is not removed, by name.
    pub fn crons(&self, now: Timestamp) -> Result<Vec<CronRow>, StoreError> {
        let sql = format!("{SELECT}{IS_PRESENT} ORDER BY name, crons.cron_id");
        self.at_one_moment(|tx| {
            let pause_of_all = pauses_of_all::now(tx, now)?;
            tx.query(&sql, (), |row| cron_row(tx, row, state_now(row, pause_of_all.as_ref(), now)?))
        })
    }

    /// Does the same, but parses no definition and reads no run.
    pub fn cron_heads(&self) -> Result<Vec<CronHead>, StoreError> {
        self.at_one_moment(heads)
    }

    /// Returns the pauses of all crons of whose end there is no record, the earliest first.
    pub fn pauses_of_all(&self) -> Result<Vec<Pause>, StoreError> {
        self.at_one_moment(pauses_of_all::not_recorded_as_over)
    }

    /// Returns the cron of this name or id, or the last one that had it and was removed; `None` if there never was one.
    pub fn cron_head(&self, name_or_id: &str) -> Result<Option<CronHead>, StoreError> {
        let sql = format!(
            "{HEADS} WHERE name = ?1 OR cron_id = ?1 ORDER BY removed_at IS NOT NULL, name = ?1 DESC, removed_at DESC LIMIT 1"
        );
        self.at_one_moment(|tx| tx.query_opt(&sql, [name_or_id], head))
    }

    /// Returns at most `limit` crons after `cursor`, or from the first one, each with its position.
    pub fn crons_after(
        &self,
        filter: &CronListing,
        cursor: Option<&CronCursor>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<(CronCursor, CronRow)>, StoreError> {
        let sql = format!("{SELECT}crons.cron_id = ?1");
        self.at_one_moment(|tx| {
            let pause_of_all = pauses_of_all::now(tx, now)?;
            let read = |cursor: CronCursor| {
                let row = tx.query_one(&sql, [cursor.cron_id.to_string()], |row| {
                    cron_row(tx, row, state_now(row, pause_of_all.as_ref(), now)?)
                })?;
                Ok((cursor, row))
            };
            listed(tx, filter, cursor, limit, pause_of_all.as_ref(), now)?.into_iter().map(read).collect()
        })
    }

    /// Returns the instants after `now` that have a record which stays: nothing will be decided about them again.
    pub fn decided(&self, now: Timestamp) -> Result<Decided, StoreError> {
        self.at_one_moment(|tx| decided(tx, None, now))
    }

    /// Returns the cron of this name or id with its definition, or `None` if there is none.
    pub fn cron_details(&self, name_or_id: &str, now: Timestamp) -> Result<Option<CronDetails>, StoreError> {
        let of_name =
            format!("{IS_PRESENT} AND (name = ?1 OR crons.cron_id = ?1) ORDER BY name = ?1 DESC LIMIT 1");
        self.details_of(&of_name, name_or_id, now)
    }

    /// Does the same, and returns the one that was removed last if all of this name or id were removed.
    pub fn cron_details_of_any(
        &self,
        name_or_id: &str,
        now: Timestamp,
    ) -> Result<Option<CronDetails>, StoreError> {
        let of_name = "name = ?1 OR crons.cron_id = ?1 ORDER BY removed_at IS NOT NULL, name = ?1 DESC, removed_at DESC LIMIT 1";
        self.details_of(of_name, name_or_id, now)
    }

    fn details_of(
        &self,
        which: &str,
        name_or_id: &str,
        now: Timestamp,
    ) -> Result<Option<CronDetails>, StoreError> {
        let since = now.saturating_sub(RECENT_FAILURES_WITHIN).unwrap_or(now);
        let sql = format!("{SELECT}{which}");
        self.at_one_moment(|tx| {
            tx.query_opt(&sql, [name_or_id], |row| {
                let body: String = row.get("body")?;
                let state = state_now(row, pauses_of_all::now(tx, now)?.as_ref(), now)?;
                let row_of_cron = cron_row(tx, row, state)?;
                Ok(CronDetails {
                    failures: failures(tx, row_of_cron.cron_id, since)?,
                    versions: versions(tx, row_of_cron.cron_id)?,
                    acts: acts_of_cron(tx, row_of_cron.cron_id)?,
                    row: row_of_cron,
                    definition: serde_json::from_str(&body)
                        .map_err(|error| StoreError::BadRow(format!("a stored definition: {error}")))?,
                    created_at: time(row, "created_at")?,
                    updated_at: time(row, "updated_at")?,
                    removed_at: time_option(row, "removed_at")?,
                })
            })
        })
    }
}

/// Does what [`Reader::cron_heads`] does.
pub(in crate::store) fn heads(tx: &Transaction<'_>) -> Result<Vec<CronHead>, StoreError> {
    tx.query(&format!("{HEADS} WHERE removed_at IS NULL ORDER BY name, cron_id"), (), head)
}

/// Does the same, and returns those that were removed as well.
pub(super) fn heads_of_all(tx: &Transaction<'_>) -> Result<Vec<CronHead>, StoreError> {
    tx.query(&format!("{HEADS} ORDER BY name, cron_id"), (), head)
}

const HEADS: &str = "SELECT cron_id, name, source, location, definition_id, enabled, next_at, paused_at, pause_cause, \
     pause_note, paused_until, pause_ended, skip_next, failures, failing_since, recovered_at, \
     removed_at IS NOT NULL AS is_removed FROM crons";

fn head(row: &Row<'_>) -> Result<CronHead, StoreError> {
    Ok(CronHead {
        is_removed: row.get("is_removed")?,
        cron_id: parsed(row, "cron_id")?,
        name: row.get("name")?,
        source: parsed(row, "source")?,
        location: row.get("location")?,
        definition_id: parsed(row, "definition_id")?,
        state: state_from_row(row)?,
        status: Ok(status(row)?),
        next_at: time_option(row, "next_at")?,
    })
}

fn status(row: &Row<'_>) -> Result<CronStatus, StoreError> {
    Ok(CronStatus::of(row.get("enabled")?, row.value("paused_at")? != ValueRef::Null))
}

fn cron_row(tx: &Transaction<'_>, row: &Row<'_>, state: CronState) -> Result<CronRow, StoreError> {
    let cron_id = parsed(row, "cron_id")?;
    let name: String = row.get("name")?;
    let body: String = row.get("body")?;
    let source = parsed(row, "source")?;
    let identity = CronIdentity { installation: installation_id(tx)?, cron_id, name: &name, source };
    Ok(CronRow {
        cron_id,
        source,
        location: row.get("location")?,
        definition_id: parsed(row, "definition_id")?,
        cron: definitions::parse(identity, &body).map_err(|error| error.to_string()),
        name,
        state,
        last: last_ended(tx, cron_id)?,
        recent: recent(tx, cron_id)?,
        running: running(tx, cron_id)?,
    })
}

fn last_ended(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<RunRow>, StoreError> {
    let sql = format!(
        "SELECT {} FROM runs WHERE cron_id = ?1 AND phase = 'ended' ORDER BY scheduled_for DESC, retry DESC LIMIT 1",
        row_columns()
    );
    tx.query_opt(&sql, [cron_id.to_string()], |row| run_row(tx, row))
}

fn running(tx: &Transaction<'_>, cron_id: CronId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM runs WHERE cron_id = ?1 AND phase <> 'ended' AND phase <> 'pending'";
    tx.query_count(sql, [cron_id.to_string()])
}

#[cfg(test)]
impl CronHead {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            cron_id: CronId::of_name(crate::domain::ids::InstallationId::default(), name),
            name: name.to_owned(),
            source: CronSource::File,
            location: None,
            definition_id: DefinitionId::default(),
            state: CronState::default(),
            status: Ok(CronStatus::Active),
            next_at: None,
            is_removed: false,
        }
    }
}

impl CronRow {
    /// Returns whether it fires, or `None` if its definition cannot be read.
    pub fn status(&self) -> Option<CronStatus> {
        self.cron.as_ref().ok().map(|cron| CronStatus::of(cron.enabled, self.state.paused.is_some()))
    }
}
