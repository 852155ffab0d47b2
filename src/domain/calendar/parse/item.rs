//! One element of a comma list: a value, a range, a step, or one of the specials `H`, `L`, `W` and `#`.

use super::super::error::Fault;
use super::super::field::Field;
use super::super::word::Word;

/// One element of a comma list. Numbers are within the range of their field, and Sunday is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Item {
    /// `*` or `?`.
    Every,
    /// `5`, `mon`.
    Value(u16),
    /// `*/n` (from the least) or `a/n`, up to the greatest value of the field.
    From { low: u16, step: u16 },
    /// `a-b` or `a-b/n`; wraps if `a > b`.
    Between { low: u16, high: u16, step: u16 },
    /// `H`, `H(a-b)`, `H/n`, `H(a-b)/n`.
    Hash { bounds: Option<(u16, u16)>, step: Option<u16> },
    /// `L` in day-of-month.
    LastDay,
    /// `15W` in day-of-month.
    NearestWeekday(u16),
    /// `fri#3` in day-of-week, or `mon-fri#1`.
    Nth { low: u16, high: u16, nth: u16 },
    /// `L5` in day-of-week.
    LastWeekday(u16),
}

pub(super) fn parse(field: Field, part: Word<'_>) -> Result<Item, Fault> {
    if part.text.is_empty() {
        return Err(Fault::new(part.span(), format!("{} has an empty place in its list", field.name())));
    }
    if part.text == "*" || part.text == "?" {
        return Ok(Item::Every);
    }
    if part.text.starts_with('h') {
        return hash(field, part);
    }
    match field {
        Field::DayOfMonth => {
            if let Some(special) = special_day_of_month(part)? {
                return Ok(special);
            }
        }
        Field::DayOfWeek => {
            if let Some(special) = special_day_of_week(part)? {
                return Ok(special);
            }
        }
        Field::Minute | Field::Hour | Field::Month | Field::Second | Field::Year => {}
    }
    match part.split_once('/') {
        Some((range, steps)) => stepped(field, range, step(field, steps)?),
        None => match part.split_once('-') {
            Some((low, high)) => between(field, low, high, 1),
            None => value(field, part).map(Item::Value),
        },
    }
}

fn stepped(field: Field, range: Word<'_>, step: u16) -> Result<Item, Fault> {
    if range.text == "*" {
        return Ok(Item::From { low: field.min(), step });
    }
    match range.split_once('-') {
        Some((low, high)) => between(field, low, high, step),
        None => Ok(Item::From { low: value(field, range)?, step }),
    }
}

fn between(field: Field, low: Word<'_>, high: Word<'_>, step: u16) -> Result<Item, Fault> {
    let span = low.start..high.span().end;
    let low = value(field, low)?;
    let high = match (field, high.text) {
        (Field::DayOfMonth, "l") => field.max(),
        _ => value(field, high)?,
    };
    if field == Field::Year && low > high {
        return Err(Fault::new(span, format!("year range {low}-{high} runs backwards")));
    }
    Ok(Item::Between { low, high, step })
}

fn step(field: Field, word: Word<'_>) -> Result<u16, Fault> {
    let name = field.name();
    match word.number() {
        Some(0) => Err(Fault::new(word.span(), format!("{name} step 0 is not allowed, the least is 1"))),
        Some(step) => Ok(step),
        None => {
            let message = format!("{name} step {} is not a number from 1", word.quoted());
            Err(Fault::new(word.span(), message))
        }
    }
}

fn hash(field: Field, part: Word<'_>) -> Result<Item, Fault> {
    let (head, step) = match part.split_once('/') {
        Some((head, steps)) => (head, Some(step(field, steps)?)),
        None => (part, None),
    };
    let bounds = match head.text {
        "h" => None,
        _ => Some(hash_bounds(field, head)?),
    };
    Ok(Item::Hash { bounds, step })
}

fn hash_bounds(field: Field, head: Word<'_>) -> Result<(u16, u16), Fault> {
    let inside = head.strip_prefix("h(").and_then(|rest| rest.strip_suffix(")"));
    let Some((low, high)) = inside.and_then(|inside| inside.split_once('-')) else {
        let message =
            format!("{} {} is not understood, H is written H, H(a-b) or H/n", field.name(), head.text);
        return Err(Fault::new(head.span(), message));
    };
    let span = low.start..high.span().end;
    let (low, high) = (value(field, low)?, value(field, high)?);
    if low >= high {
        return Err(Fault::new(span, format!("{} H({low}-{high}) must ascend", field.name())));
    }
    Ok((low, high))
}

/// `L`, `15W` and `W15`; nothing if the part is an ordinary one.
fn special_day_of_month(part: Word<'_>) -> Result<Option<Item>, Fault> {
    if part.text == "l" {
        return Ok(Some(Item::LastDay));
    }
    match part.strip_suffix("w").or_else(|| part.strip_prefix("w")) {
        Some(day) => Ok(Some(Item::NearestWeekday(value(Field::DayOfMonth, day)?))),
        None => Ok(None),
    }
}

/// `5#3` and `L5`; nothing if the part is an ordinary one.
fn special_day_of_week(part: Word<'_>) -> Result<Option<Item>, Fault> {
    if let Some((days, nth_word)) = part.split_once('#') {
        let nth = match nth_word.number() {
            Some(nth @ 1..=5) => nth,
            _ => {
                let message = format!("day-of-week # {} is out of range 1-5", nth_word.quoted());
                return Err(Fault::new(nth_word.span(), message));
            }
        };
        let (low, high) = match days.split_once('-') {
            Some((low, high)) => (value(Field::DayOfWeek, low)?, value(Field::DayOfWeek, high)?),
            None => {
                let day = value(Field::DayOfWeek, days)?;
                (day, day)
            }
        };
        return Ok(Some(Item::Nth { low, high, nth }));
    }
    if part.text == "l" {
        let fault = Fault::new(part.span(), "day-of-week L needs its day");
        return Err(fault.hint("L5 is the last friday of the month"));
    }
    if let Some(day) = part.strip_suffix("l").filter(|day| value(Field::DayOfWeek, *day).is_ok()) {
        let fault = Fault::new(part.span(), format!("day-of-week {} has its L last", part.text));
        return Err(fault.hint(format!("write L{}", day.text)));
    }
    match part.strip_prefix("l") {
        Some(day) => Ok(Some(Item::LastWeekday(value(Field::DayOfWeek, day)?))),
        None => Ok(None),
    }
}

/// A number or a name, within the field's range; Sunday becomes 0.
fn value(field: Field, word: Word<'_>) -> Result<u16, Fault> {
    if let Some(number) = word.number() {
        return match number {
            7 if field == Field::DayOfWeek => Ok(0),
            number if (field.min()..=field.max()).contains(&number) => Ok(number),
            _ => Err(out_of_range(field, word)),
        };
    }
    let position = field.names().iter().position(|name| *name == word.text);
    match position.and_then(|index| u16::try_from(index).ok()) {
        Some(index) => Ok(field.min() + index),
        None => Err(unknown_value(field, word)),
    }
}

fn out_of_range(field: Field, word: Word<'_>) -> Fault {
    let message = format!("{} {} is out of range {}", field.name(), word.text, field.allowed());
    Fault::new(word.span(), message)
}

fn unknown_value(field: Field, word: Word<'_>) -> Fault {
    let name = field.name();
    let kind = match field.names() {
        [] => "is not a number",
        [..] => "is neither a name (three letters) nor a number",
    };
    let fault =
        Fault::new(word.span(), format!("{name} {} {kind}, allowed is {}", word.quoted(), field.allowed()));
    let longer = |short: &&&str| word.text.len() > 3 && word.text.starts_with(**short);
    match field.names().iter().find(longer) {
        Some(short) => fault.hint(format!("write {short}")),
        None => fault,
    }
}
