//! What an expression means: the numbers of each field, the rule for days, and whether the cron is wild or fixed.
//!
//! Read as croniter reads it, its oddities included, since the server that we stand in for uses croniter: a range
//! from a value to itself is the whole cycle, and a wrapping range with a step may start its second part one later.

use std::collections::BTreeSet;

use super::field::Field;
use super::hash::pick;
use super::parse::{Expression, Item, TypedField};

pub(super) type Numbers = BTreeSet<u16>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) seconds: Numbers,
    pub(super) minutes: Numbers,
    pub(super) hours: Numbers,
    pub(super) months: Numbers,
    /// Nothing: every year.
    pub(super) years: Option<Numbers>,
    pub(super) days: Days,
    pub(super) nature: Nature,
}

/// How a cron takes clock changes (Vixie's distinction).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Its minute or hour field starts with `*` or is `?`: it follows the clock on the wall, whatever that shows.
    Wild,
    /// It names times of day, each of which happens once on each day.
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
    /// `15W`: the weekday nearest to the 15th, or to the last day of a shorter month, never leaving the month.
    pub(super) nearest_weekday: Numbers,
}

/// Sunday is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WeekDays {
    pub(super) numbers: Numbers,
    /// By the n-th of the month (1-5), the weekdays.
    pub(super) nth: [Numbers; 5],
    pub(super) last: Numbers,
}

/// `seed` feeds `H`.
pub(super) fn settle(expression: &Expression, seed: &str) -> Meaning {
    let typed = |field: Field| {
        let index = Field::ORDER.iter().position(|other| *other == field)?;
        expression.fields.get(index)
    };
    let numbers = |field: Field, absent: &[u16]| match typed(field) {
        Some(typed) => plain_numbers(field, typed, seed),
        None => absent.iter().copied().collect(),
    };
    Meaning {
        seconds: numbers(Field::Second, &[0]),
        minutes: numbers(Field::Minute, &[]),
        hours: numbers(Field::Hour, &[]),
        months: numbers(Field::Month, &[]),
        years: typed(Field::Year)
            .filter(|years| !years.items.contains(&Item::Every))
            .map(|years| plain_numbers(Field::Year, years, seed)),
        days: match (typed(Field::DayOfMonth), typed(Field::DayOfWeek)) {
            (Some(of_month), Some(of_week)) => days(of_month, of_week, seed),
            (_, _) => Days::Every,
        },
        nature: nature(typed(Field::Minute), typed(Field::Hour)),
    }
}

fn nature(minute: Option<&TypedField>, hour: Option<&TypedField>) -> Nature {
    let starts_wild = |field: &TypedField| field.text.starts_with(['*', '?']);
    if minute.is_some_and(starts_wild) || hour.is_some_and(starts_wild) {
        Nature::Wild
    } else {
        Nature::Fixed
    }
}

fn days(of_month_field: &TypedField, of_week_field: &TypedField, seed: &str) -> Days {
    let of_month = month_days(of_month_field, seed);
    let of_week = week_days(of_week_field, seed);
    // croniter takes a field that lists every day for `*`, but only if the other field contains a star.
    let free = |field: &TypedField, numbers: &Numbers, all: Field, other: &TypedField| {
        field.items.contains(&Item::Every) || (*numbers == whole(all) && other.text.contains('*'))
    };
    let month_is_free = free(of_month_field, &of_month.numbers, Field::DayOfMonth, of_week_field);
    let week_is_free = free(of_week_field, &of_week.numbers, Field::DayOfWeek, of_month_field);
    match (month_is_free, week_is_free) {
        (true, true) => Days::Every,
        (false, true) => Days::OfMonth(of_month),
        (true, false) => Days::OfWeek(of_week),
        (false, false) => Days::Either(of_month, of_week),
    }
}

fn month_days(typed: &TypedField, seed: &str) -> MonthDays {
    let mut days =
        MonthDays { numbers: plain_numbers(Field::DayOfMonth, typed, seed), ..MonthDays::default() };
    for item in &typed.items {
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

fn week_days(typed: &TypedField, seed: &str) -> WeekDays {
    let mut days = WeekDays { numbers: plain_numbers(Field::DayOfWeek, typed, seed), ..WeekDays::default() };
    for item in &typed.items {
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

/// The numbers that a field names outright; `L`, `W` and `#` depend on the month and are not among them.
fn plain_numbers(field: Field, typed: &TypedField, seed: &str) -> Numbers {
    typed.items.iter().flat_map(|item| item_numbers(field, *item, seed)).collect()
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
        // `jan-jan`, and `sun-7`: once around.
        return ascending(field.min(), field.max(), step);
    }
    if low < high {
        return ascending(low, high, step);
    }
    let mut numbers = ascending(low, field.max(), step);
    let left_over = numbers.last().map_or(0, |last| field.max() - last);
    // BackendRun on in steps would mean `step - left_over - 1`; croniter says this, but for a step that ends the cycle.
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
