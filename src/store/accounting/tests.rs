//! What was due while nobody planned is accounted for in steps, however much it is, and every occurrence once.

use std::path::Path;

use jiff::SignedDuration;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::bounds::OCCURRENCES_PER_PASS;
use crate::domain::ids::CronId;
use crate::store::tests::open_store;
use crate::store::{BackfillOrder, CronStateChange, Execution, Purpose, Store};

/// Three and a half passes of a cron that fires every second.
const GAP: usize = 7 * OCCURRENCES_PER_PASS / 2;

fn at(second: usize) -> Timestamp {
    let begin: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(i64::try_from(second).unwrap())
}

fn cron(name: &str, schedule: &str, more: &str) -> Arc<CronDefinition> {
    let body = format!(r#"{{"schedule":"{schedule}","assistant_id":"agent","catchup":"none"{more}}}"#);
    CronDefinition::of_body(name, &body)
}

async fn store(folder: &Path, crons: &[Arc<CronDefinition>]) -> Store {
    let store = open_store(folder, Execution::Inline);
    store.sync_file_crons(at(0), crons.to_vec()).await.unwrap();
    store
}

/// Returns each record: how many occurrences of what, by what status and for what reason.
async fn records(store: &Store) -> Vec<String> {
    let sql = "SELECT occurrences, cron_name, coalesce(status, phase) AS status, coalesce(reason_code, '') AS code FROM runs \
               ORDER BY cron_name, scheduled_for";
    let records = store.write(move |tx| {
        tx.query(sql, (), |row| {
            let (count, cron): (i64, String) = (row.get("occurrences")?, row.get("cron_name")?);
            let (status, code): (String, String) = (row.get("status")?, row.get("code")?);
            Ok(format!("{count} of {cron}: {status} {code}"))
        })
    });
    records.await.unwrap()
}

/// Returns how many occurrences the records are about.
fn counted(records: &[String]) -> usize {
    records.iter().map(|record| record.split(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

/// Plans until nothing is due any more, and returns in how many passes.
async fn plan_all(store: &Store, now: Timestamp) -> usize {
    let mut passes = 0;
    while store.plan_due(now).await.unwrap().pass_at.is_some_and(|at| at <= now) {
        passes += 1;
        assert!(passes < 20, "it never ends");
    }
    passes
}

#[tokio::test]
async fn a_removal_after_a_long_absence_is_accounted_for_in_steps_that_a_restart_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    drop(store(folder.path(), &[cron("dense", "* * * * * *", "")]).await);
    let store = open_store(folder.path(), Execution::Inline);
    store.sync_file_crons(at(GAP), vec![]).await.unwrap();
    let step = format!("{OCCURRENCES_PER_PASS} of dense: skipped removed");
    assert_eq!(records(&store).await, [step], "one transaction does not do it all");
    drop(store);
    let store = open_store(folder.path(), Execution::Inline);
    let report = store.sync_file_crons(at(GAP + 5), vec![]).await.unwrap();
    assert_eq!(report.removed, 0, "it is removed already");
    let passes = plan_all(&store, at(GAP + 9)).await;
    assert!(passes >= 2, "{passes} passes");
    assert_eq!(records(&store).await, [format!("{GAP} of dense: skipped removed")]);
    assert_eq!(plan_all(&store, at(2 * GAP)).await, 0, "a cron that is removed is not planned any more");
}

#[tokio::test]
async fn an_edit_after_a_long_absence_counts_every_occurrence_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &[cron("dense", "* * * * * *", "")]).await;
    store.sync_file_crons(at(GAP), vec![cron("dense", "* * * * * *", r#","input":{"n":1}"#)]).await.unwrap();
    // A further edit does not wait for the end of the first one.
    store.sync_file_crons(at(GAP), vec![cron("dense", "* * * * * *", r#","input":{"n":2}"#)]).await.unwrap();
    let so_far = format!("{} of dense: missed catchup_none", 2 * OCCURRENCES_PER_PASS);
    assert_eq!(records(&store).await, [so_far]);
    plan_all(&store, at(GAP)).await;
    let records = records(&store).await;
    assert_eq!(counted(&records), GAP, "{records:?}");
    assert!(records.len() < 20, "only the last ones are found on time: {records:?}");
}

#[tokio::test]
async fn a_cron_that_is_added_again_while_its_removal_is_accounted_for_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dense = cron("dense", "* * * * * *", "");
    let store = store(folder.path(), &[Arc::clone(&dense)]).await;
    store.sync_file_crons(at(GAP), vec![]).await.unwrap();
    let report = store.sync_file_crons(at(GAP), vec![dense]).await.unwrap();
    assert_eq!((report.added, report.changed), (1, 0));
    plan_all(&store, at(GAP)).await;
    let records = records(&store).await;
    assert_eq!(counted(&records), GAP, "{records:?}");
    assert!(
        records[0].ends_with("skipped removed") && records[1].ends_with("missed catchup_none"),
        "{records:?}"
    );
}

#[tokio::test]
async fn a_pause_of_a_cron_that_is_far_behind_takes_effect_after_all_that_was_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &[cron("dense", "* * * * * *", "")]).await;
    let pause = CronStateChange::Pause { note: None, until: None };
    store.change_cron_state(at(GAP), Actor::AGENTCRON, "dense".to_owned(), pause).await.unwrap();
    plan_all(&store, at(GAP + 10)).await;
    let records = records(&store).await;
    let paused: Vec<_> = records.iter().filter(|record| record.ends_with("paused")).collect();
    assert_eq!(counted(&records), GAP + 10, "{records:?}");
    assert_eq!(
        paused.last().map(|record| record.as_str()),
        Some("10 of dense: skipped paused"),
        "{records:?}"
    );
}

#[tokio::test]
async fn crons_that_are_behind_share_a_pass_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a", "b", "c", "d"];
    let dense = names.map(|name| cron(name, "* * * * * *", ""));
    let hourly = cron("hourly", "0 * * * *", "");
    let store = store(folder.path(), &[dense.to_vec(), vec![hourly]].concat()).await;
    // All of them know what is next; the hourly one is due much later than the others.
    store.plan_due(at(0)).await.unwrap();
    let hour = at(10 * 3600);
    let planned = store.plan_due(hour).await.unwrap();
    let records = records(&store).await;
    assert!(counted(&records) <= OCCURRENCES_PER_PASS, "{records:?}");
    assert!(records.iter().any(|record| record.contains("hourly")), "{records:?}");
    assert!(planned.pass_at.is_some_and(|at| at <= hour));
    for name in names {
        assert!(records.iter().any(|record| record.contains(&format!("of {name}:"))), "{records:?}");
    }
}

#[tokio::test]
async fn what_an_edit_drops_and_what_was_missed_in_between_are_one_record_each() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &[cron("dense", "* * * * * */2", "")]).await;
    store.sync_file_crons(at(3601), vec![cron("dense", "* * * * * */5", "")]).await.unwrap();
    let before = records(&store).await;
    // Of every ten seconds, the old definition alone names four instants, and the new one names two.
    assert_eq!(before[..2], ["1440 of dense: skipped edited", "719 of dense: missed catchup_none"]);
    assert_eq!(before.len(), 3, "{before:?}");
    let (cron_id, file) =
        (CronId::of_name(store.installation_id(), "dense"), folder.path().join("agentcron.db"));
    let around = |second| {
        let reader = crate::store::tests::reader(file.parent().unwrap());
        let ranges = reader.ranges_around(cron_id, at(second)).unwrap();
        ranges.iter().map(|row| row.occurrences).collect::<Vec<_>>()
    };
    assert_eq!((around(2), around(1500), around(3600)), (vec![1440], vec![719, 1440], vec![]));
    // An instant that both name belongs to the record of the new one.
    let order = BackfillOrder {
        name: "dense".to_owned(),
        from: Some(at(1500)),
        to: at(1501),
        before_beginning: false,
        limit: 1,
        purpose: Purpose::Act,
    };
    store.backfill(at(3602), Actor::AGENTCRON, order).await.unwrap().unwrap();
    assert_eq!((around(2), around(1505)), (vec![1440], vec![718, 1440]));
}
