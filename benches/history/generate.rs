//! Makes the database: the tables of the store, filled in one go, and their indexes made afterwards.

use std::path::Path;
use std::time::Duration;

use agentcron::clock::Clock;
use agentcron::domain::calendar::Calendar;
use agentcron::domain::ids::{CronId, InstallationId};
use agentcron::domain::tally::TookBucket;
use agentcron::store::{Execution, Store};
use anyhow::Result;
use rusqlite::{Connection, Statement, named_params};
use uuid::Uuid;

use super::machine::now;
use super::shape::{Shape, delivery_status, mix};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// So many origins receive the webhooks.
const ORIGINS: u32 = 20;

/// Each cron is due once an hour, and the newest runs are of the last hour.
pub(super) fn generate(database: &Path, shape: &Shape) -> Result<()> {
    drop(Store::open(database, Execution::Inline, InstallationId::default(), Clock::system())?);
    let connection = Connection::open(database)?;
    // If this is interrupted, the file is useless, and is made again.
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; \
         PRAGMA cache_size = -1000000; BEGIN",
    )?;
    let indexes = drop_indexes(&connection)?;
    crons(&connection, shape)?;
    runs(&connection, shape)?;
    roll_up(&connection)?;
    for index in indexes {
        connection.execute_batch(&index)?;
    }
    connection.execute_batch("COMMIT; PRAGMA journal_mode = WAL; PRAGMA optimize")?;
    Ok(())
}

/// Drops the indexes of the large tables, and returns the statements that make them again.
fn drop_indexes(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('runs', 'deliveries')",
    )?;
    let indexes = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let indexes: Vec<(String, String)> = indexes.collect::<Result<_, _>>()?;
    for (name, _) in &indexes {
        connection.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    Ok(indexes.into_iter().map(|(_, sql)| sql).collect())
}

fn crons(connection: &Connection, shape: &Shape) -> Result<()> {
    let mut definition = connection.prepare("INSERT INTO definitions VALUES (?1, ?2, ?3, 0)")?;
    let mut cron = connection.prepare(
        "INSERT INTO crons (cron_id, name, source, location, definition_id, cursor, next_at, created_at, updated_at) \
         VALUES (?1, ?2, 'file', 'agentcron.toml:1:2', ?3, ?4, ?5, 0, 0)",
    )?;
    // A daemon has planned them.
    connection.execute("INSERT INTO zone_rules VALUES ('UTC', ?1)", [Calendar::rules_of_zone("UTC")])?;
    let now = now().as_millisecond();
    for number in 0..shape.crons {
        let (cron_id, definition_id) = (cron_id(number), id("definition", number));
        let fields =
            format!(r#"{{"schedule":"{} * * * *","timezone":"UTC","assistant_id":"agent"}}"#, number % 60);
        definition.execute((&definition_id, &cron_id, fields))?;
        let at = now - now % HOUR + i64::from(number % 60) * MINUTE;
        let next_at = if at > now { at } else { at + HOUR };
        cron.execute((&cron_id, name_of(number), &definition_id, now, next_at))?;
    }
    Ok(())
}

fn runs(connection: &Connection, shape: &Shape) -> Result<()> {
    let mut run = connection.prepare(
        "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, \
         start_before, exclusive, turn, phase, start_number, send_count, act_at, sent_at, thread_id, backend_run_id, \
         started_at, status, reason_code, outcome_values, ended_at, learnt_at) VALUES (:run_id, :cron_id, :cron_name, 'file', \
         :definition_id, :trigger, :due_at, :due_at, :due_at + 3600000, 1, 0, :phase, 1, 1, NULL, :sent_at, :thread_id, \
         :backend_run_id, :sent_at, :status, :reason, :outcome_values, :ended_at, :ended_at)",
    )?;
    let mut delivery = connection.prepare(
        "INSERT INTO deliveries (delivery_id, run_id, url, receiver, status, attempts, created_at, ended_at, body) \
         VALUES (?1, ?2, ?3, substr(?3, 1, instr(?3, '.com/') + 4), ?4, 1, ?5, ?5 + 30, ?6)",
    )?;
    let mut attempt = connection.prepare(
        "INSERT INTO attempts (delivery, attempt, started_at, ended_at, code, head_ms) VALUES (?1, 1, ?2, ?2 + 30, 204, 29)",
    )?;
    let begin = now().as_millisecond() - HOUR * i64::from(shape.runs / shape.crons);
    let values = r#"{"messages":[{"type":"ai","content":"Three incidents, all resolved; two deploys, one rolled back."}]}"#;
    for number in 0..shape.runs {
        let (cron, hour) = (number % shape.crons, number / shape.crons);
        // Within an hour, the crons are due one after the other, so that rows are in the order of their time.
        let due_at = begin + HOUR * i64::from(hour) + HOUR * i64::from(cron) / i64::from(shape.crons);
        let fate = shape.fate(number);
        let (run_id, took_place) = (id("run", number), fate.took_place());
        let ended_at = due_at + 5_000 + i64::from(number % 60_000);
        run.execute(named_params! {
            ":run_id": run_id,
            ":cron_id": cron_id(cron),
            ":cron_name": name_of(cron),
            ":definition_id": id("definition", cron),
            ":trigger": fate.trigger,
            ":due_at": due_at,
            ":phase": fate.phase,
            ":sent_at": took_place.then_some(due_at + 5),
            ":thread_id": took_place.then(|| id("thread", number)),
            ":backend_run_id": took_place.then(|| id("backend run", number)),
            ":status": fate.status,
            ":reason": fate.reason,
            ":outcome_values": (fate.status == Some("success")).then_some(values),
            ":ended_at": fate.status.is_some().then_some(ended_at),
        })?;
        if fate.status.is_some() && shape.has_webhook(cron) {
            deliver(&mut delivery, &mut attempt, number, cron, ended_at)?;
        }
    }
    Ok(())
}

fn deliver(
    delivery: &mut Statement<'_>,
    attempt: &mut Statement<'_>,
    run: u32,
    cron: u32,
    created_at: i64,
) -> Result<()> {
    let delivery_id = id("delivery", run);
    let url = format!("https://hooks-{}.example.com/agents/{cron}?token=0123456789abcdef", cron % ORIGINS);
    let body = br#"{"status":"success","values":{"messages":[{"type":"ai","content":"Three incidents, all resolved."}]}}"#;
    let seq = delivery.insert((&delivery_id, id("run", run), url, delivery_status(run), created_at, body))?;
    attempt.execute((seq, created_at))?;
    Ok(())
}

/// Counts the runs as a daemon does when they end.
fn roll_up(connection: &Connection) -> Result<()> {
    connection.execute_batch("CREATE TEMP TABLE buckets (least INTEGER PRIMARY KEY, bucket INTEGER)")?;
    let mut bucket = connection.prepare("INSERT OR IGNORE INTO buckets VALUES (?1, ?2)")?;
    for millis in 1..70_000_u32 {
        let TookBucket(number) = TookBucket::of(Duration::from_millis(millis.into()));
        if number > TookBucket::of(Duration::from_millis((millis - 1).into())).0 || millis == 1 {
            bucket.execute((millis, number))?;
        }
    }
    let hours_kept = now().as_millisecond() / HOUR - 72;
    for (table, unit, first) in [("cron_hours", HOUR, hours_kept), ("cron_days", 24 * HOUR, 0)] {
        let sql = format!(
            "INSERT INTO {table} SELECT ended_at / {unit} AS unit, cron_id, status, coalesce(reason_code, ''), \
             coalesce((SELECT bucket FROM buckets WHERE least <= ended_at - sent_at ORDER BY least DESC LIMIT 1), -1) AS took, 1, \
             count(sent_at), sum(occurrences), 0 FROM runs WHERE phase = 'ended' AND ended_at / {unit} >= {first} \
             GROUP BY unit, cron_id, status, reason_code, took"
        );
        connection.execute(&sql, [])?;
    }
    Ok(())
}

/// Returns the id under which a daemon knows the cron if a file defines it.
fn cron_id(number: u32) -> String {
    CronId::of_name(InstallationId::default(), &name_of(number)).to_string()
}

fn name_of(cron: u32) -> String {
    format!("cron-{cron:05}")
}

/// Returns an id that looks random, as ids do that are derived from a digest.
fn id(kind: &str, number: u32) -> String {
    let salt = kind.bytes().fold(0, |salt, byte| mix(salt ^ u64::from(byte)));
    Uuid::from_u64_pair(mix(salt ^ u64::from(number)), mix(!salt ^ u64::from(number))).to_string()
}
