//! What is deleted, what stays, and how it is found.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use expect_test::expect;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::retention::Keep;
use crate::store::Execution;
use crate::store::tests::{open_store, reader, shell};

const DAY_MS: i64 = 24 * 3_600_000;

/// Returns the beginning of a day, counted from one that no clock is believed to be before.
fn ms(day: i64) -> i64 {
    (20_000 + day) * DAY_MS
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_millisecond(ms(day)).unwrap()
}

fn days(days: u64) -> Keep {
    Keep::For(Duration::from_secs(days * 24 * 3600))
}

fn rules() -> Retention {
    Retention { keep: days(90), keep_failures: days(365), keep_values: days(14), ..Retention::EVERYTHING }
}

/// A store with these crons, whose clock shows day 1000.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    async fn with(crons: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::Inline);
        let definitions = crons.iter().map(|(name, more)| {
            let body = format!(r#"{{"schedule":"@daily","assistant_id":"agent"{more}}}"#);
            CronDefinition::of_body(name, &body)
        });
        store.sync_file_crons(at(1), definitions.collect()).await.unwrap();
        Self { folder, store }
    }

    fn run_sql(&self, sql: &str) {
        shell(self.folder.path()).run(sql);
    }

    fn lines(&self, sql: &str) -> Vec<String> {
        lines(self.folder.path(), sql)
    }

    /// Inserts a run that ended on this day. What it is called says which one it is.
    fn insert(&self, cron: &str, called: &str, day: i64, status: &str) {
        self.insert_retry(cron, called, (day, 0), day, status);
    }

    fn insert_retry(&self, cron: &str, called: &str, (day, retry): (i64, i64), ended: i64, status: &str) {
        let run_id = uuid::Uuid::new_v5(&uuid::Uuid::nil(), called.as_bytes());
        let cron_columns = "cron_id, name, source, definition_id";
        let (status, code) = status.split_once(' ').unwrap_or((status, ""));
        self.run_sql(&format!(
            "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, retry, due_at, \
             start_before, exclusive, phase, start_number, status, reason_code, ended_at, error, outcome_values) \
             SELECT '{run_id}', {cron_columns}, 'schedule', {}, {retry}, 0, 0, 0, 'ended', 1, '{status}', \
             nullif('{code}', ''), {}, json_quote('{called}'), json_quote('values of {called}') \
             FROM crons WHERE name = '{cron}';",
            ms(day),
            ms(ended)
        ));
    }

    /// Gives a run a webhook, which ended on this day, or has not ended.
    fn add_webhook(&self, called: &str, ended: Option<i64>) {
        let ended_at = ended.map_or("NULL".to_owned(), |day| ms(day).to_string());
        let due_at = if ended.is_some() { "NULL" } else { "1" };
        let status = if ended.is_some() { "failed" } else { "pending" };
        self.run_sql(&format!(
            "INSERT INTO deliveries (delivery_id, run_id, url, status, due_at, created_at, ended_at, receiver, body) \
             SELECT 'd' || run_id, run_id, 'http://a', '{status}', {due_at}, 1, {ended_at}, 'http://a', CAST('0' AS BLOB) \
             FROM runs WHERE error = json_quote('{called}');"
        ));
    }

    async fn sweep(&self, rules: Retention, day: i64) -> (Deleted, Vec<i64>) {
        let policies = Arc::new(self.store.retention_policies(rules).await.unwrap());
        let (mut deleted, mut waiting) = (Deleted::default(), Vec::new());
        for walk in policies.walks() {
            let mut from = Some(Position::default());
            while let Some(behind) = from {
                let (store, policies) = (&self.store, || Arc::clone(&policies));
                let behind = WalkFrom::Behind(behind);
                let found = store.find_expired(policies(), walk, behind, at(day)).await.unwrap();
                let batch = store.delete_expired(policies(), walk, found.rows, at(day)).await.unwrap();
                deleted.add(batch.deleted);
                waiting.extend(found.waiting.into_iter().chain(batch.waiting));
                from = found.position;
            }
        }
        (deleted, waiting)
    }

    /// Returns what is left, the runs whose values are gone in brackets.
    fn left(&self) -> String {
        let sql = "SELECT iif(outcome_values IS NULL, '(' || json_extract(error, '$') || ')', json_extract(error, '$')) \
                   FROM runs ORDER BY seq";
        self.lines(sql).join(" ")
    }
}

fn lines(folder: &Path, sql: &str) -> Vec<String> {
    shell(folder).lines(sql, ())
}

#[tokio::test]
async fn what_is_kept_depends_on_its_age_its_end_and_its_cron() {
    let fixture = Fixture::with(&[
        ("usual", ""),
        ("short", r#","keep":"10d","keep_failures":"20d""#),
        ("long", r#","keep":"forever","keep_values":"forever""#),
    ])
    .await;
    for cron in ["usual", "short", "long"] {
        for (age, status) in [
            (400, "error graph_error"),
            (300, "error graph_error"),
            (301, "skipped backend_away"),
            (100, "success"),
            (101, "skipped overlap"),
            (102, "cancelled cancel_request"),
            (80, "success"),
            (15, "missed daemon_down"),
            (5, "success"),
        ] {
            let called = format!("{cron}-{}-{age}", status.split(' ').next().unwrap());
            fixture.insert(cron, &called, 1000 - age, status);
        }
    }
    let (deleted, waiting) = fixture.sweep(rules(), 1000).await;
    expect![
        "(usual-error-300) usual-skipped-301 (usual-success-80) usual-missed-15 usual-success-5 short-missed-15 short-success-5 \
         long-error-400 long-error-300 long-skipped-301 long-success-100 long-skipped-101 long-cancelled-102 long-success-80 \
         long-missed-15 long-success-5"
    ]
    .assert_eq(&fixture.left());
    assert_eq!((deleted.runs, deleted.values, waiting), (11, 2, vec![]));
    assert_eq!(fixture.sweep(rules(), 1000).await.0, Deleted::default());
    // The last instant of which the record is gone, whatever older ones are left.
    let until = fixture.lines("SELECT name || ' ' || coalesce(CAST(history_deleted_until / 86400000 - 20000 AS TEXT), '-') FROM crons ORDER BY name");
    assert_eq!(until, ["long -", "short 920", "usual 900"]);
}

#[tokio::test]
async fn the_runs_of_an_occurrence_go_together() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    fixture.insert("usual", "failed", 890, "error graph_error");
    fixture.insert_retry("usual", "retried", (890, 1), 891, "success");
    assert_eq!(fixture.sweep(rules(), 1000).await.0.runs, 0);
    assert_eq!(fixture.left(), "(failed) (retried)");
    // A year after the failure both go.
    assert_eq!(fixture.sweep(rules(), 1256).await.0.runs, 2);
}

#[tokio::test]
async fn nothing_that_is_in_progress_is_deleted() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    for (called, day) in [("told", 801), ("to-tell", 802), ("owed", 803), ("on-thread", 804), ("free", 805)] {
        fixture.insert("usual", called, day, "success");
    }
    fixture.insert("usual", "failed", 700, "success");
    fixture.run_sql(
        "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, retry, due_at, \
         start_before, exclusive, phase, start_number, act_at) \
         SELECT 'a0000000-0000-0000-0000-000000000000', cron_id, name, source, definition_id, 'manual', 20700 * CAST(86400000 AS BIGINT), 1, 0, 0, \
         0, 'pending', 1, 5 FROM crons; \
         INSERT INTO owed_webhooks (run_id, url, body) SELECT run_id, 'u', CAST('0' AS BLOB) FROM runs WHERE error = '\"owed\"'; \
         UPDATE runs SET thread_id = 'b0000000-0000-0000-0000-000000000000' WHERE error = '\"on-thread\"'; \
         INSERT INTO thread_deletions (thread_id, run_id, due_at) VALUES ('b0000000-0000-0000-0000-000000000000', 'x', 1);",
    );
    fixture.add_webhook("told", Some(801));
    fixture.add_webhook("to-tell", None);
    let (deleted, waiting) = fixture.sweep(rules(), 1000).await;
    assert_eq!((deleted.runs, deleted.deliveries), (2, 1));
    let left =
        fixture.lines("SELECT json_extract(error, '$') FROM runs WHERE error IS NOT NULL ORDER BY seq");
    assert_eq!(left, ["to-tell", "owed", "on-thread", "failed"]);
    assert_eq!(waiting.len(), 5, "to-tell waits twice: with its body");
    // Once that is over, a second look finds them.
    fixture.run_sql("DELETE FROM owed_webhooks; DELETE FROM thread_deletions;");
    let policies = Arc::new(fixture.store.retention_policies(rules()).await.unwrap());
    let walk =
        Walk::Runs { status: crate::domain::run::Status::Success, keep: Duration::from_secs(90 * 24 * 3600) };
    let found = fixture.store.find_expired(policies, walk, WalkFrom::Rows(waiting), at(1000)).await.unwrap();
    assert_eq!(found.rows.len(), 2);
}

#[tokio::test]
async fn a_body_goes_when_its_delivery_has_ended_for_long_enough() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    fixture.insert("usual", "a", 980, "success");
    fixture.insert("usual", "b", 981, "success");
    fixture.insert("usual", "c", 982, "success");
    fixture.add_webhook("a", Some(981));
    fixture.add_webhook("b", Some(990));
    fixture.add_webhook("c", None);
    let bodies = || fixture.lines("SELECT iif(body IS NULL, 'gone', 'kept') FROM deliveries ORDER BY seq");
    let (deleted, waiting) = fixture.sweep(rules(), 1000).await;
    assert_eq!(
        (deleted.values, bodies(), fixture.left()),
        (3, vec!["gone".into(), "kept".into(), "kept".into()], "(a) (b) (c)".into())
    );
    assert_eq!(waiting.len(), 2, "b and c");
    assert_eq!(fixture.sweep(rules(), 1004).await.0.values, 1);
    assert_eq!(bodies(), ["gone", "gone", "kept"]);
}

#[tokio::test]
async fn a_cron_has_at_most_so_many_records() {
    let fixture = Fixture::with(&[("few", r#","keep_runs_max":2"#), ("usual", "")]).await;
    for day in 990..995 {
        fixture.insert("few", &format!("few-{day}"), day, "success");
        fixture.insert("usual", &format!("usual-{day}"), day, "success");
    }
    fixture.insert_retry("few", "few-994-again", (994, 1), 994, "success");
    assert_eq!(fixture.sweep(rules(), 1000).await.0.runs, 4);
    assert_eq!(fixture.left(), "usual-990 usual-991 usual-992 usual-993 few-994 usual-994 few-994-again");
    let most_of_all = Retention { keep_runs_max: Some(1), ..rules() };
    assert_eq!(fixture.sweep(most_of_all, 1000).await.0.runs, 4);
    assert_eq!(fixture.left(), "few-994 usual-994 few-994-again");
}

#[tokio::test]
async fn a_walk_goes_on_where_it_was() {
    let fixture =
        Fixture::with(&[("kept", r#","keep":"forever","keep_values":"forever""#), ("usual", "")]).await;
    let many = crate::domain::bounds::EXPIRED_PER_READ * 2;
    fixture.run_sql(&format!(
        "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, start_before, \
         exclusive, phase, start_number, status, ended_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many}) \
         SELECT 'c0000000-0000-0000-0000-' || substr(CAST(1000000000000 + i AS TEXT), 2), cron_id, name, source, definition_id, 'schedule', i, 0, 0, 0, 'ended', \
         1, iif(i % 2 = 0, 'success', 'cancelled'), 5 FROM n, crons WHERE name = 'kept';"
    ));
    fixture.insert("usual", "old", 6, "success");
    // All of the others ended in the same moment.
    assert_eq!(fixture.sweep(rules(), 1000).await.0.runs, 1);
    let reader = reader(fixture.folder.path());
    assert_eq!(reader.expired(rules(), at(1000)).unwrap(), []);
}

#[tokio::test]
async fn what_would_be_deleted_is_listed_by_cron_and_key() {
    let fixture = Fixture::with(&[("a", ""), ("b", r#","keep_runs_max":1"#)]).await;
    fixture.insert("a", "1", 500, "success");
    fixture.insert("a", "2", 500 + 1, "error graph_error");
    fixture.insert("a", "3", 950, "success");
    fixture.insert("b", "4", 950, "success");
    fixture.insert("b", "5", 999, "success");
    fixture.add_webhook("1", Some(501));
    let reader = reader(fixture.folder.path());
    let found = reader.expired(rules(), at(1000)).unwrap();
    let lines: Vec<String> = found
        .iter()
        .map(|of| {
            let ExpiredOfCron { cron_name, key, deleted, bytes } = of;
            let Deleted { runs, deliveries, values } = deleted;
            format!("{cron_name:?} {key}: {runs} {deliveries} {values}, {bytes} bytes")
        })
        .collect();
    expect![[r#"
        Some("a") keep: 1 1 0, 14 bytes
        Some("a") keep_failures: 1 0 0, 13 bytes
        Some("b") keep_runs_max: 1 0 0, 13 bytes
        Some("a") keep_values: 0 0 1, 13 bytes
        Some("b") keep_values: 0 0 1, 13 bytes"#]]
    .assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn what_has_no_record_any_more_is_decided_about_no_more() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    fixture.run_sql("UPDATE crons SET cursor = 21000 * CAST(86400000 AS BIGINT), next_at = 0;");
    fixture.insert("usual", "ran", 905, "success");
    fixture.sweep(rules(), 1000).await;
    // The clock goes back to before that.
    let (step, now) = (jiff::SignedDuration::from_hours(-24 * 97), at(903));
    fixture.store.clock_set_back(now, step).await.unwrap();
    fixture.store.plan_due(at(906)).await.unwrap();
    let planned =
        fixture.lines("SELECT '' || (scheduled_for / 86400000 - 20000) FROM runs ORDER BY scheduled_for");
    assert_eq!(planned, ["906"], "neither 904, whose record may be gone, nor 905");
    let decided = fixture.store.decided(at(903)).await.unwrap();
    let cron =
        CronDefinition::of_body("usual", r#"{"schedule":"@daily","assistant_id":"agent"}"#).cron().unwrap();
    let cron_id = crate::domain::ids::CronId::of_name(Default::default(), "usual");
    let cron = crate::domain::cron::Cron { cron_id, ..cron };
    assert_eq!(decided.next_within(&cron, at(903)), Some(at(907)), "what is next is told alike");
}

#[tokio::test]
async fn a_backfill_leaves_out_what_may_have_run() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    fixture.run_sql("UPDATE crons SET created_at = 0, cursor = 21000 * CAST(86400000 AS BIGINT);");
    fixture.insert("usual", "ran", 905, "success");
    fixture.sweep(rules(), 1000).await;
    for (before_beginning, first, count) in [(false, 906, 4), (true, 900, 10)] {
        let order = crate::store::BackfillOrder {
            name: "usual".to_owned(),
            from: Some(at(900)),
            before_beginning,
            to: at(910),
            limit: 100,
            purpose: crate::store::Purpose::DryRun,
        };
        let backfill = fixture.store.backfill(at(1000), Actor::AGENTCRON, order).await.unwrap().unwrap();
        assert_eq!((backfill.lines[0].scheduled_for, backfill.lines.len()), (at(first), count));
    }
}

/// Every walk takes an index, in its order, so a step costs the same however long the history is.
#[tokio::test]
async fn a_walk_takes_an_index_in_its_order() {
    use crate::domain::run::Status;
    let fixture = Fixture::with(&[]).await;
    let database = shell(fixture.folder.path());
    let by_age = Status::ALL.iter().map(|status| walks::by_age_sql(*status));
    for sql in by_age.chain([walks::beyond_most_sql(), walks::NEWEST_KEPT.to_owned()]) {
        for line in database.plan(&sql) {
            let index = [
                "runs_succeeded (ended_at>? AND ended_at<?)",
                "runs_unsuccessful (status=? AND ended_at>? AND ended_at<?)",
                "sqlite_autoindex_runs_2 (cron_id=?",
            ];
            assert!(index.iter().any(|index| line.contains(index)), "{sql}: {line}");
        }
    }
}

#[tokio::test]
async fn what_status_counts_does_not_fall_when_it_is_deleted() {
    let fixture = Fixture::with(&[("usual", "")]).await;
    for (minute, called, status) in
        [(1, "a", "success"), (2, "b", "error"), (3, "c", "missed"), (4, "d", "success")]
    {
        fixture.insert("usual", called, 99, status);
        let ended_at = ms(100) - minute * 60_000 - 1;
        let run = format!("(SELECT run_id FROM runs WHERE error = json_quote('{called}'))");
        fixture.add_webhook(called, Some(99));
        fixture.run_sql(&format!(
            "UPDATE runs SET ended_at = {ended_at}, scheduled_for = {ended_at} WHERE run_id = {run}; \
             UPDATE deliveries SET created_at = {ended_at} WHERE run_id = {run};"
        ));
    }
    // An occurrence counts by the last of its runs, and a record by its occurrences.
    let twice = ms(100) - 120_001;
    fixture.insert_retry("usual", "again", (99, 1), 99, "success");
    fixture.run_sql(&format!(
        "UPDATE runs SET scheduled_for = {twice}, ended_at = {twice} + 5 WHERE retry = 1; \
         UPDATE runs SET occurrences = 7 WHERE status = 'missed';"
    ));
    let counted = || {
        let reader = reader(fixture.folder.path());
        let overview = reader.overview(at(99)).unwrap();
        format!("{:?} {:?}", overview.ended, overview.deliveries)
    };
    let before = counted();
    assert_eq!(before, "[(Success, 3), (Missed, 7)] [(Failed, 4)]");
    let most = Retention { keep_runs_max: Some(1), ..Retention::EVERYTHING };
    let (deleted, _) = fixture.sweep(most, 100).await;
    assert_eq!((deleted.runs, deleted.deliveries), (4, 3));
    assert_eq!(counted(), before);
    fixture.store.housekeeping(at(100)).await.unwrap();
    assert_eq!(counted(), before);
    fixture.store.housekeeping(at(102)).await.unwrap();
    assert_eq!(fixture.lines("SELECT 'left' FROM deleted_lately"), [""; 0]);
}
