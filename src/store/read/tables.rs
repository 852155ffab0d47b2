//! How many rows the tables have, for a bug report.

use super::Reader;
use crate::domain::bounds::ROWS_COUNTED_MAX;
use crate::store::StoreError;

/// The tables that grow.
const TABLES: [&str; 20] = [
    "acts",
    "announced",
    "attempts",
    "client_runs",
    "cron_days",
    "cron_hours",
    "crons",
    "daemons",
    "definitions",
    "deleted_lately",
    "deliveries",
    "failovers",
    "inactive_spans",
    "outages",
    "owed_webhooks",
    "pauses_of_all",
    "run_events",
    "runs",
    "suspended_urls",
    "thread_deletions",
];

impl Reader {
    /// Returns how many rows each table has, or [`ROWS_COUNTED_MAX`] if it has more.
    pub fn row_counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        self.at_one_moment(|tx| {
            let count = |table: &&'static str| {
                let sql = format!(
                    "SELECT count(*) FROM (SELECT 1 AS one FROM {table} LIMIT {ROWS_COUNTED_MAX}) AS few"
                );
                Ok((*table, tx.query_count(&sql, ())?))
            };
            TABLES.iter().map(count).collect()
        })
    }
}
