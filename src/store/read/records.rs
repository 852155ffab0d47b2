//! What is recorded about one instant of one cron, to explain why it did or did not fire.

use jiff::Timestamp;

use super::{Reader, RunRow, row_columns, run_row};
use crate::config::CronIdentity;
use crate::domain::cron::Cron;
use crate::domain::cron_state::{CronState, InactiveSpan, Pause};
use crate::domain::ids::{CronId, DefinitionId, InstallationId};
use crate::store::cron_entries::state_from_row;
use crate::store::open::installation_id;
use crate::store::rows::{millis, parsed, time, time_option};
use crate::store::skipped_ranges::RANGES_AROUND;
use crate::store::sql::{Row, Transaction};
use crate::store::{StoreError, definitions, inactive_spans, pauses_of_all};

/// A cron with everything that may explain why it did or did not fire.
#[derive(Clone, Debug)]
pub struct CronRecord {
    pub cron_id: CronId,
    pub name: String,
    /// The present definition, or the reason why it cannot be read.
    pub cron: Result<Cron, String>,
    pub state: CronState,
    /// The pauses of all crons that are not over.
    pub pauses_of_all: Vec<Pause>,
    /// The last instant that is accounted for.
    pub cursor: Timestamp,
    pub created_at: Timestamp,
    /// The last instant whose record is deleted.
    pub history_deleted_until: Option<Timestamp>,
    /// When it got this definition.
    pub updated_at: Timestamp,
    pub removed_at: Option<Timestamp>,
    /// When it had no occurrences, the earliest first.
    pub inactive: Vec<InactiveSpan>,
}

impl Reader {
    /// Returns the cron of this name or id. A removed one is returned only if there is no other.
    pub fn cron_record(&self, name: &str) -> Result<Option<CronRecord>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT crons.*, body FROM crons JOIN definitions \
                       ON definitions.definition_id = crons.definition_id \
                       WHERE name = ?1 OR crons.cron_id = ?1 ORDER BY removed_at IS NOT NULL, removed_at DESC LIMIT 1";
            let installation = installation_id(tx)?;
            tx.query_opt(sql, [name], |row| record_from_row(tx, row, installation))
        })
    }

    /// Returns the runs of exactly this instant, the first one first.
    pub fn runs_at(&self, cron_id: CronId, at: Timestamp) -> Result<Vec<RunRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM runs WHERE cron_id = ?1 AND scheduled_for = ?2 ORDER BY retry",
            row_columns()
        );
        self.at_one_moment(|tx| tx.query(&sql, (cron_id.to_string(), millis(at)), |row| run_row(tx, row)))
    }

    /// Returns the records of ranges of missed or skipped instants around this one; the definition of each says which it counts.
    pub fn ranges_around(&self, cron_id: CronId, at: Timestamp) -> Result<Vec<RunRow>, StoreError> {
        let sql = format!("SELECT {} FROM {RANGES_AROUND}", row_columns());
        self.at_one_moment(|tx| tx.query(&sql, (cron_id.to_string(), millis(at)), |row| run_row(tx, row)))
    }

    /// Returns the definition that a run was planned by, or `None` if it cannot be read.
    pub fn definition(&self, definition_id: DefinitionId, name: &str) -> Result<Option<Cron>, StoreError> {
        self.at_one_moment(|tx| Ok(definitions::read(tx, installation_id(tx)?, definition_id, name).ok()))
    }

    /// Returns the durations of at most `limit` of the last runs of a cron that ended by themselves, the
    /// newest first.
    pub fn durations(&self, name: &str, limit: u32) -> Result<Vec<std::time::Duration>, StoreError> {
        self.at_one_moment(|tx| {
            let took = tx.query(
                "SELECT ended_at - started_at FROM runs WHERE cron_id IN \
                 (SELECT cron_id FROM crons WHERE name = ?1 OR cron_id = ?1) \
                 AND status IN ('success', 'error', 'interrupted') \
                 AND started_at IS NOT NULL ORDER BY scheduled_for DESC LIMIT ?2",
                (name, limit),
                |row| row.get(0),
            )?;
            let positive = |millis: i64| u64::try_from(millis).unwrap_or(0);
            Ok(took.into_iter().map(positive).map(std::time::Duration::from_millis).collect())
        })
    }
}

fn record_from_row(
    tx: &Transaction<'_>,
    row: &Row<'_>,
    installation: InstallationId,
) -> Result<CronRecord, StoreError> {
    let name: String = row.get("name")?;
    let body: String = row.get("body")?;
    let cron_id = parsed(row, "cron_id")?;
    let identity = CronIdentity { installation, cron_id, name: &name, source: parsed(row, "source")? };
    Ok(CronRecord {
        cron_id,
        cron: definitions::parse(identity, &body).map_err(|error| error.to_string()),
        state: state_from_row(row)?,
        pauses_of_all: pauses_of_all::not_recorded_as_over(tx)?,
        cursor: time(row, "cursor")?,
        created_at: time(row, "created_at")?,
        history_deleted_until: time_option(row, "history_deleted_until")?,
        updated_at: time(row, "updated_at")?,
        removed_at: time_option(row, "removed_at")?,
        inactive: inactive_spans::of_cron(tx, cron_id)?,
        name,
    })
}
