//! What the fields of a body must be, by the server's own description, told in the words of its JSON Schema validator.
//! Fields that it does not know pass, as they do there.

use serde_json::{Map, Value};

use super::words::cut;
use crate::api::error_response::ErrorResponse;
use crate::domain::bounds::SEARCH_LIMIT_MAX;

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    /// Not an empty one.
    SomeText,
    TextOrNull,
    /// A text; the server describes it as either of two kinds of texts.
    AssistantWord,
    Flag,
    Object,
    Word(&'static [&'static str]),
    Words(&'static [&'static str]),
    Whole {
        min: i64,
        max: Option<i64>,
    },
    /// `tags`, `recursion_limit`, `configurable`.
    Config,
    /// An object, or a list of objects.
    Input,
    /// `*`, or a list of texts.
    Nodes,
    /// One of the modes, or a list of them.
    StreamMode,
}

type Fields = &'static [(&'static str, Shape)];

/// A body: its fields, in two parts, and those that must be there.
pub(super) struct Schema {
    fields: [Fields; 2],
    required: &'static [&'static str],
}

const STREAM_MODES: &[&str] =
    &["values", "messages", "messages-tuple", "tasks", "checkpoints", "updates", "events", "debug", "custom"];
const DURABILITIES: &[&str] = &["sync", "async", "exit"];
const COMPLETIONS: &[&str] = &["delete", "keep"];
const STRATEGIES: &[&str] = &["reject", "rollback", "interrupt", "enqueue"];
const ORDERS: &[&str] =
    &["cron_id", "assistant_id", "thread_id", "next_run_date", "end_time", "created_at", "updated_at"];
/// What `select` may name: every key of a cron.
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

/// What every body about a cron may say.
const ANY: Fields = &[
    ("config", Shape::Config),
    ("context", Shape::Object),
    ("durability", Shape::Word(DURABILITIES)),
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
    ("webhook", Shape::SomeText),
];
const ASSISTANT: (&str, Shape) = ("assistant_id", Shape::AssistantWord);
const END: (&str, Shape) = ("end_time", Shape::Text);
const COMPLETION: (&str, Shape) = ("on_run_completed", Shape::Word(COMPLETIONS));
const STRATEGY: (&str, Shape) = ("multitask_strategy", Shape::Word(STRATEGIES));

/// A cron that is to be made.
pub(super) const CRON: Schema = Schema { fields: [ANY, &[ASSISTANT, END, COMPLETION]], required: REQUIRED };

/// One that is to be made for a thread.
pub(super) const THREAD_CRON: Schema =
    Schema { fields: [ANY, &[ASSISTANT, END, STRATEGY]], required: REQUIRED };

/// What is to be changed.
pub(super) const PATCH: Schema =
    Schema { fields: [ANY, &[("end_time", Shape::TextOrNull), COMPLETION]], required: &[] };

/// What crons are counted by.
const COUNTED: Fields =
    &[("assistant_id", Shape::Text), ("metadata", Shape::Object), ("thread_id", Shape::Text)];

/// A search.
pub(super) const SEARCH: Schema = Schema {
    fields: [
        COUNTED,
        &[
            ("enabled", Shape::Flag),
            ("limit", Shape::Whole { min: 1, max: Some(SEARCH_LIMIT_MAX as i64) }),
            ("offset", Shape::Whole { min: 0, max: None }),
            ("select", Shape::Words(KEYS)),
            ("sort_by", Shape::Word(ORDERS)),
            ("sort_order", Shape::Word(&["asc", "desc"])),
        ],
    ],
    required: &[],
};

/// A question how many there are.
pub(super) const COUNT: Schema = Schema { fields: [COUNTED, &[]], required: &[] };

/// The first thing that is wrong with a body.
pub(super) fn check(body: &Map<String, Value>, schema: &Schema) -> Result<(), ErrorResponse> {
    // The server has an internal error here (500); it means to say this.
    if let Some(missing) = schema.required.iter().find(|name| !body.contains_key(**name)) {
        return Err(ErrorResponse::Invalid(format!("\"{missing}\" is a required property")));
    }
    for (name, shape) in schema.fields.iter().copied().flatten() {
        if let Some(value) = body.get(*name) {
            shape.check(&JsonPath::of(name), value).map_err(ErrorResponse::Invalid)?;
        }
    }
    Ok(())
}

/// The body is something else.
pub(super) fn not_an_object(body: &Value) -> ErrorResponse {
    let path = JsonPath { schema: String::new(), instance: String::new() };
    ErrorResponse::Invalid(path.words(body, "type", "is not of type \"object\""))
}

/// Where something stands, in the schema and in the body.
struct JsonPath {
    schema: String,
    instance: String,
}

impl JsonPath {
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

    fn words(&self, value: &Value, keyword: &str, problem: &str) -> String {
        let value = cut(&value.to_string());
        let Self { schema, instance } = self;
        format!(
            "{value} {problem}\n\nFailed validating \"{keyword}\" in schema{schema}\n\nOn instance{instance}:\n    \
             {value}"
        )
    }
}

impl Shape {
    fn check(self, path: &JsonPath, value: &Value) -> Result<(), String> {
        let of_type = |fits: bool, name: &str| match fits {
            true => Ok(()),
            false => Err(path.words(value, "type", &format!("is not of type \"{name}\""))),
        };
        let any_of = |fits: bool| match fits {
            true => Ok(()),
            false => {
                let problem = "is not valid under any of the schemas listed in the 'anyOf' keyword";
                Err(path.words(value, "anyOf", problem))
            }
        };
        match self {
            Shape::Text => of_type(value.is_string(), "string"),
            Shape::SomeText => {
                of_type(value.is_string(), "string")?;
                match value.as_str() {
                    Some("") => Err(path.words(value, "minLength", "is shorter than 1 character")),
                    Some(_) | None => Ok(()),
                }
            }
            Shape::TextOrNull if value.is_string() || value.is_null() => Ok(()),
            Shape::TextOrNull => Err(path.words(value, "type", "is not of types \"null\", \"string\"")),
            Shape::AssistantWord => any_of(value.is_string()),
            Shape::Flag => of_type(value.is_boolean(), "boolean"),
            Shape::Object => of_type(value.is_object(), "object"),
            Shape::Word(words) => {
                of_type(value.is_string(), "string")?;
                check_word(words, path, value)
            }
            Shape::Words(words) => {
                of_type(value.is_array(), "array")?;
                let items = value.as_array().into_iter().flatten().enumerate();
                items.into_iter().try_for_each(|(index, item)| check_word(words, &path.item(index), item))
            }
            Shape::Whole { min, max } => check_whole(min, max, path, value),
            Shape::Config => check_config(path, value),
            Shape::Input => any_of(value.is_object() || all(value, Value::is_object)),
            Shape::Nodes => any_of(value == "*" || all(value, Value::is_string)),
            Shape::StreamMode => {
                any_of(is_word(STREAM_MODES, value) || all(value, |item| is_word(STREAM_MODES, item)))
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

fn check_word(words: &[&str], path: &JsonPath, value: &Value) -> Result<(), String> {
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
    Err(path.words(value, "enum", &format!("is not one of {listed}")))
}

fn check_whole(min: i64, max: Option<i64>, path: &JsonPath, value: &Value) -> Result<(), String> {
    let Some(number) = whole(value) else {
        return Err(path.words(value, "type", "is not of type \"integer\""));
    };
    match max {
        _ if number < min => Err(path.words(value, "minimum", &format!("is less than the minimum of {min}"))),
        Some(max) if number > max => {
            Err(path.words(value, "maximum", &format!("is greater than the maximum of {max}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// A whole number; 2.0 is one.
pub(super) fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64().filter(|float| float.fract() == 0.0)?;
    // Beyond what can be counted it is as good as the largest number there is.
    Some(value.as_i64().unwrap_or(if float < 0.0 {
        i64::MIN
    } else if float < 9e15 {
        float as i64
    } else {
        i64::MAX
    }))
}

fn check_config(path: &JsonPath, value: &Value) -> Result<(), String> {
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
        return Err(path.words(tags, "type", "is not of type \"array\""));
    };
    tags.iter().enumerate().try_for_each(|(index, tag)| Shape::Text.check(&path.item(index), tag))
}
