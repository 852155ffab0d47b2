//! What is noted beside the coming occurrences.

use super::*;
use crate::config::{CronFields, validate_cron};

fn at(text: &str) -> Timestamp {
    format!("2026-03-02T{text}:00Z").parse().unwrap()
}

fn cron(schedule: &str) -> Cron {
    let fields = format!(r#"{{"schedule":"{schedule}","assistant_id":"agent"}}"#);
    let fields: CronFields = serde_json::from_str(&fields).unwrap();
    validate_cron("digest", &fields).unwrap()
}

#[test]
fn what_will_not_fire_says_why() {
    let (cron, now) = (cron("0 * * * *"), at("09:30"));
    let until = |cause, until| Pause { until, ..Pause::since(at("09:00"), cause) };
    let paused = |cause, end| CronState { paused: Some(until(cause, end)), ..CronState::default() };
    let skip = CronState { skip_next: true, ..CronState::default() };
    let all = [until(PauseCause::All, Some(at("11:30")))];
    for (state, of_all, from, expected) in [
        (CronState::default(), &[][..], now, ["", "", ""]),
        (paused(PauseCause::Request, Some(at("11:00"))), &[], now, ["paused: will be skipped", "", ""]),
        (paused(PauseCause::Failures, None), &[], now, ["paused after failures: will be skipped"; 3]),
        (skip.clone(), &[], now, ["skip-next was requested: will be skipped", "", ""]),
        (skip.clone(), &[], at("09:45"), ["", "", ""]),
        (
            skip,
            &all,
            now,
            [
                "all crons are paused: will be skipped",
                "all crons are paused: will be skipped",
                "skip-next was requested: will be skipped",
            ],
        ),
    ] {
        let decided = Decided::default();
        let upcoming = of_cron_in_state(&cron, &decided, (&state, of_all), from, now);
        for (occurrence, expected) in upcoming.zip(expected) {
            assert_eq!(occurrence.note.as_deref().unwrap_or_default(), expected, "{state:?} from {from}");
            assert_eq!(occurrence.will_fire, expected.is_empty());
        }
    }
}
