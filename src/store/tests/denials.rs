//! What is noted on a run while the agent server refuses us.

use super::*;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};

#[tokio::test]
async fn a_denial_is_in_the_timeline_once_and_is_the_reason_of_a_running_run_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let run = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    let run_id = run.run_id;
    let late = Reason::new(ReasonCode::StartedLate, "started 5s late");
    let now = at("2026-03-02T09:01:00Z");
    let event = RunEvent { at: now, event: RunEventKind::StartedLate, reason: Some(late.clone()) };
    store.step_run(Step { event: Some(event), ..accept(run) }).await.unwrap();

    let deny = || store.record_denial(run, now, now, "cannot be followed".to_owned());
    let reason = async || store.run(run_id).await.unwrap().reason;
    let denied = Reason::new(ReasonCode::BackendDenied, "cannot be followed");
    assert_eq!(deny().await.unwrap(), Some(late.clone()));
    assert_eq!(deny().await.unwrap(), Some(denied.clone()));
    assert_eq!(reason().await, Some(denied));
    store.lift_denial(run, Some(late.clone())).await.unwrap();
    assert_eq!(reason().await, Some(late.clone()));

    store.end_run(ending(run)).await.unwrap();
    let thread = "its thread cannot be deleted".to_owned();
    store.record_not_deleted(run_id, now, thread).await.unwrap();
    assert!(matches!(deny().await, Err(StoreError::NotHeld)), "it has ended");
    assert_eq!(reason().await, Some(late));
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM run_events WHERE event = 'backend_denied'"), 2);
}

#[tokio::test]
async fn what_was_skipped_for_a_run_since_it_was_seen_last_is_no_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let skips = ["a", "b"].map(|name| definition(name, r#","overlap":"skip""#));
    let store = with_due_runs(&folder, skips.to_vec()).await;
    let claimed = claim(&store, "2026-03-02T09:01:00Z").await;
    for claimed in &claimed {
        store.step_run(accept(claimed.held())).await.unwrap();
    }
    for minute in 2..5 {
        store.plan_due(at(&format!("2026-03-02T09:0{minute}:00Z"))).await.unwrap();
    }
    let run = claimed.iter().find(|claimed| claimed.run.called() == "a").unwrap().held();
    let run_id = run.run_id;
    let (unseen_since, now) = (at("2026-03-02T09:02:30Z"), at("2026-03-02T09:04:10Z"));
    store.record_denial(run, unseen_since, now, "cannot be followed: no".to_owned()).await.unwrap();
    let reader = reader(folder.path());
    let told =
        reader.runs_after(&RunFilter::default(), None, 100).unwrap().into_iter().filter_map(|(_, row)| {
            let reason = row.run.reason.as_ref().filter(|_| row.status().is_some())?;
            let text = reason.text().replace(&run_id.to_string(), "RUN");
            let text = text.split(" of ").next().unwrap().to_owned();
            (row.run.called() == "a" || reason.is_denial())
                .then(|| format!("{} {}: {text}", row.run.scheduled_for, reason.code))
        });
    let told = told.collect::<Vec<_>>().join("\n");
    expect_test::expect![[r#"
        2026-03-02T09:02:00Z overlap: run RUN
        2026-03-02T09:03:00Z backend_denied: cannot be followed: no; run RUN
        2026-03-02T09:04:00Z backend_denied: cannot be followed: no; run RUN"#]]
    .assert_eq(&told);
    let failed = RunFilter { went_wrong: true, ..RunFilter::default() };
    assert_eq!(reader.runs_after(&failed, None, 100).unwrap().len(), 2);
}
