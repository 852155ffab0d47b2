//! The retry schedule, and how a receiver may change it.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::domain::backoff;

fn refused(retry_after: Option<Duration>) -> AttemptResult {
    let detail = "the receiver answered 503".to_owned();
    AttemptResult::Refused { code: Some(503), detail, retry_after, fault: Fault::Trouble }
}

fn id() -> DeliveryId {
    DeliveryId::of_run(RunId(uuid::Uuid::nil()), "https://ops.example.com/hook")
}

#[test]
fn the_retry_schedule_lasts_three_days_and_ends() {
    let mut now = Timestamp::UNIX_EPOCH;
    let mut lines = Vec::new();
    for attempt in 1.. {
        match judge(id(), Turn::Step(attempt), &refused(None), now) {
            Verdict::Again(at) => {
                lines.push(format!("{attempt}: +{}s", backoff::between(now, at).as_secs()));
                now = at;
            }
            Verdict::Ended(ending, reason) => {
                assert_eq!(ending, Ending::Failed);
                lines.push(reason);
                break;
            }
            Verdict::Delivered => panic!("delivered by a 503"),
        }
    }
    expect![[r#"
        1: +5s
        2: +33s
        3: +311s
        4: +2015s
        5: +7964s
        6: +21109s
        7: +39366s
        8: +59251s
        9: +85462s
        10: +95696s
        gave up at the end of the retry schedule; the last attempt: the receiver answered 503"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn a_final_answer_ends_it_and_a_good_one_delivers_it() {
    let gone = AttemptResult::Final { ending: Ending::Gone, code: Some(410), detail: "gone".to_owned() };
    let ended = Verdict::Ended(Ending::Gone, "gone".to_owned());
    assert_eq!(judge(id(), Turn::Step(1), &gone, Timestamp::UNIX_EPOCH), ended);
    let good = AttemptResult::Accepted { code: 204 };
    assert_eq!(judge(id(), Turn::Step(11), &good, Timestamp::UNIX_EPOCH), Verdict::Delivered);
}

#[test]
fn a_failure_that_somebody_has_to_fix_is_retried_after_five_minutes_at_the_earliest() {
    let detail = "the receiver answered 404".to_owned();
    let slow = AttemptResult::Refused { code: Some(404), detail, retry_after: None, fault: Fault::Refused };
    let waits: Vec<_> = (1..=5)
        .map(|attempt| match judge(id(), Turn::Step(attempt), &slow, Timestamp::UNIX_EPOCH) {
            Verdict::Again(at) => at.as_second() / 60,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waits, [5, 5, 5, 33, 132]);
}

#[test]
fn an_attempt_before_its_turn_leaves_the_turn_as_it_was() {
    let turn = Timestamp::from_second(300).unwrap();
    for (asked, next) in [(None, 300), (Some(60), 300), (Some(600), 700)] {
        let result = refused(asked.map(Duration::from_secs));
        let verdict = judge(id(), Turn::Early(turn), &result, Timestamp::from_second(100).unwrap());
        assert_eq!(verdict, Verdict::Again(Timestamp::from_second(next).unwrap()), "{asked:?}");
    }
}

proptest! {
    /// A receiver may delay an attempt by up to a day; it can neither hasten nor prevent it.
    #[test]
    fn retry_after_only_delays(seconds in any::<u64>(), attempt in 1_u32..11, now in 0_i64..4_000_000_000) {
        let now = Timestamp::from_second(now).unwrap();
        let asked = judge(id(), Turn::Step(attempt), &refused(Some(Duration::from_secs(seconds))), now);
        let unasked = judge(id(), Turn::Step(attempt), &refused(None), now);
        match (asked, unasked) {
            (Verdict::Again(asked), Verdict::Again(unasked)) => {
                prop_assert!(asked >= unasked);
                prop_assert!(backoff::between(now, asked) <= Duration::from_secs(30 * 3600));
            }
            (asked, unasked) => prop_assert_eq!(asked, unasked),
        }
    }
}
