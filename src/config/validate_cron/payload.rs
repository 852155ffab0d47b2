//! What the agent server gets as it is written: checked for shape, size and placeholders, and nothing else.

use serde_json::{Map, Value};

use super::mistakes::{Mistakes, plain_text, unknown_word};
use crate::config::errors::{Complaint, quoted};
use crate::config::fields::{CronFields, OneOrMany};
use crate::config::limits::{DEPTH_MAX, PAYLOAD_BYTES_MAX};
use crate::config::placeholders::{AllowedNames, check_text, pointer_token};
use crate::config::reference::{DURABILITIES, STREAM_MODES};

/// Keys of the metadata by which agentcron finds its runs again; a user's value would be overwritten.
const RESERVED_METADATA: &[&str] = &["cron_id", "cron_name", "scheduled_for"];
const RESERVED_METADATA_PREFIX: &str = "agentcron_";

/// Returns the agent server's own fields under their own names.
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

/// Returns the user's metadata.
pub(super) fn metadata(fields: &CronFields, mistakes: &mut Mistakes) -> Map<String, Value> {
    let metadata = fields.metadata.clone().unwrap_or_default();
    for key in metadata.keys() {
        if RESERVED_METADATA.contains(&key.as_str()) || key.starts_with(RESERVED_METADATA_PREFIX) {
            let pointer = format!("/{}", pointer_token(key));
            let hint = format!(
                "agentcron sets {} and {RESERVED_METADATA_PREFIX}… itself",
                RESERVED_METADATA.join(", ")
            );
            let complaint = Complaint::with_hint(format!("key {} is reserved", quoted(key)), hint);
            mistakes.add_complaint("metadata", &pointer, complaint);
        }
    }
    metadata
}

fn durability(fields: &CronFields, mistakes: &mut Mistakes) -> Option<Value> {
    let text = plain_text(mistakes, "durability", &fields.durability)?;
    check_word("durability", "", text, DURABILITIES, mistakes);
    Some(text.into())
}

fn check_word(
    field: &'static str,
    pointer: &str,
    text: &str,
    known: &[&'static str],
    mistakes: &mut Mistakes,
) {
    if !known.contains(&text) && !mistakes.is_full() {
        mistakes.add_complaint(field, pointer, unknown_word(text, known));
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
    fields.each_payload_text(&mut |field, pointer, text| {
        for complaint in check_text(text, AllowedNames::EnvironmentAndFiring) {
            mistakes.add_complaint(field, pointer, complaint);
        }
    });
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
                "the sum of input, config, context and metadata is larger than {} KiB",
                PAYLOAD_BYTES_MAX >> 10
            );
            mistakes.add_with_hint(field, message, "send a reference to the data instead of the data");
        }
    }
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    /// Counts the bytes that are written to it.
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

/// Returns the levels of nesting. It recurses, but every `Value` was built by a reader that bounds the nesting itself.
fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
    }
}
