//! What is noted on a run while the agent server refuses us.

use super::*;
use crate::domain::reason::{Reason, ReasonCode, RunEventKind};

#[tokio::test]
async fn a_denial_is_in_the_timeline_once_and_is_the_reason_of_a_running_run_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", "")]).await;
    let run_id = claim(&store, "2026-03-02T09:01:00Z").await[0].run.run_id;
    let late = Reason::new(ReasonCode::StartedLate, "started 5s late");
    let now = at("2026-03-02T09:01:00Z");
    let event = RunEvent { at: now, event: RunEventKind::StartedLate, reason: Some(late.clone()) };
    store.step_run(Step { event: Some(event), ..accept(run_id) }).await.unwrap();

    let deny = || store.record_denial(run_id, now, now, "cannot be followed".to_owned());
    let reason = async || store.run(run_id).await.unwrap().reason;
    let denied = Reason::new(ReasonCode::BackendDenied, "cannot be followed");
    assert_eq!(deny().await.unwrap(), Some(late.clone()));
    assert_eq!(deny().await.unwrap(), Some(denied.clone()));
    assert_eq!(reason().await, Some(denied));
    store.lift_denial(run_id, Some(late.clone())).await.unwrap();
    assert_eq!(reason().await, Some(late.clone()));

    store.end_run(ending(run_id)).await.unwrap();
    let thread = "its thread cannot be deleted".to_owned();
    assert_eq!(store.record_denial(run_id, now, now, thread).await.unwrap(), None);
    assert_eq!(reason().await, Some(late));
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM run_events WHERE event = 'backend_denied'"), 2);
    let unknown = RunId(uuid::Uuid::nil());
    assert_eq!(store.record_denial(unknown, now, now, "cannot be followed".to_owned()).await.unwrap(), None);
}
