//! Which attempts are admitted, and what their results show about URLs and their origin.

use super::*;

fn failed(fault: Fault, retry_after: Option<u64>) -> AttemptResult {
    let retry_after = retry_after.map(Duration::from_secs);
    AttemptResult::Refused { code: None, detail: "busy".to_owned(), retry_after, fault }
}

fn trouble() -> AttemptResult {
    failed(Fault::Trouble, None)
}

const GOOD: AttemptResult = AttemptResult::Accepted { code: 200 };

fn of_file(origin: &str) -> Lane {
    Lane { origin: Origin::new(origin), source: CronSource::File }
}

fn of_client(origin: &str) -> Lane {
    Lane { origin: Origin::new(origin), source: CronSource::Api }
}

/// Asks for a permit for this path of the origin, or says what waits.
fn admit(origins: &OriginLimiter, path: &str, now: Timestamp) -> Result<Permit, &'static str> {
    match origins.admit(&of_file("https://a.example"), &format!("https://a.example/{path}"), now) {
        Admission::Admitted(permit) => Ok(permit),
        Admission::UrlWaits => Err("the URL waits"),
        Admission::ReceiverWaits | Admission::OfAnother(_) => Err("the origin waits"),
    }
}

fn permits(origins: &OriginLimiter, path: &str, now: Timestamp) -> Vec<Permit> {
    std::iter::from_fn(|| admit(origins, path, now).ok()).collect()
}

fn waits(origins: &OriginLimiter, path: &str, now: Timestamp) -> &'static str {
    admit(origins, path, now).err().unwrap_or("nothing waits")
}

fn delivery(number: u128) -> DeliveryId {
    DeliveryId(uuid::Uuid::from_u128(number))
}

/// Makes one attempt at this delivery, which must be admitted.
fn attempt(
    origins: &OriginLimiter,
    path: &str,
    number: u128,
    result: &AttemptResult,
    now: Timestamp,
) -> [Change; 2] {
    let Changes([(_, origin), (_, url)]) =
        admit(origins, path, now).unwrap().judge(delivery(number), result, None, now);
    [origin, url]
}

fn is_back(change: &Change) -> bool {
    matches!(change, Change::Back(_))
}

#[test]
fn what_a_client_causes_at_an_origin_is_no_matter_of_files() {
    let origins = OriginLimiter::default();
    let of_clients = |url: &str, now| origins.admit(&of_client("https://a.example"), url, now);
    let Admission::Admitted(permit) = of_clients("https://a.example/x", at(0)) else { panic!("refused") };
    permit.judge(delivery(0), &failed(Fault::NoConnection, Some(86_400)), None, at(0));
    drop(permit);
    assert!(matches!(of_clients("https://a.example/x", at(1)), Admission::UrlWaits));
    assert_eq!(permits(&origins, "x", at(1)).len(), ATTEMPTS_PER_URL);
    // However many origins clients name, some attempts are left for files.
    let many = (0..ATTEMPTS_IN_FLIGHT).filter_map(|number| {
        match origins.admit(&of_client(&format!("https://{number}.example")), "https://x", at(1)) {
            Admission::Admitted(permit) => Some(permit),
            Admission::UrlWaits | Admission::ReceiverWaits | Admission::OfAnother(_) => None,
        }
    });
    let many: Vec<Permit> = many.collect();
    assert_eq!(many.len(), CLIENT_ATTEMPTS_IN_FLIGHT);
    assert!(many.len() < ATTEMPTS_IN_FLIGHT && admit(&origins, "x", at(1)).is_ok());
}

#[test]
fn what_is_known_of_a_receiver_is_given_up_when_it_belongs_to_another_daemon() {
    let origins = OriginLimiter::default();
    attempt(&origins, "x", 1, &failed(Fault::NoConnection, None), at(0));
    let members = |own, other| Members::of(DaemonNumber(own), vec![DaemonNumber(other)]);
    let (ours, of_another) = match members(1, 2).owns("https://a.example") {
        true => (members(1, 2), members(2, 1)),
        false => (members(2, 1), members(1, 2)),
    };
    assert_eq!(origins.of_others(&ours), []);
    assert_eq!(origins.of_others(&of_another), [(Scope::Origin, delivery(1))]);
}

#[test]
fn a_url_has_four_permits_and_leaves_as_many_of_its_origin_to_others() {
    let origins = OriginLimiter::default();
    let taken = permits(&origins, "a", at(0));
    assert_eq!((taken.len(), waits(&origins, "a", at(0))), (4, "the URL waits"));
    let others: Vec<_> = ["b", "c", "d", "e"].map(|path| admit(&origins, path, at(0)).unwrap()).into();
    assert_eq!(waits(&origins, "f", at(0)), "the origin waits");
    drop((taken, others));
    assert_eq!(permits(&origins, "f", at(0)).len(), 4);
    assert!(origins.early(at(0)).is_empty());
    assert_eq!(origins.remembered(), 0, "what is idle and well is forgotten");
}

/// A receiver of which one URL fails in some way for an hour, while another is used now and then.
#[test]
fn a_bad_url_takes_nothing_from_a_good_one_of_its_origin() {
    for bad in [
        trouble(),
        failed(Fault::Trouble, Some(7200)),
        failed(Fault::Refused, None),
        failed(Fault::Ours, None),
    ] {
        let origins = OriginLimiter::default();
        for second in 0..3600 {
            if let Ok(permit) = admit(&origins, "bad", at(second)) {
                permit.judge(delivery(second.try_into().unwrap()), &bad, None, at(second));
            }
            if second % 600 == 300 {
                let changes = attempt(&origins, "good", 1 << 64, &GOOD, at(second));
                assert_eq!(changes, [Change::None, Change::None], "{bad:?} after {second} s");
            }
        }
    }
}

#[test]
fn a_delivery_that_is_refused_alone_does_not_close_its_url_to_others() {
    let origins = OriginLimiter::default();
    for second in 0..20 {
        attempt(&origins, "a", 7, &trouble(), at(second));
    }
    assert!(is_back(&attempt(&origins, "a", 8, &GOOD, at(20))[1]));
    for number in 0..5 {
        assert!(admit(&origins, "a", at(30)).is_ok());
        attempt(&origins, "a", number, &trouble(), at(30));
    }
    assert_eq!((waits(&origins, "a", at(31)), origins.open_breakers()), ("the URL waits", 1));
    assert_eq!(origins.next_opening(at(31)), Some(at(32)));
}

#[test]
fn of_many_urls_at_an_origin_that_is_down_five_are_tried_and_then_one_at_a_time() {
    for fault in [Fault::Trouble, Fault::NoConnection, Fault::Tls] {
        let origins = OriginLimiter::default();
        let result = failed(fault, None);
        let mut tried = Vec::new();
        for second in 0..=120 {
            for number in 0..1000 {
                if let Ok(permit) = admit(&origins, &number.to_string(), at(second)) {
                    permit.judge(delivery(number), &result, None, at(second));
                    tried.push(second);
                }
            }
        }
        let expected = [0, 0, 0, 0, 0, 2, 4, 6, 8, 10, 13, 17, 22, 28, 35, 44, 55, 69, 87, 109];
        assert_eq!(tried, expected, "{fault:?}");
        // All that waited with the first is tried at once.
        assert_eq!(waits(&origins, "1", at(121)), "the origin waits");
        let [origin, _] = attempt(&origins, "999", 999, &GOOD, at(148));
        assert!(is_back(&origin), "{origin:?}");
        assert_eq!(permits(&origins, "0", at(148)).len(), 2);
    }
}

#[test]
fn a_url_that_has_failed_for_long_decides_nothing_about_an_origin_that_is_down() {
    let origins = OriginLimiter::default();
    (0..5).for_each(|number| drop(attempt(&origins, "bad", number, &trouble(), at(0))));
    attempt(&origins, "0", 100, &GOOD, at(900));
    for number in 0..5 {
        attempt(&origins, &number.to_string(), 200 + number, &trouble(), at(1000));
    }
    assert_eq!(waits(&origins, "0", at(1001)), "the origin waits");
    // It has its own probes.
    assert!(matches!(attempt(&origins, "bad", 6, &trouble(), at(1001)), [Change::None, Change::Away(..)]));
    assert_eq!(waits(&origins, "bad", at(1003)), "the URL waits");
    // A URL of which nothing bad is known would be asked first.
    assert_eq!(waits(&origins, "0", at(1003)), "the URL waits");
    assert!(is_back(&attempt(&origins, "0", 200, &GOOD, at(1004))[0]));
}

#[test]
fn the_probe_of_an_origin_goes_to_a_url_of_which_nothing_bad_is_known_if_there_is_one() {
    let origins = OriginLimiter::default();
    for number in 0..5 {
        attempt(&origins, &format!("bad{number}"), number, &trouble(), at(0));
    }
    assert_eq!(waits(&origins, "good", at(1)), "the origin waits");
    assert_eq!(waits(&origins, "bad0", at(2)), "the URL waits");
    assert!(is_back(&attempt(&origins, "good", 9, &GOOD, at(2))[0]));
}

#[test]
fn urls_that_hang_leave_half_of_their_origin_to_others() {
    let origins = OriginLimiter::default();
    let mut hanging = Vec::new();
    for number in 0..8 {
        let path = format!("bad{number}");
        attempt(&origins, &path, number, &trouble(), at(0));
        attempt(&origins, "good", 99, &GOOD, at(0));
        hanging.extend(admit(&origins, &path, at(1)).ok());
    }
    assert_eq!((hanging.len(), permits(&origins, "good", at(1)).len()), (4, 4));
}

#[test]
fn an_answer_shows_that_a_machine_is_back() {
    let origins = OriginLimiter::default();
    for number in 0..5 {
        attempt(&origins, "a", number, &failed(Fault::NoConnection, None), at(0));
    }
    assert_eq!(waits(&origins, "b", at(1)), "the origin waits");
    assert!(matches!(attempt(&origins, "a", 1, &trouble(), at(2)), [Change::Back(_), Change::Away(..)]));
    assert!(admit(&origins, "b", at(2)).is_ok());
}

#[test]
fn a_url_that_is_back_gets_one_then_two_then_four() {
    let origins = OriginLimiter::default();
    (0..5).for_each(|number| drop(attempt(&origins, "a", number, &trouble(), at(0))));
    let mut counts = Vec::new();
    for _ in 0..3 {
        let taken = permits(&origins, "a", at(60));
        counts.push(taken.len());
        taken[0].judge(delivery(0), &GOOD, None, at(60));
    }
    assert_eq!((counts, permits(&origins, "a", at(60)).len()), (vec![1, 2, 4], 4));
}

#[test]
fn a_receiver_that_fails_is_asked_early_at_growing_intervals() {
    let origins = OriginLimiter::default();
    assert!(origins.early(at(0)).is_empty());
    attempt(&origins, "a", 1, &trouble(), at(0));
    let mut asked = Vec::new();
    let mut now = at(0);
    while asked.len() < 12 {
        now = origins.next_opening(now).unwrap();
        let [early] = origins.early(now)[..] else { panic!("nothing at {now}") };
        assert_eq!((early.scope, early.delivery_id, early.since), (Scope::Url, delivery(1), at(0)));
        asked.push(now.as_second());
        assert!(origins.early(now).is_empty(), "if nothing waits, it is not asked again at once");
    }
    assert_eq!(asked, [2, 4, 6, 8, 10, 12, 15, 19, 24, 30, 38, 47]);
    origins.forget(Scope::Url, delivery(1));
    assert_eq!(origins.next_opening(now), None);
}

#[test]
fn retry_after_holds_for_its_url_and_is_not_undone_by_another_answer() {
    let origins = OriginLimiter::default();
    let taken = permits(&origins, "a", at(0));
    taken[0].judge(delivery(0), &failed(Fault::Trouble, Some(600)), None, at(0));
    taken[1].judge(delivery(1), &GOOD, None, at(1));
    drop(taken);
    assert_eq!(
        (waits(&origins, "a", at(599)), waits(&origins, "b", at(599))),
        ("the URL waits", "nothing waits")
    );
    assert_eq!(origins.next_opening(at(1)), Some(at(600)));
    assert!(admit(&origins, "a", at(600)).is_ok());
}

#[test]
fn open_breakers_are_remembered_and_the_number_of_others_is_bounded() {
    let origins = OriginLimiter::default();
    (0..5).for_each(|number| drop(attempt(&origins, "a", number, &trouble(), at(0))));
    for number in 0..2 * RECEIVERS_REMEMBERED {
        let lane = of_file(&format!("https://{number}.example"));
        let Admission::Admitted(permit) = origins.admit(&lane, &number.to_string(), at(1)) else {
            panic!("refused")
        };
        permit.judge(delivery(number as u128), &failed(Fault::NoConnection, None), None, at(1));
    }
    assert!(origins.remembered() <= RECEIVERS_REMEMBERED);
    assert_eq!(waits(&origins, "a", at(1)), "the URL waits");
}

#[test]
fn a_receiver_that_refuses_is_well() {
    let origins = OriginLimiter::default();
    for number in 0..9 {
        let changes = attempt(&origins, "a", number, &failed(Fault::Refused, None), at(0));
        assert_eq!(changes, [Change::None, Change::None]);
    }
    assert_eq!(permits(&origins, "a", at(0)).len(), 4);
}

#[test]
fn a_receiver_that_answers_fast_gets_more_at_once_until_it_is_slow_or_fails() {
    let [slow, fast, instant] = [200, 50, 5].map(|millis| Some(Duration::from_millis(millis)));
    for (fast, most) in [(slow, 8), (fast, 32), (instant, 64)] {
        for slower in [(GOOD, Some(Duration::from_millis(500)), 4), (GOOD, None, 4), (trouble(), fast, 2)] {
            let origins = OriginLimiter::default();
            let mut taken = permits(&origins, "a", at(0));
            let mut counts = Vec::new();
            for number in 0..80 {
                taken.remove(0).judge(delivery(number), &GOOD, fast, at(1));
                taken.extend(permits(&origins, "a", at(1)));
                counts.push(taken.len());
            }
            assert_eq!((counts[0], counts[79]), (5, most));
            // Its origin has some left for other URLs.
            assert_eq!(permits(&origins, "b", at(1)).len(), 4);
            let (result, took, left) = slower;
            taken.remove(0).judge(delivery(99), &result, took, at(2));
            taken.truncate(left - 1);
            assert_eq!(permits(&origins, "a", at(2)).len(), 1, "{left} at once");
        }
    }
}

#[test]
fn receivers_that_answer_fast_leave_half_of_all_attempts_to_others() {
    let origins = OriginLimiter::default();
    let url = |number: usize| format!("https://{number}.example/x");
    let admit =
        |number| match origins.admit(&of_file(&format!("https://{number}.example")), &url(number), at(0)) {
            Admission::Admitted(permit) => Some(permit),
            Admission::UrlWaits | Admission::ReceiverWaits | Admission::OfAnother(_) => None,
        };
    let mut taken = Vec::new();
    for number in 0..9 {
        let before = taken.len();
        taken.extend(admit(number));
        for _ in 0..80 {
            taken[before].judge(delivery(1), &GOOD, Some(Duration::ZERO), at(0));
        }
        taken.extend(std::iter::from_fn(|| admit(number)));
        let most = if before < ATTEMPTS_IN_FLIGHT / 2 { 64 } else { 16 };
        assert_eq!(taken.len() - before, most, "with {before} in flight");
    }
}
