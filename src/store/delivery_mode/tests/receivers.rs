//! Which deliveries are claimed while one URL waits, or a receiver is away.

use super::*;
use crate::domain::act::Actor;
use crate::domain::bounds::URLS_PER_PASS;
use crate::domain::breaker::Scope;
use crate::store::{ReceiverAway, SenderOf};

#[tokio::test]
async fn a_url_that_waits_holds_up_no_other_of_its_receiver() {
    let fixture = Fixture::new();
    let bad = |number: u128| format!("https://one.example/bad?{number}");
    for number in 0..9 {
        fixture.add(number, &bad(number), 1);
    }
    let urls = ["https://one.example/a", "https://one.example/c", "https://one.example/a"];
    let good: Vec<_> = (0..).zip(urls).map(|(number, url)| fixture.add(100 + number, url, 2)).collect();
    fixture.add(200, "https://one.example/a", 90);
    let asked = Arc::<Mutex<usize>>::default();
    let noted = Arc::clone(&asked);
    let admit = move |Claimable { url, .. }: Claimable<'_>| {
        *noted.lock().unwrap() += 1;
        if url.contains("bad") { Admission::UrlWaits } else { Admission::Admitted(()) }
    };
    let claim =
        fixture.store.claim_deliveries(at(10), 64, RateLimit::default(), Vec::new(), admit).await.unwrap();
    let taken: Vec<_> = claim.deliveries.iter().map(|(delivery, ())| delivery.delivery_id).collect();
    assert_eq!((taken, *asked.lock().unwrap()), (good, 9 + 3));
}

/// Of very many URLs a pass looks through some, and others once the oldest delivery is another one.
#[tokio::test]
async fn a_pass_looks_through_so_many_urls_of_a_receiver_and_none_is_left_out_for_ever() {
    let fixture = Fixture::new();
    let urls = URLS_PER_PASS + 20;
    let url = |number: usize| format!("https://one.example/{number:04}");
    let good = url(URLS_PER_PASS + 10);
    for number in 0..urls {
        fixture.add(number.try_into().unwrap(), &url(number), 1);
    }
    let claim = || {
        let asked = Arc::<Mutex<usize>>::default();
        let (noted, good) = (Arc::clone(&asked), good.clone());
        let admit = move |Claimable { url, .. }: Claimable<'_>| {
            *noted.lock().unwrap() += 1;
            if url == good { Admission::Admitted(()) } else { Admission::UrlWaits }
        };
        let claim = fixture.store.claim_deliveries(at(10), 64, RateLimit::default(), Vec::new(), admit);
        async move { (claim.await.unwrap().deliveries.len(), *asked.lock().unwrap()) }
    };
    assert_eq!(claim().await, (0, URLS_PER_PASS + 1));
    // The oldest is put off, and the next pass begins behind the one that is the oldest then.
    for number in 0..20 {
        let sql = "UPDATE deliveries SET due_at = 2000 WHERE url = ?1";
        fixture.database().execute(sql, [url(number)]);
    }
    assert_eq!(claim().await.0, 1);
}

#[tokio::test]
async fn what_waits_because_its_receiver_is_away_is_sent_early_and_is_due_once_it_is_back() {
    let fixture = Fixture::new();
    let url = "https://one.example/hook";
    let refused = fixture.add(1, url, 1);
    let claimed = fixture.claim(1, RateLimit::default()).await.0.remove(0);
    fixture.finish(&claimed, 2, Verdict::Again(at(100))).await;
    // The receiver takes others in between, and is away since 10.
    let [first, second] = [2, 3].map(|number| fixture.add(number, url, 10));
    let other = fixture.add(4, "https://one.example/other", 500);
    for delivery in fixture.claim(10, RateLimit::default()).await.0 {
        fixture
            .finish(&delivery, 11, Verdict::Again(at(300 + i64::from(delivery.delivery_id == second))))
            .await;
    }
    let away = |scope| ReceiverAway { scope, delivery_id: second, since: at(10) };
    let claim = |away| {
        let admit = |_: Claimable<'_>| Admission::Admitted(());
        fixture.store.claim_deliveries(at(20), 64, RateLimit::default(), away, admit)
    };
    let early = claim(vec![away(Scope::Url)]).await.unwrap().deliveries.remove(0).0;
    assert_eq!((early.delivery_id, early.turn()), (first, Turn::Early(at(300))));
    let report = AttemptReport::unanswered(AttemptResult::Accepted { code: 200 });
    let finished = |back| FinishedAttempt {
        delivery: early.clone(),
        at: at(21),
        report: report.clone(),
        verdict: Verdict::Again(at(300)),
        back,
    };
    fixture.store.finish_attempts(std::sync::Arc::new(vec![finished(Vec::new())])).await.unwrap();
    let due = |id: DeliveryId| fixture.reader().webhook_details(id).unwrap().unwrap().row.delivery.due_at;
    assert_eq!((due(first), due(second), due(other)), (Some(at(300)), Some(at(301)), Some(at(500))));
    let again = claim(vec![away(Scope::Url)]).await.unwrap().deliveries.remove(0).0;
    assert_eq!((again.delivery_id, again.attempt, again.uncounted), (first, 3, 1));
    let finished = finished(vec![away(Scope::Url)]);
    let finished = FinishedAttempt { delivery: again, verdict: Verdict::Delivered, ..finished };
    fixture.store.finish_attempts(std::sync::Arc::new(vec![finished])).await.unwrap();
    // The one that was refused before keeps its turn, and what is not to this URL has another reason to wait.
    assert_eq!((due(refused), due(second), due(other)), (Some(at(100)), Some(at(21)), Some(at(500))));
    let waits = |scope, id| fixture.store.receivers_without_deliveries(vec![(scope, id)]);
    assert_eq!(waits(Scope::Url, first).await.unwrap(), []);
    fixture
        .store
        .discard(
            at(30),
            Actor::AGENTCRON,
            Discard { before: Timestamp::MAX, reason: Reason::new(DeliveryReasonCode::Discarded, "") },
            |_| Ok(()),
        )
        .await
        .unwrap();
    for scope in [Scope::Url, Scope::Origin] {
        assert_eq!(waits(scope, first).await.unwrap(), [(scope, first)]);
    }
}

#[tokio::test]
async fn what_belongs_to_another_daemon_is_left_to_it_unless_it_lets_it_lie() {
    let fixture = Fixture::new();
    let left_until = at(40);
    fixture.add(1, "https://one.example/", 10);
    fixture.add(2, "https://one.example/", 11);
    let claim = |now| {
        let admit = move |Claimable { sender, .. }: Claimable<'_>| match sender {
            SenderOf::Anybody | SenderOf::Us => Admission::Admitted(()),
            SenderOf::Owner => Admission::OfAnother(left_until),
        };
        fixture.store.claim_deliveries(at(now), 64, RateLimit::default(), Vec::new(), admit)
    };
    let early = claim(39).await.unwrap();
    assert_eq!((early.deliveries.len(), early.next_due_at), (0, Some(left_until)));
    // While something is on its way to the receiver, somebody attends to it.
    let sql = "UPDATE deliveries SET status = 'sending', due_at = NULL, sending_since = 1, held_by = 99 WHERE due_at = ?1";
    fixture.database().execute(sql, [10_000]);
    let attended = claim(40).await.unwrap();
    assert_eq!((attended.deliveries.len(), attended.next_due_at), (0, Some(at(41))));
    fixture.database().execute("DELETE FROM deliveries WHERE status = 'sending'", ());
    assert_eq!(claim(40).await.unwrap().deliveries.len(), 1);
}
