//! What goes to the server as it is: checked for shape, size and placeholders, nothing else.

use serde_json::{Map, Value};

use super::{CronFields, Mistakes, plain, quoted};
use crate::config::fields::OneOrMany;
use crate::config::limits::{DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::config::nearest::nearest;
use crate::config::placeholders::{check_text, each_text, each_text_of_map};

const DURABILITIES: &[&str] = &["sync", "async", "exit"];
const STREAM_MODES: &[&str] =
    &["values", "messages", "messages-tuple", "updates", "events", "tasks", "checkpoints", "debug", "custom"];
/// Metadata by which we find our runs again; a user's value would be overwritten.
const RESERVED_METADATA: &[&str] = &["cron_id", "cron_name", "scheduled_for"];
const RESERVED_METADATA_PREFIX: &str = "agentcron_";

/// The server's own fields by their own names.
pub(super) fn payload(fields: &CronFields, mistakes: &mut Mistakes) -> Map<String, Value> {
    let texts = |texts: &[String]| Value::from(texts.to_vec());
    check_nodes("interrupt_before", fields.interrupt_before.as_ref(), mistakes);
    check_nodes("interrupt_after", fields.interrupt_after.as_ref(), mistakes);
    check_stream_modes(fields, mistakes);
    check_templates(fields, mistakes);
    let one_or_many = |value: &OneOrMany| match value {
        OneOrMany::One(text) => Value::from(text.as_str()),
        OneOrMany::Many(many) => texts(many),
    };
    let entries = [
        ("input", fields.input.clone()),
        ("config", fields.config.clone().map(Value::Object)),
        ("context", fields.context.clone().map(Value::Object)),
        ("interrupt_before", fields.interrupt_before.as_ref().map(one_or_many)),
        ("interrupt_after", fields.interrupt_after.as_ref().map(one_or_many)),
        ("durability", durability(fields, mistakes)),
        ("stream_mode", fields.stream_mode.as_ref().map(one_or_many)),
        ("stream_subgraphs", fields.stream_subgraphs.map(Value::Bool)),
        ("stream_resumable", fields.stream_resumable.map(Value::Bool)),
        ("checkpoint_during", fields.checkpoint_during.map(Value::Bool)),
        ("feedback_keys", fields.feedback_keys.as_deref().map(texts)),
    ];
    let present = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let payload: Map<String, Value> = present.collect();
    check_sizes(fields, mistakes);
    payload
}

/// The user's metadata.
pub(super) fn metadata(fields: &CronFields, mistakes: &mut Mistakes) -> Map<String, Value> {
    let metadata = fields.metadata.clone().unwrap_or_default();
    for key in metadata.keys() {
        if RESERVED_METADATA.contains(&key.as_str()) || key.starts_with(RESERVED_METADATA_PREFIX) {
            let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let hint = format!(
                "agentcron sets {} and {RESERVED_METADATA_PREFIX}… itself",
                RESERVED_METADATA.join(", ")
            );
            mistakes.add_at("metadata", pointer, format!("key {} is reserved", quoted(key)), Some(hint));
        }
    }
    metadata
}

fn durability(fields: &CronFields, mistakes: &mut Mistakes) -> Option<Value> {
    let text = plain(mistakes, "durability", &fields.durability)?;
    check_word("durability", "", text, DURABILITIES, mistakes);
    Some(text.into())
}

fn check_word(field: &'static str, pointer: &str, text: &str, known: &[&str], mistakes: &mut Mistakes) {
    if !known.contains(&text) {
        let message = format!("got {}, expected one of {}", quoted(text), known.join(", "));
        let hint = nearest(text, known.iter().copied()).map(|word| format!("did you mean `{word}`?"));
        mistakes.add_at(field, pointer.to_owned(), message, hint);
    }
}

fn check_nodes(field: &'static str, nodes: Option<&OneOrMany>, mistakes: &mut Mistakes) {
    match nodes {
        Some(OneOrMany::One(text)) if text != "*" => {
            let message = format!("got {}, expected \"*\" or a list of node names", quoted(text));
            mistakes.add(field, message);
        }
        Some(OneOrMany::Many(names)) if names.iter().any(String::is_empty) => {
            mistakes.add(field, "got an empty name, expected node names");
        }
        Some(OneOrMany::One(_) | OneOrMany::Many(_)) | None => {}
    }
}

fn check_stream_modes(fields: &CronFields, mistakes: &mut Mistakes) {
    let Some(modes) = &fields.stream_mode else { return };
    for (index, mode) in modes.as_slice().iter().enumerate() {
        let pointer = match modes {
            OneOrMany::One(_) => String::new(),
            OneOrMany::Many(_) => format!("/{index}"),
        };
        check_word("stream_mode", &pointer, mode, STREAM_MODES, mistakes);
    }
}

fn check_templates(fields: &CronFields, mistakes: &mut Mistakes) {
    let mut check = |field, pointer: &str, text: &str| {
        for (message, hint) in check_text(text, true) {
            mistakes.add_at(field, pointer.to_owned(), message, hint);
        }
    };
    if let Some(input) = &fields.input {
        each_text(input, &mut |pointer, text| check("input", pointer, text));
    }
    for (field, map) in
        [("config", &fields.config), ("context", &fields.context), ("metadata", &fields.metadata)]
    {
        if let Some(map) = map {
            each_text_of_map(map, &mut |pointer, text| check(field, pointer, text));
        }
    }
}

fn check_sizes(fields: &CronFields, mistakes: &mut Mistakes) {
    let maps = [("config", &fields.config), ("context", &fields.context), ("metadata", &fields.metadata)];
    let input = fields.input.iter().map(|value| ("input", json_bytes(value), depth(value)));
    let maps = maps.into_iter().filter_map(|(field, map)| map.as_ref().map(|map| (field, map)));
    let maps =
        maps.map(|(field, map)| (field, json_bytes(map), 1 + map.values().map(depth).max().unwrap_or(0)));
    let mut total_bytes = 0;
    for (field, bytes, depth) in input.chain(maps) {
        if depth > DEPTH_MAX {
            mistakes.add(field, format!("nested deeper than {DEPTH_MAX} levels"));
        }
        let fitted = total_bytes <= PAYLOAD_BYTES_MAX;
        total_bytes += bytes;
        if fitted && total_bytes > PAYLOAD_BYTES_MAX {
            let message = format!(
                "input, config, context and metadata have more than {} KiB together",
                PAYLOAD_BYTES_MAX >> 10
            );
            mistakes.add_with_hint(field, message, "send a reference to the data instead of the data");
        }
    }
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    /// Counts what is written to it.
    struct Counter(usize);

    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    // A `Value` can always be written, and a counter cannot fail.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Levels of nesting. It recurses, but every `Value` was built by a reader that has a bound itself.
fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
    }
}
