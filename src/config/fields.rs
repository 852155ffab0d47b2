//! A cron as people write it: the agent server's own field names and ours, each as text, none settled.
//!
//! One struct for the files, for the definition stored in the database (JSON, placeholders still in it, so that no
//! secret gets there) and for the HTTP API.

use std::fmt;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

macro_rules! cron_fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty),+ $(,)?) => {
        /// Every field of a cron, as written.
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct CronFields {
            $($(#[$doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $name: Option<$type>),+
        }

        impl CronFields {
            /// Every field's name.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            /// These fields, and the others' where these are silent. Values are not merged into one another.
            fn or(self, other: &Self) -> Self {
                Self { $($name: self.$name.or_else(|| other.$name.clone())),+ }
            }
        }
    };
}

cron_fields! {
    /// The cron expression.
    schedule: String,
    /// IANA name; UTC if absent.
    timezone: String,
    /// Assistant id or graph name.
    assistant_id: String,
    /// Runs on this thread (a UUID).
    thread_id: String,
    /// Runs on a thread named in words; its UUID is derived.
    thread: String,
    /// Any JSON value.
    input: Value,
    /// `tags`, `recursion_limit`, `configurable`.
    config: Map<String, Value>,
    /// Static context of the graph.
    context: Map<String, Value>,
    /// The user's metadata of each run.
    metadata: Map<String, Value>,
    /// Whom to tell about the end of each run.
    webhook: String,
    /// No occurrence before it (RFC 3339).
    start_time: String,
    /// No occurrence at or after it (RFC 3339).
    end_time: String,
    /// Whether it fires at all.
    enabled: bool,
    /// Nodes, or `*`.
    interrupt_before: OneOrMany,
    /// Nodes, or `*`.
    interrupt_after: OneOrMany,
    /// `enqueue`, `reject`, `interrupt`, `rollback`; for thread crons.
    multitask_strategy: String,
    /// `delete` or `keep`; for stateless crons.
    on_run_completed: String,
    /// `sync`, `async`, `exit`.
    durability: String,
    /// What a stream carries.
    stream_mode: OneOrMany,
    /// Whether a stream carries subgraphs.
    stream_subgraphs: bool,
    /// Whether a stream can be resumed.
    stream_resumable: bool,
    /// The server's older word for `durability`.
    checkpoint_during: bool,
    /// Feedback keys of the run.
    feedback_keys: Vec<String>,
    /// `background`, `wait`, `stream`.
    mode: String,
    /// `skip`, `allow`, `queue`, `cancel`.
    overlap: String,
    /// `none`, `latest`, `all`.
    catchup: String,
    /// A duration.
    catchup_window: String,
    /// A duration.
    start_deadline: String,
    /// A duration.
    timeout: String,
    /// A duration.
    jitter: String,
    /// Days, or ranges of days, on which nothing fires.
    exclude: Vec<String>,
    /// Failed runs in a row.
    pause_after_failures: u32,
}

impl CronFields {
    /// With `[defaults]` where it says nothing itself. A default that makes no sense for this kind of cron is left
    /// out: `on_run_completed` of a thread cron, `multitask_strategy` of a stateless one, a second thread.
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
        self.or(&defaults)
    }

    /// The fields that are settled when a file is read, so that their `${{ env.X }}` are filled right then.
    pub(super) fn plain_texts_mut(&mut self) -> [(&'static str, &mut Option<String>); 16] {
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
        ]
    }
}

/// The webhook may hold a token, so it does not show itself; the payload shows its size only.
impl fmt::Debug for CronFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HIDDEN: [&str; 5] = ["webhook", "input", "config", "context", "metadata"];
        let fields = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        let mut shown = f.debug_struct("CronFields");
        for (name, value) in fields.as_object().into_iter().flatten() {
            if HIDDEN.contains(&name.as_str()) {
                shown.field(name, &format_args!("…"));
            } else {
                shown.field(name, &format_args!("{value}"));
            }
        }
        shown.finish()
    }
}

/// A text, or a list of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// `"*"`
    One(String),
    /// `["a", "b"]`
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

// Not derived: serde's message for an untagged enum says neither what was got nor what was expected.
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
        assert_eq!(CronFields::NAMES.len(), 32);
    }

    #[test]
    fn defaults_fill_what_is_silent_and_makes_sense() {
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
