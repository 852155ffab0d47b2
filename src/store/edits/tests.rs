//! A run that was being sent while its cron changed.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::config::CronDefinition;
use crate::domain::act::Actor;
use crate::domain::reason::RunEventKind;
use crate::store::tests::open_store;
use crate::store::{ClaimLimits, CronStateChange, Execution, RunEvent, Step};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn definition(name: &str, more: &str) -> Arc<CronDefinition> {
    let body = format!(r#"{{"schedule":"0 * * * *","assistant_id":"agent"{more}}}"#);
    CronDefinition::of_body(name, &body)
}

#[tokio::test]
async fn a_run_that_did_not_get_through_while_its_cron_changed_is_not_sent_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let names = ["disabled", "edited", "paused", "removed", "same"];
    let crons = names.map(|name| definition(name, "")).to_vec();
    store.sync_file_crons(at("2026-03-02T08:30:00Z"), crons).await.unwrap();
    let now = at("2026-03-02T09:00:00Z");
    store.plan_due(now).await.unwrap();
    let limits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };
    let sending = store.claim_runs(now, limits).await.unwrap().starts;
    assert_eq!(sending.len(), names.len());
    let edited = definition("edited", r#","webhook":"https://example.com/new""#);
    let crons = vec![
        definition("disabled", r#","enabled":false"#),
        edited,
        definition("paused", ""),
        definition("same", ""),
    ];
    store.sync_file_crons(now, crons).await.unwrap();
    store
        .change_cron_state(
            now,
            Actor::AGENTCRON,
            "paused".to_owned(),
            CronStateChange::Pause { note: None, until: None },
        )
        .await
        .unwrap();
    let mut ends = Vec::new();
    for claimed in &sending {
        let run_id = claimed.run.run_id;
        let event = Some(RunEvent { at: now, event: RunEventKind::NotSent, reason: None });
        let step = Step { act_at: Some(now), event, ..Step::of(claimed.held(), RunChange::NotSent) };
        let run = store.step_run(step).await.unwrap();
        let reason = store.run(run_id).await.unwrap().reason.map(|reason| reason.code.to_string());
        ends.push(format!("{} {} {}", run.called(), run.state.phase(), reason.unwrap_or_default()));
    }
    ends.sort();
    let expected = [
        "disabled ended disabled",
        "edited pending ",
        "paused ended paused",
        "removed ended removed",
        "same pending ",
    ];
    assert_eq!(ends, expected);
    let again = store.claim_runs(now, limits).await.unwrap().starts;
    let webhooks: Vec<_> =
        again.iter().map(|claimed| claimed.spec.webhook().map(|url| url.0.clone())).collect();
    assert!(
        webhooks.contains(&Some("https://example.com/new".to_owned())) && webhooks.len() == 2,
        "{webhooks:?}"
    );
}

/// A definition may hold again after another one. Each is compared with the one that held before it.
#[tokio::test]
async fn what_was_changed_is_told_although_somebody_went_back_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    for (hour, timeout) in ["5m", "6m", "5m", "7m"].into_iter().enumerate() {
        let crons = vec![definition("digest", &format!(r#","timeout":"{timeout}""#))];
        store.sync_file_crons(at(&format!("2026-03-02T0{hour}:30:00Z")), crons).await.unwrap();
    }
    let details = store
        .read(|reader| reader.cron_details("digest", at("2026-03-02T09:00:00Z")))
        .await
        .unwrap()
        .unwrap();
    let told: Vec<String> = details
        .versions
        .iter()
        .map(|version| {
            let value = |value: &Option<Value>| value.as_ref().map(Value::to_string).unwrap_or_default();
            let changes =
                version.changes.iter().map(|one| format!(" {}->{}", value(&one.old), value(&one.new)));
            format!("{}{}", version.since, changes.collect::<String>())
        })
        .collect();
    assert_eq!(
        told,
        [
            "2026-03-02T03:30:00Z \"5m\"->\"7m\"",
            "2026-03-02T02:30:00Z \"6m\"->\"5m\"",
            "2026-03-02T01:30:00Z",
        ]
    );
}

#[tokio::test]
async fn a_run_that_waits_for_its_jitter_is_due_by_the_present_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path(), Execution::Inline);
    let jitter = |jitter: &str| vec![definition("digest", &format!(r#","jitter":"{jitter}""#))];
    store.sync_file_crons(at("2026-03-02T08:30:00Z"), jitter("30m")).await.unwrap();
    let now = at("2026-03-02T09:00:00Z");
    store.plan_due(now).await.unwrap();
    let limits = ClaimLimits { starts: 10, in_flight: 0, running_max: 10, own_places: usize::MAX };
    assert_eq!(store.claim_runs(now, limits).await.unwrap().starts.len(), 0);
    store.sync_file_crons(now, jitter("0s")).await.unwrap();
    let starts = store.claim_runs(now, limits).await.unwrap().starts;
    assert_eq!(starts.len(), 1);
    assert_eq!((starts[0].run.due_at, starts[0].run.start_before), (now, at("2026-03-02T10:00:00Z")));
}
