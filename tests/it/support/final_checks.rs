//! What must hold at the end of every test: each occurrence is recorded once, was started once, and was delivered.

use std::collections::{BTreeMap, BTreeSet};

use agentcron::backend::embedded::LedgerEntry;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;

use super::history::RunRecord;
use super::receiver::Received;
use super::span::Span;

/// Checks that every occurrence of this cron since the daemon loaded its crons is recorded exactly once.
pub(crate) fn assert_none_lost(
    crons_known_since: Option<Timestamp>,
    runs: &[RunRecord],
    cron: &str,
    span: &Span,
) {
    let since = crons_known_since.expect("the daemon has loaded its crons");
    assert!(since < span.last(), "the daemon came up after the last occurrence: the machine is too busy");
    let expected: Vec<Timestamp> = span.instants().into_iter().filter(|at| *at > since).collect();
    let mut recorded = BTreeMap::<Timestamp, usize>::new();
    for run in runs.iter().filter(|run| run.cron_name == cron) {
        let covered: Vec<_> =
            expected.iter().filter(|at| (run.scheduled_for..=run.last_scheduled_for).contains(at)).collect();
        assert_eq!(covered.len(), usize::try_from(run.occurrences).unwrap(), "{cron}: {run:?}");
        for at in covered {
            *recorded.entry(*at).or_default() += 1;
        }
    }
    let once = expected.into_iter().map(|at| (at, 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(recorded, once, "{cron}: how often each occurrence is recorded");
}

/// Returns how often the server was asked for each run, by our id; fences do not count.
pub(crate) fn starts_by_run(ledger: &[LedgerEntry]) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    // A fence is recognised by its delay: its metadata is inherited from its thread.
    for entry in ledger.iter().filter(|entry| entry.after_seconds == 0.0) {
        let run_id = entry.metadata["agentcron_run_id"].as_str().expect("our id").to_owned();
        *starts.entry(run_id).or_default() += 1;
    }
    starts
}

/// Checks that no run was started twice, that every started run is recorded, and that every success was started.
pub(crate) fn assert_started_once(ledger: &[LedgerEntry], runs: &[RunRecord]) {
    let starts = starts_by_run(ledger);
    let repeated: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
    let records: BTreeMap<&str, &RunRecord> = runs.iter().map(|run| (run.run_id.as_str(), run)).collect();
    let record = |run_id: &str| records.get(run_id);
    assert!(
        repeated.is_empty(),
        "started twice: {:?}",
        repeated.iter().map(|(run_id, count)| (count, record(run_id))).collect::<Vec<_>>()
    );
    for run_id in starts.keys() {
        assert!(record(run_id).is_some(), "run {run_id} was started but is not recorded");
    }
    for run in runs.iter().filter(|run| run.status == "success") {
        assert_eq!(starts.get(&run.run_id), Some(&1), "recorded as a success: {run:?}");
    }
}

/// Checks that a webhook was received for every run that ended, always with the same id and body, and no other webhook.
pub(crate) fn assert_all_notified(received: &[Received], runs: &[RunRecord]) {
    let mut bodies_by_id = BTreeMap::<String, BTreeSet<Bytes>>::new();
    for request in received {
        bodies_by_id.entry(request.header("webhook-id").to_owned()).or_default().insert(request.body.clone());
    }
    for (webhook_id, bodies) in &bodies_by_id {
        assert_eq!(bodies.len(), 1, "{webhook_id} has different bodies: {bodies:?}");
    }
    let fired = runs.iter().filter(|run| run.was_fired());
    let expected: BTreeSet<String> = fired.map(|run| format!("msg_{}", run.run_id)).collect();
    assert_eq!(
        bodies_by_id.keys().cloned().collect::<BTreeSet<_>>(),
        expected,
        "which webhooks were received"
    );
}

/// Checks that no row lacks the row it belongs to, and that nothing is claimed or due.
pub(crate) fn assert_nothing_left_over(database: &Connection) {
    for (what, sql) in [
        (
            "attempts without their delivery",
            "SELECT count(*) FROM attempts WHERE delivery NOT IN (SELECT seq FROM deliveries)",
        ),
        (
            "attempts that were not counted, or were counted twice",
            "SELECT count(*) FROM deliveries AS d \
             WHERE d.attempts <> (SELECT count(*) FROM attempts AS a WHERE a.delivery = d.seq)",
        ),
        (
            "deliveries without their run",
            "SELECT count(*) FROM deliveries WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "deliveries that are claimed or due",
            "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL OR ended_at IS NULL",
        ),
        ("ends that the roll-ups count otherwise", include_str!("../../fixtures/rollups/wrong.sql")),
        (
            "ends that are counted by day and not by hour",
            "SELECT (SELECT coalesce(sum(occurrences), 0) FROM cron_days) - (SELECT coalesce(sum(occurrences), 0) FROM cron_hours)",
        ),
        ("webhooks that are owed", "SELECT count(*) FROM owed_webhooks"),
        ("runs to act on", "SELECT count(*) FROM runs WHERE act_at IS NOT NULL"),
        ("rows that reference a missing row", "SELECT count(*) FROM pragma_foreign_key_check"),
    ] {
        let count: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{what}");
    }
    assert_eq!(database.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
}
