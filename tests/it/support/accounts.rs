//! The accounts that every test settles at its end: each occurrence once on record, once on the server, and told.

use std::collections::{BTreeMap, BTreeSet};

use agentcron::backend::embedded::LedgerEntry;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::Connection;

use super::daemon::Daemon;
use super::history::Recorded;
use super::receiver::Received;
use super::span::Span;

/// Every occurrence of this cron that was due since the daemon knew of it is on record, exactly once.
pub(crate) fn assert_none_lost(daemon: &Daemon, runs: &[Recorded], cron: &str, span: &Span) {
    let since = daemon.knows_crons_since().expect("the daemon has its crons");
    assert!(since < span.last(), "the daemon came up after the last occurrence: the machine is too busy");
    let owed: Vec<Timestamp> = span.instants().into_iter().filter(|at| *at > since).collect();
    let mut on_record = BTreeMap::<Timestamp, usize>::new();
    for run in runs.iter().filter(|run| run.cron_name == cron) {
        let covered: Vec<_> =
            owed.iter().filter(|at| (run.scheduled_for..=run.last_scheduled_for).contains(at)).collect();
        assert_eq!(covered.len(), usize::try_from(run.occurrences).unwrap(), "{cron}: {run:?}");
        for at in covered {
            *on_record.entry(*at).or_default() += 1;
        }
    }
    let once = owed.into_iter().map(|at| (at, 1)).collect::<BTreeMap<_, _>>();
    assert_eq!(on_record, once, "{cron}: how often each occurrence is on record");
}

/// The runs that the server was asked for, by our id; a fence is none.
pub(crate) fn starts_by_run(ledger: &[LedgerEntry]) -> BTreeMap<String, usize> {
    let mut starts = BTreeMap::new();
    // Whatever its metadata says, since it inherits that of its thread: a fence is what waits.
    for entry in ledger.iter().filter(|entry| entry.after_seconds == 0.0) {
        let run_id = entry.metadata["agentcron_run_id"].as_str().expect("our id").to_owned();
        *starts.entry(run_id).or_default() += 1;
    }
    starts
}

/// Nothing was started twice, nothing that is not on record, and everything that is called a success once.
pub(crate) fn assert_started_once(ledger: &[LedgerEntry], runs: &[Recorded]) {
    let starts = starts_by_run(ledger);
    let twice: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
    let story = |run_id: &str| runs.iter().find(|run| run.run_id == *run_id);
    assert!(
        twice.is_empty(),
        "started twice: {:?}",
        twice.iter().map(|(run_id, count)| (count, story(run_id))).collect::<Vec<_>>()
    );
    for run_id in starts.keys() {
        assert!(story(run_id).is_some(), "run {run_id} was started and is not on record");
    }
    for run in runs.iter().filter(|run| run.status == "success") {
        assert_eq!(starts.get(&run.run_id), Some(&1), "on record as a success: {run:?}");
    }
}

/// Every run that ended was told, at least once, always under the same id and in the same words, and nothing else was.
pub(crate) fn assert_all_told(received: &[Received], runs: &[Recorded]) {
    let mut told = BTreeMap::<String, BTreeSet<Bytes>>::new();
    for request in received {
        told.entry(request.header("webhook-id").to_owned()).or_default().insert(request.body.clone());
    }
    for (webhook_id, bodies) in &told {
        assert_eq!(bodies.len(), 1, "{webhook_id} was told in different words: {bodies:?}");
    }
    let fired = runs.iter().filter(|run| run.was_fired());
    let owed: BTreeSet<String> = fired.map(|run| format!("msg_{}", run.run_id)).collect();
    assert_eq!(told.keys().cloned().collect::<BTreeSet<_>>(), owed, "who was told about what");
}

/// No row without the one it belongs to, nothing in hand, nothing due.
pub(crate) fn assert_nothing_left_over(database: &Connection) {
    for (what, sql) in [
        ("attempts without an end", "SELECT count(*) FROM attempts WHERE ended_at IS NULL"),
        (
            "attempts without their delivery",
            "SELECT count(*) FROM attempts WHERE delivery_id NOT IN (SELECT delivery_id FROM deliveries)",
        ),
        (
            "attempts that were not counted, or counted twice",
            "SELECT count(*) FROM deliveries AS d \
             WHERE d.attempts <> (SELECT count(*) FROM attempts AS a WHERE a.delivery_id = d.delivery_id)",
        ),
        (
            "deliveries without their run",
            "SELECT count(*) FROM deliveries WHERE run_id NOT IN (SELECT run_id FROM runs)",
        ),
        (
            "deliveries in hand or due",
            "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL OR ended_at IS NULL",
        ),
        ("runs to act on", "SELECT count(*) FROM runs WHERE act_at IS NOT NULL"),
        ("rows without the row they name", "SELECT count(*) FROM pragma_foreign_key_check"),
    ] {
        let count: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(count, 0, "{what}");
    }
    assert_eq!(database.query_row("PRAGMA integrity_check", [], |r| r.get::<_, String>(0)).unwrap(), "ok");
}
