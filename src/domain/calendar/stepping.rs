//! Steps from one local time to the next that a recurrence names, regardless of any zone. The `cron` crate does the
//! stepping; this file translates a recurrence into its terms and adds what it lacks.
//!
//! The crate numbers Sunday 1, expects the seconds first, joins the two day fields by AND, and has no `L`, `W` or
//! `#`. So a recurrence becomes one or more arms, each of them a schedule and perhaps a filter on dates; the earliest
//! time of all arms is the next. The crate uses `chrono`, and no other file does.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::field::Field;
use super::recurrence::{Days, MonthDays, Numbers, Recurrence, WeekDays};

const SECONDS_PER_DAY: i64 = 86_400;

/// The beginning of 2100. The crate's years end one later than croniter's and ours.
const END: WallSecond = 4_102_444_800;

/// A local time without a zone, in seconds since the local clock showed the beginning of 1970.
pub(super) type WallSecond = i64;

#[derive(Clone, Debug)]
pub(super) struct Stepper {
    arms: Vec<Arm>,
}

#[derive(Clone, Debug)]
struct Arm {
    schedule: cron::Schedule,
    dates: DateFilter,
}

/// The dates of an arm's schedule that are kept.
#[derive(Clone, Debug)]
enum DateFilter {
    All,
    /// The last day of its month.
    LastOfMonth,
    /// A date whose weekday does not come again in its month.
    LastOfItsWeekday,
    /// The weekday (Monday to Friday) nearest to this day of the month.
    NearestWeekdayTo(u32),
}

impl Stepper {
    /// Returns `None` if the recurrence names no time at all, for example if its only date is the 31st of February.
    pub(super) fn new(recurrence: &Recurrence) -> Option<Stepper> {
        let arms = match &recurrence.days {
            Days::Every => vec![(Numbers::new(), Numbers::new(), DateFilter::All)],
            Days::OfMonth(of_month) => month_arms(of_month),
            Days::OfWeek(of_week) => week_arms(of_week),
            Days::Either(of_month, of_week) => {
                let mut arms = month_arms(of_month);
                arms.extend(week_arms(of_week));
                arms
            }
        };
        let arms = arms.into_iter().filter_map(|(month_days, week_days, dates)| {
            let arm = Arm { schedule: schedule(recurrence, &month_days, &week_days)?, dates };
            // An arm without any date would be searched to the last year at every step.
            arm.next_after(-1).is_some().then_some(arm)
        });
        let arms: Vec<Arm> = arms.collect();
        (!arms.is_empty()).then_some(Stepper { arms })
    }

    /// Returns the earliest named time later than `wall`.
    pub(super) fn next_after(&self, wall: WallSecond) -> Option<WallSecond> {
        self.arms.iter().filter_map(|arm| arm.next_after(wall)).min()
    }
}

impl Arm {
    fn next_after(&self, wall: WallSecond) -> Option<WallSecond> {
        let mut from = wall;
        loop {
            // UTC is used because it has no clock changes, not because the time is in UTC.
            let start = DateTime::<Utc>::from_timestamp(from, 0)?;
            let found = self.schedule.after(&start).next()?;
            if found.timestamp() >= END {
                return None;
            }
            if self.dates.contain(found.date_naive()) {
                return Some(found.timestamp());
            }
            let midnight = found.timestamp().div_euclid(SECONDS_PER_DAY) * SECONDS_PER_DAY;
            from = midnight + SECONDS_PER_DAY - 1;
        }
    }
}

impl DateFilter {
    fn contain(&self, date: NaiveDate) -> bool {
        let length = u32::from(date.num_days_in_month());
        match self {
            DateFilter::All => true,
            DateFilter::LastOfMonth => date.day() == length,
            DateFilter::LastOfItsWeekday => date.day() + 7 > length,
            DateFilter::NearestWeekdayTo(day) => {
                let target = (*day).min(length);
                nearest_weekday(date.with_day(target), target, length) == Some(date.day())
            }
        }
    }
}

fn nearest_weekday(target_date: Option<NaiveDate>, target: u32, length: u32) -> Option<u32> {
    Some(match target_date?.weekday() {
        chrono::Weekday::Sat if target == 1 => 3,
        chrono::Weekday::Sat => target - 1,
        chrono::Weekday::Sun if target == length => target - 2,
        chrono::Weekday::Sun => target + 1,
        chrono::Weekday::Mon
        | chrono::Weekday::Tue
        | chrono::Weekday::Wed
        | chrono::Weekday::Thu
        | chrono::Weekday::Fri => target,
    })
}

/// The days of the month and the days of the week, both of which must match (an empty set means any), and the filter.
type ArmDays = (Numbers, Numbers, DateFilter);

fn month_arms(days: &MonthDays) -> Vec<ArmDays> {
    let mut arms = Vec::new();
    if !days.numbers.is_empty() {
        arms.push((days.numbers.clone(), Numbers::new(), DateFilter::All));
    }
    if days.last {
        arms.push(((28..=31).collect(), Numbers::new(), DateFilter::LastOfMonth));
    }
    for day in &days.nearest_weekday {
        // A shorter month pulls the 31st back to the 28th, and a Sunday there to the 26th.
        let earliest = if *day > 28 { 26 } else { day.saturating_sub(2).max(1) };
        let around = (earliest..=(day + 2).min(31)).collect();
        arms.push((around, Numbers::new(), DateFilter::NearestWeekdayTo(u32::from(*day))));
    }
    arms
}

fn week_arms(days: &WeekDays) -> Vec<ArmDays> {
    let mut arms = Vec::new();
    if !days.numbers.is_empty() {
        arms.push((Numbers::new(), days.numbers.clone(), DateFilter::All));
    }
    for (week, weekdays) in (0..).zip(&days.nth) {
        if !weekdays.is_empty() {
            // The third Friday is the Friday from the 15th to the 21st: here the crate's AND is what we need.
            let dates = (7 * week + 1..=(7 * week + 7).min(31)).collect();
            arms.push((dates, weekdays.clone(), DateFilter::All));
        }
    }
    if !days.last.is_empty() {
        arms.push(((22..=31).collect(), days.last.clone(), DateFilter::LastOfItsWeekday));
    }
    arms
}

/// Returns the crate's schedule. Its text has only numbers that we computed, and never the user's text, so the crate
/// has nothing to refuse.
fn schedule(recurrence: &Recurrence, month_days: &Numbers, week_days: &Numbers) -> Option<cron::Schedule> {
    let from_sunday_one = week_days.iter().map(|day| day + 1).collect();
    let text = format!(
        "{} {} {} {} {} {} {}",
        list(Field::Second, &recurrence.seconds),
        list(Field::Minute, &recurrence.minutes),
        list(Field::Hour, &recurrence.hours),
        list(Field::DayOfMonth, month_days),
        list(Field::Month, &recurrence.months),
        list(Field::DayOfWeek, &from_sunday_one),
        recurrence.years.as_ref().map_or_else(|| "*".to_owned(), joined),
    );
    cron::Schedule::from_str(&text).ok()
}

fn list(field: Field, numbers: &Numbers) -> String {
    let all = usize::from(field.max() - field.min()) + 1;
    if numbers.is_empty() || numbers.len() == all { "*".to_owned() } else { joined(numbers) }
}

fn joined(numbers: &Numbers) -> String {
    numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}
