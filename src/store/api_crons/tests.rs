//! Changes through the API: nothing is lost, nothing fires twice, and no secret leaves.

use serde_json::json;

use super::*;
use crate::domain::act::Actor;
use crate::domain::bounds::DEFINITIONS_PER_COMMIT;
use crate::store::Execution;
use crate::store::tests::{open_store, shell};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn open(folder: &tempfile::TempDir) -> Store {
    open_store(folder.path(), Execution::Inline)
}

fn rows(folder: &tempfile::TempDir, sql: &str) -> Vec<String> {
    shell(folder.path()).lines(sql, ())
}

const RUNS: &str = "SELECT strftime('%H:%M', scheduled_for / 1000, 'unixepoch') || ' ' || coalesce(status, phase) \
     FROM runs ORDER BY scheduled_for";

fn body(schedule: &str) -> String {
    json!({ "schedule": schedule, "assistant_id": "agent" }).to_string()
}

async fn make(store: &Store, now: &str, schedule: &str) -> CronId {
    let cron_id = CronId::of_time(at(now), [7; 10]);
    let new = NewApiCron { cron_id, name: None, body: body(schedule), request: Map::new() };
    store.create_api_cron(at(now), Actor::AGENTCRON, new).await.unwrap();
    cron_id
}

async fn change(store: &Store, now: &str, cron_id: CronId, body: String) {
    let change = move |_: &StoredCron| Ok::<_, ()>(ChangedCron { body: body.clone(), request: Map::new() });
    let change = store.change_api_cron(at(now), Actor::AGENTCRON, cron_id, change).await.unwrap();
    assert!(matches!(change, ApiCronChange::Changed(_)), "{change:?}");
}

#[tokio::test]
async fn a_changed_cron_is_planned_by_its_new_definition_and_what_only_the_old_one_named_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let cron_id = make(&store, "2026-03-02T09:10:00Z", "0 * * * *").await;
    // 10:00 was due, and was not planned yet.
    change(&store, "2026-03-02T10:00:03Z", cron_id, body("30 * * * *")).await;
    assert_eq!(rows(&folder, RUNS), ["10:00 skipped"]);
    let cursors = rows(&folder, "SELECT cursor FROM crons");
    assert_eq!(cursors, [at("2026-03-02T10:00:03Z").as_millisecond().to_string()]);
    store.plan_due(at("2026-03-02T10:30:00Z")).await.unwrap();
    assert_eq!(rows(&folder, RUNS), ["10:00 skipped", "10:30 pending"]);
    // The same definition once more changes nothing that is due.
    change(&store, "2026-03-02T11:30:01Z", cron_id, body("30 * * * *")).await;
    store.plan_due(at("2026-03-02T11:30:01Z")).await.unwrap();
    assert_eq!(rows(&folder, RUNS), ["10:00 skipped", "10:30 pending", "11:30 pending"]);
}

#[tokio::test]
async fn a_deleted_cron_fires_no_more_and_its_history_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let cron_id = make(&store, "2026-03-02T09:10:00Z", "0 * * * *").await;
    let removed = store.remove_api_cron(at("2026-03-02T10:00:01Z"), Actor::AGENTCRON, cron_id).await.unwrap();
    assert_eq!(removed, ApiCronRemoval::Removed);
    let planned = store.plan_due(at("2026-03-02T11:00:00Z")).await.unwrap();
    assert_eq!((planned.fired, planned.next), (0, None));
    assert_eq!(rows(&folder, RUNS), ["10:00 skipped"]);
    let again = store.remove_api_cron(at("2026-03-02T10:00:02Z"), Actor::AGENTCRON, cron_id).await.unwrap();
    assert_eq!(again, ApiCronRemoval::NotFound);
    assert!(store.api_cron(cron_id).await.unwrap().is_none());
    // A cron with a history is kept, one without is deleted.
    store.housekeeping(at("2026-03-03T00:00:00Z")).await.unwrap();
    assert_eq!(rows(&folder, "SELECT name FROM crons"), [cron_id.to_string()]);
    shell(folder.path()).execute("DELETE FROM runs", ());
    store.housekeeping(at("2026-03-03T00:00:00Z")).await.unwrap();
    assert_eq!(rows(&folder, "SELECT name FROM crons"), Vec::<String>::new());
}

#[tokio::test]
async fn versions_that_no_run_used_are_deleted_however_many_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let cron_id = make(&store, "2026-03-02T09:10:00Z", "0 * * * *").await;
    for number in 0..3 * DEFINITIONS_PER_COMMIT {
        let schedule = format!("{} {} * * *", number % 60, 12 + number / 60);
        change(&store, "2026-03-02T10:00:03Z", cron_id, body(&schedule)).await;
    }
    store.housekeeping(at("2026-03-03T00:00:00Z")).await.unwrap();
    let left = rows(&folder, "SELECT body FROM definitions ORDER BY created_at, body");
    let schedule =
        |body: &String| serde_json::from_str::<serde_json::Value>(body).unwrap()["schedule"].take();
    assert_eq!(
        left.iter().map(schedule).collect::<Vec<_>>(),
        ["0 * * * *", "59 16 * * *"],
        "that of the run of 10:00, and the last one"
    );
}

#[tokio::test]
async fn neither_a_file_nor_a_restart_touches_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let cron_id = make(&store, "2026-03-02T09:10:00Z", "0 * * * *").await;
    store.sync_file_crons(at("2026-03-02T09:20:00Z"), Vec::new()).await.unwrap();
    drop(store);
    let store = open(&folder);
    let crons = store.read(|reader| reader.crons(Timestamp::MAX)).await.unwrap();
    let cron = crons[0].cron.as_ref().unwrap();
    assert_eq!((cron.cron_id, cron.source), (cron_id, CronSource::Api));
    assert_eq!(cron.policy.overlap, crate::domain::cron::Overlap::Allow);
    store.plan_due(at("2026-03-02T10:00:00Z")).await.unwrap();
    assert_eq!(rows(&folder, RUNS), ["10:00 pending"]);
}

/// The API refuses such a definition. If one got into the file all the same, its placeholders would not be
/// filled, and all other crons would go on.
#[tokio::test]
async fn a_client_definition_with_a_placeholder_of_the_environment_cannot_be_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    make(&store, "2026-03-02T09:10:00Z", "0 * * * *").await;
    let bad = CronId::of_time(at("2026-03-02T09:10:00Z"), [8; 10]);
    let body = json!({
        "schedule": "0 * * * *", "assistant_id": "agent", "input": { "a": "${{ env.HOME }}" },
    });
    let new = NewApiCron { cron_id: bad, name: None, body: body.to_string(), request: Map::new() };
    let refused = store.create_api_cron(at("2026-03-02T09:10:00Z"), Actor::AGENTCRON, new).await.unwrap_err();
    assert!(refused.to_string().contains("placeholder of the environment"), "{refused}");
    let smuggle = format!(
        "INSERT INTO definitions VALUES ('{0}', '{0}', '{body}', 0); \
         INSERT INTO crons (cron_id, name, source, request, definition_id, cursor, created_at, updated_at) \
         VALUES ('{0}', 'smuggled', 'api', '{{}}', '{0}', 0, 0, 0);",
        bad
    );
    shell(folder.path()).run(&smuggle);
    let planned = store.plan_due(at("2026-03-02T10:00:00Z")).await.unwrap();
    assert_eq!(planned.fired, 1, "the good one");
    assert_eq!(store.count_crons(CronFilter::default()).await.unwrap(), 1);
}
