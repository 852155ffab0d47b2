//! Which runs are claimed, when, and how many at once.

use super::*;

#[tokio::test]
async fn what_is_claimed_is_not_claimed_again_until_a_restart_recovers_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let now = "2026-03-02T09:01:00Z";
    let claimed = claim(&store, now).await;
    assert_eq!(claimed.len(), 1);
    assert!(matches!(claimed[0].run.state, RunState::Sending { start_number: 1, .. }));
    assert!(claim(&store, now).await.is_empty());

    assert_eq!(store.hand_over(at(now)).await.unwrap().runs, 1);
    let again = store.claim_runs(at(now), limits(10)).await.unwrap();
    assert!(again.starts.is_empty(), "what was being sent is unconfirmed and is not sent again");
    assert!(matches!(again.checks[0].run.state, RunState::Unconfirmed { start_number: 1, .. }));
}

#[tokio::test]
async fn a_triggered_run_waits_for_the_run_in_progress_of_an_exclusive_cron() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"schedule":"* * * * *","assistant_id":"agent","overlap":"queue"}"#;
    let exclusive = CronDefinition::of_body("exclusive", body);
    let store = with_due_runs(&folder, vec![exclusive]).await;
    let now = at("2026-03-02T09:01:00Z");
    let first = store
        .trigger(now, Actor::AGENTCRON, TriggerRequest { name: "exclusive".to_owned(), input: None })
        .await
        .unwrap()
        .unwrap();
    let claimed = claim(&store, "2026-03-02T09:01:00Z").await;
    assert_eq!(first.waits_for, Some(claimed[0].run.run_id), "it was due, and not claimed yet");
    let second = store
        .trigger(now, Actor::AGENTCRON, TriggerRequest { name: "exclusive".to_owned(), input: None })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(second.waits_for, Some(claimed[0].run.run_id));
    assert_ne!(first.run.run_id, second.run.run_id);
    assert!(
        store
            .trigger(now, Actor::AGENTCRON, TriggerRequest { name: "unknown".to_owned(), input: None })
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn runs_of_one_cron_start_one_after_the_other_unless_overlap_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let mut definitions = vec![definition("allowed", r#","catchup":"all""#)];
    let body = r#"{"schedule":"* * * * *","assistant_id":"agent","catchup":"all","overlap":"skip"}"#;
    definitions.push(CronDefinition::of_body("exclusive", body));
    let store = open(&folder);
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), definitions).await.unwrap();
    // Three occurrences of each were missed and are caught up.
    store.plan_due(at("2026-03-02T09:03:00Z")).await.unwrap();
    let names = |claimed: &[ClaimedRun]| {
        let mut names: Vec<_> = claimed.iter().map(|c| c.run.called().to_owned()).collect();
        names.sort();
        names.join(" ")
    };
    let first = claim(&store, "2026-03-02T09:03:00Z").await;
    assert_eq!(names(&first), "allowed allowed allowed exclusive");
    assert!(claim(&store, "2026-03-02T09:03:01Z").await.is_empty());
    let exclusive = first.iter().find(|c| c.run.called() == "exclusive").unwrap();
    store.end_run(ending(exclusive.held())).await.unwrap();
    assert_eq!(names(&claim(&store, "2026-03-02T09:03:02Z").await), "exclusive");
}

#[tokio::test]
async fn a_cron_with_a_long_queue_delays_no_other_cron() {
    let folder = tempfile::tempdir().unwrap();
    let body = r#"{"schedule":"* * * * * *","assistant_id":"agent","catchup":"all","overlap":"skip"}"#;
    let queue = CronDefinition::of_body("queue", body);
    let store = open(&folder);
    store.sync_file_crons(at("2026-03-02T08:30:00Z"), vec![queue, definition("other", "")]).await.unwrap();
    store.plan_due(at("2026-03-02T09:00:00Z")).await.unwrap();
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM runs WHERE cron_name = 'queue'"), 1800);
    let mut names: Vec<_> =
        claim(&store, "2026-03-02T09:00:00Z").await.into_iter().map(|c| c.run.called().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["other", "queue"]);
}

#[tokio::test]
async fn the_backend_never_has_more_runs_than_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = (0..9).map(|n| definition(&format!("cron-{n}"), "")).collect();
    let store = with_due_runs(&folder, definitions).await;
    let now = at("2026-03-02T09:01:00Z");
    let claim = store
        .claim_runs(now, ClaimLimits { starts: 100, in_flight: 0, running_max: 4, own_places: usize::MAX })
        .await
        .unwrap();
    assert_eq!(claim.starts.len(), 4);
    let more = store
        .claim_runs(now, ClaimLimits { starts: 100, in_flight: 0, running_max: 4, own_places: usize::MAX })
        .await
        .unwrap();
    assert_eq!(more.starts.len(), 0);
    // The others wait for the end of a run, or for their deadline.
    assert_eq!(more.next_act_at, Some(at("2026-03-02T09:02:00Z")));
    let late = store.claim_runs(at("2026-03-02T09:02:00Z"), limits(0)).await.unwrap();
    assert_eq!((late.expired.len(), late.starts.len()), (5, 0));
}

#[tokio::test]
async fn a_daemon_hears_that_a_webhook_is_left_to_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let left = async || {
        let admit = |_: Claimable<'_>| Admission::<()>::OfAnother(at("2026-03-02T09:10:00Z"));
        let now = at("2026-03-02T09:02:00Z");
        let claim = store.claim_deliveries(now, 10, RateLimit::default(), Vec::new(), admit).await.unwrap();
        assert!(claim.deliveries.is_empty());
        claim.of_another
    };
    assert_eq!(left().await, None);
    let run = claim(&store, "2026-03-02T09:01:00Z").await.remove(0);
    store.step_run(accept(run.held())).await.unwrap();
    store.end_run(ending(run.held())).await.unwrap();
    let webhook = left().await;
    assert!(webhook.is_some());
    assert_eq!(left().await, webhook, "it is the same one");
}

#[tokio::test]
async fn a_claim_without_room_knows_when_the_next_cron_is_due() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.sync_file_crons(at("2026-03-02T09:00:00Z"), vec![definition("a", "")]).await.unwrap();
    let Planned { fired, next, .. } =
        store.claim_runs(at("2026-03-02T09:01:00Z"), limits(0)).await.unwrap().planned;
    assert_eq!((fired, next), (1, Some((at("2026-03-02T09:02:00Z"), "a".to_owned()))));
}
