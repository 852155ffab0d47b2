//! Resolves an expression into what it means: the numbers of each field, the rule for days, and the kind of its times.
//!
//! It is read as croniter reads it, oddities included, because the agent server uses croniter: a range from a value to
//! itself is the whole cycle, and a wrapping range with a step may start its second part one later.

use std::collections::BTreeSet;

use super::field::Field;
use super::hash::pick;
use super::parse::{Expression, Item, ParsedField};

pub(super) type Numbers = BTreeSet<u16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recurrence {
    pub(super) seconds: Numbers,
    pub(super) minutes: Numbers,
    pub(super) hours: Numbers,
    pub(super) months: Numbers,
    /// `None` means every year.
    pub(super) years: Option<Numbers>,
    pub(super) days: Days,
    pub(super) time_kind: TimeKind,
}

/// How a schedule treats clock changes (Vixie's distinction).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeKind {
    /// The minute or hour field starts with `*` or is `?`: the schedule follows the local clock, whatever it shows.
    Wildcard,
    /// The schedule names times of day, each of which happens once on each day.
    Fixed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Days {
    Every,
    OfMonth(MonthDays),
    OfWeek(WeekDays),
    /// Both day fields are restricted: a day that satisfies one of them is enough.
    Either(MonthDays, WeekDays),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MonthDays {
    pub(super) numbers: Numbers,
    pub(super) last: bool,
    /// `15W`: the weekday nearest to the 15th, or to the last day of a shorter month, within the same month.
    pub(super) nearest_weekday: Numbers,
}

/// Sunday is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WeekDays {
    pub(super) numbers: Numbers,
    /// The weekdays that count as the first to the fifth of the month, at the indices 0 to 4.
    pub(super) nth: [Numbers; 5],
    pub(super) last: Numbers,
}

/// Resolves an expression. The seed decides the numbers that `H` becomes.
pub(super) fn resolve(expression: &Expression, seed: &str) -> Recurrence {
    let parsed = |field: Field| {
        let index = Field::ORDER.iter().position(|other| *other == field)?;
        expression.fields.get(index)
    };
    let numbers = |field: Field, absent: &[u16]| match parsed(field) {
        Some(parsed) => plain_numbers(field, parsed, seed),
        None => absent.iter().copied().collect(),
    };
    Recurrence {
        seconds: numbers(Field::Second, &[0]),
        minutes: numbers(Field::Minute, &[]),
        hours: numbers(Field::Hour, &[]),
        months: numbers(Field::Month, &[]),
        years: parsed(Field::Year)
            .filter(|years| !years.items.contains(&Item::Every))
            .map(|years| plain_numbers(Field::Year, years, seed)),
        days: match (parsed(Field::DayOfMonth), parsed(Field::DayOfWeek)) {
            (Some(of_month), Some(of_week)) => days(of_month, of_week, seed),
            (_, _) => Days::Every,
        },
        time_kind: time_kind(parsed(Field::Minute), parsed(Field::Hour)),
    }
}

fn time_kind(minute: Option<&ParsedField>, hour: Option<&ParsedField>) -> TimeKind {
    let is_wildcard = |field: &ParsedField| field.text.starts_with(['*', '?']);
    if minute.is_some_and(is_wildcard) || hour.is_some_and(is_wildcard) {
        TimeKind::Wildcard
    } else {
        TimeKind::Fixed
    }
}

fn days(of_month_field: &ParsedField, of_week_field: &ParsedField, seed: &str) -> Days {
    let of_month = month_days(of_month_field, seed);
    let of_week = week_days(of_week_field, seed);
    // croniter treats a field that lists every day as `*`, but only if the other field contains a star.
    let is_free = |field: &ParsedField, numbers: &Numbers, all: Field, other: &ParsedField| {
        field.items.contains(&Item::Every) || (*numbers == whole(all) && other.text.contains('*'))
    };
    let month_is_free = is_free(of_month_field, &of_month.numbers, Field::DayOfMonth, of_week_field);
    let week_is_free = is_free(of_week_field, &of_week.numbers, Field::DayOfWeek, of_month_field);
    match (month_is_free, week_is_free) {
        (true, true) => Days::Every,
        (false, true) => Days::OfMonth(of_month),
        (true, false) => Days::OfWeek(of_week),
        (false, false) => Days::Either(of_month, of_week),
    }
}

fn month_days(parsed: &ParsedField, seed: &str) -> MonthDays {
    let mut days =
        MonthDays { numbers: plain_numbers(Field::DayOfMonth, parsed, seed), ..MonthDays::default() };
    for item in &parsed.items {
        match item {
            Item::LastDay => days.last = true,
            Item::NearestWeekday(day) => {
                days.nearest_weekday.insert(*day);
            }
            Item::Every
            | Item::Value(_)
            | Item::From { .. }
            | Item::Between { .. }
            | Item::Hash { .. }
            | Item::Nth { .. }
            | Item::LastWeekday(_) => {}
        }
    }
    days
}

fn week_days(parsed: &ParsedField, seed: &str) -> WeekDays {
    let mut days = WeekDays { numbers: plain_numbers(Field::DayOfWeek, parsed, seed), ..WeekDays::default() };
    for item in &parsed.items {
        match *item {
            Item::LastWeekday(day) => {
                days.last.insert(day);
            }
            Item::Nth { low, high, nth } => {
                let weekdays = if low == high { vec![low] } else { between(Field::DayOfWeek, low, high, 1) };
                if let Some(set) = days.nth.get_mut(usize::from(nth.saturating_sub(1))) {
                    set.extend(weekdays);
                }
            }
            Item::Every
            | Item::Value(_)
            | Item::From { .. }
            | Item::Between { .. }
            | Item::Hash { .. }
            | Item::LastDay
            | Item::NearestWeekday(_) => {}
        }
    }
    days
}

/// Returns the numbers that a field names directly. `L`, `W` and `#` depend on the month and are left out.
fn plain_numbers(field: Field, parsed: &ParsedField, seed: &str) -> Numbers {
    parsed.items.iter().flat_map(|item| item_numbers(field, *item, seed)).collect()
}

fn item_numbers(field: Field, item: Item, seed: &str) -> Vec<u16> {
    match item {
        Item::Every => (field.min()..=field.max()).collect(),
        Item::Value(value) => vec![value],
        Item::From { low, step } => ascending(low, field.max(), step),
        Item::Between { low, high, step } => between(field, low, high, step),
        Item::Hash { bounds, step } => hashed(field, bounds, step, seed),
        Item::LastDay | Item::NearestWeekday(_) | Item::Nth { .. } | Item::LastWeekday(_) => Vec::new(),
    }
}

fn whole(field: Field) -> Numbers {
    (field.min()..=field.max()).collect()
}

fn ascending(low: u16, high: u16, step: u16) -> Vec<u16> {
    (low..=high).step_by(usize::from(step.max(1))).collect()
}

fn between(field: Field, low: u16, high: u16, step: u16) -> Vec<u16> {
    if low == high {
        // `jan-jan` and `sun-7` mean the whole cycle.
        return ascending(field.min(), field.max(), step);
    }
    if low < high {
        return ascending(low, high, step);
    }
    let mut numbers = ascending(low, field.max(), step);
    let left_over = numbers.last().map_or(0, |last| field.max() - last);
    // Going on in steps would skip `step - left_over - 1`. croniter skips one more, unless a step ends with the cycle.
    let skipped = if left_over + 1 < step { step - left_over } else { 0 };
    numbers.extend(ascending(field.min().saturating_add(skipped), high, step));
    numbers
}

fn hashed(field: Field, bounds: Option<(u16, u16)>, step: Option<u16>, seed: &str) -> Vec<u16> {
    let (low, high) = match (bounds, step) {
        (Some(bounds), _) => bounds,
        // Every month has a 28th; a cron on the 31st would miss five months of the year.
        (None, None) if field == Field::DayOfMonth => (1, 28),
        (None, _) => (field.min(), field.max()),
    };
    match step {
        None => vec![pick(seed, field, low, high)],
        Some(step) => {
            let first_period_end = high.min(low.saturating_add(step - 1));
            ascending(pick(seed, field, low, first_period_end), high, step)
        }
    }
}
