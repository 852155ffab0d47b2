//! What receivers answer, and how much they can demand of the sender.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::domain::delivery::Verdict;
use crate::transport::fuzz::{Fuzzer, cases};

fn now() -> Timestamp {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

fn head(code: u16, headers: &[(&'static str, &[u8])]) -> Parts {
    let mut response = http::Response::builder().status(code);
    for (name, value) in headers {
        response = response.header(*name, http::HeaderValue::from_bytes(value).unwrap());
    }
    response.body(()).unwrap().into_parts().0
}

fn secrets(texts: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    texts.iter().for_each(|text| secrets.add(*text));
    secrets
}

fn retry_after_of(value: &str) -> Option<Duration> {
    match judge(&head(503, &[("retry-after", value.as_bytes())]), now()) {
        AttemptResult::Refused { retry_after, .. } => retry_after,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_2xx_is_success_and_some_failures_need_a_human() {
    let codes =
        [100, 200, 204, 299, 301, 304, 400, 401, 404, 408, 410, 422, 425, 429, 500, 503, 599, 600, 999];
    let results = codes.map(|code| match judge(&head(code, &[]), now()) {
        AttemptResult::Accepted { .. } => format!("{code} accepted"),
        AttemptResult::Refused { fault, .. } => format!("{code} {fault:?}"),
        AttemptResult::Final { ending, .. } => format!("{code} {ending:?}"),
        AttemptResult::Withdrawn | AttemptResult::NoValue { .. } => unreachable!("the receiver answered"),
    });
    expect!["100 Refused, 200 accepted, 204 accepted, 299 accepted, 301 Refused, 304 Refused, 400 Refused, 401 Refused, 404 Refused, 408 Trouble, 410 Gone, 422 Refused, 425 Trouble, 429 Trouble, 500 Trouble, 503 Trouble, 599 Trouble, 600 Refused, 999 Refused"]
        .assert_eq(&results.join(", "));
}

#[test]
fn a_receiver_can_end_a_delivery_but_not_one_that_it_has_accepted() {
    let wish = |code, wish: &'static str| judge(&head(code, &[("webhook-delivery", wish.as_bytes())]), now());
    let is = |result: &AttemptResult, wanted| matches!(result, AttemptResult::Final { ending, .. } if *ending == wanted);
    assert!(is(&wish(503, "disable"), Ending::Gone));
    assert!(is(&wish(404, " Abort-Message "), Ending::Aborted));
    assert!(matches!(wish(503, "dance"), AttemptResult::Refused { .. }));
    assert!(matches!(wish(200, "disable"), AttemptResult::Accepted { .. }));
}

#[test]
fn retry_after_is_in_seconds_or_a_date() {
    let day = Some(RETRY_AFTER_MAX);
    for (value, expected) in [
        ("120", Some(Duration::from_secs(120))),
        (" 0 ", Some(Duration::ZERO)),
        ("99999999999999999999999999", day),
        ("Mon, 02 Mar 2026 09:01:30 GMT", Some(Duration::from_secs(90))),
        ("Monday, 02-Mar-26 09:01:30 GMT", Some(Duration::from_secs(90))),
        ("Fri, 31 Dec 9999 23:59:59 GMT", day),
        ("Thu, 01 Jan 1970 00:00:00 GMT", Some(Duration::ZERO)),
        ("1e300", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("soon", None),
        ("Mon, 99 Mar 2026 99:99:99 GMT", None),
    ] {
        assert_eq!(retry_after_of(value), expected, "{value}");
    }
}

#[test]
fn an_echo_is_recorded_without_secrets_and_without_commands_for_a_terminal() {
    let secrets = secrets(&["t0ken", "Bearer x", "Bearer xyz", "on"]);
    let excerpt = excerpt(b"  you sent t0ken and Bearer x on\n\x1b[31mred\xff  ", &secrets);
    assert_eq!(excerpt.unwrap(), "you sent *** and *** on\n [31mred\u{fffd}");
    assert_eq!(super::excerpt(b" \n ", &secrets), None);
    let long = super::excerpt("ä".repeat(60_000).as_bytes(), &secrets).unwrap();
    assert_eq!(long.len(), RECEIVER_ANSWER_KEPT_BYTES_MAX);
}

/// Values of `Retry-After` and of other headers that receivers might send.
const VALUES: [&[u8]; 16] = [
    b"120",
    b"0",
    b"-1",
    b"1e300",
    b"1.5",
    b"18446744073709551615",
    b"99999999999999999999999999999999999999999",
    b"Mon, 02 Mar 2026 09:01:30 GMT",
    b"Monday, 02-Mar-26 09:01:30 GMT",
    b"Mon Mar  2 09:01:30 2026",
    b"Fri, 31 Dec 9999 23:59:59 GMT",
    b"Thu, 01 Jan 1970 00:00:00 GMT",
    b"Thu, 29 Feb 2027 23:59:60 GMT",
    b"disable",
    b"abort-message",
    b"",
];

/// No panic, no wait beyond a day, and no next attempt in the past. `FUZZ_CASES=1000000` tries a million
/// heads.
#[test]
fn no_header_does_more_than_delay_by_a_day() {
    use crate::domain::{delivery, ids::DeliveryId};
    let mut fuzzer = Fuzzer::from_seed(7);
    let (mut waits, mut endings) = (0, 0);
    for _ in 0..cases(50_000) {
        let code = u16::try_from(100 + fuzzer.below(900)).unwrap();
        let mut head = head(code, &[]);
        for name in ["retry-after", "retry-after", WEBHOOK_DELIVERY, "content-length", "date"] {
            let value = http::HeaderValue::from_bytes(&fuzzer.text(&VALUES));
            head.headers.extend(value.ok().map(|value| (http::HeaderName::from_static(name), value)));
        }
        let result = judge(&head, now());
        if let AttemptResult::Refused { retry_after: Some(wait), .. } = result {
            assert!(wait <= RETRY_AFTER_MAX, "{head:?}: {wait:?}");
            waits += 1;
        }
        match delivery::judge(DeliveryId(uuid::Uuid::nil()), delivery::Turn::Step(1), &result, now()) {
            Verdict::Again(at) => {
                let wait = Duration::try_from(at.duration_since(now())).expect("not in the past");
                assert!(wait <= RETRY_AFTER_MAX, "{head:?}: {wait:?}");
            }
            Verdict::Delivered => assert!((200..300).contains(&code)),
            Verdict::Ended(..) => endings += 1,
        }
    }
    assert!(waits > 0 && endings > 0, "{waits} {endings}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// No header causes a panic or a wait beyond a day.
    #[test]
    fn any_header_does_no_more_than_delay(
        code in 100_u16..1000,
        delay in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..60),
            "[0-9]{0,40}".prop_map(String::into_bytes),
            "[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,5} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
                .prop_map(String::into_bytes),
        ],
        wish in proptest::collection::vec(any::<u8>(), 0..20),
        now in -377_705_023_201_i64..253_402_207_200,
    ) {
        let value = |bytes: &[u8]| http::HeaderValue::from_bytes(bytes).ok();
        let mut head = head(code, &[]);
        head.headers.extend(value(&delay).map(|value| (RETRY_AFTER, value)));
        let name = http::HeaderName::from_static(WEBHOOK_DELIVERY);
        head.headers.extend(value(&wish).map(|value| (name, value)));
        match judge(&head, Timestamp::from_second(now).unwrap()) {
            AttemptResult::Accepted { .. } => prop_assert!((200..300).contains(&code)),
            AttemptResult::Final { .. } | AttemptResult::Withdrawn | AttemptResult::NoValue { .. } => {}
            AttemptResult::Refused { retry_after, .. } => prop_assert!(retry_after <= Some(RETRY_AFTER_MAX)),
        }
    }

    /// No body is recorded whole or with control characters.
    #[test]
    fn any_body_is_shortened(body in proptest::collection::vec(any::<u8>(), 0..9000), secret in "[ -~]{4,9}") {
        let excerpt = excerpt(&body, &secrets(&[&secret])).unwrap_or_default();
        prop_assert!(excerpt.len() <= RECEIVER_ANSWER_KEPT_BYTES_MAX);
        prop_assert!(!excerpt.contains(|char: char| char.is_control() && char != '\n'));
    }
}
