//! The crons that the store knows, each with how it stands.

use rusqlite::Transaction;

use super::{Reader, RunRow, number, row_columns, run_row};
use crate::config::CronIdentity;
use crate::domain::cron::{Cron, CronSource};
use crate::domain::ids::{CronId, DefinitionId};
use crate::domain::standing::Standing;
use crate::store::rows::parsed;
use crate::store::standing::standing_from_row;
use crate::store::{StoreError, definitions};

/// A cron as it stands in tables for people.
#[derive(Clone, Debug)]
pub struct CronRow {
    /// Which.
    pub cron_id: CronId,
    /// Its name.
    pub name: String,
    /// Where its definition lives.
    pub source: CronSource,
    /// `file:line:column` of a cron from a file.
    pub place: Option<String>,
    /// The version of its definition.
    pub definition_id: DefinitionId,
    /// The definition, or why this version of agentcron cannot read it.
    pub cron: Result<Cron, String>,
    /// Whether it is paused, and how often it has failed.
    pub standing: Standing,
    /// The latest occurrence that is over.
    pub last: Option<RunRow>,
    /// How many of its runs the backend has or may have.
    pub going: u64,
}

impl Reader {
    /// Every cron that is not removed, by name.
    pub fn crons(&self) -> Result<Vec<CronRow>, StoreError> {
        self.at_one_moment(|tx| {
            let mut statement = tx.prepare_cached(
                "SELECT crons.cron_id AS cron_id, name, source, place, crons.definition_id AS definition_id, body, \
                 paused_at, pause_cause, pause_note, skip_next, failures \
                 FROM crons JOIN definitions USING (definition_id) WHERE removed_at IS NULL ORDER BY name",
            )?;
            let mut rows = statement.query([])?;
            let mut crons = Vec::new();
            while let Some(row) = rows.next()? {
                let cron_id = parsed(row, "cron_id")?;
                let name: String = row.get("name")?;
                let body: String = row.get("body")?;
                let source = parsed(row, "source")?;
                let identity = CronIdentity { cron_id, name: &name, source };
                crons.push(CronRow {
                    cron_id,
                    source,
                    place: row.get("place")?,
                    definition_id: parsed(row, "definition_id")?,
                    cron: definitions::parse(identity, &body).map_err(|error| error.to_string()),
                    name,
                    standing: standing_from_row(row)?,
                    last: last_over(tx, cron_id)?,
                    going: going(tx, cron_id)?,
                });
            }
            Ok(crons)
        })
    }
}

fn last_over(tx: &Transaction<'_>, cron_id: CronId) -> Result<Option<RunRow>, StoreError> {
    let sql = format!(
        "SELECT {} FROM runs WHERE cron_id = ?1 AND phase = 'ended' ORDER BY scheduled_for DESC LIMIT 1",
        row_columns()
    );
    let mut statement = tx.prepare_cached(&sql)?;
    let mut rows = statement.query([cron_id.to_string()])?;
    rows.next()?.map(|row| run_row(tx, row)).transpose()
}

fn going(tx: &Transaction<'_>, cron_id: CronId) -> Result<u64, StoreError> {
    let mut statement = tx.prepare_cached(
        "SELECT count(*) AS going FROM runs WHERE cron_id = ?1 AND phase IN ('sending', 'doubtful', 'running')",
    )?;
    let mut rows = statement.query([cron_id.to_string()])?;
    rows.next()?.map_or(Ok(0), |row| number(row, "going"))
}
