//! Moving a store to a server, on a real PostgreSQL.

use jiff::Timestamp;

use super::*;
use crate::config::CronDefinition;
use crate::store::tests::{SERVER, Shell};
use crate::store::{Execution, Store};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_store_is_moved_once_and_its_file_is_locked() {
    #[expect(clippy::disallowed_methods, reason = "a test is told by its runner where its store is")]
    let Ok(url) = std::env::var(SERVER) else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("of-sqlite.db");
    let place = Place::on_server(&url, &folder.path().file_name().unwrap().to_string_lossy()).unwrap();
    let clock = Clock::system();
    let (id, execution) = (InstallationId(uuid::Uuid::new_v4()), Execution::Inline);
    let store = Store::open(&file, execution.clone(), id, clock.clone()).unwrap();
    let body = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow"}"#;
    let definitions = vec![CronDefinition::of_body("daily", body)];
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), definitions).await.unwrap();
    store.plan_due(at("2026-03-02T09:01:00Z")).await.unwrap();
    drop(store);

    let moved = migrate(&file, &place, &clock, |_, _| ()).unwrap();
    let rows = |name: &str| moved.iter().find(|table| table.name == name).unwrap().rows;
    assert!(rows("crons") > 0 && rows("runs") > 0 && rows("installation") == 1, "{moved:?}");
    let problem = |result: Result<Store, StoreError>| result.err().unwrap().to_string();
    let again = Store::open(&file, execution.clone(), id, clock.clone());
    assert!(problem(again).contains("was moved to a PostgreSQL server"));
    let twice = migrate(&file, &place, &clock, |_, _| ()).unwrap_err();
    assert!(matches!(twice, StoreError::Conflict(_)), "{twice}");
    let again = Store::open(&file, execution.clone(), id, clock.clone());
    assert!(problem(again).contains("was moved"), "it stays locked");

    // The ids are those of the file, and the numbers go on behind it.
    let lock = std::sync::Arc::new(DaemonLock::waived());
    let store = Store::open_locked(&lock, &place, execution, InstallationId::default(), clock, None).unwrap();
    assert_eq!(store.installation_id(), id);
    let shell = Shell::at(&folder.path().join("agentcron.db"));
    assert_eq!(shell.lines("SELECT number FROM daemons ORDER BY number", ()), ["1", "2"]);
}
