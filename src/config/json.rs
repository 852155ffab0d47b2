//! Converts TOML values to JSON values, so that one struct serves files, the database and the HTTP API.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::limits::DEPTH_MAX;
use super::type_check::integer;

/// A value that JSON cannot represent.
pub(super) struct NotJson {
    /// The byte at which the value is.
    pub(super) offset: usize,
    /// Does not quote the value.
    pub(super) message: String,
}

/// Returns the value as JSON; dates and times become text, as TOML writes them. What JSON cannot represent is added to
/// `mistakes` and becomes `null`.
pub(super) fn to_json(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<NotJson>) -> Value {
    convert(value, mistakes, DEPTH_MAX)
}

fn convert(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<NotJson>, depth_left: usize) -> Value {
    let mut refuse = |message: String| {
        mistakes.push(NotJson { offset: value.span().start, message });
        Value::Null
    };
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return refuse(format!("nested deeper than {DEPTH_MAX} levels"));
    };
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(datetime) => Value::String(datetime.to_string()),
        DeValue::Integer(written) => match integer(written) {
            Some(number) => Value::Number(number.into()),
            None => refuse("integer does not fit into 64 bits".to_owned()),
        },
        DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
            Some(number) => Value::Number(number),
            None => {
                refuse("got a number that is not finite, expected one that JSON can represent".to_owned())
            }
        },
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| convert(item, mistakes, depth_left)).collect())
        }
        DeValue::Table(entries) => {
            let entry = |(key, value): (&Spanned<_>, _)| {
                (AsRef::<str>::as_ref(key.get_ref()).to_owned(), convert(value, mistakes, depth_left))
            };
            Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
    }
}
