//! Sentences about webhooks.

use expect_test::{Expect, expect};
use uuid::Uuid;

use super::*;
use crate::domain::delivery_mode::{HoldCause, Release};
use crate::domain::ids::DeliveryId;
use crate::domain::outage::Away;

fn at() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

#[test]
fn a_webhook_says_what_it_waits_for() {
    let due = |minutes: i64| Some(at() + SignedDuration::from_mins(minutes));
    let delivery = |status, due_at| DeliveryRow {
        delivery_id: DeliveryId(Uuid::nil()),
        url: "https://ops.example/hook".to_owned(),
        status,
        attempts: 0,
        due_at,
        reason: None,
        created_at: at(),
        ended_at: None,
    };
    let check = |delivery: &DeliveryRow, queue: &WebhookQueue, expected: Expect| {
        expected.assert_eq(&waits(delivery, queue, at()).unwrap_or_default());
    };
    let free = WebhookQueue::default();
    check(&delivery(DeliveryStatus::Delivered, None), &free, expect![""]);
    check(&delivery(DeliveryStatus::Pending, due(5)), &free, expect![""]);
    let waiting = delivery(DeliveryStatus::Pending, due(0));
    check(&waiting, &free, expect!["waits for a free slot at its receiver"]);
    let away = |subject: &str| Outage {
        what: Away::Receiver,
        subject: subject.to_owned(),
        since: at(),
        until: None,
        why: "no answer within 10s".to_owned(),
        seen_by: None,
    };
    let receivers_away = vec![away("https://ops.example/other"), away("https://ops.example/hook")];
    check(
        &waiting,
        &WebhookQueue { receivers_away, ..WebhookQueue::default() },
        expect!["waits for its receiver, which is away: no answer within 10s"],
    );
    let mode = DeliveryMode::Released(Release { since: at(), per_second: 5 });
    check(
        &waiting,
        &WebhookQueue { mode, ..WebhookQueue::default() },
        expect!["waits for its turn: released at 5 per second"],
    );
    let mode = DeliveryMode::Held(Hold {
        since: at(),
        note: Some("it moves".to_owned()),
        cause: HoldCause::Request,
    });
    check(&waiting, &WebhookQueue { mode, ..WebhookQueue::default() }, expect!["held: it moves"]);
}

#[test]
fn an_attempt_is_described_by_its_response() {
    let took = SignedDuration::from_millis(12);
    assert_eq!(
        response_with_address(Some(503), Some("192.0.2.7:443"), took),
        "HTTP 503 from 192.0.2.7:443 in 12 ms"
    );
    assert_eq!(response_with_address(None, Some("192.0.2.7:443"), took), "no response in 12 ms");
}

#[test]
fn counts_agree_with_their_nouns() {
    assert_eq!([0, 1, 2].map(|count| counted(count, "webhook")), ["0 webhooks", "1 webhook", "2 webhooks"]);
}
