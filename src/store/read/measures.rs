//! Counts of what is stored right now, for metrics. They do not slow down as the history grows, because what
//! has ended is not read.

use jiff::Timestamp;

use super::Reader;
use crate::domain::bounds::{METRIC_CRONS_MAX, STATUS_LINE_CRONS};
use crate::domain::cron_state::CronStatus;
use crate::domain::ids::CronId;
use crate::domain::run::Phase;
use crate::store::rows::{parsed, time, time_option};
use crate::store::sql::{Row, Transaction};
use crate::store::{CountsByCron, Store, StoreError};

/// Counts of one moment, without zeroes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    pub crons: Vec<(CronStatus, u64)>,
    /// Runs that have not ended.
    pub runs: Vec<(Phase, u64)>,
    /// Deliveries that have not ended.
    pub deliveries: u64,
    /// When the oldest of them was created.
    pub oldest_delivery: Option<Timestamp>,
    /// Threads that are still to be deleted on the agent server.
    pub threads: u64,
    /// The enabled crons from files that are counted by themselves, or fail; those with the most failures first.
    pub crons_of_files: Vec<CronMeasures>,
    /// How many enabled crons from files these leave out.
    pub crons_left_out: u64,
    /// For when the oldest run that is stored was scheduled.
    pub oldest_run: Option<Timestamp>,
    /// When the daemon made its last backup; `None` if it never made one.
    pub backed_up_at: Option<Timestamp>,
    /// The most failures in a row of any cron that a client made.
    pub failures_of_clients: u64,
}

/// What is known of one cron.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronMeasures {
    pub cron_id: CronId,
    pub name: String,
    pub is_paused: bool,
    /// Its failures in a row.
    pub failures: u64,
    /// When its next occurrence is due, paused or not; `None` if none is known.
    pub next_at: Option<Timestamp>,
    /// When its last run ended, and the last that succeeded.
    pub last_run_at: Option<Timestamp>,
    pub last_success_at: Option<Timestamp>,
    /// When it was added, or changed last.
    pub updated_at: Timestamp,
}

/// How the crons are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronsAtAGlance {
    pub crons: u64,
    /// How many of them failed the last time.
    pub failing: u64,
    /// The names of at most [`STATUS_LINE_CRONS`] of these, the most failures in a row first.
    pub worst: String,
    /// The mistakes that keep the configuration files from being in force.
    pub mistakes: u64,
}

impl Store {
    pub async fn crons_at_a_glance(&self) -> Result<CronsAtAGlance, StoreError> {
        self.read_for_loop(at_a_glance).await
    }
}

/// Whether a cron is paused, by its own pause or by one of all crons; the end of a pause is recorded when it comes.
const IS_PAUSED: &str = "((paused_at IS NOT NULL AND pause_ended = 0) \
     OR EXISTS (SELECT 1 FROM pauses_of_all WHERE ended IS NULL))";

impl Reader {
    /// Counts what is stored right now. `counted` are the crons that are counted by themselves.
    pub fn measures(&self, counted: &CountsByCron) -> Result<Measures, StoreError> {
        self.at_one_moment(|tx| {
            let mut measures = Measures::default();
            let states = format!(
                "SELECT enabled, {IS_PAUSED} AS is_paused, count(*) AS number FROM crons WHERE removed_at IS NULL \
                 GROUP BY enabled, is_paused"
            );
            tx.each(&states, (), |row| {
                let status = CronStatus::of(row.get("enabled")?, row.get("is_paused")?);
                measures.crons.push((status, row.count("number")?));
                Ok(())
            })?;
            let phases = "SELECT phase AS word, count(*) AS number FROM runs WHERE phase <> 'ended' GROUP BY phase";
            tx.each(phases, (), |row| {
                measures.runs.push((parsed(row, "word")?, row.count("number")?));
                Ok(())
            })?;
            for waiting in ["due_at IS NOT NULL", "status = 'sending'"] {
                let sql = format!(
                    "SELECT count(*) AS number, min(created_at) AS oldest FROM deliveries WHERE {waiting}"
                );
                tx.each(&sql, (), |row| {
                    measures.deliveries += row.count("number")?;
                    let oldest = time_option(row, "oldest")?.into_iter().chain(measures.oldest_delivery);
                    measures.oldest_delivery = oldest.min();
                    Ok(())
                })?;
            }
            tx.each("SELECT count(*) AS number FROM thread_deletions", (), |row| {
                measures.threads = row.count("number")?;
                Ok(())
            })?;
            let of_files = format!(
                "SELECT cron_id, name, failures, {IS_PAUSED} AS is_paused, nullif(next_at, 0) AS next_at, \
                 last_run_at, last_success_at, updated_at FROM crons \
                 WHERE source = 'file' AND enabled = 1 AND removed_at IS NULL ORDER BY failures DESC, name"
            );
            // One that is not counted by itself and fails has series as long as it does.
            let mut more = METRIC_CRONS_MAX;
            tx.each(&of_files, (), |row| {
                let (cron_id, failures) = (parsed(row, "cron_id")?, row.count("failures")?);
                let is_counted = counted.contains_key(&cron_id);
                if !is_counted && (failures == 0 || more == 0) {
                    measures.crons_left_out += 1;
                    return Ok(());
                }
                more -= usize::from(!is_counted);
                measures.crons_of_files.push(cron_measures(row, cron_id, failures)?);
                Ok(())
            })?;
            let oldest = "SELECT min(scheduled_for) AS oldest FROM runs";
            measures.oldest_run = tx.query_one(oldest, (), |row| time_option(row, "oldest"))?;
            let backup = "SELECT backed_up_at FROM installation";
            measures.backed_up_at = tx.query_one(backup, (), |row| time_option(row, "backed_up_at"))?;
            let of_clients = "SELECT coalesce(max(failures), 0) AS number FROM crons \
                              WHERE source = 'api' AND removed_at IS NULL";
            tx.each(of_clients, (), |row| {
                measures.failures_of_clients = row.count("number")?;
                Ok(())
            })?;
            Ok(measures)
        })
    }
}

fn cron_measures(row: &Row<'_>, cron_id: CronId, failures: u64) -> Result<CronMeasures, StoreError> {
    Ok(CronMeasures {
        cron_id,
        failures,
        name: row.get("name")?,
        is_paused: row.get("is_paused")?,
        next_at: time_option(row, "next_at")?,
        last_run_at: time_option(row, "last_run_at")?,
        last_success_at: time_option(row, "last_success_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

fn at_a_glance(tx: &Transaction<'_>) -> Result<CronsAtAGlance, StoreError> {
    let sql = format!(
        "WITH present AS (SELECT name, failures FROM crons WHERE removed_at IS NULL), \
         worst AS (SELECT name FROM present WHERE failures > 0 ORDER BY failures DESC, name LIMIT {STATUS_LINE_CRONS}) \
         SELECT count(*) AS crons, count(nullif(failures, 0)) AS failing, \
         (SELECT coalesce(group_concat(name, ', '), '') FROM worst) AS worst, \
         (SELECT coalesce(max(count), 0) FROM notices WHERE kind = 'configuration') AS mistakes FROM present"
    );
    let read = |row: &Row<'_>| {
        let (crons, failing, mistakes) = (row.count("crons"), row.count("failing"), row.count("mistakes"));
        Ok(CronsAtAGlance { crons: crons?, failing: failing?, worst: row.get("worst")?, mistakes: mistakes? })
    };
    tx.query_one(&sql, (), read)
}
