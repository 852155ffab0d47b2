//! Warnings about expressions and zones that are valid, but seldom meant.

use super::field::Field;
use super::parse::{Expression, Item, from_quartz_order};
use super::recurrence::{Days, Recurrence};

/// A warning about an expression or its zone. Its text says how it is read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    /// There are six or seven fields, and the sixth is `*`: most likely Quartz's order was meant.
    #[error(
        "{fields} fields are read with the seconds last, so this fires every second of a minute; \
         if the seconds were meant to come first, write {instead}"
    )]
    SecondsComeLast {
        /// The number of fields.
        fields: usize,
        /// The expression in our order, if it was meant in Quartz's.
        instead: String,
    },
    #[error(
        "day-of-month and day-of-week are both given: the cron fires on days that satisfy either of them"
    )]
    EitherDay,
    /// The step does not divide its cycle.
    #[error(
        "{field} */{step} starts anew with every cycle, so its last interval is {last} instead of {step}"
    )]
    UnevenStep {
        field: &'static str,
        step: u16,
        /// The interval from the last match of a cycle to the first of the next.
        last: u16,
    },
    /// The step is longer than its cycle.
    #[error("{field} */{step} is longer than its cycle, and fires once in each; write {value} for that")]
    LongStep { field: &'static str, step: u16, value: u16 },
    /// The range is from a value to itself.
    #[error(
        "{field} range {value}-{value} is read as the whole cycle, as croniter does; write {value} for that alone"
    )]
    WholeCycle { field: &'static str, value: u16 },
    /// The zone is one of `Etc/GMT+12` to `Etc/GMT-14`.
    #[error("{zone} is {offset}: the sign is reversed, and there is no summer time")]
    ReversedSign { zone: String, offset: String },
    /// The zone is named like the winter time of places that have a summer time.
    #[error("{zone} has no summer time; if the clock changes of a place are meant, write {instead}")]
    NoSummerTime { zone: String, instead: &'static str },
}

pub(super) fn cautions(expression: &Expression, recurrence: &Recurrence) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if let Some(instead) = quartz_reading(expression) {
        cautions.push(Caution::SecondsComeLast { fields: expression.fields.len(), instead });
    }
    match recurrence.days {
        Days::Either(..) => cautions.push(Caution::EitherDay),
        Days::Every | Days::OfMonth(_) | Days::OfWeek(_) => {}
    }
    for (field, parsed) in Field::ORDER.into_iter().zip(&expression.fields) {
        cautions.extend(parsed.items.iter().filter_map(|item| item_caution(field, *item)));
    }
    cautions
}

/// Returns the expression in our order if it was most likely written in Quartz's. Nobody wants a cron that fires every
/// second of one minute of an hour: `0 0 9 * * *` is nine o'clock in Quartz's order.
fn quartz_reading(expression: &Expression) -> Option<String> {
    let minute = expression.fields.first()?;
    let second = expression.fields.get(5)?;
    if second.items != [Item::Every] || minute.items.contains(&Item::Every) {
        return None;
    }
    let texts: Vec<&str> = expression.fields.iter().map(|field| field.text.as_str()).collect();
    from_quartz_order(&texts)
}

fn item_caution(field: Field, item: Item) -> Option<Caution> {
    match item {
        Item::From { low, step } if low == field.min() && field != Field::Year => {
            let cycle = field.max() - field.min() + 1;
            let last = cycle % step;
            // Nobody expects a step of days to go on across the end of a month.
            let is_of_days = matches!(field, Field::DayOfMonth | Field::DayOfWeek);
            if step > cycle && !is_of_days {
                return Some(Caution::LongStep { field: field.name(), step, value: low });
            }
            (last != 0 && !is_of_days).then(|| Caution::UnevenStep { field: field.name(), step, last })
        }
        // For days of the week, zero to zero is how `0-7` is parsed, and that says what it means.
        Item::Between { low, high, .. } if low == high && (low, field) != (0, Field::DayOfWeek) => {
            Some(Caution::WholeCycle { field: field.name(), value: low })
        }
        Item::Every
        | Item::Value(_)
        | Item::From { .. }
        | Item::Between { .. }
        | Item::Hash { .. }
        | Item::LastDay
        | Item::NearestWeekday(_)
        | Item::Nth { .. }
        | Item::LastWeekday(_) => None,
    }
}

#[cfg(test)]
mod tests;
