//! Counts of what is stored right now, for metrics. They do not slow down as the history grows, because what
//! has ended is not read.

use jiff::Timestamp;

use super::Reader;
use crate::domain::bounds::{METRIC_CRONS_MAX, STATUS_LINE_CRONS};
use crate::domain::cron_state::CronStatus;
use crate::domain::run::Phase;
use crate::store::rows::{parsed, time_option};
use crate::store::sql::{Row, Transaction};
use crate::store::{Store, StoreError};

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
    /// The failures in a row of crons from files, by name: of those with the most, if there are too many.
    pub failures: Vec<(String, u64)>,
    /// How many crons from files `failures` leaves out.
    pub failures_left_out: u64,
    /// The most failures in a row of any cron that a client made.
    pub failures_of_clients: u64,
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

impl Reader {
    /// Counts what is stored right now.
    pub fn measures(&self) -> Result<Measures, StoreError> {
        self.at_one_moment(|tx| {
            let mut measures = Measures::default();
            let states = "SELECT enabled, (paused_at IS NOT NULL AND pause_ended = 0) \
                          OR EXISTS (SELECT 1 FROM pauses_of_all WHERE ended IS NULL) AS is_paused, count(*) AS number FROM crons \
                          WHERE removed_at IS NULL GROUP BY enabled, is_paused";
            tx.each(states, (), |row| {
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
            let of_files = "SELECT name, failures AS number FROM crons WHERE source = 'file' AND removed_at IS NULL \
                            ORDER BY failures DESC, name";
            tx.each(of_files, (), |row| {
                if measures.failures.len() < METRIC_CRONS_MAX {
                    measures.failures.push((row.get("name")?, row.count("number")?));
                } else {
                    measures.failures_left_out += 1;
                }
                Ok(())
            })?;
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

fn at_a_glance(tx: &Transaction<'_>) -> Result<CronsAtAGlance, StoreError> {
    let sql = format!(
        "WITH present AS (SELECT name, failures FROM crons WHERE removed_at IS NULL), \
         worst AS (SELECT name FROM present WHERE failures > 0 ORDER BY failures DESC, name LIMIT {STATUS_LINE_CRONS}) \
         SELECT count(*) AS crons, count(nullif(failures, 0)) AS failing, \
         (SELECT coalesce(group_concat(name, ', '), '') FROM worst) AS worst, \
         (SELECT coalesce(sum(count), 0) FROM notices WHERE kind = 'configuration') AS mistakes FROM present"
    );
    let read = |row: &Row<'_>| {
        let (crons, failing, mistakes) = (row.count("crons"), row.count("failing"), row.count("mistakes"));
        Ok(CronsAtAGlance { crons: crons?, failing: failing?, worst: row.get("worst")?, mistakes: mistakes? })
    };
    tx.query_one(&sql, (), read)
}
