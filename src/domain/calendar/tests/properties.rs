//! Properties of every expression, zone and instant. `PROPTEST_CASES=200000` with `--release` tries harder.

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Calendar, Occasion};

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "America/Santiago"];

/// Returns text that is nearly an expression, so that most cases get far into the code.
fn item(names: &'static [&'static str], low: u16, high: u16) -> impl Strategy<Value = String> {
    let number = low..=high;
    prop_oneof![
        4 => Just("*".to_owned()),
        4 => number.clone().prop_map(|number| number.to_string()),
        2 => (number.clone(), number.clone()).prop_map(|(low, high)| format!("{low}-{high}")),
        2 => (1_u16..40).prop_map(|step| format!("*/{step}")),
        1 => (number.clone(), number.clone(), 1_u16..9).prop_map(|(a, b, step)| format!("{a}-{b}/{step}")),
        1 => (number.clone(), number).prop_map(|(a, b)| format!("{a},{b}")),
        1 => select(names).prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let five = (
        item(&["H", "H/20", "?"], 0, 59),
        item(&["H", "H(1-3)", "?"], 0, 23),
        item(&["L", "15W", "w1", "H", "?", "25-L"], 1, 31),
        item(&["jan", "OCT-mar", "H"], 1, 12),
        item(&["fri#3", "L5", "sun-7", "fri-mon", "mon-fri#1", "H"], 0, 7),
    );
    let second = prop_oneof![3 => Just(String::new()), 1 => item(&["H"], 0, 59)];
    (five, second).prop_map(|((a, b, c, d, e), second)| format!("{a} {b} {c} {d} {e} {second}"))
}

fn occasions(calendar: &Calendar, after: Timestamp, count: usize) -> Vec<Occasion> {
    std::iter::successors(calendar.next_after(after), |last| calendar.next_after(last.at))
        .take(count)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_sequence_ascends_and_goes_on_the_same_from_any_instant(
        expression in expression(),
        zone in select(&ZONES[..]),
        second in 0_i64..4_000_000_000,
        nanosecond in 0_i32..1_000_000_000,
        lead in 0_i64..400_000,
    ) {
        let Ok(calendar) = Calendar::parse(&expression, zone, "seed") else { return Ok(()) };
        let after = Timestamp::new(second, nanosecond).unwrap();
        let sequence = occasions(&calendar, after, 60);
        let mut last = after;
        for occasion in &sequence {
            prop_assert!(occasion.at > last);
            last = occasion.at;
        }
        // Any instant between the start and the end of the sequence.
        let restart = Timestamp::new(second + lead, nanosecond).unwrap().min(last);
        let rest: Vec<Occasion> = sequence.iter().copied().filter(|occasion| occasion.at > restart).collect();
        prop_assert_eq!(occasions(&calendar, restart, rest.len()), rest);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}", zone in "\\PC{0,20}") {
        examine(&text, "UTC");
        examine("@daily", &zone);
    }

    #[test]
    fn nothing_that_looks_like_an_expression_panics(text in "[0-9*?,/#LWHjan()@ \t-]{1,40}") {
        examine(&text, "Africa/Casablanca");
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        examine(&String::from_utf8_lossy(&bytes), "UTC");
    }

    #[test]
    fn no_five_fields_panic(fields in proptest::collection::vec("[0-9*?,/#lwh()-]{1,7}", 5..8)) {
        examine(&fields.join(" "), "America/Santiago");
    }
}

/// Calls every method of the calendar, or of the error.
fn examine(expression: &str, zone: &str) {
    match Calendar::parse(expression, zone, expression) {
        Ok(calendar) => {
            assert!(!calendar.describe().is_empty());
            let _: Vec<String> = calendar.cautions().iter().map(ToString::to_string).collect();
            occasions(&calendar, Timestamp::MIN, 3);
            assert_eq!(calendar.next_after(Timestamp::MAX), None);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            if let super::super::CalendarError::Expression(error) = error {
                assert!(error.span().end <= expression.len());
                assert_eq!(error.caret().lines().count(), 2);
            }
        }
    }
}
