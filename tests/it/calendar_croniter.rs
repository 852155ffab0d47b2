//! Compares the calendar with croniter, in UTC. The server parses schedules with croniter, so our calendar must give the
//! same text the same meaning.

use agentcron::domain::calendar::Calendar;
use jiff::Timestamp;

#[test]
fn the_calendar_reads_expressions_as_croniter_does() {
    let text = include_str!("../fixtures/calendar/croniter.json");
    let cases: Vec<(String, i64, Vec<i64>)> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 2000);
    let mut differing = Vec::new();
    for (expression, start, expected) in cases {
        let calendar = match Calendar::parse(&expression, "UTC", "") {
            Ok(calendar) => calendar,
            Err(error) => {
                differing.push(format!("{expression}: {error}"));
                continue;
            }
        };
        let first = calendar.next_after(Timestamp::from_second(start).unwrap());
        let got: Vec<i64> = std::iter::successors(first, |last| calendar.next_after(last.at))
            .take(expected.len())
            .map(|occasion| occasion.at.as_second())
            .collect();
        if got != expected {
            differing.push(format!("{expression} from {start}: {got:?}, croniter {expected:?}"));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
