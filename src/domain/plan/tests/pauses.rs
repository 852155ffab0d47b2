//! Pauses of one cron and of all crons.

use super::*;

fn paused_since(since: &str) -> CronState {
    let pause = Pause::since(at(since), PauseCause::Request);
    CronState { paused: Some(pause), ..CronState::default() }
}

#[test]
fn a_paused_cron_does_not_fire_and_its_occurrences_are_one_record_even_after_an_outage() {
    check_in_state(
        &cron("0 * * * *"),
        &paused_since("2026-03-02T05:00:00Z"),
        "2026-03-02T03:00:00Z",
        Active::default(),
        "2026-03-02T09:30:00Z",
        expect![[r#"
            miss 2: 2026-03-02T04:00:00Z..2026-03-02T05:00:00Z LaterOne
            pause 4: 2026-03-02T06:00:00Z..2026-03-02T09:00:00Z
            cursor 2026-03-02T09:00:00Z
            wake 2026-03-02T10:00:00Z"#]],
    );
}

#[test]
fn what_was_due_before_the_pause_is_fired() {
    check_in_state(
        &cron("* * * * *"),
        &paused_since("2026-03-02T09:00:00Z"),
        "2026-03-02T08:59:00Z",
        Active::default(),
        "2026-03-02T09:00:00.020Z",
        expect![[r#"
            fire 2026-03-02T09:00:00Z +0s before 2026-03-02T09:01:00Z (schedule)
            cursor 2026-03-02T09:00:00Z
            wake 2026-03-02T09:01:00Z"#]],
    );
}

/// Returns the pause of all crons in a part of the second of March, as in `05:00:00` or `05:00:00-08:00:00`.
fn of_all(span: &str) -> Pause {
    let (since, until) = span.split_once('-').map_or((span, None), |(since, until)| (since, Some(until)));
    let on_the_day = |time: &str| at(&format!("2026-03-02T{time}Z"));
    Pause { until: until.map(on_the_day), ..Pause::since(on_the_day(since), PauseCause::All) }
}

/// Plans an hourly cron from three o'clock on, and returns the decisions and the next wake, without the day.
fn decided(own: Option<Pause>, of_all: &[Pause], catchup: Catchup, now: &str) -> String {
    let mut cron = cron("0 * * * *");
    cron.policy.catchup = catchup;
    let state = CronState { paused: own, ..CronState::default() };
    let now = at(&format!("2026-03-02T{now}Z"));
    let facts = facts(&state, at("2026-03-02T03:00:00Z"), Active::default(), now);
    let plan = plan(&cron, None, &PlanFacts { pauses_of_all: of_all, ..facts });
    let ended = plan.pause_ended.map(|until| format!("ended {until}"));
    let wake = plan.next_wake.map(|wake| format!("wake {wake}"));
    let lines = plan.decisions.iter().map(line).chain(ended).chain(wake);
    let short = |line: String| {
        let line = line.replace("2026-03-02T", "").replace(":00:00Z", "");
        line.split(" +").next().unwrap().to_owned()
    };
    lines.map(short).collect::<Vec<_>>().join(", ")
}

#[test]
fn while_all_crons_are_paused_nothing_fires_and_after_that_everything_does() {
    let cases: [(&[&str], &str, &str); 9] = [
        (&[], "06:00:01", "fire 04, fire 05, fire 06, wake 07"),
        (&["03:30:00"], "06:00:01", "pause 3: 04..06 (all), wake 07"),
        // What was due before it, and is found only now, is not fired either.
        (&["05:30:00"], "06:00:01", "pause 3: 04..06 (all), wake 07"),
        (&["05:30:00"], "05:45:00", "pause 2: 04..05 (all), wake 06"),
        // It is over: what was due outside it fires.
        (&["04:30:00-06:00:00"], "07:00:01", "fire 04, pause 1: 05..05 (all), fire 06, fire 07, wake 08"),
        (&["04:30:00-06:00:01"], "07:00:01", "fire 04, pause 2: 05..06 (all), fire 07, wake 08"),
        (
            &["03:30:00-04:30:00", "05:30:00-06:30:00"],
            "07:00:01",
            "pause 1: 04..04 (all), fire 05, pause 1: 06..06 (all), fire 07, wake 08",
        ),
        // It ends by itself later: nothing has to wake up for that here, since the pass does.
        (&["03:30:00-09:00:00"], "06:00:01", "pause 3: 04..06 (all), wake 07"),
        // One that begins when an occurrence is due does not cover it, and keeps it from firing all the same.
        (&["06:00:00"], "06:00:00", "pause 3: 04..06 (all), wake 07"),
    ];
    for (spans, now, expected) in cases {
        let spans: Vec<Pause> = spans.iter().map(|span| of_all(span)).collect();
        assert_eq!(decided(None, &spans, Catchup::All, now), expected, "{spans:?} at {now}");
    }
}

#[test]
fn what_is_not_caught_up_is_missed_although_all_crons_are_paused_now() {
    assert_eq!(
        decided(None, &[of_all("05:30:00")], Catchup::None, "06:00:01"),
        "miss 2: 04..05 NoCatchup, pause 1: 06..06 (all), wake 07"
    );
}

#[test]
fn a_pause_ends_by_itself_at_its_end_exactly_also_if_nobody_was_there() {
    let own =
        |until: &str| Some(Pause { cause: PauseCause::Request, ..of_all(&format!("03:30:00-{until}")) });
    let cases = [
        ("06:00:00", "05:00:01", "pause 2: 04..05, wake 06"),
        ("05:30:00", "05:00:01", "pause 2: 04..05, wake 05:30:00Z"),
        ("05:30:00", "05:30:00", "pause 2: 04..05, ended 05:30:00Z, wake 06"),
        ("06:00:00", "06:00:00", "pause 2: 04..05, fire 06, ended 06, wake 07"),
        ("06:00:00", "05:59:59.999", "pause 2: 04..05, wake 06"),
        ("05:30:00", "07:00:01", "pause 2: 04..05, fire 06, fire 07, ended 05:30:00Z, wake 08"),
    ];
    for (until, now, expected) in cases {
        assert_eq!(decided(own(until), &[], Catchup::All, now), expected, "until {until} at {now}");
    }
    let recorded = own("05:30:00").map(|pause| Pause { end_recorded: true, ..pause });
    assert_eq!(decided(recorded, &[], Catchup::All, "06:00:01"), "pause 2: 04..05, fire 06, wake 07");
}

#[test]
fn a_cron_is_paused_as_long_as_either_pause_says_so_and_its_own_is_named_first() {
    let own = Pause { cause: PauseCause::Request, ..of_all("04:30:00-06:30:00") };
    let all = [of_all("03:30:00-08:30:00")];
    assert_eq!(
        decided(Some(own.clone()), &all, Catchup::All, "09:00:01"),
        "pause 1: 04..04 (all), pause 2: 05..06, pause 2: 07..08 (all), fire 09, ended 06:30:00Z, wake 10"
    );
    assert_eq!(
        decided(Some(own), &[of_all("05:30:00")], Catchup::All, "07:00:01"),
        "pause 1: 04..04 (all), pause 2: 05..06, pause 1: 07..07 (all), ended 06:30:00Z, wake 08"
    );
}

#[test]
fn what_may_have_started_is_looked_for_and_not_started_while_all_crons_are_paused() {
    let (state, now) = (CronState::default(), at("2026-03-02T04:00:01Z"));
    let unsure = [(at("2026-03-02T03:30:00Z"), now)];
    let facts = facts(&state, at("2026-03-02T03:00:00Z"), Active::default(), now);
    let all = [of_all("04:00:00.500")];
    let plan = plan(&cron("0 * * * *"), None, &PlanFacts { pauses_of_all: &all, unsure: &unsure, ..facts });
    let Decision::Fire { start_before, .. } = &plan.decisions[0] else { panic!("{plan:?}") };
    assert_eq!(*start_before, now);
}
