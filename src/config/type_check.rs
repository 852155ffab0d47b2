//! Compares a TOML value with the type that its key has. A complaint never quotes text, which could be a secret.

use toml::de::{DeInteger, DeValue};

use super::errors::Complaint;
use super::reference::{DefaultValue, KeyReference};
use super::value_type::ValueType;

/// Returns what is wrong with the type of a key's value, or `None` if it fits.
pub(super) fn type_complaint(key: &KeyReference, value: &DeValue<'_>) -> Option<Complaint> {
    let mismatch = mismatch(key.value_type, value)?;
    let hint = match (&mismatch, key.value_type, key.default) {
        (Mismatch::OutOfRange { .. }, ValueType::Integer { .. }, DefaultValue::Absent(meaning)) => {
            Some(format!("leave it out and {meaning}"))
        }
        (Mismatch::OutOfRange { .. }, _, _) => None,
        (Mismatch::WrongType { .. }, value_type, _) => type_hint(value_type).map(str::to_owned),
    };
    let message = match mismatch {
        Mismatch::OutOfRange { got, part, min, max } => {
            format!("got {got}{}, expected {min} to {max}", part.suffix())
        }
        Mismatch::WrongType { got, part, expected } => {
            format!("got {got}{}, expected {expected}", part.suffix())
        }
    };
    Some(Complaint { message, hint })
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

enum Mismatch {
    WrongType { got: &'static str, part: CheckedPart, expected: String },
    OutOfRange { got: i64, part: CheckedPart, min: u64, max: u64 },
}

/// The part of a value that is checked.
#[derive(Clone, Copy)]
enum CheckedPart {
    WholeValue,
    ListItem,
}

impl CheckedPart {
    fn suffix(self) -> &'static str {
        match self {
            Self::WholeValue => "",
            Self::ListItem => " in the list",
        }
    }
}

fn mismatch(value_type: ValueType, value: &DeValue<'_>) -> Option<Mismatch> {
    let whole = CheckedPart::WholeValue;
    match value_type {
        ValueType::Text
        | ValueType::Url
        | ValueType::Path
        | ValueType::Duration
        | ValueType::Time
        | ValueType::Word(_) => text(value, whole),
        ValueType::Boolean if matches!(value, DeValue::Boolean(_)) => None,
        ValueType::Boolean => wrong_type(value, whole, "true or false"),
        ValueType::Integer { min, max } => number(value, whole, min, max),
        ValueType::TextList | ValueType::DayList => {
            list(value, "a list", |item| text(item, CheckedPart::ListItem))
        }
        ValueType::TextOrList | ValueType::WordOrList(_) => match text(value, whole) {
            None => None,
            Some(_) => list(value, "text or a list of texts", |item| text(item, CheckedPart::ListItem)),
        },
        ValueType::IntegerList { min, max } => {
            list(value, "a list", |item| number(item, CheckedPart::ListItem, min, max))
        }
        ValueType::Table if matches!(value, DeValue::Table(_)) => None,
        ValueType::Table => wrong_type(value, whole, "a table"),
        ValueType::Any => None,
    }
}

/// Accepts dates and times, too: they become text when a value is converted to JSON.
fn text(value: &DeValue<'_>, part: CheckedPart) -> Option<Mismatch> {
    match value {
        DeValue::String(_) | DeValue::Datetime(_) => None,
        _ => wrong_type(value, part, "text"),
    }
}

fn number(value: &DeValue<'_>, part: CheckedPart, min: u64, max: u64) -> Option<Mismatch> {
    let Some(number) = value.as_integer().and_then(integer) else {
        return wrong_type(value, part, &format!("a whole number from {min} to {max}"));
    };
    let is_within = u64::try_from(number).is_ok_and(|number| (min..=max).contains(&number));
    (!is_within).then_some(Mismatch::OutOfRange { got: number, part, min, max })
}

fn list(
    value: &DeValue<'_>,
    expected: &str,
    item_mismatch: impl Fn(&DeValue<'_>) -> Option<Mismatch>,
) -> Option<Mismatch> {
    match value {
        DeValue::Array(items) => items.iter().find_map(|item| item_mismatch(item.get_ref())),
        _ => wrong_type(value, CheckedPart::WholeValue, expected),
    }
}

fn wrong_type(value: &DeValue<'_>, part: CheckedPart, expected: &str) -> Option<Mismatch> {
    Some(Mismatch::WrongType { got: kind_of(value), part, expected: expected.to_owned() })
}

/// Returns how a value of this type is written, where a wrong type is a likely mistake.
fn type_hint(value_type: ValueType) -> Option<&'static str> {
    match value_type {
        ValueType::Duration => Some("a duration is written \"90s\", \"5m\", \"1h30m\" or \"7d\""),
        ValueType::DayList => Some("days are written [\"2026-12-25\", \"2026-12-24..2027-01-02\"]"),
        ValueType::TextList | ValueType::IntegerList { .. } => Some("write a list: […]"),
        ValueType::Text
        | ValueType::Url
        | ValueType::Path
        | ValueType::Time
        | ValueType::Word(_)
        | ValueType::Boolean
        | ValueType::Integer { .. }
        | ValueType::TextOrList
        | ValueType::WordOrList(_)
        | ValueType::Table
        | ValueType::Any => None,
    }
}
