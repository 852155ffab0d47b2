//! Expressions that are right but seldom meant: what `check` warns of.

use super::field::Field;
use super::meaning::{Days, Meaning};
use super::parse::{Expression, Item, from_quartz_order};

/// A trap in an expression. Its text says how the expression was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Caution {
    /// Six or seven fields, and every second of the sixth: most likely Quartz's order was meant.
    #[error(
        "{fields} fields are read with the seconds last, so this fires every second of a minute; \
         if the seconds were meant to come first, write {instead}"
    )]
    SecondsComeLast {
        /// How many fields there are.
        fields: usize,
        /// The same schedule in our order, if it was in Quartz's.
        instead: String,
    },
    /// Both day fields are restricted.
    #[error("day-of-month and day-of-week are both given: a day that satisfies either of them fires")]
    EitherDay,
    /// A step that does not divide its cycle.
    #[error(
        "{field} */{step} starts anew with every cycle, so its last interval is {last} instead of {step}"
    )]
    UnevenStep {
        /// The name of the field.
        field: &'static str,
        /// As it was given.
        step: u16,
        /// The interval from the last match of a cycle to the first of the next.
        last: u16,
    },
    /// A range from a value to itself.
    #[error(
        "{field} range {value}-{value} is read as the whole cycle, as croniter does; write {value} for that alone"
    )]
    WholeCycle {
        /// The name of the field.
        field: &'static str,
        /// Both ends.
        value: u16,
    },
}

pub(super) fn cautions(expression: &Expression, meaning: &Meaning) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if let Some(instead) = in_quartz_order(expression) {
        cautions.push(Caution::SecondsComeLast { fields: expression.fields.len(), instead });
    }
    match meaning.days {
        Days::Either(..) => cautions.push(Caution::EitherDay),
        Days::Every | Days::OfMonth(_) | Days::OfWeek(_) => {}
    }
    for (field, typed) in Field::ORDER.into_iter().zip(&expression.fields) {
        cautions.extend(typed.items.iter().filter_map(|item| in_item(field, *item)));
    }
    cautions
}

/// Nobody wants a cron every second of one minute of an hour: `0 0 9 * * *` is nine o'clock in Quartz's order.
fn in_quartz_order(expression: &Expression) -> Option<String> {
    let minute = expression.fields.first()?;
    let second = expression.fields.get(5)?;
    if second.items != [Item::Every] || minute.items.contains(&Item::Every) {
        return None;
    }
    let texts: Vec<&str> = expression.fields.iter().map(|field| field.text.as_str()).collect();
    from_quartz_order(&texts)
}

fn in_item(field: Field, item: Item) -> Option<Caution> {
    match item {
        Item::From { low, step } if low == field.min() && field != Field::Year => {
            let cycle = field.max() - field.min() + 1;
            let last = cycle % step;
            // Of days nobody expects that they go on across the month's end.
            let of_days = matches!(field, Field::DayOfMonth | Field::DayOfWeek);
            (last != 0 && !of_days).then(|| Caution::UnevenStep { field: field.name(), step, last })
        }
        // Zero to zero are the days of the week if they were typed as `0-7`, which says what it means.
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
