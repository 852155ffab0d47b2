//! What a wall clock in a zone shows through the week of a clock change, found by reading it at every step.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::OnceLock;

use agentcron::domain::calendar::{Occasion, Oddity};
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::expression::Generated;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// How far beyond each end of a walk the clock is read too, to know what it has shown before and what it will show
/// again. In our zones and years, no clock went back by more.
const MARGIN: i64 = 2 * HOUR;

/// Two walks through one clock change: the week around it by the minute, the hours around it by the second.
pub(crate) struct Wall {
    by_minute: OnceLock<Walk>,
    by_second: OnceLock<Walk>,
    zone: TimeZone,
    change: i64,
}

struct Walk {
    range: Range<i64>,
    shown: Vec<Shown>,
}

/// One reading of the clock.
struct Shown {
    at: i64,
    local: DateTime,
    /// Whether the clock shows this for the second time.
    is_second_pass: bool,
    /// Whether the clock will show this again.
    is_first_pass: bool,
    /// The local times that the clock skipped between the reading before and this one.
    skipped: Vec<DateTime>,
}

pub(crate) fn clock_change_weeks(zone: &str, years: &[i16]) -> Vec<Wall> {
    let zone = TimeZone::get(zone).unwrap();
    let mut weeks = Vec::new();
    for year in years {
        let start = jiff::civil::date(*year, 1, 1).to_zoned_datetime(TimeZone::UTC).unwrap().timestamp();
        let hours = (0..366 * 24).map(|hour| start.as_second() + hour * HOUR);
        let changes: Vec<i64> =
            hours.filter(|hour| offset(&zone, *hour) != offset(&zone, hour - HOUR)).collect();
        weeks.extend(changes.iter().map(|hour| Wall::around(&zone, *hour)));
        if changes.is_empty() && *year == 2026 {
            weeks.push(Wall::around(&zone, start.as_second() + 59 * DAY));
        }
    }
    weeks
}

fn offset(zone: &TimeZone, second: i64) -> i64 {
    zone.to_offset(Timestamp::from_second(second).unwrap()).seconds().into()
}

impl Wall {
    fn around(zone: &TimeZone, change: i64) -> Wall {
        Wall { by_minute: OnceLock::new(), by_second: OnceLock::new(), zone: zone.clone(), change }
    }

    fn walk(&self, generated: &Generated) -> &Walk {
        if generated.has_seconds() {
            let start = self.change - HOUR - HOUR / 2;
            self.by_second.get_or_init(|| Walk::new(&self.zone, 1, start..start + 3 * HOUR))
        } else {
            let start = (self.change - 3 * DAY).div_euclid(DAY) * DAY;
            self.by_minute.get_or_init(|| Walk::new(&self.zone, 60, start..start + 7 * DAY))
        }
    }

    pub(crate) fn range(&self, generated: &Generated) -> Range<Timestamp> {
        let range = &self.walk(generated).range;
        Timestamp::from_second(range.start).unwrap()..Timestamp::from_second(range.end).unwrap()
    }

    pub(crate) fn occasions(&self, generated: &Generated) -> Vec<Occasion> {
        let mut date_matches: HashMap<Date, bool> = HashMap::new();
        let mut matches = |local: DateTime| {
            generated.matches_time(local.hour(), local.minute(), local.second())
                && *date_matches.entry(local.date()).or_insert_with(|| generated.matches_date(local.date()))
        };
        let mut occasions = Vec::new();
        for shown in &self.walk(generated).shown {
            let skipped = shown.skipped.iter().copied().filter(|_| !generated.is_wild());
            let named = skipped.into_iter().find(|skipped| matches(*skipped));
            let oddity = match named {
                Some(named) => Some(Oddity::AfterGap { named }),
                None if !matches(shown.local) => continue,
                None if shown.is_second_pass && !generated.is_wild() => continue,
                None if shown.is_second_pass => Some(Oddity::SecondOfTwoPasses),
                None if shown.is_first_pass => Some(Oddity::FirstOfTwoPasses),
                None => None,
            };
            occasions.push(Occasion { at: Timestamp::from_second(shown.at).unwrap(), oddity });
        }
        occasions
    }
}

impl Walk {
    fn new(zone: &TimeZone, step: i64, range: Range<i64>) -> Walk {
        let read = |at: i64| Offset::UTC.to_datetime(Timestamp::from_second(at + offset(zone, at)).unwrap());
        let seconds = |from: i64, to: i64| (from..to).step_by(step as usize);
        let mut before: HashSet<DateTime> = seconds(range.start - MARGIN, range.start).map(read).collect();
        let mut to_come = HashMap::<DateTime, u32>::new();
        for local in seconds(range.start, range.end + MARGIN).map(read) {
            *to_come.entry(local).or_default() += 1;
        }
        let mut shown = Vec::new();
        for at in seconds(range.start, range.end) {
            let local = read(at);
            let times_left = to_come.get_mut(&local).unwrap();
            *times_left -= 1;
            let mut skipped = Vec::new();
            let mut missing = read(at - step) + SignedDuration::from_secs(step);
            while missing < local {
                skipped.push(missing);
                missing += SignedDuration::from_secs(step);
            }
            let is_second_pass = !before.insert(local);
            shown.push(Shown { at, local, is_second_pass, is_first_pass: *times_left > 0, skipped });
        }
        Walk { range, shown }
    }
}
