//! What is told once, whoever looks and however often.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use crate::config::{CronDefinition, Secret};
use crate::domain::act::Actor;
use crate::domain::notification::Notification;
use crate::domain::outage::{Away, Outage};
use crate::store::tests::{open_store, shell};
use crate::store::{CronStateChange, Execution, NewNotice, NoticeKind};

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}Z").parse().unwrap()
}

fn target(to: Destination, on: &[NotificationKind], crons: Option<&str>) -> NotifyTarget {
    NotifyTarget { to, on: on.to_vec(), crons: crons.map(|pattern| vec![pattern.to_owned()]) }
}

/// Returns one target for everything, one of PagerDuty, and one that is told of some crons.
fn notifying() -> Notifying {
    let url = Secret::new("https://ops.example/");
    let slack = || Destination::Slack { url: url.clone() };
    let page = Destination::PagerDuty { url: url.clone(), routing_key: Secret::new("R0") };
    let targets = BTreeMap::from([
        ("all".to_owned(), target(slack(), NotificationKind::ALL, None)),
        ("page".to_owned(), target(page, NotificationKind::ALL, None)),
        ("some".to_owned(), target(slack(), &[NotificationKind::Failing], Some("b*"))),
    ]);
    let (host, started_at) = ("prod-1".to_owned(), at("08:00:00"));
    Notifying { targets: Arc::new(targets), disabled: false, host, started_at }
}

async fn store_with(folder: &Path, crons: &[&str]) -> Store {
    let store = open_store(folder, Execution::Inline);
    let body = r#"{"schedule":"0 0 1 1 *","assistant_id":"agent","input":{"n":1}}"#;
    let crons = crons.iter().map(|name| CronDefinition::of_body(name, body)).collect();
    store.sync_file_crons(at("08:00:00"), crons).await.unwrap();
    store
}

/// Lets time pass in steps of five seconds, and shows what is told.
async fn told(store: &Store, folder: &Path, from: &str, to: &str, expected: Expect) {
    let shell = shell(folder);
    let before = shell.count("SELECT count(*) FROM deliveries");
    let mut now = at(from);
    while now <= at(to) {
        store.notify(now, notifying()).await.unwrap();
        now += Duration::from_secs(5);
    }
    let bodies = shell.lines("SELECT body FROM deliveries ORDER BY created_at, url, delivery_id", ());
    let urls = shell.lines("SELECT url FROM deliveries ORDER BY created_at, url, delivery_id", ());
    let mut table = String::new();
    for (url, body) in urls.iter().zip(&bodies).skip(usize::try_from(before).unwrap()) {
        let one = Notification::of_json(body.as_bytes()).unwrap();
        let end = if one.data.ended { "end" } else { "begin" };
        table.push_str(&format!("{} {url} {end}: {}\n", &one.timestamp[11..19], one.data.title));
        one.data.items.iter().for_each(|item| table.push_str(&format!("    {}: {}\n", item.name, item.text)));
    }
    expected.assert_eq(&table);
}

fn fail(folder: &Path, cron: &str, since: &str) {
    let sql = "UPDATE crons SET failures = 3, failing_since = ?2, recovered_at = NULL WHERE name = ?1";
    shell(folder).execute(sql, (cron, millis(at(since))));
}

fn recover(folder: &Path, cron: &str, since: &str) {
    let sql = "UPDATE crons SET failures = 0, failing_since = NULL, recovered_at = ?2 WHERE name = ?1";
    shell(folder).execute(sql, (cron, millis(at(since))));
}

#[tokio::test]
async fn crons_that_fail_together_are_one_message_and_one_incident_that_ends_with_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a", "b1", "b2"]).await;
    told(&store, folder.path(), "09:00:00", "09:01:00", expect![[""]]).await;
    ["a", "b1", "b2"].iter().for_each(|cron| fail(folder.path(), cron, "09:01:00"));
    told(
        &store,
        folder.path(),
        "09:01:00",
        "09:20:00",
        expect![[r#"
        09:01:10 notify://all begin: a, b1 and b2 are failing
            a: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
            b1: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
            b2: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
        09:01:10 notify://page begin: a, b1 and b2 are failing
            a: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
            b1: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
            b2: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
        09:01:10 notify://some begin: b1 and b2 are failing
            b1: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
            b2: since 2026-03-02 09:01:00 UTC: failed 3 times in a row
    "#]],
    )
    .await;
    recover(folder.path(), "b1", "09:20:00");
    recover(folder.path(), "a", "09:20:01");
    told(
        &store,
        folder.path(),
        "09:20:05",
        "09:29:00",
        expect![[r#"
        09:20:10 notify://all end: a and b1 work again
            a: from 2026-03-02 09:01:00 UTC to 2026-03-02 09:20:01 UTC
            b1: from 2026-03-02 09:01:00 UTC to 2026-03-02 09:20:00 UTC
    "#]],
    )
    .await;
    recover(folder.path(), "b2", "09:30:00");
    told(
        &store,
        folder.path(),
        "09:30:05",
        "09:40:00",
        expect![[r#"
        09:30:10 notify://all end: b2 works again
            b2: from 2026-03-02 09:01:00 UTC to 2026-03-02 09:30:00 UTC
        09:30:10 notify://page end: b2 works again
            b2: from 2026-03-02 09:01:00 UTC to 2026-03-02 09:30:00 UTC
    "#]],
    )
    .await;
    let incidents = "SELECT count(DISTINCT incident) FROM announced WHERE kind = 'failing'";
    assert_eq!(shell(folder.path()).count(incidents), 1);
    // Whoever gets messages in threads, or JSON, finds there what began it.
    let bodies = shell(folder.path()).lines("SELECT body FROM deliveries", ());
    let incidents = bodies.iter().map(|body| Notification::of_json(body.as_bytes()).unwrap().data.incident);
    assert_eq!(incidents.collect::<BTreeSet<_>>().len(), 1);
}

#[tokio::test]
async fn a_cron_that_works_again_does_so_whoever_pauses_and_resumes_it_then() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    fail(folder.path(), "a", "09:00:00");
    let begin = expect![[r#"
        09:00:10 notify://all begin: a is failing
            a: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
        09:00:10 notify://page begin: a is failing
            a: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
    "#]];
    told(&store, folder.path(), "09:00:00", "09:02:00", begin).await;
    recover(folder.path(), "a", "09:02:00");
    for change in [CronStateChange::Pause { note: None, until: None }, CronStateChange::Resume] {
        store.change_cron_state(at("09:02:01"), Actor::AGENTCRON, "a".to_owned(), change).await.unwrap();
    }
    let end = expect![[r#"
        09:02:10 notify://all end: a works again
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:02:00 UTC
        09:02:10 notify://page end: a works again
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:02:00 UTC
    "#]];
    told(&store, folder.path(), "09:02:05", "09:05:00", end).await;
}

#[tokio::test]
async fn mistakes_on_a_machine_are_mended_once_a_daemon_that_runs_there_finds_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    let shell = shell(folder.path());
    let notice = "INSERT INTO notices (kind, at, detail, count, daemon, host) VALUES ('configuration', ?1, 'x.toml:1:2: no', 1, 7, 'web-1')";
    shell.execute(notice, [millis(at("09:00:00"))]);
    let begin = expect![[r#"
        09:00:10 notify://all begin: the configuration of web-1 has mistakes
            the configuration of web-1: since 2026-03-02 09:00:00 UTC: x.toml:1:2: no
        09:00:10 notify://page begin: the configuration of web-1 has mistakes
            the configuration of web-1: since 2026-03-02 09:00:00 UTC: x.toml:1:2: no
    "#]];
    told(&store, folder.path(), "09:00:00", "09:02:00", begin).await;
    // That daemon has ended, and one begins there.
    shell.execute("DELETE FROM notices", ());
    told(&store, folder.path(), "09:02:00", "09:05:00", expect![[""]]).await;
    let daemon = "INSERT INTO daemons (number, daemon_id, host, pid, version, started_at, seen_at) VALUES (8, 'x', 'web-1', 1, '1', ?1, ?1)";
    shell.execute(daemon, [millis(at("09:05:00"))]);
    let end = expect![[r#"
        09:05:10 notify://all end: the configuration of web-1 is mended
            the configuration of web-1: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:05:10 UTC
        09:05:10 notify://page end: the configuration of web-1 is mended
            the configuration of web-1: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:05:10 UTC
    "#]];
    told(&store, folder.path(), "09:05:00", "09:07:00", end).await;
}

#[tokio::test]
async fn outages_mistakes_and_pauses_are_told_when_they_begin_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    let away = |until: Option<&str>| {
        vec![Outage::new(Away::Backend, at("09:00:00"), until.map(at), "connection refused")]
    };
    store.save_outages(away(None)).await.unwrap();
    let notice = NewNotice { detail: "x.toml:1:2: hour 25 is out of range".to_owned(), count: 1 };
    store.notice(at("09:00:00"), NoticeKind::Configuration, Some(notice.clone())).await.unwrap();
    let pause =
        "UPDATE crons SET paused_at = ?1, pause_cause = 'failures', pause_note = '3 runs in a row failed'";
    shell(folder.path()).execute(pause, [millis(at("09:00:00"))]);
    told(
        &store,
        folder.path(),
        "09:00:00",
        "09:04:00",
        expect![[r#"
        09:00:10 notify://all begin: agent server is away
            agent server: since 2026-03-02 09:00:00 UTC: connection refused
        09:00:10 notify://all begin: the configuration has mistakes
            the configuration: since 2026-03-02 09:00:00 UTC: x.toml:1:2: hour 25 is out of range
        09:00:10 notify://all begin: a is paused
            a: since 2026-03-02 09:00:00 UTC: after failures: 3 runs in a row failed
        09:00:10 notify://page begin: agent server is away
            agent server: since 2026-03-02 09:00:00 UTC: connection refused
        09:00:10 notify://page begin: a is paused
            a: since 2026-03-02 09:00:00 UTC: after failures: 3 runs in a row failed
        09:00:10 notify://page begin: the configuration has mistakes
            the configuration: since 2026-03-02 09:00:00 UTC: x.toml:1:2: hour 25 is out of range
    "#]],
    )
    .await;
    store.save_outages(away(Some("09:05:00"))).await.unwrap();
    // The same mistakes are found at every start.
    store.notice(at("09:05:00"), NoticeKind::Configuration, Some(notice)).await.unwrap();
    told(
        &store,
        folder.path(),
        "09:05:00",
        "09:06:00",
        expect![[r#"
        09:05:10 notify://all end: agent server is back
            agent server: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:05:00 UTC: connection refused
        09:05:10 notify://page end: agent server is back
            agent server: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:05:00 UTC: connection refused
    "#]],
    )
    .await;
    store.notice(at("09:07:00"), NoticeKind::Configuration, None).await.unwrap();
    shell(folder.path()).run("UPDATE crons SET paused_at = NULL, pause_cause = NULL");
    told(
        &store,
        folder.path(),
        "09:07:00",
        "09:09:00",
        expect![[r#"
        09:07:00 notify://all end: a is no longer paused
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://all end: the configuration is mended
            the configuration: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://page end: a is no longer paused
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://page end: the configuration is mended
            the configuration: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:07:00 UTC
    "#]],
    )
    .await;
}

#[tokio::test]
async fn a_cron_that_is_resumed_or_removed_is_not_said_to_work() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a", "b1"]).await;
    ["a", "b1"].iter().for_each(|cron| fail(folder.path(), cron, "09:00:00"));
    told(
        &store,
        folder.path(),
        "09:00:00",
        "09:02:00",
        expect![[r#"
        09:00:10 notify://all begin: a and b1 are failing
            a: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
            b1: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
        09:00:10 notify://page begin: a and b1 are failing
            a: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
            b1: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
        09:00:10 notify://some begin: b1 is failing
            b1: since 2026-03-02 09:00:00 UTC: failed 3 times in a row
    "#]],
    )
    .await;
    let resumed = "UPDATE crons SET failures = 0, failing_since = NULL WHERE name = ?1";
    shell(folder.path()).execute(resumed, ["a"]);
    shell(folder.path()).execute("UPDATE crons SET removed_at = 1 WHERE name = ?1", ["b1"]);
    told(&store, folder.path(), "09:10:00", "09:12:00", expect![[r#"
        09:10:00 notify://all end: a and b1 are no longer failing
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:10:00 UTC: no run has worked since; it was resumed, disabled, removed or forgotten
            b1: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:10:00 UTC: no run has worked since; it was resumed, disabled, removed or forgotten
        09:10:00 notify://page end: a and b1 are no longer failing
            a: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:10:00 UTC: no run has worked since; it was resumed, disabled, removed or forgotten
            b1: from 2026-03-02 09:00:00 UTC to 2026-03-02 09:10:00 UTC: no run has worked since; it was resumed, disabled, removed or forgotten
    "#]]).await;
}

#[tokio::test]
async fn what_a_daemon_was_told_of_before_it_was_killed_is_not_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    fail(folder.path(), "a", "09:00:00");
    let away =
        |until: Option<&str>| vec![Outage::new(Away::Backend, at("09:00:00"), until.map(at), "refused")];
    store.save_outages(away(None)).await.unwrap();
    store.notify(at("09:00:20"), notifying()).await.unwrap();
    let count = || shell(folder.path()).count("SELECT count(*) FROM deliveries");
    assert_eq!(count(), 4);
    drop(store);
    let store = open_store(folder.path(), Execution::Inline);
    // Its start ends the outage, and then the agent server is found to be away still.
    store.save_outages(away(Some("09:00:30"))).await.unwrap();
    let again = || Notifying { started_at: at("09:01:00"), ..notifying() };
    store.notify(at("09:01:02"), again()).await.unwrap();
    store.save_outages(away(None)).await.unwrap();
    for second in ["09:01:12", "09:02:00", "09:10:00"] {
        assert_eq!(store.notify(at(second), again()).await.unwrap().deliveries, 0);
    }
    assert_eq!(count(), 4);
}

#[tokio::test]
async fn two_who_look_at_the_same_time_tell_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    fail(folder.path(), "a", "09:00:00");
    let (one, other) =
        tokio::join!(store.notify(at("09:00:20"), notifying()), store.notify(at("09:00:21"), notifying()));
    assert_eq!(one.unwrap().deliveries + other.unwrap().deliveries, 2);
}

#[tokio::test]
async fn what_is_late_still_running_or_missed_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    let run = |id: &str, phase: &str, columns: &str, values: &str| {
        let sql = format!(
            "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, scheduled_for, due_at, start_before, \
             exclusive, phase, start_number, {columns}) SELECT '{id}', cron_id, name, 'file', definition_id, 'schedule', {0} + {id}, {0}, {0}, 0, \
             '{phase}', 1, {values} FROM crons",
            millis(at("08:00:00"))
        );
        shell(folder.path()).run(&sql);
    };
    let when = millis(at("08:00:00"));
    run("1", "pending", "act_at", "1");
    run("2", "running", "held_by, sent_at, started_at", &format!("1, {when}, {when}"));
    run(
        "3",
        "ended",
        "status, ended_at, occurrences, last_scheduled_for, reason",
        &format!("'missed', {when}, 5, {when}, 'not running then'"),
    );
    told(
        &store,
        folder.path(),
        "09:05:00",
        "09:05:00",
        expect![[r#"
        09:05:00 notify://all begin: a is late
            a: since 2026-03-02 08:00:00 UTC: 1 run waits to start;
        09:05:00 notify://all begin: a is still running
            a: since 2026-03-02 08:00:00 UTC: run 2
        09:05:00 notify://all begin: a missed its time
            a: at 2026-03-02 08:00:00 UTC: 5 times: not running then
        09:05:00 notify://page begin: a missed its time
            a: at 2026-03-02 08:00:00 UTC: 5 times: not running then
        09:05:00 notify://page begin: a is late
            a: since 2026-03-02 08:00:00 UTC: 1 run waits to start;
        09:05:00 notify://page begin: a is still running
            a: since 2026-03-02 08:00:00 UTC: run 2
    "#]],
    )
    .await;
    shell(folder.path()).run("DELETE FROM runs WHERE phase <> 'ended'");
    told(
        &store,
        folder.path(),
        "09:07:00",
        "09:10:00",
        expect![[r#"
        09:07:00 notify://all end: a is no longer late
            a: from 2026-03-02 08:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://all end: a is no longer running
            a: from 2026-03-02 08:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://page end: a is no longer running
            a: from 2026-03-02 08:00:00 UTC to 2026-03-02 09:07:00 UTC
        09:07:00 notify://page end: a is no longer late
            a: from 2026-03-02 08:00:00 UTC to 2026-03-02 09:07:00 UTC
    "#]],
    )
    .await;
}

#[tokio::test]
async fn nothing_is_sent_while_webhooks_are_disabled_and_what_is_old_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(folder.path(), &["a"]).await;
    fail(folder.path(), "a", "09:00:00");
    let disabled = Notifying { disabled: true, ..notifying() };
    assert_eq!(store.notify(at("09:01:00"), disabled).await.unwrap().deliveries, 2);
    let suppressed =
        || shell(folder.path()).count("SELECT count(*) FROM deliveries WHERE status = 'suppressed'");
    assert_eq!(suppressed(), 2);
    store.housekeeping(at("10:00:00")).await.unwrap();
    assert_eq!(suppressed(), 2);
    store.housekeeping("2026-06-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(suppressed(), 0);
}

#[test]
fn what_is_looked_at_every_few_seconds_is_found_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    drop(open_store(folder.path(), Execution::Inline));
    for sql in conditions::LOOKED_AT {
        for step in shell(folder.path()).plan(sql) {
            let is_small = ["announced", "notices", "pauses"].iter().any(|table| step.contains(table));
            assert!(!step.contains("SCAN") || step.contains("INDEX") || is_small, "{sql}\n{step}");
        }
    }
}
