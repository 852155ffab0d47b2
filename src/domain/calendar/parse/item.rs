//! Parses one element of a comma list: a value, a range, a step, or one of the specials `H`, `L`, `W` and `#`.

use super::super::error::ParseError;
use super::super::field::Field;
use super::super::token::Token;

/// One element of a comma list. Its numbers are within the range of the field, and Sunday is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Item {
    /// `*` or `?`.
    Every,
    /// `5`, `mon`.
    Value(u16),
    /// `*/n` (from the least value) or `a/n`, up to the greatest value of the field.
    From { low: u16, step: u16 },
    /// `a-b` or `a-b/n`; it wraps around if `a > b`.
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

pub(super) fn parse(field: Field, part: Token<'_>) -> Result<Item, ParseError> {
    if part.text.is_empty() {
        return Err(ParseError::new(part.span(), format!("{} has an empty item in its list", field.name())));
    }
    if part.text == "*" || part.text == "?" {
        return Ok(Item::Every);
    }
    if part.text.starts_with('h') {
        return hash(field, part);
    }
    // cronie writes a random value `~`, croniter `R`.
    let is_random = part.text == "r" || ["r(", "r/"].iter().any(|start| part.text.starts_with(start));
    if is_random || part.text.contains('~') {
        let error = ParseError::new(part.span(), format!("{} {} is random", field.name(), part.text));
        return Err(
            error.with_hint("write H or H(a-b): a value that follows from the cron's name, and stays")
        );
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

fn stepped(field: Field, range: Token<'_>, step: u16) -> Result<Item, ParseError> {
    if range.text == "*" {
        return Ok(Item::From { low: field.min(), step });
    }
    match range.split_once('-') {
        Some((low, high)) => between(field, low, high, step),
        None => Ok(Item::From { low: value(field, range)?, step }),
    }
}

fn between(field: Field, low: Token<'_>, high: Token<'_>, step: u16) -> Result<Item, ParseError> {
    let span = low.start..high.span().end;
    let low = value(field, low)?;
    let high = match (field, high.text) {
        (Field::DayOfMonth, "l") => field.max(),
        _ => value(field, high)?,
    };
    if field == Field::Year && low > high {
        return Err(ParseError::new(span, format!("year range {low}-{high} runs backwards")));
    }
    Ok(Item::Between { low, high, step })
}

fn step(field: Field, token: Token<'_>) -> Result<u16, ParseError> {
    let name = field.name();
    match token.number() {
        Some(0) => {
            Err(ParseError::new(token.span(), format!("{name} step 0 is out of range, expected 1 or more")))
        }
        Some(step) => Ok(step),
        None => {
            let message = format!("{name} step {} is not a number, expected 1 or more", token.quoted());
            Err(ParseError::new(token.span(), message))
        }
    }
}

fn hash(field: Field, part: Token<'_>) -> Result<Item, ParseError> {
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

fn hash_bounds(field: Field, head: Token<'_>) -> Result<(u16, u16), ParseError> {
    let inside = head.strip_prefix("h(").and_then(|rest| rest.strip_suffix(")"));
    let Some((low, high)) = inside.and_then(|inside| inside.split_once('-')) else {
        let message = format!("{} {} is not understood, expected H, H(a-b) or H/n", field.name(), head.text);
        return Err(ParseError::new(head.span(), message));
    };
    let span = low.start..high.span().end;
    let (low, high) = (value(field, low)?, value(field, high)?);
    if low >= high {
        return Err(ParseError::new(span, format!("{} H({low}-{high}) does not ascend", field.name())));
    }
    Ok((low, high))
}

/// Parses `L`, `15W` and `W15`. Returns `None` if the part is an ordinary one.
fn special_day_of_month(part: Token<'_>) -> Result<Option<Item>, ParseError> {
    if part.text == "l" {
        return Ok(Some(Item::LastDay));
    }
    match part.strip_suffix("w").or_else(|| part.strip_prefix("w")) {
        Some(day) => Ok(Some(Item::NearestWeekday(value(Field::DayOfMonth, day)?))),
        None => Ok(None),
    }
}

/// Parses `5#3` and `L5`. Returns `None` if the part is an ordinary one.
fn special_day_of_week(part: Token<'_>) -> Result<Option<Item>, ParseError> {
    if let Some((days, nth_token)) = part.split_once('#') {
        let nth = match nth_token.number() {
            Some(nth @ 1..=5) => nth,
            _ => {
                let message = format!("day-of-week # {} is out of range 1-5", nth_token.quoted());
                return Err(ParseError::new(nth_token.span(), message));
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
        let error = ParseError::new(part.span(), "day-of-week L needs a day");
        return Err(error.with_hint("L5 is the last Friday of the month"));
    }
    if let Some(day) = part.strip_suffix("l").filter(|day| value(Field::DayOfWeek, *day).is_ok()) {
        let error = ParseError::new(part.span(), format!("day-of-week {} has its L at the end", part.text));
        return Err(error.with_hint(format!("write L{}", day.text)));
    }
    match part.strip_prefix("l") {
        Some(day) => Ok(Some(Item::LastWeekday(value(Field::DayOfWeek, day)?))),
        None => Ok(None),
    }
}

/// Parses a number or a name within the field's range. Sunday becomes 0.
fn value(field: Field, token: Token<'_>) -> Result<u16, ParseError> {
    if let Some(number) = token.number() {
        return match number {
            7 if field == Field::DayOfWeek => Ok(0),
            number if (field.min()..=field.max()).contains(&number) => Ok(number),
            _ => Err(out_of_range(field, token)),
        };
    }
    let position = field.names().iter().position(|name| *name == token.text);
    match position.and_then(|index| u16::try_from(index).ok()) {
        Some(index) => Ok(field.min() + index),
        None => Err(unknown_value(field, token)),
    }
}

fn out_of_range(field: Field, token: Token<'_>) -> ParseError {
    let message = format!("{} {} is out of range {}", field.name(), token.text, field.allowed());
    ParseError::new(token.span(), message)
}

fn unknown_value(field: Field, token: Token<'_>) -> ParseError {
    let name = field.name();
    let kind = match field.names() {
        [] => "is not a number",
        [..] => "is neither a name (three letters) nor a number",
    };
    let error = ParseError::new(
        token.span(),
        format!("{name} {} {kind}, expected {}", token.quoted(), field.allowed()),
    );
    let longer = |short: &&&str| token.text.len() > 3 && token.text.starts_with(**short);
    match field.names().iter().find(longer) {
        Some(short) => error.with_hint(format!("write {short}")),
        None => error,
    }
}
