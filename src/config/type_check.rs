//! Compares a TOML value with the type that its key has. A complaint never quotes text, which could be a secret.

use toml::de::{DeInteger, DeValue};

use super::errors::Complaint;
use super::reference::{DefaultValue, KeyReference};
use super::value_type::ValueType;

/// Returns what is wrong with the type of a key's value, or `None` if it fits.
pub(super) fn type_complaint(key: &KeyReference, value: &DeValue<'_>) -> Option<Complaint> {
    let Mismatch { got, expected, is_out_of_range } = check(key.value_type, value).err()?;
    let hint = match (is_out_of_range, key.value_type, key.default) {
        (true, ValueType::Integer { .. }, DefaultValue::Absent(meaning)) => {
            Some(format!("leave it out and {meaning}"))
        }
        (true, ..) => None,
        (false, value_type, _) => type_hint(value_type).map(str::to_owned),
    };
    Some(Complaint { message: format!("got {got}, expected {expected}"), hint })
}

/// Returns what kind of value it is, for a message.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Returns a TOML integer as a number, or `None` if it does not fit into 64 bits.
pub(super) fn integer(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}

struct Mismatch {
    got: String,
    expected: String,
    /// Whether it is a number, but too small or too large.
    is_out_of_range: bool,
}

fn check(value_type: ValueType, value: &DeValue<'_>) -> Result<(), Mismatch> {
    match value_type {
        ValueType::Text | ValueType::Url | ValueType::Path => text(value),
        ValueType::Duration | ValueType::Period | ValueType::Time | ValueType::Word(_) => text(value),
        ValueType::Boolean if matches!(value, DeValue::Boolean(_)) => Ok(()),
        ValueType::Boolean => wrong_type(value, "true or false"),
        ValueType::Integer { min, max } => number(value, min, max),
        ValueType::Number { .. } if matches!(value, DeValue::Integer(_) | DeValue::Float(_)) => Ok(()),
        ValueType::Number { .. } => wrong_type(value, "a number"),
        ValueType::TextList | ValueType::DayList => list(value, "a list", text),
        ValueType::TextOrList | ValueType::WordOrList(_) => {
            text(value).or_else(|_| list(value, "text or a list of texts", text))
        }
        ValueType::IntegerList { min, max } => list(value, "a list", |item| number(item, min, max)),
        ValueType::Table if matches!(value, DeValue::Table(_)) => Ok(()),
        ValueType::Table => wrong_type(value, "a table"),
        ValueType::Any => Ok(()),
    }
}

/// Accepts dates and times, too: they become text when a value is converted to JSON.
fn text(value: &DeValue<'_>) -> Result<(), Mismatch> {
    match value {
        DeValue::String(_) | DeValue::Datetime(_) => Ok(()),
        _ => wrong_type(value, "text"),
    }
}

fn number(value: &DeValue<'_>, min: u64, max: u64) -> Result<(), Mismatch> {
    let expected = format!("{min} to {max}");
    let Some(number) = value.as_integer().and_then(integer) else {
        return wrong_type(value, &format!("a whole number from {expected}"));
    };
    match u64::try_from(number).is_ok_and(|number| (min..=max).contains(&number)) {
        true => Ok(()),
        false => Err(Mismatch { got: number.to_string(), expected, is_out_of_range: true }),
    }
}

fn list(
    value: &DeValue<'_>,
    expected: &str,
    check: impl Fn(&DeValue<'_>) -> Result<(), Mismatch>,
) -> Result<(), Mismatch> {
    let DeValue::Array(items) = value else { return wrong_type(value, expected) };
    let checked = items.iter().try_for_each(|item| check(item.get_ref()));
    checked.map_err(|item| Mismatch { got: format!("{} in the list", item.got), ..item })
}

fn wrong_type(value: &DeValue<'_>, expected: &str) -> Result<(), Mismatch> {
    Err(Mismatch { got: kind_of(value).to_owned(), expected: expected.to_owned(), is_out_of_range: false })
}

/// Returns how a value of this type is written, where a wrong type is a likely mistake.
fn type_hint(value_type: ValueType) -> Option<&'static str> {
    match value_type {
        ValueType::Duration => Some("a duration is written \"90s\", \"5m\", \"1h30m\" or \"7d\""),
        ValueType::Period => Some("write \"90d\", \"1y\" or \"forever\""),
        ValueType::DayList => Some("days are written [\"2026-12-25\", \"2026-12-24..2027-01-02\"]"),
        ValueType::TextList | ValueType::IntegerList { .. } => Some("write a list: […]"),
        ValueType::Text | ValueType::Url | ValueType::Path | ValueType::Time | ValueType::Word(_) => None,
        ValueType::Boolean | ValueType::Integer { .. } | ValueType::Number { .. } => None,
        ValueType::TextOrList | ValueType::WordOrList(_) | ValueType::Table | ValueType::Any => None,
    }
}
