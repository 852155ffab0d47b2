//! Checks the fields of a body against the server's own schema, with the error messages of its JSON Schema validator, which
//! clients may show or match. Unknown fields are accepted, as they are there.

use serde_json::{Map, Value};

use super::messages::shortened;
use crate::api::error_response::ErrorResponse;
use crate::domain::bounds::SEARCH_LIMIT_MAX;
use crate::domain::cron::OnRunCompleted;
use crate::store::{CronOrder, Direction};

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    NonEmptyText,
    TextOrNull,
    /// A text; the server's schema has two alternatives for it, an id and a name.
    Assistant,
    Flag,
    Object,
    OneOf(&'static [&'static str]),
    ListOf(&'static [&'static str]),
    Whole {
        min: i64,
        max: Option<i64>,
    },
    /// An object whose `tags`, `recursion_limit` and `configurable` are checked as well.
    Config,
    /// An object, or a list of objects.
    Input,
    /// `*`, or a list of texts.
    Nodes,
    /// A stream mode, or a list of them.
    StreamMode,
}

type Fields = &'static [(&'static str, Shape)];

/// The schema of a body: its fields in two parts, and the required ones.
pub(super) struct Schema {
    fields: [Fields; 2],
    required: &'static [&'static str],
}

const STREAM_MODES: &[&str] =
    &["values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom"];
const DURABILITIES: &[&str] = &["sync", "async", "exit"];
const STRATEGIES: &[&str] = &["reject", "rollback", "interrupt", "enqueue"];
/// Every key of a cron; `select` may name them.
pub(super) const KEYS: &[&str] = &[
    "cron_id",
    "assistant_id",
    "thread_id",
    "on_run_completed",
    "end_time",
    "schedule",
    "timezone",
    "created_at",
    "updated_at",
    "user_id",
    "payload",
    "next_run_date",
    "metadata",
    "enabled",
];

const REQUIRED: &[&str] = &["assistant_id", "schedule"];

/// The fields that creating and changing a cron have in common.
const COMMON: Fields = &[
    ("config", Shape::Config),
    ("context", Shape::Object),
    ("durability", Shape::OneOf(DURABILITIES)),
    ("enabled", Shape::Flag),
    ("input", Shape::Input),
    ("interrupt_after", Shape::Nodes),
    ("interrupt_before", Shape::Nodes),
    ("metadata", Shape::Object),
    ("schedule", Shape::Text),
    ("stream_mode", Shape::StreamMode),
    ("stream_resumable", Shape::Flag),
    ("stream_subgraphs", Shape::Flag),
    ("timezone", Shape::Text),
    ("webhook", Shape::NonEmptyText),
];
const ASSISTANT: (&str, Shape) = ("assistant_id", Shape::Assistant);
const END: (&str, Shape) = ("end_time", Shape::Text);
const COMPLETION: (&str, Shape) = ("on_run_completed", Shape::OneOf(OnRunCompleted::WORDS));
const STRATEGY: (&str, Shape) = ("multitask_strategy", Shape::OneOf(STRATEGIES));

/// A request for a cron whose runs have threads of their own.
pub(super) const CRON: Schema =
    Schema { fields: [COMMON, &[ASSISTANT, END, COMPLETION]], required: REQUIRED };

/// A request for a cron on a thread.
pub(super) const THREAD_CRON: Schema =
    Schema { fields: [COMMON, &[ASSISTANT, END, STRATEGY]], required: REQUIRED };

/// A request to change a cron.
pub(super) const PATCH: Schema =
    Schema { fields: [COMMON, &[("end_time", Shape::TextOrNull), COMPLETION]], required: &[] };

/// The filters that search and count have in common.
const FILTERS: Fields =
    &[("assistant_id", Shape::Text), ("metadata", Shape::Object), ("thread_id", Shape::Text)];

pub(super) const SEARCH: Schema = Schema {
    fields: [
        FILTERS,
        &[
            ("enabled", Shape::Flag),
            ("limit", Shape::Whole { min: 1, max: Some(SEARCH_LIMIT_MAX as i64) }),
            ("offset", Shape::Whole { min: 0, max: None }),
            ("select", Shape::ListOf(KEYS)),
            ("sort_by", Shape::OneOf(CronOrder::WORDS)),
            ("sort_order", Shape::OneOf(Direction::WORDS)),
        ],
    ],
    required: &[],
};

pub(super) const COUNT: Schema = Schema { fields: [FILTERS, &[]], required: &[] };

/// Checks a body and returns the first mistake as an error.
pub(super) fn check(body: &Map<String, Value>, schema: &Schema) -> Result<(), ErrorResponse> {
    // The server fails with 500 here; this is what it means to say.
    if let Some(missing) = schema.required.iter().find(|name| !body.contains_key(**name)) {
        return Err(ErrorResponse::invalid(format!("\"{missing}\" is a required property")));
    }
    for (name, shape) in schema.fields.iter().copied().flatten() {
        if let Some(value) = body.get(*name) {
            shape.check(&SchemaPath::of(name), value).map_err(ErrorResponse::invalid)?;
        }
    }
    Ok(())
}

/// Returns the error for a body that is not an object.
pub(super) fn not_an_object(body: &Value) -> ErrorResponse {
    let path = SchemaPath { schema: String::new(), instance: String::new() };
    ErrorResponse::invalid(path.message(body, "type", "is not of type \"object\""))
}

/// The place of a value, in the schema and in the body.
struct SchemaPath {
    schema: String,
    instance: String,
}

impl SchemaPath {
    fn of(name: &str) -> Self {
        Self { schema: format!("[\"properties\"][\"{name}\"]"), instance: format!("[\"{name}\"]") }
    }

    fn key(&self, name: &str) -> Self {
        let Self { schema, instance } = Self::of(name);
        Self { schema: self.schema.clone() + &schema, instance: self.instance.clone() + &instance }
    }

    fn item(&self, index: usize) -> Self {
        Self {
            schema: format!("{}[\"items\"]", self.schema),
            instance: format!("{}[{index}]", self.instance),
        }
    }

    fn message(&self, value: &Value, keyword: &str, problem: &str) -> String {
        let value = shortened(&value.to_string());
        let Self { schema, instance } = self;
        format!(
            "{value} {problem}\n\nFailed validating \"{keyword}\" in schema{schema}\n\nOn instance{instance}:\n    \
             {value}"
        )
    }
}

impl Shape {
    fn check(self, path: &SchemaPath, value: &Value) -> Result<(), String> {
        let check_type = |fits: fn(&Value) -> bool, name: &str| {
            let message = || path.message(value, "type", &format!("is not of type \"{name}\""));
            fits(value).then_some(()).ok_or_else(message)
        };
        let check_any_of = |fits: &dyn Fn(&Value) -> bool| {
            let problem = "is not valid under any of the schemas listed in the 'anyOf' keyword";
            fits(value).then_some(()).ok_or_else(|| path.message(value, "anyOf", problem))
        };
        match self {
            Shape::Text => check_type(Value::is_string, "string"),
            Shape::NonEmptyText => {
                check_type(Value::is_string, "string")?;
                match value.as_str() {
                    Some("") => Err(path.message(value, "minLength", "is shorter than 1 character")),
                    Some(_) | None => Ok(()),
                }
            }
            Shape::TextOrNull if value.is_string() || value.is_null() => Ok(()),
            Shape::TextOrNull => Err(path.message(value, "type", "is not of types \"null\", \"string\"")),
            Shape::Assistant => check_any_of(&Value::is_string),
            Shape::Flag => check_type(Value::is_boolean, "boolean"),
            Shape::Object => check_type(Value::is_object, "object"),
            Shape::OneOf(words) => {
                check_type(Value::is_string, "string")?;
                check_word(words, path, value)
            }
            Shape::ListOf(words) => {
                check_type(Value::is_array, "array")?;
                let items = value.as_array().into_iter().flatten().enumerate();
                items.into_iter().try_for_each(|(index, item)| check_word(words, &path.item(index), item))
            }
            Shape::Whole { min, max } => check_whole(min, max, path, value),
            Shape::Config => check_config(path, value),
            Shape::Input => check_any_of(&|value| value.is_object() || all(value, Value::is_object)),
            Shape::Nodes => check_any_of(&|value| value == "*" || all(value, Value::is_string)),
            Shape::StreamMode => {
                let is_mode = |value: &Value| is_word(STREAM_MODES, value);
                check_any_of(&|value| is_mode(value) || all(value, is_mode))
            }
        }
    }
}

fn all(value: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(fits))
}

fn is_word(words: &[&str], value: &Value) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn check_word(words: &[&str], path: &SchemaPath, value: &Value) -> Result<(), String> {
    if is_word(words, value) {
        return Ok(());
    }
    let listed = match words {
        [first, last] => format!("\"{first}\" or \"{last}\""),
        [first, second, last] => format!("\"{first}\", \"{second}\" or \"{last}\""),
        [first, second, others @ ..] => {
            format!("\"{first}\", \"{second}\" or {} other candidates", others.len())
        }
        [] | [_] => words.concat(),
    };
    Err(path.message(value, "enum", &format!("is not one of {listed}")))
}

fn check_whole(min: i64, max: Option<i64>, path: &SchemaPath, value: &Value) -> Result<(), String> {
    let Some(number) = whole(value) else {
        return Err(path.message(value, "type", "is not of type \"integer\""));
    };
    match max {
        _ if number < min => {
            Err(path.message(value, "minimum", &format!("is less than the minimum of {min}")))
        }
        Some(max) if number > max => {
            Err(path.message(value, "maximum", &format!("is greater than the maximum of {max}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the value if it is a whole number; 2.0 is one.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
    // Numbers beyond the range of i64 become its ends.
    Some(value.as_i64().unwrap_or(if float < 0.0 {
        i64::MIN
    } else if float < 9e15 {
        float as i64
    } else {
        i64::MAX
    }))
}

fn check_config(path: &SchemaPath, value: &Value) -> Result<(), String> {
    Shape::Object.check(path, value)?;
    if let Some(configurable) = value.get("configurable") {
        Shape::Object.check(&path.key("configurable"), configurable)?;
    }
    if let Some(limit) = value.get("recursion_limit") {
        check_whole(i64::MIN, None, &path.key("recursion_limit"), limit)?;
    }
    let Some(tags) = value.get("tags") else { return Ok(()) };
    let path = path.key("tags");
    let Some(tags) = tags.as_array() else {
        return Err(path.message(tags, "type", "is not of type \"array\""));
    };
    tags.iter().enumerate().try_for_each(|(index, tag)| Shape::Text.check(&path.item(index), tag))
}
