//! A run beside the others of its cron, what it was given, and what it returned: for a person who wonders about one run.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::recent::{differences, recent};
use super::{Reader, Recent, RunRow, row_columns, run_row};
use crate::domain::bounds::{COMPARED_BYTES_MAX, GOOD_LOOKED_THROUGH};
use crate::domain::ids::{CronId, DeliveryId, RunId};
use crate::store::StoreError;
use crate::store::rows::{json_option, millis, time_option};
use crate::store::sql::{Row, Transaction};

/// What stands beside a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunBeside {
    /// When its latest start was sent.
    pub sent_at: Option<Timestamp>,
    /// When agentcron learnt of its end.
    pub learnt_at: Option<Timestamp>,
    /// How many bytes it has returned; `None` if that is not kept.
    pub values_bytes: Option<u64>,
    /// The definition that it ran by; `None` for a client's run.
    pub definition: Option<DefinitionInShort>,
    /// How the latest runs of its cron went.
    pub usual: Recent,
    /// The occurrences of its cron before and after its own, each by its last run.
    pub before: Option<RunRow>,
    pub after: Option<RunRow>,
    /// When its cron is due next, if it has no occurrence after this one yet.
    pub next_at: Option<Timestamp>,
    /// The last run of its cron before it that succeeded, of the latest [`GOOD_LOOKED_THROUGH`].
    pub last_good: Option<LastGoodRun>,
}

/// What a page says of the definition of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefinitionInShort {
    pub assistant_id: String,
    pub timezone: String,
    /// Whether the thread stays when the run has ended.
    pub keeps_thread: bool,
    /// Whether a person gave the run an input of its own.
    pub has_own_input: bool,
}

/// The last run that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub struct LastGoodRun {
    pub row: RunRow,
    /// The keys in which the definition differs that it ran by.
    pub changed: Vec<String>,
}

/// What a run was given.
#[derive(Clone, Debug, PartialEq)]
pub struct RunInput {
    /// As it is written: placeholders are not filled.
    pub input: Value,
    /// Whether a person gave it to this run only.
    pub is_own: bool,
}

impl Reader {
    /// Returns what stands beside a run.
    pub fn beside_run(&self, run_id: RunId) -> Result<RunBeside, StoreError> {
        self.at_one_moment(|tx| {
            let sql = format!(
                "SELECT {}, octet_length(outcome_values) AS bytes, \
                 (SELECT body FROM definitions AS d WHERE d.definition_id = runs.definition_id) AS body, \
                 own_definition FROM runs WHERE run_id = ?1",
                row_columns()
            );
            let beside = tx.query_opt(&sql, [run_id.to_string()], |row| {
                let of = run_row(tx, row)?;
                let mut beside = RunBeside {
                    sent_at: time_option(row, "sent_at")?,
                    learnt_at: time_option(row, "learnt_at")?,
                    values_bytes: row
                        .get::<Option<i64>>("bytes")?
                        .and_then(|bytes| u64::try_from(bytes).ok()),
                    ..RunBeside::default()
                };
                let fields = fields(row)?;
                beside.definition = match &fields {
                    Some(fields) => Some(in_short(fields, row.get("own_definition")?)),
                    None => None,
                };
                if let Some(cron_id) = of.run.cron_id() {
                    add_runs(tx, &mut beside, (cron_id, &of), fields.as_ref())?;
                }
                Ok(beside)
            })?;
            Ok(beside.unwrap_or_default())
        })
    }

    /// Returns what a run was given; `None` if it has no definition, as that of a client.
    pub fn run_input(&self, run_id: RunId) -> Result<Option<RunInput>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT body, own_definition FROM runs JOIN definitions USING (definition_id) WHERE run_id = ?1";
            let found = tx.query_opt(sql, [run_id.to_string()], |row| {
                let input = fields(row)?.and_then(|mut fields| fields.remove("input"));
                Ok(RunInput { input: input.unwrap_or(Value::Null), is_own: row.get("own_definition")? })
            })?;
            Ok(found)
        })
    }

    /// Returns what a run returned, as JSON text; `None` if that is not kept.
    pub fn run_output(&self, run_id: RunId) -> Result<Option<String>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT outcome_values FROM runs WHERE run_id = ?1";
            Ok(tx.query_opt(sql, [run_id.to_string()], |row| row.get(0))?.flatten())
        })
    }

    /// Returns what a run returned, if that is small enough to be compared.
    pub fn small_output(&self, run_id: RunId) -> Result<Option<Value>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT iif(octet_length(outcome_values) <= ?2, outcome_values, NULL) AS kept FROM runs WHERE run_id = ?1";
            let most = i64::try_from(COMPARED_BYTES_MAX).unwrap_or(i64::MAX);
            Ok(tx.query_opt(sql, (run_id.to_string(), most), |row| json_option(row, "kept"))?.flatten())
        })
    }

    /// Returns the exact bytes that every attempt at a webhook sends; `None` once they are deleted.
    pub fn webhook_body(&self, delivery_id: DeliveryId) -> Result<Option<Vec<u8>>, StoreError> {
        self.at_one_moment(|tx| {
            let sql = "SELECT body FROM deliveries WHERE delivery_id = ?1";
            Ok(tx.query_opt(sql, [delivery_id.to_string()], |row| row.get(0))?.flatten())
        })
    }
}

/// Returns the fields of the definition in the column `body`.
fn fields(row: &Row<'_>) -> Result<Option<Map<String, Value>>, StoreError> {
    let Some(body) = row.get::<Option<String>>("body")? else { return Ok(None) };
    let fields = serde_json::from_str(&body);
    fields.map(Some).map_err(|error| StoreError::BadRow(format!("a stored definition: {error}")))
}

fn in_short(fields: &Map<String, Value>, has_own_input: bool) -> DefinitionInShort {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let has_thread = ["thread", "thread_id"].iter().any(|key| text(key).is_some());
    DefinitionInShort {
        assistant_id: text("assistant_id").unwrap_or_default().to_owned(),
        timezone: text("timezone").unwrap_or("UTC").to_owned(),
        keeps_thread: has_thread || text("on_run_completed") == Some("keep"),
        has_own_input,
    }
}

pub(super) const BEFORE: &str =
    "FROM runs WHERE cron_id = ?1 AND scheduled_for < ?2 ORDER BY scheduled_for DESC, retry DESC LIMIT 1";
pub(super) const AFTER: &str = "FROM runs WHERE cron_id = ?1 AND scheduled_for = \
     (SELECT min(scheduled_for) FROM runs WHERE cron_id = ?1 AND scheduled_for > ?2) ORDER BY retry DESC LIMIT 1";
pub(super) const GOOD_BEFORE: &str = "FROM runs WHERE seq = \
     (SELECT seq FROM (SELECT seq, status, scheduled_for, retry FROM runs \
     WHERE cron_id = ?1 AND (scheduled_for, retry) < (?2, ?3) ORDER BY scheduled_for DESC, retry DESC LIMIT ?4) AS earlier \
     WHERE status = 'success' ORDER BY scheduled_for DESC, retry DESC LIMIT 1)";

fn add_runs(
    tx: &Transaction<'_>,
    beside: &mut RunBeside,
    (cron_id, of): (CronId, &RunRow),
    definition: Option<&Map<String, Value>>,
) -> Result<(), StoreError> {
    let (id, at) = (cron_id.to_string(), millis(of.run.scheduled_for));
    let columns = row_columns();
    let select = |from: &str| format!("SELECT {columns} {from}");
    beside.usual = recent(tx, cron_id)?;
    beside.before = tx.query_opt(&select(BEFORE), (&id, at), |row| run_row(tx, row))?;
    beside.after = tx.query_opt(&select(AFTER), (&id, at), |row| run_row(tx, row))?;
    if beside.after.is_none() {
        let sql = "SELECT nullif(next_at, 0) AS next_at FROM crons WHERE cron_id = ?1 AND enabled = 1 AND removed_at IS NULL";
        beside.next_at = tx.query_opt(sql, [&id], |row| time_option(row, "next_at"))?.flatten();
    }
    let sql = format!(
        "SELECT {columns}, (SELECT body FROM definitions AS d WHERE d.definition_id = runs.definition_id) AS body {GOOD_BEFORE}"
    );
    beside.last_good = tx.query_opt(&sql, (&id, at, of.run.retry, GOOD_LOOKED_THROUGH), |row| {
        let changed = match (definition, fields(row)?) {
            (Some(newer), Some(older)) => differences(newer, &older),
            _ => Vec::new(),
        };
        Ok(LastGoodRun {
            row: run_row(tx, row)?,
            changed: changed.into_iter().map(|change| change.key).collect(),
        })
    })?;
    Ok(())
}
