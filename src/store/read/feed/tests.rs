//! What a feed is told of, and what it is not told of.

use std::path::Path;

use expect_test::expect;
use jiff::Timestamp;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::outage::{Away, Outage};
use crate::store::tests::open_store;
use crate::store::{
    ClaimLimits, CronStateChange, Execution, NewNotice, PauseOfAllChange, Store, TriggerRequest,
};

const BODY: &str = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"allow"}"#;

fn at(time: &str) -> Timestamp {
    format!("2026-03-02T{time}Z").parse().unwrap()
}

/// Somebody who looks again and again.
struct Watcher {
    reader: Reader,
    position: Option<FeedPosition>,
}

impl Watcher {
    fn of(folder: &Path) -> Self {
        let reader = crate::store::tests::reader(folder);
        Self { reader, position: None }
    }

    /// Returns the changes since the last look, as `topic cron run`.
    fn look(&mut self) -> String {
        let (position, news) = self.reader.news(self.position.take()).unwrap();
        self.position = Some(position);
        let News::Changes(changes) = news else { return "too much".to_owned() };
        let text = |change: &Change| {
            let run = if change.run_id.is_some() { " (a run)" } else { "" };
            format!("{} {}{run}", change.topic, change.cron.as_deref().unwrap_or("-"))
        };
        changes.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

fn trigger() -> TriggerRequest {
    TriggerRequest { name: "digest".to_owned(), input: None }
}

async fn store(folder: &Path) -> Store {
    let store = open_store(folder, Execution::Inline);
    let definitions = vec![CronDefinition::of_body("digest", BODY)];
    store.sync_file_crons(at("09:00:00"), definitions).await.unwrap();
    store
}

#[tokio::test]
async fn each_change_is_told_once_and_what_is_as_it_was_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let mut watcher = Watcher::of(folder.path());
    let mut seen = Vec::new();
    let mut note = |what: &str, watcher: &mut Watcher| seen.push(format!("{what}: {}", watcher.look()));
    note("begin", &mut watcher);
    store.commit_nothing().await.unwrap();
    note("nothing", &mut watcher);
    store.plan_due(at("09:01:00")).await.unwrap();
    note("planned", &mut watcher);
    let limits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };
    store.claim_runs(at("09:01:00"), limits).await.unwrap();
    note("claimed", &mut watcher);
    note("again", &mut watcher);
    let run = store.trigger(at("09:01:10.5"), Actor::AGENTCRON, trigger()).await.unwrap().unwrap().run;
    note("triggered", &mut watcher);
    store.cancel_run(at("09:01:20"), Actor::AGENTCRON, run.run_id).await.unwrap();
    note("cancelled", &mut watcher);
    let pause = CronStateChange::Pause { note: None, until: None };
    store.change_cron_state(at("09:01:30"), Actor::AGENTCRON, "digest".to_owned(), pause).await.unwrap();
    note("paused", &mut watcher);
    store.plan_due(at("09:02:00")).await.unwrap();
    note("skipped", &mut watcher);
    store.plan_due(at("09:03:00")).await.unwrap();
    note("skipped again", &mut watcher);
    let all = PauseOfAllChange::Pause { note: None, until: None };
    store.change_pause_of_all(at("09:03:10"), Actor::AGENTCRON, all).await.unwrap();
    note("all paused", &mut watcher);
    store.hold_webhooks(at("09:03:20"), Actor::AGENTCRON, None).await.unwrap();
    note("held", &mut watcher);
    let notice = Some(NewNotice::single("a mistake".to_owned()));
    store.notice(at("09:03:30"), NoticeKind::Configuration, notice.clone()).await.unwrap();
    note("a mistake", &mut watcher);
    store.notice(at("09:03:40"), NoticeKind::ClockStep, notice).await.unwrap();
    note("a step of the clock", &mut watcher);
    let edited = vec![CronDefinition::of_body("digest", &BODY.replace("* * * * *", "0 * * * *"))];
    store.sync_file_crons(at("09:03:50"), edited).await.unwrap();
    note("an edit", &mut watcher);
    let outage = |until: Option<&str>| Outage::new(Away::Backend, at("09:04:00"), until.map(at), "refused");
    store.write(move |tx| crate::store::outages::save(tx, &outage(None))).await.unwrap();
    note("an outage", &mut watcher);
    store.write(move |tx| crate::store::outages::save(tx, &outage(Some("09:05:00")))).await.unwrap();
    note("its end", &mut watcher);
    note("nothing", &mut watcher);
    expect![[r#"
        begin: 
        nothing: 
        planned: run digest (a run)
        claimed: run digest (a run)
        again: 
        triggered: run digest (a run)
        cancelled: run digest (a run)
        paused: cron digest
        skipped: run digest (a run)
        skipped again: run digest (a run)
        all paused: cron -
        held: delivery -
        a mistake: configuration -
        a step of the clock: daemon -
        an edit: cron digest, configuration -
        an outage: outage -
        its end: outage -
        nothing: "#]]
    .assert_eq(&seen.join("\n"));
}

#[tokio::test]
async fn what_is_too_much_to_name_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let mut watcher = Watcher::of(folder.path());
    watcher.look();
    let definitions =
        (0..=FEED_CHANGES_MAX).map(|number| CronDefinition::of_body(&format!("c{number}"), BODY));
    store.sync_file_crons(at("09:00:10"), definitions.collect()).await.unwrap();
    assert_eq!(watcher.look(), "too much");
    assert_eq!(watcher.look(), "");
    for minute in 1..=5 {
        // One pass plans some of the crons only.
        for _ in 0..4 {
            store.plan_due(at(&format!("09:0{minute}:00"))).await.unwrap();
        }
    }
    assert_eq!(watcher.look(), "too much", "more runs wait than are watched");
    store
        .trigger(at("09:06:00.5"), Actor::AGENTCRON, TriggerRequest { name: "c1".to_owned(), input: None })
        .await
        .unwrap();
    assert_eq!(watcher.look(), "too much");
}
