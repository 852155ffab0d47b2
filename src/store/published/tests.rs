//! Two daemons, one of which lacks a value.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::config::CronDefinition;
use crate::domain::ids::InstallationId;
use crate::domain::lease::LEASE;
use crate::store::tests::{place, reader};
use crate::store::{ClaimLimits, DaemonLock, Execution, NewNotice, NoticeKind};

const LIMITS: ClaimLimits = ClaimLimits { starts: 10, in_flight: 0, running_max: 100, own_places: 100 };

fn open(folder: &Path, clock: &Clock) -> Store {
    let (lock, id) = (Arc::new(DaemonLock::waived()), InstallationId::default());
    let place = place(&folder.join("agentcron.db"));
    Store::open_locked(&lock, &place, Execution::Inline, id, clock.clone(), None).unwrap()
}

fn named(names: &str) -> Names {
    names.split_whitespace().map(str::to_owned).collect()
}

fn clock() -> Clock {
    Clock::simulated("2026-03-02T09:00:00Z".parse().unwrap())
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Returns the names of the crons of which a daemon starts runs now.
async fn started(store: &Store, clock: &Clock) -> Vec<String> {
    let claim = store.claim_runs(clock.now(), LIMITS).await.unwrap();
    let mut names: Vec<String> = claim.starts.iter().map(|run| run.run.called().to_owned()).collect();
    names.sort();
    names
}

/// Lets a minute pass in which all give signs of life.
async fn pass_a_minute(stores: [&Store; 2]) {
    for _ in 0..10 {
        pass(Duration::from_secs(6)).await;
        for store in stores {
            store.commit_nothing().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_lacks_a_value_neither_plans_nor_claims_a_start_of_what_needs_it() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (lacks, has) = (open(folder.path(), &clock), open(folder.path(), &clock));
    let cron = |name: &str, input: &str| {
        let body = format!(
            r#"{{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow","input":"{input}"}}"#
        );
        CronDefinition::of_body(name, &body)
    };
    let crons = vec![cron("needs", "${{ env.TOKEN }}"), cron("needs-not", "x")];
    lacks.sync_file_crons(clock.now(), crons).await.unwrap();
    let needed = lacks.needed_values().await.unwrap();
    assert_eq!(needed.iter().map(|(_, needed)| &needed.by_runs).collect::<Vec<_>>(), [&named("env.TOKEN")]);
    let cron_id = needed[0].0;
    lacks.leave_to_others(BTreeSet::from([cron_id]));
    pass_a_minute([&lacks, &has]).await;
    // It plans both, since somebody has to, and starts one.
    assert_eq!(started(&lacks, &clock).await, ["needs-not"]);
    assert!(started(&lacks, &clock).await.is_empty());
    assert_eq!(started(&has, &clock).await, ["needs"]);
    pass_a_minute([&lacks, &has]).await;
    assert_eq!(started(&has, &clock).await, ["needs", "needs-not"]);
    // It is alone: whatever comes of it, the run is started.
    pass_a_minute([&lacks, &has]).await;
    lacks.leave_to_others(BTreeSet::new());
    assert_eq!(started(&lacks, &clock).await, ["needs", "needs-not"]);
    lacks.leave_cron_to_others(cron_id);
    assert!(lacks.leaves_as(&BTreeSet::from([cron_id])));
}

#[tokio::test(start_paused = true)]
async fn what_a_daemon_says_is_known_to_the_others_as_long_as_it_lives() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (a, b) = (open(folder.path(), &clock), open(folder.path(), &clock));
    let others = async |store: &Store| store.published_by_others(clock.now()).await.unwrap();
    assert!(others(&b).await.is_empty(), "it has said nothing yet");
    let said = Published {
        host: "host a".to_owned(),
        files: Some(7),
        settings: vec![("backend.url".to_owned(), "1f".to_owned()), ("webhooks".to_owned(), "2e".to_owned())],
        missing: named("credential.b env.A"),
    };
    a.publish(said.clone()).await.unwrap();
    let host = others(&b).await[0].host.clone();
    assert!(!host.is_empty(), "its machine is that of its registration");
    assert_eq!(others(&b).await, [Published { host, ..said }]);
    assert!(others(&a).await.is_empty());
    pass(LEASE).await;
    assert!(others(&b).await.is_empty(), "it is gone");
}

#[tokio::test(start_paused = true)]
async fn each_daemon_has_its_own_notices_until_it_is_gone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (a, b) = (open(folder.path(), &clock), open(folder.path(), &clock));
    let notice = async |store: &Store, kind, text: Option<&str>| {
        store.notice(clock.now(), kind, text.map(|text| NewNotice::single(text.to_owned()))).await.unwrap();
    };
    let said = || reader(folder.path()).notices().unwrap().into_iter().map(|notice| notice.detail);
    notice(&a, NoticeKind::Configuration, Some("one mistake")).await;
    notice(&b, NoticeKind::Configuration, Some("another")).await;
    notice(&a, NoticeKind::ClockStep, Some("it was set")).await;
    assert_eq!(said().collect::<Vec<_>>(), ["it was set", "one mistake", "another"]);
    notice(&b, NoticeKind::Configuration, None).await;
    notice(&b, NoticeKind::ClockStep, None).await;
    assert_eq!(said().collect::<Vec<_>>(), ["it was set", "one mistake"]);
    for _ in 0..LEASE.as_secs() {
        pass(Duration::from_secs(1)).await;
        b.commit_nothing().await.unwrap();
    }
    b.recover(clock.now()).await.unwrap();
    assert_eq!(crate::store::tests::shell(folder.path()).count("SELECT count(*) FROM notices"), 0);
}
