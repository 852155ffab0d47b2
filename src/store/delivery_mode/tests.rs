//! Holds, releases, suspended URLs and replays over a store with a handful of deliveries.

mod receivers;

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::domain::act::Actor;
use crate::domain::delivery::{AttemptReport, AttemptResult, DeliveryStatus, Ending, Turn, Verdict};
use crate::domain::delivery_mode::RateLimit;
use crate::domain::ids::{DeliveryId, RunId};
use crate::domain::reason::{DeliveryReasonCode, Reason};
use crate::store::tests::{Shell, open_store, reader, shell};
use crate::store::{
    Admission, Claimable, ClaimedDelivery, DeliveryFilter, Execution, FinishedAttempt, Purpose, RECEIVER,
    Reader, Replay, ReplayChoice, ReplayOrder,
};

const A: &str = "https://a.example/hook?token=${{ env.TOKEN }}";
const B: &str = "https://b.example/hook";

struct Fixture {
    folder: TempDir,
    store: Store,
    database: Shell,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open_store(folder.path(), Execution::WriterThread);
        let database = shell(folder.path());
        Self { folder, store, database }
    }

    fn database(&self) -> &Shell {
        &self.database
    }

    fn reader(&self) -> Reader {
        reader(self.folder.path())
    }

    /// Adds a delivery that was recorded, and due, at this second.
    fn add(&self, number: u128, url: &str, second: i64) -> DeliveryId {
        let (run_id, delivery_id) = (run_id(number), DeliveryId::of_run(run_id(number), url));
        let (millis, nil) = (second * 1000, Uuid::nil());
        self.database()
            .run(&format!(
                "INSERT INTO runs (run_id, cron_id, cron_name, cron_source, definition_id, trigger, \
                 scheduled_for, due_at, start_before, exclusive, phase, start_number, status, ended_at) \
                 VALUES ('{run_id}', '{nil}', 'digest', 'file', '{nil}', 'schedule', {number}, 0, 0, 0, 'ended', 1, 'success', 0); \
                 INSERT INTO deliveries (delivery_id, run_id, url, body, status, due_at, created_at, receiver) \
                 VALUES ('{delivery_id}', '{run_id}', '{url}', CAST('{{\"n\":{number}}}' AS BLOB), 'pending', \
                 {millis}, {millis}, ''); UPDATE deliveries SET receiver = {RECEIVER};"
            ));
        delivery_id
    }

    async fn claim(&self, now: i64, rate_limit: RateLimit) -> (Vec<ClaimedDelivery>, DeliveryMode) {
        let claim = self
            .store
            .claim_deliveries(at(now), 64, rate_limit, Vec::new(), |_| Admission::Admitted(()))
            .await
            .unwrap();
        (claim.deliveries.into_iter().map(|(delivery, ())| delivery).collect(), claim.mode)
    }

    async fn finish(&self, delivery: &ClaimedDelivery, now: i64, verdict: Verdict) {
        let report = AttemptReport::unanswered(AttemptResult::Accepted { code: 200 });
        let delivery = delivery.clone();
        let finished = FinishedAttempt { delivery, at: at(now), report, verdict, back: Vec::new() };
        self.store.finish_attempts(std::sync::Arc::new(vec![finished])).await.unwrap();
    }

    async fn replay(&self, choice: ReplayChoice, limit: u32) -> Result<Replay, StoreError> {
        self.store
            .replay(at(1000), Actor::AGENTCRON, ReplayOrder { choice, limit, purpose: Purpose::Act })
            .await
    }

    /// Returns `status [reason code] reason` of each delivery, in the order in which they were recorded.
    fn rows(&self) -> Vec<String> {
        let rows = self.reader().webhooks(&DeliveryFilter::default(), 100).unwrap();
        rows.iter()
            .map(|row| {
                let status = row.delivery.status;
                match &row.delivery.reason {
                    Some(reason) => format!("{status} [{}] {}", reason.code, reason.text()).trim().to_owned(),
                    None => status.to_string(),
                }
            })
            .collect()
    }
}

fn gone() -> Verdict {
    Verdict::Ended(Ending::Gone, "the receiver answered 410: gone for good".to_owned())
}

fn with_status(status: DeliveryStatus) -> ReplayChoice {
    ReplayChoice::Matching(DeliveryFilter { statuses: vec![status], ..DeliveryFilter::default() })
}

#[tokio::test]
async fn nothing_is_claimed_during_a_hold_and_the_hold_outlasts_a_restart() {
    let mut fixture = Fixture::new();
    fixture.add(1, A, 1);
    fixture.store.hold_webhooks(at(5), Actor::AGENTCRON, Some("it moves".to_owned())).await.unwrap();
    let again = fixture.store.hold_webhooks(at(9), Actor::AGENTCRON, Some("still".to_owned())).await.unwrap();
    let hold =
        DeliveryMode::Held(Hold { cause: HoldCause::Request, since: at(5), note: Some("still".to_owned()) });
    assert_eq!((again.after, again.waiting, again.in_flight), (hold.clone(), 1, 0));
    // The store is opened again, as a new process does.
    let Fixture { folder, store, database } = fixture;
    drop(store);
    let store = open_store(folder.path(), Execution::WriterThread);
    fixture = Fixture { folder, store, database };
    fixture.store.hand_over(at(10)).await.unwrap();
    let (taken, mode) = fixture.claim(10, RateLimit::default()).await;
    assert_eq!((taken.len(), mode), (0, hold));
    assert_eq!(fixture.reader().webhook_queue().unwrap().backlog, 1);
    let released = fixture.store.release_webhooks(at(20), Actor::AGENTCRON, None).await.unwrap();
    assert_eq!(released.after, DeliveryMode::Free);
    assert_eq!(fixture.claim(20, RateLimit::default()).await.0.len(), 1);
}

#[tokio::test]
async fn a_hold_for_mistakes_ends_with_them_and_touches_no_hold_on_request() {
    let fixture = Fixture::new();
    fixture.add(1, A, 1);
    let store = &fixture.store;
    store.hold_for_mistakes(Some(at(5))).await.unwrap();
    store.hold_for_mistakes(Some(at(6))).await.unwrap();
    let held = |mode: &DeliveryMode| match mode {
        DeliveryMode::Held(hold) => Some((hold.cause, hold.since)),
        DeliveryMode::Free | DeliveryMode::Released(_) => None,
    };
    let (mistakes, request) = (Some((HoldCause::Mistakes, at(5))), Some((HoldCause::Request, at(7))));
    assert_eq!(held(&fixture.claim(6, RateLimit::default()).await.1), mistakes);
    let change = store.hold_webhooks(at(7), Actor::AGENTCRON, None).await.unwrap();
    assert_eq!((held(&change.before), held(&change.after)), (mistakes, request));
    let change = store.release_webhooks(at(8), Actor::AGENTCRON, None).await.unwrap();
    assert_eq!(held(&change.after), mistakes, "a person cannot release what the files hold");
    store.hold_webhooks(at(7), Actor::AGENTCRON, None).await.unwrap();
    store.hold_for_mistakes(None).await.unwrap();
    assert_eq!(held(&fixture.claim(9, RateLimit::default()).await.1), request);
    store.release_webhooks(at(10), Actor::AGENTCRON, None).await.unwrap();
    assert_eq!(fixture.claim(10, RateLimit::default()).await.0.len(), 1);
}

#[tokio::test]
async fn a_release_at_a_rate_lasts_until_its_backlog_is_gone() {
    let fixture = Fixture::new();
    for number in 1..=3 {
        fixture.add(number, A, 1);
    }
    fixture.store.hold_webhooks(at(2), Actor::AGENTCRON, None).await.unwrap();
    let change = fixture.store.release_webhooks(at(10), Actor::AGENTCRON, Some(1)).await.unwrap();
    let release = Release { since: at(10), per_second: 1 };
    assert_eq!(change.after, DeliveryMode::Released(release));
    // A new delivery, which is due after the others.
    let fresh = fixture.add(4, A, 11);
    let mut rate_limit = RateLimit::default();
    let mut order = Vec::new();
    for now in 11..14 {
        let (taken, mode) = fixture.claim(now, rate_limit).await;
        assert_eq!((taken.len(), mode), (1, DeliveryMode::Released(release)), "at {now}");
        rate_limit = rate_limit.begun(1, release, at(now));
        if now < 13 {
            assert_eq!(fixture.claim(now, rate_limit).await.0.len(), 0, "more than one in a second");
        }
        // A delivery that fails no longer belongs to the backlog.
        fixture.finish(&taken[0], now, Verdict::Again(at(now + 5))).await;
        order.push(taken[0].delivery_id);
    }
    assert!(!order.contains(&fresh));
    let (taken, mode) = fixture.claim(14, rate_limit).await;
    assert_eq!((taken[0].delivery_id, mode), (fresh, DeliveryMode::Free), "the release has ended by itself");
    assert_eq!(
        fixture.store.release_webhooks(at(15), Actor::AGENTCRON, Some(1)).await.unwrap().after,
        DeliveryMode::Free,
        "nothing waits"
    );
}

/// A daemon that is killed in the middle has either done both, or neither.
#[tokio::test]
async fn a_release_that_discards_is_one_transaction() {
    let fixture = Fixture::new();
    fixture.add(1, A, 1);
    fixture.add(2, A, 50);
    fixture.store.hold_webhooks(at(60), Actor::AGENTCRON, None).await.unwrap();
    let discard =
        Discard { before: at(50), reason: Reason::new(DeliveryReasonCode::Discarded, "older than 50s") };
    let database = fixture.database();
    let commits =
        || ["count(*)", "count(DISTINCT at)"].map(|what| database.count(&format!("SELECT {what} FROM acts")));
    assert_eq!(commits(), [1, 1]);
    database.refuse_updates_of("delivery_mode");
    let release = || fixture.store.discard_and_release(at(100), Actor::AGENTCRON, discard.clone(), None);
    assert!(release().await.is_err(), "the release is refused");
    assert_eq!(fixture.rows(), ["pending", "pending"]);
    assert_eq!(commits(), [1, 1]);
    database.allow_updates_of("delivery_mode");
    let (released, discarded) = release().await.unwrap();
    assert_eq!((released.after, discarded), (DeliveryMode::Free, 1));
    assert_eq!(fixture.rows(), ["suppressed [discarded] older than 50s", "pending"]);
    assert_eq!(commits(), [3, 2]);
}

#[tokio::test]
async fn discarded_and_disabled_deliveries_are_suppressed_for_a_reason() {
    let fixture = Fixture::new();
    fixture.add(1, A, 1);
    fixture.add(2, A, 50);
    let reason = Reason::new(DeliveryReasonCode::Discarded, "older than 50s");
    let discard = Discard { before: at(50), reason };
    let ((), discarded) =
        fixture.store.discard(at(100), Actor::AGENTCRON, discard, |_| Ok(())).await.unwrap();
    assert_eq!(discarded, 1);
    assert_eq!(fixture.rows(), ["suppressed [discarded] older than 50s", "pending"]);
    assert_eq!(fixture.store.enable_webhooks().await.unwrap(), None, "they were not disabled");
    assert_eq!(fixture.store.disable_webhooks(at(101)).await.unwrap(), 1);
    assert_eq!(fixture.rows()[1], "suppressed [disabled] webhooks are disabled (http.disable_webhooks)");
    assert_eq!(fixture.store.disable_webhooks(at(102)).await.unwrap(), 0);
    let mode = fixture.reader().webhook_queue().unwrap();
    assert_eq!((mode.disabled_since, mode.suppressed), (Some(at(101)), 2));
    assert_eq!(fixture.store.enable_webhooks().await.unwrap(), Some(2));
    assert_eq!(fixture.reader().webhook_queue().unwrap().disabled_since, None);
}

#[tokio::test]
async fn a_replay_keeps_id_and_bytes_and_attempt_numbers_and_restarts_the_retry_schedule() {
    let fixture = Fixture::new();
    let delivery_id = fixture.add(1, A, 1);
    let first = fixture.claim(1, RateLimit::default()).await.0.remove(0);
    let failed = Verdict::Ended(Ending::Failed, "gave up".to_owned());
    fixture.finish(&first, 2, failed.clone()).await;
    let replay = fixture.replay(with_status(DeliveryStatus::Failed), 10).await.unwrap();
    assert_eq!((replay.webhooks.len(), replay.more), (1, false));
    let second = fixture.claim(1000, RateLimit::default()).await.0.remove(0);
    assert_eq!((second.delivery_id, second.attempt, second.turn()), (delivery_id, 2, Turn::Step(1)));
    assert_eq!((&second.body, second.run_id), (&first.body, first.run_id));
    // While it is being sent it cannot be replayed, and the result of an older attempt is ignored.
    let named = ReplayChoice::Named(vec![delivery_id.0]);
    assert!(matches!(fixture.replay(named.clone(), 10).await, Err(StoreError::Conflict(_))));
    fixture.finish(&first, 1001, failed).await;
    fixture.finish(&second, 1001, Verdict::Delivered).await;
    assert_eq!(fixture.rows(), ["delivered"]);
    // Even a delivered one can be replayed by its id, or by the id of its run.
    let by_run = ReplayChoice::Named(vec![first.run_id.unwrap().0, delivery_id.0]);
    assert_eq!(fixture.replay(by_run, 10).await.unwrap().webhooks.len(), 1);
    let third = fixture.claim(1000, RateLimit::default()).await.0.remove(0);
    assert_eq!((third.attempt, third.turn()), (3, Turn::Step(1)));
}

#[tokio::test]
async fn a_replay_has_a_limit_reports_that_there_are_more_and_has_a_dry_run() {
    let fixture = Fixture::new();
    for number in 1..=5 {
        fixture.add(number, A, i64::try_from(number).unwrap());
    }
    fixture.store.disable_webhooks(at(10)).await.unwrap();
    let choice = with_status(DeliveryStatus::Suppressed);
    let dry = ReplayOrder { choice: choice.clone(), limit: 3, purpose: Purpose::DryRun };
    let chosen = fixture.store.replay(at(11), Actor::AGENTCRON, dry).await.unwrap();
    assert_eq!((chosen.webhooks.len(), chosen.more), (3, true));
    assert_eq!(chosen.webhooks[0].run_id, Some(run_id(1)), "the oldest first");
    assert!(fixture.rows().iter().all(|row| row.starts_with("suppressed")));
    assert_eq!(fixture.replay(choice.clone(), 3).await.unwrap().webhooks.len(), 3);
    let rest = fixture.replay(choice, 3).await.unwrap();
    assert_eq!((rest.webhooks.len(), rest.more), (2, false));
    let later = DeliveryFilter { since: Some(at(4)), until: Some(at(5)), ..DeliveryFilter::default() };
    assert_eq!(fixture.replay(ReplayChoice::Matching(later), 9).await.unwrap().webhooks.len(), 1);
    let unknown = fixture.replay(ReplayChoice::Named(vec![Uuid::nil()]), 9).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(message)) if message.contains("there is no webhook")));
}

#[tokio::test]
async fn nothing_more_is_sent_to_a_url_that_is_gone_until_deliveries_to_it_are_resumed() {
    let fixture = Fixture::new();
    fixture.add(1, A, 1);
    fixture.add(2, A, 2);
    fixture.add(3, B, 3);
    let mut taken = fixture.claim(3, RateLimit::default()).await.0;
    fixture.add(4, A, 4);
    assert_eq!(taken.len(), 3);
    fixture.finish(&taken.remove(0), 5, gone()).await;
    let rows = fixture.rows();
    assert!(
        rows[0].starts_with("gone [url_gone] the receiver answered 410") && rows[0].contains("suspended"),
        "{}",
        rows[0]
    );
    assert!(
        rows[3].starts_with(
            "gone [url_suspended] not sent: its URL has been suspended since 1970-01-01T00:00:05Z"
        ),
        "{}",
        rows[3]
    );
    // A delivery that was being sent and failed does not wait either. Deliveries to another URL go on.
    fixture.finish(&taken.remove(0), 6, Verdict::Again(at(11))).await;
    fixture.finish(&taken.remove(0), 6, Verdict::Again(at(11))).await;
    let rows = fixture.rows();
    assert!(
        rows[1].starts_with("gone [url_suspended] not sent")
            && rows[2].starts_with("pending [attempt_failed]"),
        "{rows:?}"
    );
    // Nor does one that a crash cut off.
    fixture.add(5, A, 7);
    let cut = fixture.claim(7, RateLimit::default()).await.0;
    assert_eq!(cut.len(), 1, "its row was not inserted by the end of a run");
    fixture.store.hand_over(at(8)).await.unwrap();
    assert!(fixture.rows()[4].starts_with("gone [url_suspended] not sent"), "{:?}", fixture.rows());

    let mode = fixture.reader().webhook_queue().unwrap();
    assert_eq!((mode.suspended_count, mode.suspended[0].url.as_str()), (1, A));
    assert_eq!(
        fixture.store.resume_urls(at(20), Actor::AGENTCRON, "env.TOKEN".to_owned()).await.unwrap(),
        [],
        "not found by its query"
    );
    let armed = fixture.replay(ReplayChoice::Named(vec![run_id(2).0]), 1).await.unwrap().resumed;
    assert_eq!(armed, [A]);
    assert_eq!(fixture.reader().webhook_queue().unwrap().suspended_count, 0);
    let (taken, _) = fixture.claim(1000, RateLimit::default()).await;
    assert_eq!(taken.len(), 2, "the replayed one and the one to the other URL");
    let to_a = taken.iter().find(|delivery| delivery.url == A).unwrap();
    fixture.finish(to_a, 1001, gone()).await;
    let armed =
        fixture.store.resume_urls(at(20), Actor::AGENTCRON, "a.example/hook".to_owned()).await.unwrap();
    assert_eq!((armed.len(), armed[0].since), (1, at(1001)));
}

#[tokio::test]
async fn an_attempt_that_a_crash_cut_off_is_recorded_as_such() {
    let fixture = Fixture::new();
    let delivery_id = fixture.add(1, B, 1);
    let cut = fixture.claim(1, RateLimit::default()).await.0.remove(0);
    assert_eq!(fixture.store.hand_over(at(9)).await.unwrap().deliveries, 1);
    let again = fixture.claim(9, RateLimit::default()).await.0.remove(0);
    assert_eq!((again.attempt, again.turn()), (2, Turn::Step(2)));
    fixture.finish(&cut, 9, Verdict::Ended(Ending::Failed, "late".to_owned())).await;
    assert_eq!(fixture.rows(), ["sending"], "the result of the former process is ignored");
    fixture.finish(&again, 10, Verdict::Delivered).await;
    let attempts = fixture.reader().webhook_details(delivery_id).unwrap().unwrap().attempts;
    assert_eq!(attempts.len(), 2);
    assert!(attempts[0].detail.as_ref().unwrap().contains("cut off"), "{:?}", attempts[0]);
    assert!(attempts.iter().all(|attempt| attempt.ended_at.is_some()));
}

#[test]
fn the_queries_of_every_pass_use_indexes() {
    let fixture = Fixture::new();
    let database = fixture.database();
    for sql in [
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE due_at <= 1)",
        "SELECT count(*) FROM deliveries WHERE status = 'suppressed' \
         AND status <> 'delivered' AND status <> 'sending' AND status <> 'pending'",
        "SELECT count(*) FROM deliveries WHERE status = 'sending'",
        "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL",
        "SELECT url FROM deliveries WHERE receiver > '' AND due_at IS NOT NULL ORDER BY receiver, due_at, seq LIMIT 1",
        "SELECT url FROM deliveries WHERE receiver = '' AND due_at IS NOT NULL AND (due_at, seq) > (1, 1) \
         AND due_at <= 2 ORDER BY due_at, seq LIMIT 1",
    ] {
        let plan = database.plan(sql).join("; ");
        assert!(plan.contains("INDEX deliveries_") && !plan.contains("B-TREE"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn the_oldest_is_claimed_first_and_a_receiver_without_a_permit_is_asked_about_once() {
    let fixture = Fixture::new();
    for number in 0..300 {
        fixture.add(number, &format!("https://down.example/hook/{number}"), 1);
    }
    let newest = fixture.add(300, B, 4);
    let oldest = fixture.add(301, "https://${{ env.HOST }}/b", 2);
    let second = fixture.add(302, &format!("{B}/of/the/same/host"), 3);
    fixture.add(303, B, 90);
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    let admit = move |Claimable { url, .. }: Claimable<'_>| {
        noted.lock().unwrap().push(url.to_owned());
        if url.contains("down") { Admission::ReceiverWaits } else { Admission::Admitted(()) }
    };
    let claim =
        fixture.store.claim_deliveries(at(10), 64, RateLimit::default(), Vec::new(), admit).await.unwrap();
    let taken: Vec<_> = claim.deliveries.iter().map(|(delivery, ())| delivery.delivery_id).collect();
    assert_eq!(taken, [oldest, second, newest]);
    assert_eq!(claim.next_due_at, Some(at(90)));
    let asked = asked.lock().unwrap();
    assert_eq!((asked.len(), asked[0].as_str()), (4, "https://down.example/hook/0"));
}
