//! What was typed: expression text to a tree with values in range, and every fault at its place.
//!
//! Nothing here knows what a value means for a day; that is `meaning.rs`.

use super::error::Fault;
use super::field::Field;
use super::word::Word;

/// Longer text is not a schedule but an accident or an attack.
pub(super) const EXPRESSION_BYTES_MAX: usize = 1024;

const ALIASES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

const FIVE_FIELDS: &str = "minute hour day-of-month month day-of-week";

/// The fields that were typed, in the order of [`Field::ORDER`]: five, six or seven of them.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) fields: Vec<TypedField>,
}

#[derive(Clone, Debug)]
pub(super) struct TypedField {
    /// In lowercase.
    pub(super) text: String,
    pub(super) items: Vec<Item>,
}

/// One element of a comma list. Numbers are within the range of their field, and Sunday is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
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

pub(super) fn parse(expression: &str) -> Result<Expression, Fault> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        let message =
            format!("expression is {} bytes long, at most {EXPRESSION_BYTES_MAX} allowed", expression.len());
        return Err(Fault::new(0..expression.len(), message));
    }
    let lowercase = expression.to_ascii_lowercase();
    let words: Vec<Word<'_>> = Word::whole(&lowercase).split_whitespace().collect();
    match words.as_slice() {
        [alias, rest @ ..] if alias.text.starts_with('@') => aliased(*alias, rest),
        [_, _, _, _, _] => fields(&words),
        [_, _, _, _, _, _] | [_, _, _, _, _, _, _] => {
            fields(&words).map_err(|fault| fault.or_hint(how_it_was_read(&words)))
        }
        _ => Err(wrong_count(&words, expression.len())),
    }
}

fn fields(words: &[Word<'_>]) -> Result<Expression, Fault> {
    let typed = Field::ORDER.iter().zip(words).map(|(field, word)| typed_field(*field, *word));
    Ok(Expression { fields: typed.collect::<Result<_, _>>()? })
}

fn how_it_was_read(words: &[Word<'_>]) -> String {
    let year = if words.len() == 7 { " year" } else { "" };
    let texts: Vec<&str> = words.iter().map(|word| word.text).collect();
    let read = format!("{} fields are read as {FIVE_FIELDS} second{year}", words.len());
    match from_quartz_order(&texts) {
        Some(instead) => format!("{read}; if the seconds were meant to come first, write {instead}"),
        None => format!("{read}, not seconds first"),
    }
}

/// The same schedule in our order, if the fields make sense with the seconds first. Quartz numbers Sunday 1, so
/// weekdays must be told by their names.
pub(super) fn from_quartz_order(texts: &[&str]) -> Option<String> {
    let [seconds, rest @ ..] = texts else { return None };
    let (five, year) = rest.split_at_checked(5)?;
    if five.last()?.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut instead = five.to_vec();
    if *seconds != "0" || !year.is_empty() {
        instead.push(*seconds);
    }
    instead.extend(year);
    let instead = instead.join(" ");
    let words: Vec<Word<'_>> = Word::whole(&instead).split_whitespace().collect();
    fields(&words).is_ok().then_some(instead)
}

fn wrong_count(words: &[Word<'_>], length: usize) -> Fault {
    let expected = format!("expected 5 fields ({FIVE_FIELDS}), 6 (and second) or 7 (and year)");
    match (words, words.get(7..)) {
        ([], _) => Fault::new(0..length, format!("expression is empty, {expected}")),
        ([.., last], Some([first_extra, ..])) => {
            Fault::new(first_extra.start..last.span().end, format!("got {} fields, {expected}", words.len()))
        }
        ([only], _) => {
            let fault = Fault::new(only.span().end..only.span().end, format!("got 1 field, {expected}"));
            match ALIASES.iter().find(|(alias, _)| alias.strip_prefix('@') == Some(only.text)) {
                Some((alias, _)) => fault.hint(format!("did you mean {alias}?")),
                None => fault,
            }
        }
        ([.., last], _) => {
            let end = last.span().end;
            Fault::new(end..end, format!("got {} fields, {expected}", words.len()))
        }
    }
}

fn aliased(alias: Word<'_>, rest: &[Word<'_>]) -> Result<Expression, Fault> {
    match (ALIASES.iter().find(|(known, _)| *known == alias.text), rest) {
        (Some((_, spelt_out)), []) => parse(spelt_out),
        (Some(_), [extra, ..]) => Err(Fault::new(extra.span(), format!("{} stands alone", alias.text))),
        (None, _) => {
            let known = ALIASES.map(|(known, _)| known).join(" ");
            let message = format!("{} is not known, allowed are {known}", alias.text);
            Err(Fault::new(alias.span(), message).hint(match alias.text {
                "@reboot" => "a start of the daemon is not an instant of a calendar",
                _ => "other intervals are written in fields: */5 * * * * is every five minutes",
            }))
        }
    }
}

fn typed_field(field: Field, word: Word<'_>) -> Result<TypedField, Fault> {
    let items = word.split_commas().map(|part| item(field, part)).collect::<Result<Vec<_>, _>>()?;
    if word.text.contains('?') && word.text != "?" {
        return Err(Fault::new(word.span(), format!("{} ? must stand alone", field.name())));
    }
    Ok(TypedField { text: word.text.to_owned(), items })
}

fn item(field: Field, part: Word<'_>) -> Result<Item, Fault> {
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

#[cfg(test)]
mod tests;
