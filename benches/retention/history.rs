//! The old runs, each with a webhook that was delivered.

use std::path::Path;

use anyhow::Result;
use rusqlite::Connection;

use super::machine::now;

const DAY: i64 = 24 * 3_600_000;

/// Adds old runs to the crons of a database that no daemon has.
pub(super) fn fill(database: &Path, runs: u32, crons: u32) -> Result<()> {
    let connection = Connection::open(database)?;
    let begin = now().as_millisecond() - 100 * DAY;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; BEGIN")?;
    connection.execute(
        "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, start_before, \
         exclusive, phase, start_number, send_count, sent_at, thread_id, backend_run_id, started_at, status, ended_at, learnt_at, \
         outcome_values) \
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1), \
         at(i, ms) AS (SELECT i, ?3 + i * 3600 FROM n) \
         SELECT lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-a' || \
         substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))), cron_id, name, source, definition_id, 'schedule', ms, ms, ms, \
         1, 'ended', 1, 1, ms, lower(hex(randomblob(4)) || '-0000-4000-a000-' || hex(randomblob(6))), \
         lower(hex(randomblob(4)) || '-0000-4000-a000-' || hex(randomblob(6))), ms, 'success', ms + 900, ms + 900, \
         '{\"messages\":[{\"type\":\"ai\",\"content\":\"Three incidents, all resolved; two deploys, one rolled back.\"}]}' \
         FROM at JOIN crons ON crons.name = printf('cron-%05d', i % ?2)",
        (runs, crons, begin),
    )?;
    connection.execute_batch(
        "INSERT INTO deliveries (delivery_id, run_id, url, receiver, status, attempts, created_at, ended_at, body) \
         SELECT 'd' || run_id, run_id, 'https://hooks.example.com/agents', 'https://hooks.example.com/', 'delivered', 1, ended_at, \
         ended_at + 30, CAST(outcome_values AS BLOB) FROM runs WHERE backend_run_id LIKE '%-0000-4000-a000-%'; \
         INSERT INTO attempts (delivery, attempt, started_at, ended_at, code, head_ms) \
         SELECT seq, 1, created_at, ended_at, 204, 29 FROM deliveries; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    Ok(())
}

/// Returns how many of the old runs are left.
pub(super) fn left(store: &Connection) -> Result<u64> {
    let sql = "SELECT count(*) FROM runs WHERE scheduled_for < ?1";
    Ok(store.query_row(sql, [now().as_millisecond() - 40 * DAY], |row| row.get::<_, u32>(0))?.into())
}

pub(super) fn name_of(cron: u32) -> String {
    format!("cron-{cron:05}")
}
