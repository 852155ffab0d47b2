//! Compares the calendar with a walk along a wall clock.
//!
//! The walk knows nothing of how the calendar works: it goes from minute to minute (or second to second) through the
//! week of a clock change, reads what the clock shows, and asks a naive matcher. Expressions are generated together
//! with their matcher. `AGENTCRON_CALENDAR_EXPRESSIONS=20000 cargo test --release calendar_oracle` is the full run.

#![expect(clippy::unwrap_used, reason = "a test ends where it is surprised")]

mod expression;
mod random;
mod wall;

use agentcron::domain::calendar::{Calendar, CalendarError, Occasion};
use jiff::Timestamp;

use expression::Generated;
use random::Random;
use wall::Wall;

const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Africa/Cairo",
    "America/Santiago",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "UTC",
];

/// Kathmandu changed in 1986, Apia lost a day in 2011, Sao Paulo stopped in 2019, Cairo came back in 2023; 2040 is
/// beyond the tables of zone files, where only a rule remains.
const YEARS: [i16; 9] = [1986, 2011, 2014, 2018, 2023, 2024, 2025, 2026, 2040];

/// A few seconds without optimization.
const EXPRESSIONS_BY_DEFAULT: u64 = 30;

#[test]
fn the_calendar_agrees_with_a_walk_along_the_wall_clock() {
    #[expect(clippy::disallowed_methods, reason = "a test's own knob, not configuration of the daemon")]
    let asked = std::env::var("AGENTCRON_CALENDAR_EXPRESSIONS").ok();
    let count = asked.as_ref().map_or(EXPRESSIONS_BY_DEFAULT, |count| count.parse().unwrap());
    let zones: Vec<(&str, Vec<Wall>)> =
        ZONES.iter().map(|zone| (*zone, wall::clock_change_weeks(zone, &YEARS))).collect();
    let compare_seed = |seed: u64| {
        let generated = Generated::new(&mut Random::new(seed));
        let in_zone = |(zone, walls): &(&str, Vec<Wall>)| match &asked {
            Some(_) => compare(&generated, zone, walls, seed),
            // Another week for each expression, so that all weeks have their turn.
            None => compare(&generated, zone, &walls[seed as usize % walls.len()..][..1], seed),
        };
        zones.iter().map(in_zone).sum::<u64>()
    };
    let compared: u64 = std::thread::scope(|scope| {
        let halves =
            [0, 1].map(|first| scope.spawn(move || (first..count).step_by(2).map(compare_seed).sum::<u64>()));
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    println!("{count} expressions, {compared} occasions compared");
    assert!(compared > count);
}

/// Zones differ in more than our twelve know: two hours at Troll, a negative summer in Dublin, dates lost at Kwajalein.
/// `AGENTCRON_CALENDAR_ZONES=all cargo test --release calendar_oracle` goes through the whole database, for minutes.
#[test]
fn the_calendar_agrees_with_the_wall_clock_in_odd_zones_too() {
    #[expect(clippy::disallowed_methods, reason = "a test's own knob, not configuration of the daemon")]
    let all = std::env::var("AGENTCRON_CALENDAR_ZONES").is_ok_and(|zones| zones == "all");
    let odd = ["Antarctica/Troll", "Europe/Dublin", "Pacific/Kwajalein", "America/Caracas", "Asia/Pyongyang"];
    let (zones, years, seeds): (Vec<String>, Vec<i16>, u64) = match all {
        true => {
            (jiff::tz::db().available().map(|zone| zone.to_string()).collect(), (1973..2040).collect(), 8)
        }
        false => (odd.map(str::to_owned).into(), vec![1993, 2007, 2015, 2018, 2027], 2),
    };
    let generated: Vec<(u64, Generated)> =
        (0..seeds).map(|seed| (seed, Generated::new(&mut Random::new(seed)))).collect();
    for zone in &zones {
        for wall in wall::clock_change_weeks(zone, &years) {
            for (seed, generated) in &generated {
                compare(generated, zone, std::slice::from_ref(&wall), *seed);
            }
        }
    }
}

/// Returns how many occasions were compared.
fn compare(generated: &Generated, zone: &str, walls: &[Wall], seed: u64) -> u64 {
    let text = &generated.text;
    let calendar = match Calendar::parse(text, zone, "") {
        Ok(calendar) => calendar,
        Err(CalendarError::NeverMatches) => {
            assert!(generated.is_impossible(), "{text} is said never to match");
            return 0;
        }
        Err(error) => panic!("{text} is refused: {error}"),
    };
    let mut compared = 0;
    for wall in walls {
        let expected = wall.occasions(generated);
        let got = occasions(&calendar, wall.range(generated));
        let equal = expected.iter().zip(&got).take_while(|(expected, got)| expected == got).count();
        assert!(
            expected == got,
            "{text} in {zone} (seed {seed}) differs at {equal}:\n walk     {:?}\n calendar {:?}",
            expected.get(equal),
            got.get(equal),
        );
        compared += got.len() as u64;
    }
    compared
}

fn occasions(calendar: &Calendar, range: std::ops::Range<Timestamp>) -> Vec<Occasion> {
    let before = range.start - jiff::SignedDuration::from_nanos(1);
    std::iter::successors(calendar.next_after(before), |last| calendar.next_after(last.at))
        .take_while(|occasion| occasion.at < range.end)
        .collect()
}
