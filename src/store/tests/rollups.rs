//! The roll-ups say the same as the runs, whatever happens to these afterwards.

use jiff::SignedDuration;

use super::*;
use crate::domain::act::Actor;
use crate::domain::outage::{Away, Outage};
use crate::domain::reason::{Reason, ReasonCode};
use crate::domain::tally::{Tally, TallyUnit};
use crate::store::{BackfillOrder, ForgetSubject, Purpose, RetryRequest};

fn noon(minute: u32) -> Timestamp {
    format!("2026-03-02T09:{minute:02}:00Z").parse().unwrap()
}

/// Asserts that they agree, and returns what they say of all crons together.
fn tally(folder: &TempDir) -> Vec<String> {
    let wrong = count(&file(folder), include_str!("../../../tests/fixtures/rollups/wrong.sql"));
    assert_eq!(wrong, 0, "the roll-ups and the runs disagree");
    let report = reader(folder.path()).report(noon(0), noon(59)).unwrap();
    assert_eq!(report.unit, TallyUnit::Hour);
    let mut all = Tally::default();
    report.tallies.values().for_each(|tally| all.add(tally));
    let ended =
        all.ended.iter().filter(|(_, count)| **count != 0).map(|((status, code), count)| {
            format!("{count} {status} {}", code.map_or("", ReasonCode::as_str))
        });
    ended.chain([format!("{} runs", all.runs)]).collect()
}

async fn end(store: &Store, run: HeldRun, minute: u32, status: Status, code: Option<ReasonCode>) {
    let ended_at = noon(minute) + SignedDuration::from_secs(5);
    let outcome = Outcome {
        status,
        reason: code.map(Reason::bare),
        ended_at,
        learnt_at: ended_at,
        ..ending(run).outcome
    };
    store.end_run(RunEnding { outcome, delivery: None, discard: None, ..ending(run) }).await.unwrap();
}

#[tokio::test]
async fn an_occurrence_counts_once_by_the_last_of_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    // Without what was missed meanwhile.
    let ends = || {
        let all = tally(&folder).into_iter();
        all.filter(|line| !line.contains("missed")).collect::<Vec<_>>()
    };
    let retrying = definition("a", r#","catchup":"none","retry":{"max":1,"backoff":"30s"}"#);
    let store = with_due_runs(&folder, vec![retrying]).await;
    let first = claim(&store, "2026-03-02T09:01:00Z").await[0].held();
    store.step_run(accept(first)).await.unwrap();
    end(&store, first, 1, Status::Error, Some(ReasonCode::GraphError)).await;
    assert_eq!(ends(), ["1 runs"], "it is retried");
    let second = claim(&store, "2026-03-02T09:01:50Z").await[0].held();
    store.step_run(accept(second)).await.unwrap();
    end(&store, second, 2, Status::Error, Some(ReasonCode::GraphError)).await;
    assert_eq!(ends(), ["1 error graph_error", "2 runs"]);
    let request = RetryRequest { run_id: second.run_id, input: None };
    store.retry_run(noon(3), Actor::AGENTCRON, request).await.unwrap().unwrap();
    assert_eq!(ends(), ["2 runs"], "somebody asked for a further run");
    let third = claim(&store, "2026-03-02T09:03:10Z").await[0].held();
    store.step_run(accept(third)).await.unwrap();
    end(&store, third, 4, Status::Success, None).await;
    assert_eq!(ends(), ["1 success ", "3 runs"]);
    store
        .retry_run(noon(5), Actor::AGENTCRON, RetryRequest { run_id: third.run_id, input: None })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ends(), ["3 runs"]);
    store.sync_file_crons(noon(5), vec![]).await.unwrap();
    assert_eq!(ends(), ["1 success ", "2 skipped removed", "3 runs"], "the fourth never took place");
}

#[tokio::test]
async fn what_is_decided_again_is_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", r#","catchup":"none""#)]).await;
    store.plan_due(noon(11)).await.unwrap();
    assert_eq!(tally(&folder)[0], "9 missed catchup_none", "from 09:02 to 09:10; 09:11 is on time");
    let (from, to) = (Some(noon(4)), noon(6));
    let order = BackfillOrder {
        name: "a".to_owned(),
        from,
        before_beginning: false,
        to,
        limit: 10,
        purpose: Purpose::Act,
    };
    store.backfill(noon(11), Actor::AGENTCRON, order).await.unwrap();
    assert_eq!(tally(&folder)[0], "7 missed catchup_none");
    store.clock_set_back(noon(7), SignedDuration::from_mins(-4)).await.unwrap();
    assert_eq!(tally(&folder)[0], "4 missed catchup_none", "of 09:02, 09:03, 09:06 and 09:07");
}

#[tokio::test]
async fn what_turns_out_to_be_an_outage_is_counted_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", r#","overlap":"skip""#)]).await;
    store.step_run(accept(claim(&store, "2026-03-02T09:01:00Z").await[0].held())).await.unwrap();
    for minute in 2..5 {
        store.plan_due(noon(minute)).await.unwrap();
    }
    assert_eq!(tally(&folder)[0], "3 skipped overlap");
    store.save_outages(vec![Outage::new(Away::Backend, noon(3), None, "refused")]).await.unwrap();
    assert_eq!(tally(&folder)[..2], ["1 skipped overlap", "2 skipped backend_away"]);
}

#[tokio::test]
async fn hours_are_forgotten_and_days_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_due_runs(&folder, vec![definition("a", r#","catchup":"none""#)]).await;
    store.plan_due(noon(11)).await.unwrap();
    let rows = |table: &str| count(&file(&folder), &format!("SELECT sum(occurrences) FROM {table}"));
    assert_eq!((rows("cron_hours"), rows("cron_days")), (9, 9));
    store.housekeeping(noon(11) + SignedDuration::from_hours(71)).await.unwrap();
    assert_eq!(rows("cron_hours"), 9);
    store.housekeeping(noon(11) + SignedDuration::from_hours(74)).await.unwrap();
    assert_eq!(count(&file(&folder), "SELECT count(*) FROM cron_hours"), 0);
    assert_eq!(rows("cron_days"), 9);
}

#[tokio::test]
async fn the_counts_of_a_cron_that_is_forgotten_go_and_those_of_another_stay() {
    let folder = tempfile::tempdir().unwrap();
    let none = r#","catchup":"none""#;
    let store = with_due_runs(&folder, vec![definition("a", none), definition("b", none)]).await;
    store.plan_due(noon(11)).await.unwrap();
    store.sync_file_crons(noon(12), vec![definition("b", none)]).await.unwrap();
    let crons = |table: &str| count(&file(&folder), &format!("SELECT count(DISTINCT cron_id) FROM {table}"));
    assert_eq!((crons("cron_hours"), crons("cron_days")), (2, 2));
    store
        .forget(noon(12), Actor::AGENTCRON, ForgetSubject::Cron("a".to_owned()), Purpose::Act)
        .await
        .unwrap();
    assert_eq!((crons("cron_hours"), crons("cron_days")), (1, 1));
    assert_eq!(tally(&folder)[0], "9 missed catchup_none");
}
