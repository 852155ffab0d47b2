//! The fields of a cron as they are written: the agent server's own names and agentcron's, not validated yet.
//!
//! One struct serves the files, the definition stored in the database (as JSON with its placeholders, so that no secret
//! is stored) and the HTTP API. `reference/crons.rs` says what each field means.

use std::fmt;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::placeholders::{each_text, each_text_of_map};
use super::reference::is_public;

macro_rules! cron_fields {
    ($($name:ident: $type:ty),+ $(,)?) => {
        /// Every field of a cron, as written.
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct CronFields {
            $(#[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<$type>),+
        }

        impl CronFields {
            /// The names of all fields, in the order of the reference.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// Returns these fields, with those of `other` where these are absent. Values are not merged with one
            /// another.
            fn or(self, other: Self) -> Self {
                Self { $($name: self.$name.or(other.$name)),+ }
            }
        }
    };
}

cron_fields! {
    schedule: String,
    timezone: String,
    assistant_id: String,
    thread_id: String,
    thread: String,
    input: Value,
    config: Map<String, Value>,
    context: Map<String, Value>,
    metadata: Map<String, Value>,
    webhook: String,
    ping: String,
    start_time: String,
    end_time: String,
    enabled: bool,
    interrupt_before: OneOrMany,
    interrupt_after: OneOrMany,
    multitask_strategy: String,
    on_run_completed: String,
    durability: String,
    stream_mode: OneOrMany,
    stream_subgraphs: bool,
    stream_resumable: bool,
    checkpoint_during: bool,
    feedback_keys: Vec<String>,
    mode: String,
    overlap: String,
    catchup: String,
    catchup_window: String,
    start_deadline: String,
    timeout: String,
    jitter: String,
    exclude: Vec<String>,
    pause_after_failures: u32,
    retry: Map<String, Value>,
    keep: String,
    keep_failures: String,
    keep_values: String,
    keep_runs_max: u32,
    redact: Vec<String>,
    was: String,
}

impl CronFields {
    /// Returns the name from which the cron's identity follows: its own, or the one that it had first.
    pub fn first_name<'n>(&'n self, name: &'n str) -> &'n str {
        self.was.as_deref().unwrap_or(name)
    }

    /// Returns the fields with those of `[defaults]` where they are absent. A default that makes no sense for this kind
    /// of cron is left out: `on_run_completed` of a thread cron, `multitask_strategy` of a stateless one, and a second
    /// thread.
    pub fn with_defaults(self, defaults: &Self) -> Self {
        let mut defaults = defaults.clone();
        if self.thread.is_some() || self.thread_id.is_some() {
            (defaults.thread, defaults.thread_id) = (None, None);
        }
        let on_thread =
            [&self, &defaults].iter().any(|from| from.thread.is_some() || from.thread_id.is_some());
        if on_thread {
            defaults.on_run_completed = None;
        } else {
            defaults.multitask_strategy = None;
        }
        self.or(defaults)
    }

    /// Calls `visit` for every text that is sent to the agent server, with its field, its JSON pointer and the text
    /// itself. The placeholders in these texts are filled when an occurrence is fired.
    pub(super) fn each_payload_text<'f>(&'f self, visit: &mut impl FnMut(&'static str, &str, &'f str)) {
        if let Some(input) = &self.input {
            each_text(input, &mut |pointer, text| visit("input", pointer, text));
        }
        let maps = [("config", &self.config), ("context", &self.context), ("metadata", &self.metadata)];
        for (field, map) in maps {
            if let Some(map) = map {
                each_text_of_map(map, &mut |pointer, text| visit(field, pointer, text));
            }
        }
    }

    /// Returns the fields that are validated when a file is read, so that their `${{ env.X }}` is filled right then.
    pub(super) fn plain_texts_mut(&mut self) -> [(&'static str, &mut Option<String>); 19] {
        [
            ("schedule", &mut self.schedule),
            ("timezone", &mut self.timezone),
            ("assistant_id", &mut self.assistant_id),
            ("thread_id", &mut self.thread_id),
            ("thread", &mut self.thread),
            ("start_time", &mut self.start_time),
            ("end_time", &mut self.end_time),
            ("multitask_strategy", &mut self.multitask_strategy),
            ("on_run_completed", &mut self.on_run_completed),
            ("durability", &mut self.durability),
            ("mode", &mut self.mode),
            ("overlap", &mut self.overlap),
            ("catchup", &mut self.catchup),
            ("catchup_window", &mut self.catchup_window),
            ("start_deadline", &mut self.start_deadline),
            ("timeout", &mut self.timeout),
            ("keep", &mut self.keep),
            ("keep_failures", &mut self.keep_failures),
            ("keep_values", &mut self.keep_values),
        ]
    }
}

/// Shows neither the webhook nor the payload: both may hold a token.
impl fmt::Debug for CronFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        let mut shown = f.debug_struct("CronFields");
        for (name, value) in fields.as_object().into_iter().flatten() {
            if is_public(name) {
                shown.field(name, &format_args!("{value}"));
            } else {
                shown.field(name, &format_args!("…"));
            }
        }
        shown.finish()
    }
}

/// One text, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

// Not derived: serde's error for an untagged enum says neither what was got nor what was expected.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;

        impl<'de> Visitor<'de> for TextOrList {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                String::deserialize(StrDeserializer::new(text)).map(OneOrMany::One)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, items: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(items)).map(OneOrMany::Many)
            }
        }

        deserializer.deserialize_any(TextOrList)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(json: Value) -> CronFields {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_definition_survives_json() {
        let written =
            json!({"schedule": "@daily", "input": [1], "interrupt_before": "*", "stream_mode": ["values"]});
        assert_eq!(serde_json::to_value(fields(written.clone())).unwrap(), written);
        assert_eq!(CronFields::NAMES.len(), 40);
    }

    #[test]
    fn defaults_fill_absent_fields_that_make_sense() {
        let defaults =
            json!({"timezone": "UTC", "on_run_completed": "keep", "multitask_strategy": "enqueue"});
        let merged =
            |own: Value| serde_json::to_value(fields(own).with_defaults(&fields(defaults.clone()))).unwrap();
        assert_eq!(merged(json!({})), json!({"timezone": "UTC", "on_run_completed": "keep"}));
        assert_eq!(
            merged(json!({"thread": "a", "timezone": "Asia/Tokyo"})),
            json!({"timezone": "Asia/Tokyo", "thread": "a", "multitask_strategy": "enqueue"})
        );
    }

    #[test]
    fn debug_hides_what_may_be_secret() {
        let shown =
            format!("{:?}", fields(json!({"schedule": "@daily", "webhook": "https://x/?token=hunter2"})));
        assert_eq!(shown, r#"CronFields { schedule: "@daily", webhook: … }"#);
    }
}
