//! What the pages of the web page read beside `/v1`.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::store::also_at::BY_NEXT;

fn minutes(count: i64) -> i64 {
    count * 60_000
}

#[test]
fn a_run_stands_between_its_neighbours_and_beside_the_last_good_one() {
    let store = Fixture::new();
    let [early, good, bad, late] = [100, 200, 300, 400].map(|at| store.add_run(at));
    store.end_run(early, Status::Success);
    store.end_run(good, Status::Success);
    store.end_run(bad, Status::Error);
    let sql = "UPDATE runs SET outcome_values = ?2, sent_at = 301 WHERE run_id = ?1";
    store.writer.execute(sql, (bad.to_string(), "{\"answer\":42}"));
    let beside = store.reader.beside_run(bad).unwrap();
    let id = |row: Option<&RunRow>| row.map(|row| row.run.run_id);
    assert_eq!(id(beside.before.as_ref()), Some(good));
    assert_eq!(id(beside.after.as_ref()), Some(late));
    assert_eq!(id(beside.last_good.as_ref().map(|last| &last.row)), Some(good));
    assert_eq!((beside.values_bytes, beside.sent_at, beside.next_at), (Some(13), Some(at(301)), None));
    assert_eq!((beside.usual.runs, beside.usual.ok), (3, 2));
    let first = store.reader.beside_run(early).unwrap();
    assert_eq!((id(first.before.as_ref()), first.last_good), (None, None));

    assert_eq!(store.reader.run_output(bad).unwrap().as_deref(), Some("{\"answer\":42}"));
    assert_eq!(store.reader.small_output(bad).unwrap(), Some(serde_json::json!({ "answer": 42 })));
    assert_eq!(store.reader.run_output(good).unwrap(), None);
    let given = store.reader.run_input(bad).unwrap().unwrap();
    assert_eq!((given.input, given.is_own), (serde_json::Value::Null, false));
}

/// Adds a webhook to a receiver, and an attempt at it if it has a code or failed to get one.
fn add_webhook(store: &Fixture, at: i64, (receiver, status): (&str, &str), code: Option<Option<u16>>) {
    let run_id = store.add_run(at);
    let delivery_id = DeliveryId::of_run(run_id, receiver);
    let is_due = status == "pending";
    let sql = "INSERT INTO deliveries (delivery_id, run_id, url, receiver, body, status, created_at, due_at, ended_at) \
               VALUES (?1, ?2, ?3, ?3, CAST('{}' AS BLOB), ?4, ?5, ?6, ?7)";
    let times = (at, is_due.then_some(at + 10), (!is_due).then_some(at + 10));
    let row = (delivery_id.to_string(), run_id.to_string(), receiver, status, times.0, times.1, times.2);
    store.writer.execute(sql, row);
    if let Some(code) = code {
        let sql = "INSERT INTO attempts (delivery, attempt, started_at, ended_at, code, detail) \
                   VALUES ((SELECT seq FROM deliveries WHERE delivery_id = ?1), 1, ?2, ?2 + 7, ?3, 'said so')";
        store.writer.execute(sql, (delivery_id.to_string(), at, code));
    }
}

#[test]
fn receivers_are_told_with_what_waits_and_what_they_said_last() {
    let store = Fixture::new();
    for place in 0..5 {
        add_webhook(&store, minutes(1) + place, ("https://well/", "delivered"), Some(Some(200)));
    }
    add_webhook(&store, minutes(2), ("client https://ill/", "pending"), Some(None));
    add_webhook(&store, minutes(3), ("client https://ill/", "pending"), Some(Some(503)));
    add_webhook(&store, minutes(4), ("client https://ill/", "failed"), None);
    let found = store.reader.receivers(at(minutes(5))).unwrap();
    let [ill, well] = found.listed.as_slice() else { panic!("{found:?}") };
    assert_eq!((ill.url.as_str(), ill.of_clients, ill.waiting), ("https://ill/", true, 2));
    assert_eq!((ill.oldest, ill.next_at), (Some(at(minutes(2))), Some(at(minutes(2) + 10))));
    let last = ill.last.as_ref().unwrap();
    assert_eq!(
        (last.code, last.detail.as_deref(), last.at),
        (Some(503), Some("said so"), at(minutes(3) + 7))
    );
    assert_eq!(ill.took(50), None, "one answer says nothing");
    assert_eq!((well.url.as_str(), well.of_clients, well.waiting), ("https://well/", false, 0));
    assert_eq!(
        (well.by_status[&DeliveryStatus::Delivered], well.took(95)),
        (5, Some(Duration::from_millis(7)))
    );

    let waiting = store.reader.waiting_webhooks(SignedDuration::from_secs(90), at(minutes(4))).unwrap();
    let counted = (waiting.count, waiting.receivers, waiting.older, waiting.sending);
    assert_eq!((counted, waiting.oldest), ((2, 1, 1, 0), Some(at(minutes(2)))));
    let none = Fixture::new().reader.waiting_webhooks(SignedDuration::MAX, at(0)).unwrap();
    assert_eq!(none, WaitingWebhooks::default());
}

#[test]
fn the_store_tells_how_large_and_how_old_it_is() {
    let store = Fixture::new();
    let facts = store.reader.store_facts().unwrap();
    assert_eq!((facts.oldest_run, facts.oldest_webhook, facts.panic), (None, None, None));
    assert!(
        facts.database_bytes + facts.wal_bytes > 4096
            && facts.disk.is_some() == store.reader.file().is_some()
    );
    add_webhook(&store, minutes(2), ("https://a/", "delivered"), None);
    store.add_run(minutes(1));
    let facts = store.reader.store_facts().unwrap();
    assert_eq!((facts.oldest_run, facts.oldest_webhook), (Some(at(minutes(1))), Some(at(minutes(2)))));
}

#[test]
fn no_page_scans_the_history() {
    let store = Fixture::new();
    let select = |from: &str| format!("SELECT {} {from}", row_columns());
    let cases = [
        (select(beside::BEFORE), "runs USING INDEX"),
        (select(beside::AFTER), "runs USING INDEX"),
        (select(beside::GOOD_BEFORE), "runs USING"),
        (receivers::LATEST_ATTEMPTS.to_owned(), "d USING INTEGER PRIMARY KEY"),
        (waiting_webhooks::WAITING.to_owned(), "INDEX deliveries_due"),
        (daemons::RUNS_HELD.to_owned(), "INDEX runs_in_progress"),
        (daemons::DELIVERIES_HELD.to_owned(), "INDEX deliveries_sending"),
        (daemons::DELETIONS_HELD.to_owned(), "INDEX thread_deletions_held"),
        (store_facts::OLDEST_RUN.to_owned(), "INDEX runs_by_time"),
        (store_facts::OLDEST_WEBHOOK.to_owned(), "INDEX deliveries_by_time"),
        (upcoming::NEXT_OF_SOURCE.to_owned(), "SEARCH crons USING INDEX crons_due (source=? AND next_at>?)"),
        (strip::ENDED_BY_HOUR.to_owned(), "SEARCH cron_hours USING PRIMARY KEY (hour>? AND hour<?)"),
        (BY_NEXT.to_owned(), "crons USING INDEX crons_due (source=? AND next_at=?)"),
    ];
    for (sql, expected) in cases {
        let plan = store.writer.plan(&sql);
        assert!(plan.iter().any(|line| line.contains(expected)), "{sql}: {plan:#?}");
        let scans = plan.iter().find(|line| {
            line.starts_with("SCAN runs") && !line.contains("USING")
                || line.starts_with("SCAN deliveries") && !line.contains("INDEX")
        });
        assert_eq!(scans, None, "{sql}: {plan:#?}");
    }
}
